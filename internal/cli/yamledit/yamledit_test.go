package yamledit_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/cli/yamledit"
)

func document(t testing.TB, text string) yamledit.Document {
	t.Helper()
	d := yamledit.Document{Text: []byte(text), JSON: []byte(text)}
	if d.IsJSON = json.Valid(d.Text); d.IsJSON {
		return d
	}
	var err error
	if d.JSON, err = yaml.YAMLToJSON(d.Text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return d
}

func add(path, value string) yamledit.Operation {
	return yamledit.Operation{Path: path, Value: json.RawMessage(value)}
}

// TestInsert has each way to write a collection, and what is added to it.
func TestInsert(t *testing.T) {
	t.Parallel()
	item := add("/a/-", `{"name":"x","path":"/y"}`)
	for name, tt := range map[string]struct {
		text, want string
		operations []yamledit.Operation
	}{
		"a list":                    {"a:\n- n: 1\n", "a:\n- n: 1\n- name: x\n  path: /y\n", ops(item)},
		"a list further in":         {"a:\n    - n: 1\nb: 2\n", "a:\n    - n: 1\n    - name: x\n      path: /y\nb: 2\n", ops(item)},
		"without a last line's end": {"a:\n- n: 1", "a:\n- n: 1\n- name: x\n  path: /y", ops(item)},
		"Windows":                   {"a:\r\n- n: 1\r\nb: 2\r\n", "a:\r\n- n: 1\r\n- name: x\r\n  path: /y\r\nb: 2\r\n", ops(item)},
		"comments": {
			"# top\na: # here\n# first\n- n: 1 # one\n# second\n\nb: 2 # two\n",
			"# top\na: # here\n# first\n- n: 1 # one\n- name: x\n  path: /y\n# second\n\nb: 2 # two\n", ops(item),
		},
		"a list in one line": {
			"a: [1, 'two', \"]\"]\nb: 2\n", "a: [1, 'two', \"]\", {\"name\":\"x\",\"path\":\"/y\"}]\nb: 2\n",
			ops(item),
		},
		"an empty list": {"a: [] # none\n", "a: # none\n- name: x\n  path: /y\n", ops(item)},
		"a list over lines": {"a: [\n  1, # one\n  2,\n]\n", "a: [\n  1, # one\n  2,\n  {\n    \"name\": \"x\",\n    " +
			"\"path\": \"/y\"\n  },\n]\n", ops(item)},
		"a new key":               {"a:\n  b: 1\n\nc: 2\n", "a:\n  b: 1\n  l:\n  - 1\n\nc: 2\n", ops(add("/a/l", "[1]"))},
		"a new key, lists inside": {"a:\n  b:\n    - 1\n", "a:\n  b:\n    - 1\n  l:\n    - 1\n", ops(add("/a/l", "[1]"))},
		"a new key of a list's item": {
			"a:\n- n: 1\n- n: 2\n  m: |\n    text\n\n    more\n\nb: 1\n",
			"a:\n- n: 1\n- n: 2\n  m: |\n    text\n\n    more\n  l:\n  - 1\n\nb: 1\n", ops(add("/a/1/l", "[1]")),
		},
		"two things at one place": {
			"s:\n  c:\n  - n: 1\n", "s:\n  c:\n  - n: 1\n    e:\n    - 1\n    m:\n    - 2\n    - 3\n  v:\n  - 4\nl: 5\n",
			ops(add("/s/v", "[4]"), add("/s/c/0/e", "[1]"), add("/s/c/0/m", "[2]"), add("/s/c/0/m/-", "3"), add("/l", "5")),
		},
		"nothing":           {"a:\nb: 1\n", "a:\n- 1\nb: 1\n", ops(add("/a", "[1]"))},
		"nothing, in words": {"a: null # none\nb: ~\n", "a: # none\n- 1\nb:\n  c: 1\n", ops(add("/a", "[1]"), add("/b", `{"c":1}`))},
		"another value":     {"a: 'x' # y\nb: 1\n", "a: \"z\" # y\nb: 1\n", ops(add("/a", `"z"`))},
		"another text":      {"a: |\n  x\n  y\nb: 1\n", "a: \"z\"\nb: 1\n", ops(add("/a", `"z"`))},
		"before others": {
			"i:\n# first\n- k: 1\n- k: 2\n", "i:\n- k: 8\n- k: 9\n# first\n- k: 1\n- k: 2\n", ops(add("/i/0", `{"k":8}`),
				add("/i/1", `{"k":9}`)),
		},
		"before others in one line": {"i: [1, 2]\n", "i: [8, 1, 2]\n", ops(add("/i/0", `8`))},
		"an alias": {
			"x: &x\n- 1\na: *x\nb: 1\n", "x: &x\n- 1\na:\n- 1\n- 2\nb: 1\n", ops(add("/a/-", "2")),
		},
		"an alias in a list": {
			"x: &x {n: 1}\na:\n- *x\n- n: 3\n", "x: &x {n: 1}\na:\n- n: 1\n  m: 2\n- n: 3\n", ops(add("/a/0/m", "2")),
		},
		"merged": {
			"x: &x\n  l:\n  - 1\na:\n  <<: *x\n  b: 1\n", "x: &x\n  l:\n  - 1\na:\n  <<: *x\n  b: 1\n  l:\n  - 1\n  - 2\n",
			ops(add("/a/l/-", "2")),
		},
		"repeated elsewhere": {
			"a: &x\n- 1\nb: *x\nc: [*x, 2]\n", "a: &x\n- 1\n- 2\nb:\n- 1\nc: [[1], 2]\n", ops(add("/a/-", "2")),
		},
		"part of what is repeated": {
			"a: &x\n  l: &l [1]\nb: *x\nc: *l\n", "a: &x\n  l: &l [1, 2]\nb:\n  l: [1]\nc:\n- 1\n", ops(add("/a/l/-", "2")),
		},
		"merged elsewhere": {
			"a: &x\n  l: [1]\nb:\n  <<: *x\n  c: 1\n", "a: &x\n  l: [1, 2]\nb:\n  <<:\n    l: [1]\n  c: 1\n", ops(add("/a/l/-", "2")),
		},
		"merged elsewhere and hidden": {
			"a: &x\n  l: 1\nb:\n  <<: *x\n", "a: &x\n  l: 1\n  m: 2\nb:\n  <<: *x\n  m: 3\n", ops(add("/a/m", "2"), add("/b/m", "3")),
		},
		"an anchored list": {"a: &a\n- 1\nb: 2\n", "a: &a\n- 1\n- 2\nb: 2\n", ops(add("/a/-", "2"))},
		"text that goes on": {
			"a:\n  b: one\n   two\n\n   three\n# c\nd: 1\n", "a:\n  b: one\n   two\n\n   three\n  l: 1\n# c\nd: 1\n",
			ops(add("/a/l", "1")),
		},
		"JSON": {`{"a": [1, 2], "b": {"c": 3}}`, `{"a": [1, 2, 3], "b": {"c": 3, "d": {"e":[]}}}`, ops(add("/a/-", "3"),
			add("/b/d", `{"e":[]}`))},
		"JSON with tabs and surrogates": {
			"{\n\t\"t\": \"\\ud83d\\ude00\",\n\t\"a\": [\n\t\t1\n\t]\n}\n",
			"{\n\t\"t\": \"\\ud83d\\ude00\",\n\t\"a\": [\n\t\t1,\n\t\t{\n\t\t\t\"n\": 2\n\t\t}\n\t]\n}\n",
			ops(add("/a/-", `{"n":2}`)),
		},
		"a text of several lines": {"a:\n  b: 1\n", "a:\n  b: 1\n  c: |-\n    x\n    y\n", ops(add("/a/c", `"x\ny"`))},
		"words that are no text": {"a:\n  b: 1\n", "a:\n  b: 1\n  c: \"yes\"\n  d: \"0400\"\n", ops(add("/a/c", `"yes"`),
			add("/a/d", `"0400"`))},
		"keys with slashes": {"a:\n  x/y: 1\n", "a:\n  x/y: 1\n  x/z: v\n", ops(add("/a/x~1z", `"v"`))},
		"behind an end":     {"---\na:\n- 1\n...\n", "---\na:\n- 1\n- 2\n...\n", ops(add("/a/-", "2"))},
		"wide characters":   {"ä: {ö: 'ü', a: [1]}\n", "ä: {ö: 'ü', a: [1, 2]}\n", ops(add("/ä/a/-", "2"))},
		"a byte order mark": {"\ufeffa: [1]\n", "\ufeffa: [1, 2]\n", ops(add("/a/-", "2"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expectText(t, tt.text, tt.want, tt.operations)
		})
	}
}

// expectText expects operations to make a text of another, and to keep all else of it.
func expectText(t *testing.T, text, want string, operations []yamledit.Operation) {
	t.Helper()
	got, err := yamledit.Apply(document(t, text), operations)
	if err != nil {
		t.Fatal(err)
	}
	if got.Kept != yamledit.Text {
		t.Errorf("kept %d", got.Kept)
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(string(got.Text), "\n")); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

func remove(path string) yamledit.Operation { return yamledit.Operation{Path: path, Remove: true} }

// TestRemove has each way to write a mapping, and what is taken out of it.
func TestRemove(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text, want string
		operations []yamledit.Operation
	}{
		"a line":           {"a:\n  b: 1\n  c: 2\n", "a:\n  c: 2\n", ops(remove("/a/b"))},
		"the last line":    {"a:\n  b: 1\n  c: 2", "a:\n  b: 1\n", ops(remove("/a/c"))},
		"comments":         {"a:\n  # x\n  b: 1 # y\n  # z\n  c: 2\n", "a:\n  # x\n  # y\n  # z\n  c: 2\n", ops(remove("/a/b"))},
		"a text":           {"a:\n  b: |\n    x\n    # y\n\n  c: 2\n", "a:\n\n  c: 2\n", ops(remove("/a/b"))},
		"Windows":          {"a:\r\n  b: 1 # y\r\n  c: 2\r\n", "a:\r\n  # y\r\n  c: 2\r\n", ops(remove("/a/b"))},
		"with what is new": {"a:\n  b: 1\nd: 3\n", "a:\n  c: 2\nd: 3\n", ops(remove("/a/b"), add("/a/c", "2"))},
		"a mapping": {
			"m:\n  n: 1\n  a: # x\n    # y\n    b: 1 # z\n    # end\nd: 3\n",
			"m:\n  n: 1\n  # x\n    # y\n    # z\n    # end\nd: 3\n", ops(remove("/m/a")),
		},
		"a list":        {"m:\n  a:\n  - 1\n  - 2\n  b: 1\n", "m:\n  b: 1\n", ops(remove("/m/a"))},
		"in one line":   {"a: {b: 1, c: 2, d: 3} # x\n", "a: {c: 2} # x\n", ops(remove("/a/b"), remove("/a/d"))},
		"several there": {"a: {b: 1, c: 2, d: 3}\n", "a: {b: 1}\n", ops(remove("/a/d"), remove("/a/c"))},
		"all there":     {"a: {b: 1, c: 2}\n", "a: {}\n", ops(remove("/a/b"), remove("/a/c"))},
		"all for others": {
			"a: {b: 1, c: 2}\n", "a: {\"x\": 3, \"y\": 4}\n",
			ops(remove("/a/b"), remove("/a/c"), add("/a/x", "3"), add("/a/y", "4")),
		},
		"some for another": {"a: {b: 1, c: 2}\n", "a: {b: 1, \"x\": 3}\n", ops(remove("/a/c"), add("/a/x", "3"))},
		"JSON":             {`{"a": {"b": 1, "c": 2}}`, `{"a": {"c": 2}}`, ops(remove("/a/b"))},
		"JSON over lines": {
			"{\n  \"a\": {\n    \"b\": 1\n  }\n}\n", "{\n  \"a\": {\n    \"c\": 2\n  }\n}\n", ops(remove("/a/b"), add("/a/c", "2")),
		},
		"keys with slashes": {"a:\n  x/y: 1\n  b: 2\n", "a:\n  b: 2\n", ops(remove("/a/x~1y"))},
		"quoted keys":       {"a:\n  'x': 1\n  b: 2\n", "a:\n  b: 2\n", ops(remove("/a/x"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expectText(t, tt.text, tt.want, tt.operations)
		})
	}
}

// TestRemoveFromAliases has what is shared stay with those who share it.
func TestRemoveFromAliases(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"x: &x {b: 1, c: 2}\na: *x\n", "x: &x\n  b: 1\n  c: 2\na: *x\n", "x: &x {b: 1}\na:\n  <<: *x\n  c: 2\n"} {
		got, err := yamledit.Apply(document(t, text), ops(remove("/a/b")))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !strings.Contains(string(got.JSON), `"a":{"c":2}`) || !strings.Contains(string(got.JSON), `"x":{"b":1`) {
			t.Errorf("%s: %s", text, got.JSON)
		}
		if again := document(t, string(got.Text)); !bytes.Equal(again.JSON, got.JSON) {
			t.Errorf("%s: the text says %s, and the patch %s", text, again.JSON, got.JSON)
		}
	}
}

func ops(all ...yamledit.Operation) []yamledit.Operation { return all }
