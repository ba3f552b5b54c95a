package manifest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/unicode"

	"github.com/oidc-injector/oidc-injector/internal/cli/manifest"
)

func read(t testing.TB, from io.Reader) ([]manifest.Document, error) {
	t.Helper()
	var all []manifest.Document
	for r := manifest.NewReader(from); ; {
		d, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, d)
	}
}

// TestSplit has streams, and the documents that are in them.
func TestSplit(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"nothing":                      nil,
		"one":                          {"a: 1\n"},
		"no end of the last line":      {"a: 1"},
		"two":                          {"a: 1\n", "---\nb: 2\n"},
		"a marker in front":            {"---\na: 1\n", "---\nb: 2\n"},
		"comments in front":            {"# a\n\n---\na: 1\n", "---\n# b\nb: 2\n"},
		"directives":                   {"%YAML 1.2\n---\na: 1\n", "---\nb: 2\n"},
		"comments behind markers":      {"--- # a\na: 1\n", "---\t# b\nb: 2\n"},
		"content behind a marker":      {"--- {a: 1}\n", "--- |\n text\n"},
		"empty documents":              {"---\n", "---\n", "---\n"},
		"an end":                       {"a: 1\n...\n", "# b\n---\nb: 2\n"},
		"Windows":                      {"a: 1\r\n", "---\r\nb: 2\r\n"},
		"markers that are none":        {"a: |\n  ---\n  x\n---x: 1\n----: 2\n"},
		"JSON":                         {"{\"a\": \"}\"}\n"},
		"JSON side by side":            {`{"a":{}}`, `{"b":[]}`, ` {"c":"\"}"}` + "\n", "\n"},
		"JSON in lines":                {"{\"a\":1}\n", "{\n\"b\":2\n}\n", "{\"c\":3}"},
		"JSON between markers":         {"---\n{\"a\":1}\n", "---\n{\"b\":1}\n", "# c\n---\nc: 1\n"},
		"flow style, which is no JSON": {"{a: 1}\n{b: 2}\n"},
		"a list of JSON":               {"[{\"a\":1},\n{\"b\":2}]\n"},
		"a list behind a marker":       {"--- [1,\n{\"a\":1}\n]\n"},
		"JSON and a comment":           {`{"a":1}`, " # a\n---\nb: 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, from := range []io.Reader{
				strings.NewReader(strings.Join(want, "")), iotest.OneByteReader(strings.NewReader(strings.Join(want, ""))),
			} {
				documents, err := read(t, from)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				line := 1
				for _, d := range documents {
					got = append(got, string(d.Text))
					if d.Line != line {
						t.Errorf("%q begins in line %d, not %d", d.Text, line, d.Line)
					}
					line += bytes.Count(d.Text, []byte("\n"))
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("documents (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestLargeDocuments(t *testing.T) {
	t.Parallel()
	comments := strings.Repeat("# comment\n", 1000)
	large := "a: b\n" + strings.Repeat(comments, manifest.MaxDocument/len(comments)+1)
	for name, text := range map[string]string{
		"many lines": "x: 1\n---\n" + large, "one line": "x: 1\n---\na: " + strings.Repeat("b", manifest.MaxDocument),
		"JSON": "x: 1\n---\n{\"a\": [" + strings.Repeat("1,\n", manifest.MaxDocument/3) + "1]}",
	} {
		documents, err := read(t, strings.NewReader(text))
		if len(documents) != 1 || err == nil || err.Error() != "line 2: the document is larger than 16 MiB" {
			t.Errorf("%s: %d documents, error %v", name, len(documents), err)
		}
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	documents, err := read(t, io.MultiReader(strings.NewReader("a: 1\n---\nb: "), iotest.ErrReader(broken)))
	if len(documents) != 1 || !errors.Is(err, broken) {
		t.Errorf("%d documents, error %v", len(documents), err)
	}
}

func TestObjects(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"an object": {
			`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"}}`,
			[]string{" deployment.apps/a deployments"},
		},
		"a name that will be made": {`{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"a-"}}`, []string{" pod/a- pods"}},
		"a list": {
			`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}},1,null,{},` +
				`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}]}]}`,
			[]string{"/items/0 pod/a pods", "/items/4/items/0 configmap/b configmaps"},
		},
		"a typed list": {
			`{"apiVersion":"v1","kind":"PodList","items":[{"metadata":{"name":"a"}}]}`,
			[]string{"/items/0 pod/a pods"},
		},
		"an object with items": {
			`{"apiVersion":"x.io/v1","kind":"Menu","items":[{"apiVersion":"v1","kind":"Pod"}]}`,
			[]string{" menu.x.io/ menus"},
		},
		"other plurals": {
			`{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy"}`,
			[]string{" networkpolicy.networking.k8s.io/ networkpolicies"},
		},
		"no kind":               {`{"apiVersion":"v1"}`, nil},
		"names in another case": {`{"ApiVersion":"v1","Kind":"Pod"}`, nil},
		"no object":             {`[1]`, nil},
		"a name that is no text": {
			`{"apiVersion":"v1","kind":"Pod","metadata":{"name":123,"namespace":true}}`,
			[]string{" pod/123 pods"},
		},
		"another shape": {`{"apiVersion":"v1","kind":"Pod","metadata":[]}`, nil},
		"nothing":       {`null`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, o := range manifest.Objects([]byte(tt.text)) {
				got = append(got, o.Pointer+" "+o.String()+" "+o.Resource)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q", got)
			}
		})
	}
}

// FuzzReader holds that documents in their order are the stream, whatever it is.
func FuzzReader(f *testing.F) {
	for _, text := range []string{
		"a: 1\n---\nb: 2\n", "{\"a\":1}{\"b\":2}", "---\n{\"a\": [\n", "%YAML 1.2\n---\n...\n", "\ufeff---\r\n", "{a: '}'}\n--- |\n x",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		documents, err := read(t, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		var all []byte
		for _, d := range documents {
			if len(d.Text) == 0 {
				t.Error("an empty document")
			}
			all = append(all, d.Text...)
			if raw, err := d.ToJSON(); err == nil {
				manifest.Objects(raw)
			}
		}
		if string(all) != text {
			t.Errorf("%q has become %q", text, all)
		}
	})
}

// TestToJSON is about documents that the library does not read as kubectl users mean them.
func TestToJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a: 1\n": `{"a":1}`, "": "null", "# a\n": "null", "   \n\t\n": "null", "...\n": "null", "--- # a\n\n... # b\n": "null",
		"--- a\n": `"a"`, "a: 1\r": `{"a":1}`, "# a\rb: 1": `{"b":1}`,
	} {
		d := manifest.Document{Text: []byte(text), Line: 1}
		if got, err := d.ToJSON(); err != nil || string(got) != want {
			t.Errorf("%q is %s (%v), want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"a: 1\r---\rb: 2\r", "\na: 1\u2028---", "\na: 1\u0085...\n"} {
		d := manifest.Document{Text: []byte(text), Line: 3}
		want := fmt.Sprintf("line %d: a document begins behind a line end of another kind", 3+strings.Count(text[:2], "\n"))
		if got, err := d.ToJSON(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q is %s, error %v", text, got, err)
		}
	}
}

// TestUTF16 has what Windows PowerShell writes, with a mark of either order.
func TestUTF16(t *testing.T) {
	t.Parallel()
	const text = "a: ü\r\n---\r\nb: 😀\r\n"
	for name, order := range map[string]unicode.Endianness{"little": unicode.LittleEndian, "big": unicode.BigEndian} {
		encoded, err := unicode.UTF16(order, unicode.UseBOM).NewEncoder().String(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range []io.Reader{strings.NewReader(encoded), iotest.OneByteReader(strings.NewReader(encoded))} {
			got, err := read(t, from)
			if err != nil || len(got) != 2 || string(got[0].Text)+string(got[1].Text) != text || got[1].Line != 2 {
				t.Errorf("%s: %+v, error %v", name, got, err)
			}
		}
	}
}
