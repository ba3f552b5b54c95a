package yamledit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// indentStep is how much deeper a mapping stands than its key, in what is added.
const indentStep = 2

// change is a piece of the text, and what stands there afterwards.
type change struct {
	start, end int
	by         string
}

// inserter writes what the nodes have more than the text.
type inserter struct {
	places
	changes []change
	newline string
	// indented is true where the document has lists further in than their keys.
	indented bool
}

// insert applies operations to the text.
func insert(d Document, operations []Operation) ([]byte, error) {
	return insertInto(d, operations, false)
}

// insertSeparated is insert where an alias must not repeat what has changed at its anchor. That
// is not known before: a merge, for one, may repeat it and have it hidden by a key of its own.
func insertSeparated(d Document, operations []Operation) ([]byte, error) {
	return insertInto(d, operations, true)
}

func insertInto(d Document, operations []Operation, separate bool) ([]byte, error) {
	e, err := newEditor(d)
	if err != nil {
		return nil, err
	}
	for _, o := range operations {
		if err := e.add(o); err != nil {
			return nil, err
		}
	}
	if separate {
		e.separate()
	}
	w := inserter{places: newPlaces(e), newline: "\n"}
	if i := bytes.IndexByte(d.Text, '\n'); i > 0 && d.Text[i-1] == '\r' {
		w.newline = "\r\n"
	}
	w.indented, _ = w.indentsLists(e.document.Content[0])
	if err := w.walk(e.document.Content[0], -1); err != nil {
		return nil, err
	}
	slices.SortStableFunc(w.changes, func(a, b change) int { return a.start - b.start })
	return w.apply()
}

func (w *inserter) apply() ([]byte, error) {
	var b bytes.Buffer
	at := 0
	for _, c := range w.changes {
		if c.start < at || c.end < c.start {
			return nil, errNotUnderstood
		}
		b.Write(w.text[at:c.start])
		b.WriteString(c.by)
		at = c.end
	}
	b.Write(w.text[at:])
	return b.Bytes(), nil
}

// indentsLists finds the first list below a key.
func (w *inserter) indentsLists(n *yaml.Node) (indented, found bool) {
	children := w.children(n)
	for i, child := range children {
		if w.fresh[child] {
			continue
		}
		if n.Kind == yaml.MappingNode && i%2 == 1 && child.Kind == yaml.SequenceNode && child.Style&yaml.FlowStyle == 0 {
			return w.column(child) >= children[i-1].Column, true
		}
		if indented, found = w.indentsLists(child); found {
			return indented, true
		}
	}
	return false, false
}

// walk writes what is new below a node of the text. indent is the column of what the
// node belongs to.
func (w *inserter) walk(n *yaml.Node, indent int) error {
	flow := n.Style&yaml.FlowStyle != 0
	inner := indent
	if !flow && len(w.children(n)) > 0 {
		inner = w.column(n)
	}
	switch n.Kind {
	case yaml.MappingNode:
		return w.walkMapping(n, flow, inner)
	case yaml.SequenceNode:
		return w.walkSequence(n, flow, inner)
	default:
		return nil
	}
}

func (w *inserter) walkMapping(n *yaml.Node, flow bool, inner int) error {
	added := &yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		var err error
		switch {
		case w.fresh[key]:
			added.Content = append(added.Content, key, value)
		case w.fresh[value] && w.instead[value] == nil:
			err = errNotUnderstood
		case w.fresh[value]:
			err = w.replaceValue(key, w.instead[value], value, flow)
		case !flow && value.Style&yaml.FlowStyle != 0 && len(w.children(value)) == 0 && len(value.Content) > 0:
			// An empty list is written in this style as there is no other.
			err = w.replaceValue(key, value, value, flow)
		default:
			err = w.walk(value, inner)
		}
		if err != nil {
			return err
		}
	}
	if err := w.removeMembers(n, flow, inner); err != nil {
		return err
	}
	switch {
	case len(added.Content) == 0:
		return nil
	case flow:
		return w.appendFlow(n, added, inner)
	default:
		return w.appendBlock(n, added, inner)
	}
}

