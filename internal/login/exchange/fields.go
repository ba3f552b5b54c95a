package exchange

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

// Fields are those of a JSON object in an answer, read leniently: a good token is
// not refused for what is only said about it. What cannot be read counts as not
// said, and is noted.
//
// A name counts as it is written, and, where there is none like it, in any case. Of
// a field that is there twice the last one counts, as for most readers of JSON.
type Fields struct {
	values map[string]json.RawMessage
	// path is in front of the names in notes.
	path  string
	notes *[]string
}

// Fields reads the JSON object of an answer.
func (r Request) Fields(response Response) (Fields, error) {
	var values map[string]json.RawMessage
	err := r.Decode(response, &values)
	return newFields(values), err
}

// FieldsOf reads a JSON object, if it is one.
func FieldsOf(body []byte) (fields Fields, ok bool) {
	var values map[string]json.RawMessage
	err := json.Unmarshal(body, &values)
	return newFields(values), err == nil
}

func newFields(values map[string]json.RawMessage) Fields {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if lower := strings.ToLower(name); values[lower] == nil {
			values[lower] = values[name]
		}
	}
	return Fields{values: values, notes: new([]string)}
}

// Note notes what is unusual about a field.
func (f Fields) Note(name, text string) {
	if note := f.path + name + " " + text; !slices.Contains(*f.notes, note) {
		*f.notes = append(*f.notes, note)
	}
}

func (f Fields) ignore(name string) { f.Note(name, "is ignored, as it is not of the expected type") }

// Warnings is one warning about all that was noted, if something was. It quotes no
// values.
func (f Fields) Warnings() []string {
	if len(*f.notes) == 0 {
		return nil
	}
	return []string{"the answer is unusual: " + strings.Join(*f.notes, "; ")}
}

// Has reports whether a field is there and not null.
func (f Fields) Has(name string) bool {
	raw := f.values[name]
	return len(raw) > 0 && string(raw) != "null"
}

// Token is a text that is what all is about, so that nothing else is taken for it.
func (f Fields) Token(name string) secret.Text {
	var token string
	_ = json.Unmarshal(f.values[name], &token) // what is no text is no token
	return secret.Text(token)
}

// Text is a text or a number, as it is written. Of a list, as which some servers
// write a scope, spaces are between the elements.
func (f Fields) Text(name string) string { return strings.Join(f.Texts(name), " ") }

// Texts are a list of them. One alone is a list, too.
func (f Fields) Texts(name string) []string {
	if !f.Has(name) {
		return nil
	}
	list := []json.RawMessage{f.values[name]}
	if list[0][0] == '[' {
		_ = json.Unmarshal(f.values[name], &list) // which is a list
	}
	var texts []string
	for _, raw := range list {
		if text, ok := scalar(raw); ok {
			texts = append(texts, text)
		} else {
			f.ignore(name)
		}
	}
	return texts
}

// scalar is a text or a number, as a text.
func scalar(raw json.RawMessage) (text string, ok bool) {
	if c := raw[0]; c == '-' || c >= '0' && c <= '9' {
		return string(raw), true
	}
	err := json.Unmarshal(raw, &text)
	return text, err == nil && raw[0] == '"'
}

// Number is a number that is not negative, or a text that is one.
func (f Fields) Number(name string) (number float64, ok bool) {
	if !f.Has(name) {
		return 0, false
	}
	text, _ := scalar(f.values[name])
	number, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(number >= 0) || math.IsInf(number, 0) {
		f.Note(name, "is ignored, as it is not a number from 0 on")
		return 0, false
	}
	return number, true
}

// Bool is true or false, or a text or a number that says so.
func (f Fields) Bool(name string) bool {
	if !f.Has(name) {
		return false
	}
	text, ok := scalar(f.values[name])
	if !ok {
		text = string(f.values[name])
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		f.ignore(name)
	}
	return value
}

// Map is an object of texts.
func (f Fields) Map(name string) map[string]string {
	inner := f.object(name)
	if inner == nil {
		return nil
	}
	texts := make(map[string]string, len(inner))
	for key, raw := range inner {
		if text, ok := scalar(raw); ok {
			texts[key] = text
		} else {
			f.ignore(name)
		}
	}
	return texts
}

// Object are the fields of an object, if there is one.
func (f Fields) Object(name string) (inner Fields, ok bool) {
	values := f.object(name)
	inner = newFields(values)
	inner.path, inner.notes = f.path+name+".", f.notes
	return inner, values != nil
}

func (f Fields) object(name string) map[string]json.RawMessage {
	if !f.Has(name) {
		return nil
	}
	var values map[string]json.RawMessage
	if json.Unmarshal(f.values[name], &values) != nil {
		f.ignore(name)
	}
	return values
}
