package jsonread_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/jsonread"
)

// errorTexts are all texts that an error may have: there is no room in them for
// a part of the document.
var errorTexts = regexp.MustCompile(`^(the JSON document ends too early|invalid JSON near offset \d+|` +
	`unexpected JSON value: (trailing data|not a whole number before offset \d+|` +
	`unexpected (string|number|null|true|false|[{\[]) before offset \d+))$`)

// FuzzRead compares what a Reader returns with what encoding/json and jsontext
// do, and reads the same document in a way that need not fit it.
func FuzzRead(f *testing.F) {
	for _, document := range []string{
		`{"metadata":{"annotations":{"a/b":"c"}},"spec":{"containers":[{"name":"a","env":null}]}}`,
		` { "a" : [ 1 , -0.5e+10 , 12345678901234567890 ] , "b" : [] , "" : { } } `,
		`{"\u0061\n\ud83d\ude00":"\"\\\/\b\f\n\r\t","ü":"ü"}`,
		`[null,true,false,"",0,-0,{"a":{"a":{"a":[[[]]]}}}]`,
		`{"a":1,"a":2}`, `{"a":"\ud800"}`, "\"\xff\"", `{"a":`, `[1,]`, `{} {}`, `nul`, `01`, ``, ` `,
	} {
		f.Add([]byte(document), []byte{0, 1, 2, 3, 4, 5, 6})
	}
	f.Add([]byte(wide(40, `"n%d"`, `{"\u006e":0}`)), []byte{0, 1})
	f.Add([]byte(strings.TrimSuffix(wide(40, `"\\n%d"`, "[]"), "}")+`,"\u000a39":0}`), []byte{0, 7})
	f.Fuzz(func(t *testing.T, document, methods []byte) {
		original := bytes.Clone(document)
		r := jsonread.New(document)
		// encoding/json replaces bytes that are not UTF-8, and takes the last of
		// two members of one name; a Reader refuses both.
		if jsontext.Value(document).IsValid() {
			compare(t, r, bytes.TrimSpace(document))
			r.End()
			if err := r.Err(); err != nil {
				t.Errorf("could not read valid JSON: %v", err)
			}
			compareTokens(t, document)
		} else {
			r.Skip()
			r.End()
			checkError(t, r.Err())
		}
		r.Close()

		r = jsonread.New(document)
		defer r.Close()
		misread(r, methods)
		r.End()
		if r.Err() != nil {
			checkError(t, r.Err())
		}
		if !bytes.Equal(document, original) {
			t.Error("the document was changed")
		}
	})
}

func checkError(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Error("invalid JSON was read")
	} else if !errorTexts.MatchString(err.Error()) {
		t.Errorf("the error is %q", err)
	}
}

// compare reads a value whose text is known, by the method that fits it.
func compare(t *testing.T, r *jsonread.Reader, want json.RawMessage) {
	t.Helper()
	if r.Null() != (string(want) == "null") {
		t.Errorf("Null is %v for %s", r.Null(), want)
	}
	got := r.Raw(func() { compareValue(t, r, want) })
	if got != string(want) {
		t.Errorf("Raw is %q for %q", got, want)
	}
}

func compareValue(t *testing.T, r *jsonread.Reader, want json.RawMessage) {
	t.Helper()
	switch want[0] {
	case '{':
		members := decode[map[string]json.RawMessage](t, want)
		r.Object(func(name string) {
			value, ok := members[name]
			if !ok {
				t.Fatalf("%q is no member of %s, or came twice", name, want)
			}
			delete(members, name)
			compare(t, r, value)
		})
		if len(members) > 0 {
			t.Errorf("the members %v of %s were not read", members, want)
		}
	case '[':
		elements := decode[[]json.RawMessage](t, want)
		n := 0
		if !r.Array(func(i int) {
			if i != n {
				t.Errorf("element %d comes as number %d", n, i)
			}
			compare(t, r, elements[i])
			n++
		}) || n != len(elements) {
			t.Errorf("%d elements of %s were read", n, want)
		}
	case '"':
		if diff := cmp.Diff(decode[string](t, want), r.String()); diff != "" {
			t.Errorf("String (-want +got):\n%s", diff)
		}
	case 't', 'f':
		if got := r.Bool(); got != (want[0] == 't') {
			t.Errorf("Bool is %v for %s", got, want)
		}
	case 'n':
		if r.Array(func(int) { t.Error("null has elements") }) {
			t.Error("null is an array")
		}
	default:
		compareNumber(t, r, want)
	}
}

// compareTokens reads a valid document token by token.
func compareTokens(t *testing.T, document []byte) {
	t.Helper()
	r := jsonread.New(document)
	decoder := jsontext.NewDecoder(bytes.NewReader(document))
	token := func() jsontext.Token {
		read, err := decoder.ReadToken()
		if err != nil {
			t.Fatalf("jsontext does not take the next token: %v", err)
		}
		return read
	}
	var walk func()
	walk = func() {
		var got string
		kind := decoder.PeekKind()
		if kind != '{' && kind != '[' {
			want := token().String()
			if kind == '"' {
				got = r.String()
			} else {
				got = r.Raw(r.Skip)
			}
			if got != want {
				t.Errorf("read %q, jsontext %q", got, want)
			}
			return
		}
		token()
		if kind == '{' {
			r.Object(func(name string) {
				if want := token().String(); name != want {
					t.Errorf("the name is %q, with jsontext %q", name, want)
				}
				walk()
			})
		} else {
			r.Array(func(int) { walk() })
		}
		if end := token().Kind(); end != kind+2 { // ASCII: {|} and [\]
			t.Errorf("ended at %v", end)
		}
	}
	walk()
	r.End()
	if err := r.Err(); err != nil {
		t.Errorf("could not read valid JSON: %v", err)
	}
}

func compareNumber(t *testing.T, r *jsonread.Reader, want json.RawMessage) {
	t.Helper()
	var n int64
	if json.Unmarshal(want, &n) != nil {
		r.Skip() // no whole number
		return
	}
	if diff := cmp.Diff(&n, r.Int64()); diff != "" {
		t.Errorf("Int64 (-want +got):\n%s", diff)
	}
}

func decode[T any](t *testing.T, raw json.RawMessage) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("encoding/json does not take %s: %v", raw, err)
	}
	return v
}

// misread reads a value by the methods that the bytes choose, to whatever depth.
func misread(r *jsonread.Reader, methods []byte) {
	if len(methods) == 0 {
		r.Skip()
		return
	}
	method, rest := methods[0], methods[1:]
	switch method % 8 {
	case 0:
		r.Object(func(string) { misread(r, rest) })
	case 1:
		r.Array(func(int) { misread(r, rest) })
	case 2:
		_ = r.String()
	case 3:
		r.Int64()
	case 4:
		r.Raw(func() { misread(r, rest) })
	case 5:
		r.Bool()
	case 6:
		r.Int()
	default:
		r.Null()
		r.Skip()
	}
}
