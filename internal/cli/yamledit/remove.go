package yamledit

import (
	"bytes"
	"slices"

	"go.yaml.in/yaml/v3"
)

// remove takes a member out of a mapping.
func (e *editor) remove(n *yaml.Node, step string) error {
	if n.Kind != yaml.MappingNode {
		return errNotUnderstood
	}
	i := index(n.Content, step)
	if i < 0 {
		return errNotUnderstood // perhaps merged from elsewhere
	}
	e.change(n)
	n.Content = slices.Delete(slices.Clone(n.Content), i-1, i+1)
	return nil
}

// keepsAny reports whether a mapping keeps a member of those that it has in the text.
func (w *inserter) keepsAny(n *yaml.Node) bool {
	written := w.children(n)
	for i := 0; i < len(written); i += 2 {
		if slices.Contains(n.Content, written[i]) {
			return true
		}
	}
	return false
}

// removeMembers takes the members out of the text that a mapping no longer has.
func (w *inserter) removeMembers(n *yaml.Node, flow bool, inner int) error {
	written := w.children(n)
	gone := func(i int) bool { return !slices.Contains(n.Content, written[i]) }
	for i := 0; i+1 < len(written); i += 2 {
		if !gone(i) {
			continue
		}
		if !flow {
			if err := w.removeLines(written[i], written[i+1], inner); err != nil {
				return err
			}
			continue
		}
		first := i
		for i+2 < len(written) && gone(i+2) {
			i += 2
		}
		if err := w.removeFlow(written, first, i, inner); err != nil {
			return err
		}
	}
	return nil
}

// removeLines removes the lines of a member of a block mapping, and nothing between them:
// comments stay, those behind something each in a line of its own.
func (w *inserter) removeLines(key, value *yaml.Node, inner int) error {
	start, err := w.start(key)
	if err != nil {
		return err
	}
	if value.Kind == yaml.MappingNode && value.Style&yaml.FlowStyle == 0 && value.Line > key.Line && len(value.Content) > 0 {
		for i := 0; i+1 < len(value.Content); i += 2 {
			if err := w.removeLines(value.Content[i], value.Content[i+1], w.column(value)); err != nil {
				return err
			}
		}
		name, err := w.end(key, inner, true)
		if err != nil || name >= len(w.text) || w.text[name] != ':' {
			return errNotUnderstood
		}
		return w.removeText(start, name+1)
	}
	end, err := w.end(value, inner, false)
	if err != nil {
		return err
	}
	return w.removeText(start, end)
}

// removeText removes the lines of a text, of which it is everything but comments.
func (w *inserter) removeText(start, end int) error {
	line := w.lines[w.lineOf(start)]
	indent := w.text[line:start]
	if len(bytes.Trim(indent, " ")) > 0 { // the first member in an item of a list
		return errNotUnderstood
	}
	by := ""
	if w.lines[w.lineOf(end)] != end || end == line {
		next := w.nextLine(end)
		rest := w.text[end:next]
		switch comment := bytes.TrimLeft(rest, " \t"); {
		case bytes.HasPrefix(comment, []byte("#")):
			by = string(indent) + string(comment)
		case len(bytes.TrimSpace(rest)) > 0:
			return errNotUnderstood
		}
		end = next
	}
	w.changes = append(w.changes, change{line, end, by})
	return nil
}

// removeFlow removes members of a flow mapping, from the one whose key has an index among
// the children to the one with another.
func (w *inserter) removeFlow(written []*yaml.Node, first, last, inner int) error {
	start, err := w.start(written[first])
	if err != nil {
		return err
	}
	end, err := w.end(written[last+1], inner, true)
	if err != nil {
		return err
	}
	switch {
	case last+2 < len(written): // with the comma behind it
		end, err = w.start(written[last+2])
	case first > 0: // with the one before it
		start, err = w.end(written[first-1], inner, true)
	}
	w.changes = append(w.changes, change{start, end, ""})
	return err
}
