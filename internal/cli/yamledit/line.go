package yamledit

import (
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Lines finds the lines of a document's fields.
type Lines struct{ of *editor }

// NewLines reads a document. Of one that cannot be read every field is in line 1.
func NewLines(text []byte, isJSON bool) *Lines {
	e, err := newEditor(Document{Text: text, IsJSON: isJSON})
	if err != nil {
		return &Lines{}
	}
	return &Lines{e}
}

// Line returns the line and the column of a field, from 1, by the steps that lead to it:
// names, and indices of lists. If there is no such field, it is that of the last one on
// the way. Of a member it is that of its name.
func (l *Lines) Line(steps ...string) (line, column int) {
	if l.of == nil {
		return 1, 1
	}
	at := l.of.document.Content[0]
	line, column = at.Line, at.Column
	for _, step := range steps {
		for at.Kind == yaml.AliasNode {
			at = at.Alias
		}
		switch at.Kind {
		case yaml.MappingNode:
			i := index(at.Content, step)
			if i < 0 {
				if at = l.of.findMerged(at, step, 0); at == nil {
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