func (w *inserter) walkSequence(n *yaml.Node, flow bool, inner int) error {
	var pending []*yaml.Node
	for _, item := range n.Content {
		old := w.instead[item]
		if w.fresh[item] && old == nil {
			pending = append(pending, item)
			continue
		}
		if old == nil {
			old = item
		}
		if err := w.before(old, pending, flow, inner); err != nil {
			return err
		}
		pending = nil
		if w.fresh[item] {
			if err := w.replaceItem(old, item, flow, inner); err != nil {
				return err
			}
		} else if err := w.walk(item, inner); err != nil {
			return err
		}
	}
	added := &yaml.Node{Kind: yaml.SequenceNode, Content: pending}
	switch {
	case len(pending) == 0:
		return nil
	case flow:
		return w.appendFlow(n, added, inner)
	default:
		return w.appendBlock(n, added, inner)
	}
}

// lines prints a collection in block style, with every line indented.
func (w *inserter) blockLines(n *yaml.Node, indent int) (string, error) {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(indentStep)
	if !w.indented {
		encoder.CompactSeqIndent()
	}
	if err := encoder.Encode(n); err != nil {
		return "", fmt.Errorf("could not print what is added: %w", err)
	}
	prefix := strings.Repeat(" ", indent)
	var text strings.Builder
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSuffix(line, "\n")
		if line != "" {
			text.WriteString(prefix + line)
		}
		text.WriteString(w.newline)
	}
	return text.String(), nil
}

// appendBlock adds elements behind the last one of a block collection.
func (w *inserter) appendBlock(n, added *yaml.Node, inner int) error {
	end, err := w.end(n, inner, false)
	if err != nil {
		return err
	}
	text, err := w.blockLines(added, inner)
	if err != nil {
		return err
	}
	w.insertLines(end, text)
	return nil
}

// insertLines adds lines behind the line of an index, or at the index where a line
// begins there.
func (w *inserter) insertLines(behind int, lines string) {
	at := behind
	if w.lines[w.lineOf(at)] != at || at == 0 {
		at = w.nextLine(at)
	}
	if at == len(w.text) && at > 0 && w.text[at-1] != '\n' {
		lines = w.newline + strings.TrimSuffix(lines, w.newline)
	}
	w.changes = append(w.changes, change{at, at, lines})
}

// before adds items before one of the text.
func (w *inserter) before(item *yaml.Node, added []*yaml.Node, flow bool, inner int) error {
	if len(added) == 0 {
		return nil
	}
	at, err := w.start(item)
	if err != nil {
		return err
	}
	line := w.lineOf(at)
	if !flow {
		if bytes.Trim(w.text[w.lines[line]:at], " -") != nil && len(bytes.Trim(w.text[w.lines[line]:at], " -")) > 0 {
			return errNotUnderstood
		}
		// A comment above an item is about it.
		for line > 0 && bytes.HasPrefix(bytes.TrimLeft(w.text[w.lines[line-1]:w.lines[line]], " "), []byte("#")) {
			line--
		}
		text, err := w.blockLines(&yaml.Node{Kind: yaml.SequenceNode, Content: added}, inner)
		w.changes = append(w.changes, change{w.lines[line], w.lines[line], text})
		return err
	}
	for _, n := range added {
		text, separator, err := w.flowElement(n, at)
		if err != nil {
			return err
		}
		w.changes = append(w.changes, change{at, at, text + "," + separator})
	}
	return nil
}

// flowElement prints a value in JSON, as an element beside one that begins at an index,
// and what separates the two besides a comma.
func (w *inserter) flowElement(n *yaml.Node, sibling int) (text, separator string, err error) {
	raw, err := appendJSON(nil, n)
	if err != nil {
		return "", "", err
	}
	own := w.text[w.lines[w.lineOf(sibling)]:sibling]
	if len(bytes.TrimLeft(own, " \t")) > 0 {
		return string(raw), " ", nil
	}
	// Each element has a line of its own.
	step := "  "
	for line := w.lineOf(sibling) - 1; line >= 0; line-- {
		text := w.text[w.lines[line]:w.lines[line+1]]
		space := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]
		if len(space) < len(own) {
			step = string(own[len(space):])
			break
		}
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, string(own), step); err != nil {
		return "", "", fmt.Errorf("could not print what is added: %w", err)
	}
	text = strings.ReplaceAll(b.String(), "\n", w.newline)
	return text, w.newline + string(own), nil
}

