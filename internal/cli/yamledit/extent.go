package yamledit

import (
	"bytes"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// places finds nodes in a text.
type places struct {
	*editor
	// lines are the indices at which lines begin.
	lines []int
}

func newPlaces(e *editor) places {
	p := places{editor: e, lines: []int{0}}
	if bytes.HasPrefix(e.text, []byte(byteOrderMark)) { // which is in no column
		p.lines[0] = len(byteOrderMark)
	}
	for i := p.lines[0]; i < len(e.text); {
		width := breakAt(e.text, i)
		if width > 0 {
			p.lines = append(p.lines, i+width)
		}
		i += max(width, 1)
	}
	return p
}

const byteOrderMark = "\ufeff"

// breakAt is the width of a line break (YAML 1.1, section 5.4, which is what the
// library reads), or 0.
func breakAt(text []byte, i int) int {
	switch rest := text[i:]; {
	case bytes.HasPrefix(rest, []byte("\r\n")):
		return 2
	case rest[0] == '\n' || rest[0] == '\r':
		return 1
	case bytes.HasPrefix(rest, []byte("\u0085")):
		return len("\u0085")
	case bytes.HasPrefix(rest, []byte("\u2028")), bytes.HasPrefix(rest, []byte("\u2029")):
		return len("\u2028")
	default:
		return 0
	}
}

// start is the index at which a node begins: with its anchor and tag.
func (p *places) start(n *yaml.Node) (int, error) {
	if n.Line < 1 || n.Line > len(p.lines) {
		return 0, errNotUnderstood
	}
	at := p.lines[n.Line-1]
	for column := 1; column < n.Column; column++ { // columns are characters
		if at >= len(p.text) {
			return 0, errNotUnderstood
		}
		_, width := utf8.DecodeRune(p.text[at:])
		at += width
	}
	return at, nil
}

// lineOf is the number of the line of an index, from 0.
func (p *places) lineOf(at int) int {
	low, high := 0, len(p.lines)
	for high-low > 1 {
		if middle := (low + high) / 2; p.lines[middle] <= at {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}

// nextLine is the index at which the line behind an index begins, or the text's end.
func (p *places) nextLine(at int) int {
	if line := p.lineOf(at) + 1; line < len(p.lines) {
		return p.lines[line]
	}
	return len(p.text)
}

// value is where the value of a node begins, behind its anchor and tag.
func (p *places) value(at int) int {
	for at < len(p.text) && (p.text[at] == '&' || p.text[at] == '!') {
		for at < len(p.text) && !isSpace(p.text[at]) {
			at++
		}
		at = p.skip(at, "")
	}
	return at
}

// skip passes over white space, line breaks, comments and the given characters.
func (p *places) skip(at int, also string) int {
	for at < len(p.text) {
		c := p.text[at]
		switch {
		case isSpace(c), bytes.IndexByte([]byte(also), c) >= 0:
			at++
		case c == '#' && (at == 0 || isSpace(p.text[at-1]) || p.text[at-1] == ','):
			at = p.nextLine(at)
		default:
			return at
		}
	}
	return at
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// end is the index behind a node. indent is the column of what the node belongs to, from
// 0, and -1 for the document.
func (p *places) end(n *yaml.Node, indent int, inFlow bool) (int, error) {
	at, err := p.start(n)
	if err != nil {
		return 0, err
	}
	switch n.Kind {
	case yaml.ScalarNode:
		return p.endOfScalar(n, at, indent, inFlow)
	case yaml.AliasNode:
		for at < len(p.text) && !isSpace(p.text[at]) && (!inFlow || bytes.IndexByte([]byte(",]}"), p.text[at]) < 0) {
			at++
		}
		return at, nil
	case yaml.MappingNode, yaml.SequenceNode:
	default:
		return 0, errNotUnderstood
	}
	if n.Style&yaml.FlowStyle != 0 {
		return p.endOfFlow(n, at, indent)
	}
	children := p.children(n)
	if len(children) == 0 {
		return 0, errNotUnderstood
	}
	return p.end(children[len(children)-1], p.column(n), inFlow)
}

// endOfFlow is the index behind a flow collection that begins at an index.
func (p *places) endOfFlow(n *yaml.Node, at, indent int) (int, error) {
	open := p.value(at)
	if open >= len(p.text) {
		return 0, errNotUnderstood
	}
	last := open + 1
	if children := p.children(n); len(children) > 0 {
		var err error
		if last, err = p.end(children[len(children)-1], indent, true); err != nil {
			return 0, err
		}
	}
	if p.text[open] != '[' && p.text[open] != '{' { // a pair in a list
		return last, nil
	}
	last = p.skip(last, ",")
	if closing := p.text[open] + 2; last >= len(p.text) || p.text[last] != closing { // '[' + 2 == ']', '{' + 2 == '}'
		return 0, errNotUnderstood
	}
	return last + 1, nil
}

// column is that in which the elements of a block collection begin, from 0.
func (p *places) column(n *yaml.Node) int {
	children := p.children(n)
	if n.Anchor == "" && n.Style&yaml.TaggedStyle == 0 || len(children) == 0 {
		return n.Column - 1
	}
	// The node begins with its anchor or tag, elsewhere.
	if n.Kind == yaml.MappingNode {
		return children[0].Column - 1
	}
	line := p.text[p.lines[children[0].Line-1]:]
	return len(line) - len(bytes.TrimLeft(line, " "))
}

func (p *places) endOfScalar(n *yaml.Node, at, indent int, inFlow bool) (int, error) {
	if at = p.valueOfScalar(n, at); at > len(p.text) {
		return 0, errNotUnderstood
	}
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		for i := at + 1; i < len(p.text); i++ {
			switch p.text[i] {
			case '\\':
				i++
			case '"':
				return i + 1, nil
			}
		}
	case n.Style&yaml.SingleQuotedStyle != 0:
		for i := at + 1; i < len(p.text); i++ {
			switch {
			case p.text[i] != '\'':
			case i+1 < len(p.text) && p.text[i+1] == '\'':
				i++
			default:
				return i + 1, nil
			}
		}
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return p.endOfBlock(at, indent), nil
	case n.Value == "": // nothing stands there
		return at, nil
	case inFlow:
		return p.endOfFlowPlain(at), nil
	default:
		return p.endOfPlain(at, indent), nil
	}
	return 0, errNotUnderstood
}

// valueOfScalar is where a scalar begins behind its anchor and tag. Where there is
// nothing behind them, it is the end of these.
func (p *places) valueOfScalar(n *yaml.Node, at int) int {
	if n.Value != "" || n.Style&^yaml.TaggedStyle != 0 {
		return p.value(at)
	}
	for at < len(p.text) && (p.text[at] == '&' || p.text[at] == '!') {
		for at < len(p.text) && !isSpace(p.text[at]) {
			at++
		}
	}
	return at
}

// endOfBlock is the end of a literal or folded scalar: of its last line that is more
// than blank, or, where blank ones count (+), of these.
func (p *places) endOfBlock(at, indent int) int {
	header := p.nextLine(at)
	keep, content := false, -1
	for _, c := range bytes.Fields(p.text[at:header])[0][1:] {
		switch {
		case c == '+':
			keep = true
		case c >= '1' && c <= '9':
			content = max(indent, 0) + int(c-'0')
		}
	}
	end := header
	for line := header; line < len(p.text); line = p.nextLine(line) {
		text := bytes.TrimRight(p.text[line:p.nextLine(line)], "\r\n")
		spaces := len(text) - len(bytes.TrimLeft(text, " "))
		if content < 0 && spaces < len(text) {
			content = max(spaces, indent+1)
		}
		switch {
		case spaces < len(text) && spaces < content, isDocumentMarker(text):
			return end
		case spaces < len(text) || keep:
			end = p.nextLine(line)
		}
	}
	return end
}

func isDocumentMarker(line []byte) bool { return bytes.HasPrefix(line, []byte("...")) }

// endOfPlain is the end of a plain scalar in block context, which goes on in lines that
// are more indented.
func (p *places) endOfPlain(at, indent int) int {
	end := p.endOfPlainLine(at)
	for line := p.nextLine(at); line < len(p.text); line = p.nextLine(line) {
		text := bytes.TrimRight(p.text[line:p.nextLine(line)], " \t\r\n")
		trimmed := bytes.TrimLeft(text, " \t")
		if len(trimmed) == 0 {
			continue
		}
		if len(text)-len(trimmed) <= indent || trimmed[0] == '#' || isDocumentMarker(text) {
			break
		}
		end = p.endOfPlainLine(line + len(text) - len(trimmed))
	}
	return end
}

func (p *places) endOfPlainLine(at int) int {
	line := p.text[at:p.nextLine(at)]
	if comment := bytes.Index(line, []byte(" #")); comment >= 0 {
		line = line[:comment]
	}
	if comment := bytes.Index(line, []byte("\t#")); comment >= 0 {
		line = line[:comment]
	}
	return at + len(bytes.TrimRight(line, " \t\r\n"))
}

func (p *places) endOfFlowPlain(at int) int {
	end := at
	for i := at; i < len(p.text); i++ {
		c := p.text[i]
		switch {
		case bytes.IndexByte([]byte(",[]{}"), c) >= 0, c == '#' && isSpace(p.text[i-1]),
			c == ':' && (i+1 == len(p.text) || isSpace(p.text[i+1]) || bytes.IndexByte([]byte(",[]{}"), p.text[i+1]) >= 0):
			return end
		case !isSpace(c):
			end = i + 1
		}
	}
	return end
}
