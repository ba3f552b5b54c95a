package yamledit_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/cli/yamledit"
)

// FuzzApply adds something to each collection of any document, and holds that the
// result says what the patch makes of the document in JSON.
func FuzzApply(f *testing.F) {
	for _, text := range []string{
		"a: &a\n- k: 1 # c\nb: *a\n", "a: [1, {b: 'c'}]\n", "? a\n: - - 1\n  - |+\n    x\n\n", "a:\n  <<: {b: [1]}\n",
		"{\"a\": [\"\\/\", {}]}",
		"a: !!seq [1]\r\nb: >\r\n  x\r\n", "\ufeffa: {b: \"c\\\n  d\"}", "- &x a\n- *x\n- ~\n", "a: [b,\n # c\n d, ]\n",
		"a: 1\u2028b: [2]\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := yamledit.Document{Text: []byte(text), JSON: []byte(text)}
		var values any
		if d.IsJSON = json.Unmarshal(d.JSON, &values) == nil; !d.IsJSON {
			var err error
			if d.JSON, err = yaml.YAMLToJSON(d.Text); err != nil || json.Unmarshal(d.JSON, &values) != nil {
				t.Skip()
			}
		}
		yamledit.NewLines(d.Text, d.IsJSON).Line("a", "0", "b")
		operations := everywhere(nil, values, "")
		if len(operations) == 0 || len(operations) > 100 {
			t.Skip()
		}
		got, err := yamledit.Apply(d, operations)
		if err != nil {
			t.Skip() // paths of keys that JSON and YAML see in another way
		}
		after := got.Text
		if !d.IsJSON {
			if after, err = yaml.YAMLToJSON(got.Text); err != nil {
				t.Fatalf("%q has become %q: %v", text, got.Text, err)
			}
		}
		var is, want any
		if json.Unmarshal(after, &is) != nil || json.Unmarshal(got.JSON, &want) != nil {
			t.Fatalf("%q has become %q", text, got.Text)
		}
		if diff := cmp.Diff(want, is); diff != "" {
			t.Errorf("%q has become %q (-want +got):\n%s", text, got.Text, diff)
		}
	})
}

// everywhere are operations that add to every collection.
func everywhere(all []yamledit.Operation, v any, at string) []yamledit.Operation {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if key != "" {
				all = everywhere(all, v[key], at+"/"+escape(key))
			}
		}
		return append(all, add(at+"/added", `{"x":["yes",null,1]}`))
	case []any:
		for i, child := range v {
			all = everywhere(all, child, at+"/"+string(rune('0'+i%10)))
			if i == 9 {
				break
			}
		}
		return append(all, add(at+"/-", `"1"`))
	default:
		return all
	}
}

func escape(key string) string {
	var b []byte
	for _, c := range []byte(key) {
		switch c {
		case '~':
			b = append(b, "~0"...)
		case '/':
			b = append(b, "~1"...)
		default:
			b = append(b, c)
		}
	}
	return string(b)
}