// appendFlow adds elements behind the last one of a flow collection.
func (w *inserter) appendFlow(n, added *yaml.Node, inner int) error {
	children := w.children(n)
	start, err := w.start(n)
	if err != nil {
		return err
	}
	end, sibling := w.value(start)+1, -1
	if len(children) > 0 {
		last, width := len(children)-1, 1
		if n.Kind == yaml.MappingNode {
			width = 2
		}
		if end, err = w.end(children[last], inner, true); err != nil {
			return err
		}
		if sibling, err = w.start(children[last-width+1]); err != nil {
			return err
		}
	}
	text, err := w.flowElements(added, sibling)
	if err != nil {
		return err
	}
	if n.Kind == yaml.MappingNode && len(children) > 0 && !w.keepsAny(n) {
		// In the place of the first one, which is gone with all others.
		text = strings.TrimLeft(text, ", \r\n\t")
	}
	w.changes = append(w.changes, change{end, end, text})
	return nil
}

// flowElements prints the elements of a collection, each but the first of an empty one
// behind a comma.
func (w *inserter) flowElements(added *yaml.Node, sibling int) (string, error) {
	var b strings.Builder
	width := 1
	if added.Kind == yaml.MappingNode {
		width = 2
	}
	for i := 0; i < len(added.Content); i += width {
		var separator string
		var parts []string
		for _, n := range added.Content[i : i+width] {
			text, between, err := w.flowElement(n, max(sibling, 0))
			if err != nil {
				return "", err
			}
			if separator = between; sibling < 0 {
				raw, err := appendJSON(nil, n)
				if err != nil {
					return "", err
				}
				text, separator = string(raw), " "
			}
			parts = append(parts, text)
		}
		if i > 0 || sibling >= 0 {
			b.WriteString("," + separator)
		}
		b.WriteString(strings.Join(parts, ": "))
	}
	return b.String(), nil
}

// replaceValue writes a new value of a key of the text.
func (w *inserter) replaceValue(key, old, value *yaml.Node, flow bool) error {
	start, err := w.start(old)
	if err != nil {
		return err
	}
	end, err := w.end(old, key.Column-1, flow)
	if err != nil {
		return err
	}
	if flow || value.Kind == yaml.ScalarNode {
		return w.replaceInLine(value, start, end)
	}
	indent := key.Column - 1
	if value.Kind == yaml.MappingNode || w.indented {
		indent += indentStep
	}
	lines := *value
	lines.Style, lines.Anchor = 0, ""
	text, err := w.blockLines(&lines, indent)
	if err != nil {
		return err
	}
	w.changes = append(w.changes, change{w.endOfKey(old, value, start), end, ""})
	w.insertLines(end, text)
	return nil
}

// replaceInLine writes a value in JSON in place of what is between two indices.
func (w *inserter) replaceInLine(value *yaml.Node, start, end int) error {
	raw, err := appendJSON(nil, value)
	if err != nil {
		return err
	}
	by := string(raw)
	if start == end {
		by = " " + by
	}
	if end > start && w.text[end-1] == '\n' { // a block scalar, with its last line break
		by += w.newline
	}
	w.changes = append(w.changes, change{start, end, by})
	return nil
}

// endOfKey is where a line ends behind which a collection begins that had stood in it
// from start on. The anchor and the tag of one that is only filled stay, as others may
// need them.
func (w *inserter) endOfKey(old, value *yaml.Node, start int) int {
	if properties := w.value(start); old == value && properties > start {
		return properties
	}
	for start > 0 && w.text[start-1] == ' ' {
		start--
	}
	return start
}

// replaceItem writes a new item in place of one of the text.
func (w *inserter) replaceItem(old, item *yaml.Node, flow bool, inner int) error {
	start, err := w.start(old)
	if err != nil {
		return err
	}
	end, err := w.end(old, inner, flow)
	if err != nil {
		return err
	}
	if flow || item.Kind == yaml.ScalarNode {
		raw, err := appendJSON(nil, item)
		w.changes = append(w.changes, change{start, end, string(raw)})
		return err
	}
	item.Style &^= yaml.FlowStyle
	column := start - w.lines[w.lineOf(start)]
	text, err := w.blockLines(item, column)
	if err != nil {
		return err
	}
	text = strings.TrimSuffix(strings.TrimLeft(text, " "), w.newline)
	w.changes = append(w.changes, change{start, end, text})
	return nil
}
