package yamledit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// errNotUnderstood is the answer to what is written in an unusual way.
var errNotUnderstood = errors.New("not understood")

// editor applies operations to the nodes of a document, and remembers which of them are
// new, and what was there before.
type editor struct {
	text     []byte
	document *yaml.Node
	// fresh are nodes that are not in the text.
	fresh map[*yaml.Node]bool
	// instead are those that stand in the place of another one.
	instead map[*yaml.Node]*yaml.Node
	// written is the content of nodes as it is in the text, where it has changed.
	written map[*yaml.Node][]*yaml.Node
	// resolve has what is shared by an anchor become the place's own also where it is
	// not in the operations' way.
	resolve bool
}

func newEditor(d Document) (*editor, error) {
	text := d.Text
	if d.IsJSON {
		text = asYAML(text)
	}
	document := &yaml.Node{}
	if err := yaml.Unmarshal(text, document); err != nil {
		return nil, fmt.Errorf("could not read the nodes: %w", err)
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) != 1 {
		return nil, errNotUnderstood
	}
	if d.IsJSON {
		restoreSlashes(document)
	}
	return &editor{
		text: d.Text, document: document, fresh: map[*yaml.Node]bool{}, instead: map[*yaml.Node]*yaml.Node{},
		written: map[*yaml.Node][]*yaml.Node{},
	}, nil
}

// Escapes of JSON (RFC 8259, section 7) that the library does not know: a slash, and
// half of a character.
var (
	slash     = regexp.MustCompile(`\\.`)
	surrogate = regexp.MustCompile(`\\u[dD][89a-fA-F][0-9a-fA-F]{2}`)
)

// slashEscape stands for an escaped slash. In YAML it is another character, which is
// a slash in nodes then.
const slashEscape, slashStandIn = `\_`, "\u00a0"

// asYAML makes JSON that YAML reads, with everything at the same place.
func asYAML(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\t"), []byte(" ")) // a string in JSON has none
	text = slash.ReplaceAllFunc(text, func(escape []byte) []byte {
		if escape[1] == '/' {
			return []byte(slashEscape)
		}
		return escape
	})
	return surrogate.ReplaceAll(text, []byte(`\u003f`))
}

func restoreSlashes(n *yaml.Node) {
	n.Value = strings.ReplaceAll(n.Value, slashStandIn, "/")
	for _, child := range n.Content {
		restoreSlashes(child)
	}
}

// children are those that a node has in the text.
func (e *editor) children(n *yaml.Node) []*yaml.Node {
	if content, changed := e.written[n]; changed {
		return content
	}
	return n.Content
}

// change is called before the content of a node is changed.
func (e *editor) change(n *yaml.Node) {
	if _, changed := e.written[n]; !changed && !e.fresh[n] {
		e.written[n] = slices.Clone(n.Content)
	}
}

// add applies an operation.
func (e *editor) add(o Operation) error {
	put := e.remove
	if !o.Remove {
		value, err := parseValue(o.Value)
		if err != nil {
			return err
		}
		e.fresh[value] = true
		put = func(n *yaml.Node, step string) error { return e.put(n, step, value) }
	}
	steps := strings.Split(strings.TrimPrefix(o.Path, "/"), "/")
	at := e.document.Content[0]
	for i, step := range steps {
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~1", "/"), "~0", "~")
		if i == len(steps)-1 {
			return put(at, step)
		}
		if at = e.child(at, step); at == nil {
			return errNotUnderstood
		}
	}
	return errNotUnderstood
}

// child is what a step leads to, or nil. What is shared becomes the place's own.
func (e *editor) child(n *yaml.Node, step string) *yaml.Node {
	switch n.Kind {
	case yaml.MappingNode:
		if i := index(n.Content, step); i >= 0 {
			return e.own(n, i)
		}
		if merged := e.findMerged(n, step, 0); merged != nil {
			e.change(n)
			own := e.copyNode(merged)
			e.fresh[own] = true
			n.Content = append(n.Content, newText(step), own)
			e.fresh[n.Content[len(n.Content)-2]] = true
			return own
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return e.own(n, i)
		}
	default:
	}
	return nil
}

// own returns a child that no other place shares by an alias.
func (e *editor) own(n *yaml.Node, i int) *yaml.Node {
	child := n.Content[i]
	if child.Kind != yaml.AliasNode {
		if e.resolve {
			child.Anchor = ""
		}
		return child
	}
	own := e.copyNode(child)
	e.replace(n, i, own)
	return own
}

// separate gives what an alias repeats, and has changed elsewhere, its own copy of what was there.
func (e *editor) separate() {
	changed := map[*yaml.Node]bool{}
	var below func(n *yaml.Node) bool
	below = func(n *yaml.Node) bool {
		if known, seen := changed[n]; seen {
			return known
		}
		_, found := e.written[n]
		changed[n] = found
		if n.Kind == yaml.AliasNode {
			found = below(n.Alias)
		}
		for _, child := range n.Content {
			found = below(child) || found
		}
		changed[n] = found
		return found
	}
	var visit func(n *yaml.Node)
	visit = func(n *yaml.Node) {
		for i := range n.Content {
			if child := n.Content[i]; child.Kind == yaml.AliasNode && below(child.Alias) {
				e.replace(n, i, e.copyNode(child))
			}
			visit(n.Content[i])
		}
	}
	// All is known before anything is replaced, as that changes, too.
	below(e.document)
	visit(e.document)
}

func (e *editor) replace(n *yaml.Node, i int, by *yaml.Node) {
	e.change(n)
	old := n.Content[i]
	if before, again := e.instead[old]; again {
		old = before
	}
	e.fresh[by] = true
	if !e.fresh[old] {
		e.instead[by] = old
	}
	n.Content[i] = by
}

