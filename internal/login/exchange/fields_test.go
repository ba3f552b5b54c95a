package exchange

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

// read is what each reader of a field makes of a value.
type read struct {
	Token  secret.Text
	Texts  []string
	Number float64
	Said   bool
	Bool   bool
	Map    map[string]string
}

func readAs(f Fields, name string) read {
	number, said := f.Number(name)
	return read{f.Token(name), f.Texts(name), number, said, f.Bool(name), f.Map(name)}
}

func TestFields(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]read{
		``:                        {},
		`null`:                    {},
		`"a"`:                     {Token: "a", Texts: []string{"a"}},
		`""`:                      {Texts: []string{""}},
		`7`:                       {Texts: []string{"7"}, Number: 7, Said: true},
		`-7`:                      {Texts: []string{"-7"}},
		`1`:                       {Texts: []string{"1"}, Number: 1, Said: true, Bool: true},
		`1.5e1`:                   {Texts: []string{"1.5e1"}, Number: 15, Said: true},
		`"7"`:                     {Token: "7", Texts: []string{"7"}, Number: 7, Said: true},
		`" 7 "`:                   {Token: " 7 ", Texts: []string{" 7 "}, Number: 7, Said: true},
		`1e999`:                   {Texts: []string{"1e999"}},
		`"inf"`:                   {Token: "inf", Texts: []string{"inf"}},
		`"NaN"`:                   {Token: "NaN", Texts: []string{"NaN"}},
		`"true"`:                  {Token: "true", Texts: []string{"true"}, Bool: true},
		`true`:                    {Bool: true},
		`false`:                   {},
		`[]`:                      {},
		` [ "a" , 7, null, [] ] `: {Texts: []string{"a", "7"}},
		`{}`:                      {Map: map[string]string{}},
		`{"a":"b","A":7,"c":[]}`:  {Map: map[string]string{"a": "b", "A": "7"}},
	} {
		document := `{}`
		if value != "" {
			document = `{"x":` + value + `}`
		}
		f, ok := FieldsOf([]byte(document))
		if diff := cmp.Diff(want, readAs(f, "x")); diff != "" || !ok {
			t.Errorf("%s (-want +got):\n%s", value, diff)
		}
	}
}

// What encoding/json does with two names for one field depends on their order.
func TestFieldNamesExact(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]string{
		`{"x":"a"}`:                     "a",
		`{"X":"a"}`:                     "a",
		`{"x":"a","X":"b"}`:             "a",
		`{"X":"b","x":"a"}`:             "a",
		`{"x":"b","x":"a"}`:             "a",
		`{"x":"b","x":null}`:            "",
		`{"x":null,"X":"b"}`:            "",
		`{"\u0078":"a"}`:                "a",
		"{\"x\":\"a\"}\n":               "a",
		`{"x":"a"}` + "\x00":            "",
		`{"x":"a"}{}`:                   "",
		`{"x":"a"} x`:                   "",
		`{"x":"a"`:                      "",
		`["x"]`:                         "",
		`{"y":{"x":"a"}}`:               "",
		`{"x":{"x":"a"},"x":"a","y":1}`: "a",
	} {
		if f, _ := FieldsOf([]byte(document)); f.Text("x") != want {
			t.Errorf("%s: %q", document, f.Text("x"))
		}
	}
}

// TestFieldWarnings: all that is unusual is one warning, without values.
func TestFieldWarnings(t *testing.T) {
	t.Parallel()
	f, _ := FieldsOf([]byte(`{"scope":[{},{}],"expires_in":"hidden","auth":{"renewable":"hidden","metadata":"hidden","ok":"1"}}`))
	auth, _ := f.Object("auth")
	for range 2 {
		f.Texts("scope")
		f.Number("expires_in")
		f.Number("absent")
		auth.Bool("renewable")
		auth.Map("metadata")
		auth.Bool("ok")
		f.Note("token_type", "is not given")
	}
	want := []string{"the answer is unusual: scope is ignored, as it is not of the expected type; " +
		"expires_in is ignored, as it is not a number from 0 on; auth.renewable is ignored, as it is not of the expected type; " +
		"auth.metadata is ignored, as it is not of the expected type; token_type is not given"}
	if diff := cmp.Diff(want, f.Warnings()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		``: nil, `x`: nil, `null`: nil, `"a"`: {"a"}, `{}`: nil, `{"token":"a"}`: nil,
		`{"error":{"code":403,"message":"a"}}`:             {"a"},
		`{"errors":[{"detail":"a"},"b"],"message":"c"}`:    {"a", "b", "c"},
		`{"error":{"error":{"error":{"error":"a deep"}}}}`: nil,
	} {
		if diff := cmp.Diff(want, Words([]byte(body))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
}

func TestRefusalOfUsedJWT(t *testing.T) {
	t.Parallel()
	for class, want := range map[failure.Class]failure.Verdict{failure.JWT: failure.JWTUsed, failure.Denied: failure.NoVerdict} {
		if got := failure.Of(Request{}.Refused(Response{Status: 400}, class)); got.Verdict != want || got.Class != class {
			t.Errorf("%+v", got)
		}
	}
}

// Whatever is in a field, it is read as something of its type, and only what is
// there and not null is anything.
func FuzzFields(f *testing.F) {
	f.Add(`{"x":"3600"}`, "x")
	f.Add(`{"x":["a",1,null,{}],"X":{"a":"b"}}`, "x")
	f.Add(`{"y":{"x":true}}`, "y")
	f.Add(`{"x":-0.0}`, "x")
	f.Add(`{"İ":"a"}`, "i̇")
	f.Fuzz(func(t *testing.T, document, name string) {
		fields, ok := FieldsOf([]byte(document))
		got := readAs(fields, name)
		if got.Number < 0 || math.IsNaN(got.Number) || math.IsInf(got.Number, 0) || got.Number != 0 && !got.Said {
			t.Errorf("%s: number %v", document, got.Number)
		}
		if !ok && (got.Texts != nil || got.Said || got.Bool || got.Map != nil || fields.Has(name)) {
			t.Errorf("%s: %+v", document, got)
		}
		var exact map[string]any
		if json.Unmarshal([]byte(document), &exact) != nil {
			return
		}
		if text, is := exact[name].(string); is && (got.Token != secret.Text(text) || fields.Text(name) != text) {
			t.Errorf("%s: %q instead of %q", document, got.Texts, text)
		}
		if _, is := exact[name].(string); !is && exact[name] != nil && got.Token != "" {
			t.Errorf("%s: a token", document)
		}
		if warnings := fields.Warnings(); len(warnings) > 1 || len(strings.Join(warnings, "")) > 1000+4*len(name) {
			t.Errorf("%q", warnings)
		}
	})
}
