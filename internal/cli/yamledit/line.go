package yamledit

import (
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Lines finds the lines of a document's fields.
type Lines struct{ root *yaml.Node }

// NewLines reads a document. Of one that cannot be read every field is in line 1.
func NewLines(text []byte, isJSON bool) *Lines {
	e, err := newEditor(Document{Text: text, IsJSON: isJSON})
	if err != nil {
		return &Lines{}
	}
	return &Lines{e.document.Content[0]}
}

// Line returns the line and the column of a field, from 1, by the steps that lead to it:
// names, and indices of lists. If there is no such field, it is that of the last one on
// the way. Of a member it is that of its name.
func (l *Lines) Line(steps ...string) (line, column int) {
	at := l.root
	if at == nil {
		return 1, 1
	}
	line, column = at.Line, at.Column
	for _, step := range steps {
		for at.Kind == yaml.AliasNode {
			at = at.Alias
		}
		switch at.Kind {
		case yaml.MappingNode:
			i := index(at, step)
			if i < 0 {
				if at = findMerged(at, step, 0); at == nil {
					return line, column
				}
				line, column = at.Line, at.Column
				continue
			}
			line, column = at.Content[i-1].Line, at.Content[i-1].Column
			at = at.Content[i]
		case yaml.SequenceNode:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(at.Content) {
				return line, column
			}
			at = at.Content[i]
			line, column = at.Line, at.Column
		default:
			return line, column
		}
	}
	return line, column
}