// put adds a value to a collection, or replaces it.
func (e *editor) put(n *yaml.Node, step string, value *yaml.Node) error {
	if e.fresh[n] && len(n.Content) == 0 {
		n.Style &^= yaml.FlowStyle // which is for empty ones
	}
	switch n.Kind {
	case yaml.MappingNode:
		if i := index(n.Content, step); i >= 0 {
			e.replace(n, i, value)
			return nil
		}
		e.change(n)
		key := newText(step)
		e.fresh[key] = true
		n.Content = append(n.Content, key, value)
		return nil
	case yaml.SequenceNode:
		at := len(n.Content)
		if step != "-" {
			var err error
			if at, err = strconv.Atoi(step); err != nil || at < 0 || at > len(n.Content) {
				return errNotUnderstood
			}
		}
		e.change(n)
		n.Content = slices.Insert(n.Content, at, value)
		return nil
	default:
		return errNotUnderstood
	}
}

// index is that of a key's value in a mapping, or -1.
func index(content []*yaml.Node, key string) int {
	for i := len(content) - 2; i >= 0; i -= 2 { // the last one holds, for kubectl, too
		if k := content[i]; k.Kind == yaml.ScalarNode && k.Value == key && k.ShortTag() != "!!merge" {
			return i + 1
		}
	}
	return -1
}

// findMerged is a value that a mapping has from another one (<<), as the text says, or
// nil.
func (e *editor) findMerged(n *yaml.Node, key string, depth int) *yaml.Node {
	const most = 16
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if depth > most {
		return nil
	}
	content := e.children(n)
	if n.Kind == yaml.SequenceNode {
		for _, from := range content {
			if found := e.findMerged(from, key, depth+1); found != nil {
				return found
			}
		}
		return nil
	}
	if depth > 0 {
		if i := index(content, key); i >= 0 {
			return content[i]
		}
	}
	for i := 0; i+1 < len(content); i += 2 {
		if content[i].ShortTag() == "!!merge" {
			if found := e.findMerged(content[i+1], key, depth+1); found != nil {
				return found
			}
		}
	}
	return nil
}

// copyNode copies a node as it is in the text, without its anchor.
func (e *editor) copyNode(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	c := *n
	c.Anchor, c.HeadComment, c.LineComment, c.FootComment = "", "", "", ""
	c.Content = slices.Clone(e.children(n))
	for i := range c.Content {
		if c.Content[i].Kind != yaml.AliasNode {
			c.Content[i] = e.copyNode(c.Content[i])
		}
	}
	return &c
}

// plainWord are texts that need no quotes, so that the library, which is slow, has not to be
// asked of each name: words of YAML 1.1 with a meaning, such as false, have at most five letters,
// and numbers do not begin with one.
var plainWord = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./-]{5,}$`)

// newText is a string, in quotes where kubectl, which reads YAML 1.1, needs them for it,
// as for yes.
func newText(text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
	if plainWord.MatchString(text) {
		return n
	}
	switch plain, err := sigsyaml.Marshal(text); {
	case err != nil || plain[0] == '"':
		n.Style = yaml.DoubleQuotedStyle
	case plain[0] == '\'':
		n.Style = yaml.SingleQuotedStyle
	}
	return n
}

// parseValue makes nodes of JSON, in the order that it has.
func parseValue(raw json.RawMessage) (*yaml.Node, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	return decodeValue(decoder)
}

func decodeValue(from *json.Decoder) (*yaml.Node, error) {
	token, err := from.Token()
	if err != nil {
		return nil, fmt.Errorf("could not read a value of the patch: %w", err)
	}
	switch v := token.(type) {
	case json.Delim:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		if v == '[' {
			n = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		}
		for from.More() { // keys are values, too
			child, err := decodeValue(from)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
		if len(n.Content) == 0 {
			n.Style = yaml.FlowStyle
		}
		_, err := from.Token() // the bracket that closes it
		return n, err
	case string:
		return newText(v), nil
	case json.Number:
		tag := "!!int"
		if strings.ContainsAny(v.String(), ".eE") {
			tag = "!!float"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: v.String()}, nil
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v)}, nil
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	}
}

// appendJSON writes nodes in JSON, in their order.
func appendJSON(b []byte, n *yaml.Node) ([]byte, error) {
	switch n.Kind {
	case yaml.AliasNode:
		return appendJSON(b, n.Alias)
	case yaml.MappingNode, yaml.SequenceNode:
		return appendCollection(b, n)
	case yaml.ScalarNode:
		if n.ShortTag() != "!!str" && json.Valid([]byte(n.Value)) {
			return append(b, n.Value...), nil
		}
		if n.ShortTag() != "!!str" {
			return nil, errNotUnderstood
		}
		var quoted bytes.Buffer
		encoder := json.NewEncoder(&quoted)
		encoder.SetEscapeHTML(false)
		err := encoder.Encode(n.Value)
		return append(b, bytes.TrimSuffix(quoted.Bytes(), []byte("\n"))...), err
	default:
		return nil, errNotUnderstood
	}
}

func appendCollection(b []byte, n *yaml.Node) ([]byte, error) {
	brackets, width := "[]", 1
	if n.Kind == yaml.MappingNode {
		brackets, width = "{}", 2
	}
	b = append(b, brackets[0])
	for i, child := range n.Content {
		if child.ShortTag() == "!!merge" {
			return nil, errNotUnderstood
		}
		switch {
		case i%width == 1:
			b = append(b, ':')
		case i > 0:
			b = append(b, ',')
		}
		var err error
		if b, err = appendJSON(b, child); err != nil {
			return nil, err
		}
	}
	return append(b, brackets[1]), nil
}
