// Package yamledit applies a JSON patch to the text of a YAML or JSON document, so that
// every other byte of it stays: comments, order, quotes, blank lines, the ends of lines.
//
// It inserts and removes text. A library that prints a document anew, from nodes or from an AST,
// keeps comments at best, but neither blank lines nor the layout of lists. Nodes only
// say here where things stand. As documents can be written in more ways than are
// understood here, each result is read again and compared with what the patch makes of
// the document in JSON; where it differs, the document is printed anew after all.
package yamledit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"go.yaml.in/yaml/v3"
	sigsyaml "sigs.k8s.io/yaml"
)

// Operation is an `add` of a JSON patch (RFC 6902, section 4.1), or a `remove` (section
// 4.2) of a member of an object.
type Operation struct {
	Path  string
	Value json.RawMessage
	// Remove is true for the latter, which has no value.
	Remove bool
}

// Kept says how much of a document's form was kept.
type Kept int

const (
	// Text is everything but what was added.
	Text Kept = iota
	// Comments are comments and order.
	Comments
	// Nothing is nothing but the values.
	Nothing
)

// Document is a document to edit.
type Document struct {
	// Text is the document as it stands.
	Text []byte
	// IsJSON is true where that is JSON, with comments and markers of YAML around it.
	IsJSON bool
	// JSON is the document in JSON. Where that is what stands there, it is as it stands.
	JSON []byte
}

// Result is an edited document.
type Result struct {
	// Text is the document as it stands after the patch, and JSON the same in JSON.
	Text, JSON []byte
	Kept       Kept
}

// Apply applies operations to a document. The error says why they do not fit.
func Apply(d Document, operations []Operation) (Result, error) {
	if len(operations) == 0 {
		return Result{Text: d.Text, JSON: d.JSON}, nil
	}
	if head, tail, found := bytes.Cut(d.Text, d.JSON); d.IsJSON && found && len(head)+len(tail) > 0 {
		result, err := Apply(Document{Text: d.JSON, IsJSON: true, JSON: d.JSON}, operations)
		result.Text = slices.Concat(head, result.Text, tail)
		return result, err
	}
	patched, err := patch(d.JSON, operations)
	if err != nil {
		return Result{}, err
	}
	want, err := values(patched)
	if err != nil {
		return Result{}, err
	}
	for _, way := range []struct {
		kept  Kept
		print func(Document, []Operation) ([]byte, error)
	}{{Text, insert}, {Text, insertSeparated}, {Comments, encode}} {
		if text, err := way.print(d, operations); err == nil && equal(text, d.IsJSON, want) {
			return Result{Text: text, JSON: patched, Kept: way.kept}, nil
		}
	}
	text, err := anew(d, patched)
	return Result{Text: text, JSON: patched, Kept: Nothing}, err
}

// patch is what the API server does.
func patch(raw []byte, operations []Operation) ([]byte, error) {
	list := make([]map[string]any, 0, len(operations))
	for _, o := range operations {
		if o.Remove {
			list = append(list, map[string]any{"op": "remove", "path": o.Path})
			continue
		}
		list = append(list, map[string]any{"op": "add", "path": o.Path, "value": o.Value})
	}
	encoded, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("could not encode the patch: %w", err)
	}
	decoded, err := jsonpatch.DecodePatch(encoded)
	if err != nil {
		return nil, fmt.Errorf("could not decode the patch: %w", err)
	}
	patched, err := decoded.Apply(raw)
	if err != nil {
		return nil, fmt.Errorf("the patch does not fit: %w", err)
	}
	return patched, nil
}

// equal reports whether a text has these values.
func equal(text []byte, isJSON bool, want any) bool {
	if !isJSON {
		var err error
		if text, err = sigsyaml.YAMLToJSON(text); err != nil {
			return false
		}
	}
	got, err := values(text)
	return err == nil && reflect.DeepEqual(got, want)
}

// values are those of a document in JSON, with numbers as they are written.
func values(raw []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, fmt.Errorf("could not read what was patched: %w", err)
	}
	return v, nil
}

// encode prints the nodes of a document anew.
func encode(d Document, operations []Operation) ([]byte, error) {
	if d.IsJSON {
		return nil, errNotUnderstood
	}
	e, err := newEditor(d)
	if err != nil {
		return nil, err
	}
	e.resolve = true
	for _, o := range operations {
		if err := e.add(o); err != nil {
			return nil, err
		}
	}
	e.separate()
	var b bytes.Buffer
	if bytes.HasPrefix(d.Text, []byte("---")) {
		b.WriteString("---\n")
	}
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(indentStep)
	encoder.CompactSeqIndent()
	if err := encoder.Encode(e.document); err != nil {
		return nil, fmt.Errorf("could not print the document: %w", err)
	}
	return b.Bytes(), nil
}

// anew prints the values of a document, and nothing else.
func anew(d Document, patched []byte) ([]byte, error) {
	if d.IsJSON {
		var b bytes.Buffer
		if err := json.Indent(&b, patched, "", "  "); err != nil {
			return nil, fmt.Errorf("could not print the document: %w", err)
		}
		return b.Bytes(), nil
	}
	text, err := sigsyaml.JSONToYAML(patched)
	if err != nil {
		return nil, fmt.Errorf("could not print the document: %w", err)
	}
	if bytes.HasPrefix(d.Text, []byte("---")) {
		text = append([]byte("---\n"), text...)
	}
	return text, nil
}
