package exchange

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Fields are those of a JSON object in an answer. They are read leniently, as
// servers differ in what they write: what is not needed must not cost a good token.
// A field of another type than it should be counts as missing, and is listed by Odd.
// Names are compared exactly, as JSON has them; of two alike the last one counts.
type Fields struct {
	values map[string]json.RawMessage
	odd    []string
}

// byteOrderMark may begin a text in UTF-8, and be ignored (RFC 8259 section 8.1).
var byteOrderMark = []byte("\xef\xbb\xbf")

// Fields reads the JSON object of an answer.
func (r Request) Fields(response Response) (*Fields, error) {
	f := &Fields{}
	return f, r.Decode(response, &f.values)
}

// ParseFields reads a JSON object; of anything else there are no fields.
func ParseFields(body []byte) *Fields {
	f := &Fields{}
	_ = json.Unmarshal(bytes.TrimPrefix(body, byteOrderMark), &f.values)
	return f
}

// Has reports whether a field is there and not null.
func (f *Fields) Has(name string) bool {
	value := f.values[name]
	return len(value) > 0 && string(value) != "null"
}

// Odd are the fields that were asked for and have another type, in order.
func (f *Fields) Odd() []string {
	slices.Sort(f.odd)
	return slices.Compact(f.odd)
}

// read decodes a field, and notes it where that is not possible.
func (f *Fields) read(name string, into any) bool {
	if !f.Has(name) {
		return false
	}
	if json.Unmarshal(f.values[name], into) != nil {
		f.odd = append(f.odd, name)
		return false
	}
	return true
}

// Text is a string, or what a number or a boolean is written like.
func (f *Fields) Text(name string) string {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(f.values[name]))
	decoder.UseNumber()
	if !f.Has(name) || decoder.Decode(&value) != nil {
		return ""
	}
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	default:
		f.odd = append(f.odd, name)
		return ""
	}
}

// Number is a number, or a string that holds one. It is false where there is none.
func (f *Fields) Number(name string) (value float64, ok bool) {
	if !f.Has(name) {
		return 0, false
	}
	text := strings.TrimSpace(strings.Trim(string(f.values[name]), `"`))
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
		f.odd = append(f.odd, name)
		return 0, false
	}
	return value, true
}

// Bool is a boolean, or a string that holds one.
func (f *Fields) Bool(name string) bool {
	text := f.Text(name)
	value, err := strconv.ParseBool(text)
	if err != nil && text != "" {
		f.odd = append(f.odd, name)
	}
	return value
}

// Words are a list of strings, or a string of words.
func (f *Fields) Words(name string) []string {
	var list []string
	if value := bytes.TrimSpace(f.values[name]); len(value) > 0 && value[0] == '[' {
		f.read(name, &list)
		return list
	}
	return strings.Fields(f.Text(name))
}

// Texts are a list of strings; a string alone is a list of one.
func (f *Fields) Texts(name string) []string {
	var list []string
	if value := bytes.TrimSpace(f.values[name]); len(value) > 0 && value[0] == '"' {
		return []string{f.Text(name)}
	}
	f.read(name, &list)
	return list
}

// Object are the fields of an object in a field. There are none where there is no
// object.
func (f *Fields) Object(name string) *Fields {
	inner := &Fields{}
	f.read(name, &inner.values)
	return inner
}

// Map are all fields of the object in a field, as texts.
func (f *Fields) Map(name string) map[string]string {
	inner := f.Object(name)
	if len(inner.values) == 0 {
		return nil
	}
	all := make(map[string]string, len(inner.values))
	for name := range inner.values {
		all[name] = inner.Text(name)
	}
	return all
}

// OddWarnings warn of fields that were ignored. prefix stands before their names.
func (f *Fields) OddWarnings(prefix string) []string {
	warnings := make([]string, 0, len(f.odd))
	for _, name := range f.Odd() {
		warnings = append(warnings, "the field "+prefix+name+" of the answer is not of the type that it should be, and is ignored")
	}
	return warnings
}
