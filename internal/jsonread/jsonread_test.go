package jsonread_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/jsonread"
)

// thing is what the tests below read.
type thing struct {
	Name   string
	Count  *int64
	Labels map[string]string
	Items  []string
	Listed bool
	Raw    string
	Null   bool
	Bool   bool
}

func readThing(document string) (thing, error) {
	var got thing
	r := jsonread.New([]byte(document))
	defer r.Close()
	r.Object(func(name string) {
		switch name {
		case "name":
			got.Name = r.String()
		case "count":
			got.Count = r.Int64()
		case "labels":
			if !r.Null() {
				got.Labels = map[string]string{}
			}
			r.Object(func(name string) { got.Labels[name] = r.String() })
		case "items":
			got.Listed = r.Array(func(int) { got.Items = append(got.Items, r.String()) })
		case "raw":
			got.Raw = r.Raw(r.Skip)
		case "bool":
			got.Bool = r.Bool()
		case "null":
			got.Null = r.Null()
			r.Skip()
		default:
			r.Skip()
		}
	})
	r.End()
	return got, r.Err()
}

func TestRead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		document string
		want     thing
	}{
		"an empty object":        {`{}`, thing{}},
		"null for the whole":     {` null `, thing{}},
		"a string":               {`{"name":"a b"}`, thing{Name: "a b"}},
		"an empty string":        {`{"name":""}`, thing{}},
		"escapes":                {`{"name":"\"\\\/\b\f\n\r\t\u00fc\ud83d\ude00"}`, thing{Name: "\"\\/\b\f\n\r\tü😀"}},
		"text beyond ASCII":      {`{"name":"ü😀"}`, thing{Name: "ü😀"}},
		"a name with escapes":    {`{"n\u0061me":"a"}`, thing{Name: "a"}},
		"a name in another case": {`{"Name":"a"}`, thing{}},
		"null for a string":      {`{"name":null}`, thing{}},
		"a number":               {`{"count":-9223372036854775808}`, thing{Count: new(int64(-1 << 63))}},
		"null for a number":      {`{"count":null}`, thing{}},
		"strings by name":        {`{"labels":{"a":"b","c\n":null}}`, thing{Labels: map[string]string{"a": "b", "c\n": ""}}},
		"no strings by name":     {`{"labels":{}}`, thing{Labels: map[string]string{}}},
		"null for an object":     {`{"labels":null}`, thing{}},
		"a list":                 {`{"items":["a",null,"b"]}`, thing{Items: []string{"a", "", "b"}, Listed: true}},
		"an empty list":          {`{"items":[]}`, thing{Listed: true}},
		"null for a list":        {`{"items":null}`, thing{}},
		"the text of an object": {
			`{"raw" : {"a" : [ 1e400, "\u0041" ] } , "name":"x"}`,
			thing{Raw: `{"a" : [ 1e400, "\u0041" ] }`, Name: "x"},
		},
		"the text of a number":    {`{"raw":12345678901234567890.10}`, thing{Raw: `12345678901234567890.10`}},
		"the text of null":        {`{"raw":null}`, thing{Raw: "null"}},
		"null before it is read":  {`{"null": null}`, thing{Null: true}},
		"no null":                 {`{"null": "null"}`, thing{}},
		"true":                    {`{"bool":true}`, thing{Bool: true}},
		"false":                   {`{"bool":false}`, thing{}},
		"null for a boolean":      {`{"bool":null}`, thing{}},
		"what nobody asks for":    {`{"x":{"name":"y"},"z":[[{}],1.5e-3,true],"name":"a"}`, thing{Name: "a"}},
		"white space of all kind": {" \n\t\r{ \"name\" \t:\r\n\"a\" } \n", thing{Name: "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := readThing(test.document)
			if err != nil {
				t.Fatalf("could not read %s: %v", test.document, err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.document, diff)
			}
		})
	}
}

// TestErrors shows every error. Each document has the word SECRET in it, and no
// error has it.
func TestErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		document string
		err      string
		shape    bool
	}{
		"nothing":                      {``, "the JSON document ends too early", false},
		"white space":                  {" \n", "the JSON document ends too early", false},
		"an unfinished string":         {`{"name":"SECRET`, "the JSON document ends too early", false},
		"an unfinished object":         {`{"SECRET":1`, "the JSON document ends too early", false},
		"an unfinished list":           {`{"items":["SECRET"`, "the JSON document ends too early", false},
		"an unfinished literal":        {`{"SECRET":nul`, "the JSON document ends too early", false},
		"a wrong literal":              {`{"SECRET":nulL}`, "invalid JSON near offset 13", false},
		"a bare word":                  {`{"name":SECRET}`, "invalid JSON near offset 8", false},
		"a bare name":                  {`{SECRET:1}`, "invalid JSON near offset 1", false},
		"no colon":                     {`{"SECRET" 1}`, "invalid JSON near offset 10", false},
		"no comma":                     {`{"SECRET":1 "name":"a"}`, "invalid JSON near offset 12", false},
		"a trailing comma":             {`{"items":["SECRET",]}`, "invalid JSON near offset 18", false},
		"a comment":                    {`{/*SECRET*/}`, "invalid JSON near offset 1", false},
		"the wrong bracket":            {`{"items":["SECRET"}`, "invalid JSON near offset 18", false},
		"a control character":          {"{\"name\":\"SECRET\n\"}", "invalid JSON near offset 15", false},
		"an unknown escape":            {`{"name":"SECRET\x"}`, "invalid JSON near offset 15", false},
		"half a surrogate pair":        {`{"name":"SECRET\ud800"}`, "invalid JSON near offset 15", false},
		"bytes that are not UTF-8":     {"{\"name\":\"SECRET\xff\"}", "invalid JSON near offset 15", false},
		"a duplicate name":             {`{"SECRET":1,"SECRET":2}`, "invalid JSON near offset 12", false},
		"a duplicate, in what we skip": {`{"x":{"SECRET":1,"\u0053ECRET":2}}`, "invalid JSON near offset 17", false},
		"a leading zero":               {`{"name":"SECRET","count":01}`, "invalid JSON near offset 26", false},
		"a second document":            {`{"name":"SECRET"}{"name":"SECRET"}`, "unexpected JSON value: trailing data", true},
		"rubbish after the document":   {`{}SECRET`, "unexpected JSON value: trailing data", true},
		"a list for an object":         {`["SECRET"]`, "unexpected JSON value: unexpected [ before offset 10", true},
		"a string for an object":       {`"SECRET"`, "unexpected JSON value: unexpected string before offset 8", true},
		"an object for a list":         {`{"items":{"SECRET":1}}`, "unexpected JSON value: unexpected { before offset 21", true},
		"an object for a string":       {`{"name":{"SECRET":1}}`, "unexpected JSON value: unexpected { before offset 20", true},
		"a number in a list":           {`{"items":["SECRET",1]}`, "unexpected JSON value: unexpected number before offset 20", true},
		"a list in a map":              {`{"labels":{"a":["SECRET"]}}`, "unexpected JSON value: unexpected [ before offset 25", true},
		"a boolean for a map":          {`{"labels":true,"x":"SECRET"}`, "unexpected JSON value: unexpected true before offset 14", true},
		"a string for a number":        {`{"count":"SECRET"}`, "unexpected JSON value: unexpected string before offset 17", true},
		"a fraction":                   {`{"x":"SECRET","count":1.5}`, "unexpected JSON value: not a whole number before offset 25", true},
		"a number of 65 bits": {
			`{"x":"SECRET","count":9223372036854775808}`,
			"unexpected JSON value: not a whole number before offset 41", true,
		},
		"a string for a boolean":    {`{"x":"SECRET","bool":"true"}`, "unexpected JSON value: unexpected string before offset 27", true},
		"an unfinished boolean":     {`{"x":"SECRET","bool":tru`, "the JSON document ends too early", false},
		"an unfinished escape":      {`{"name":"SECRET\`, "invalid JSON near offset 15", false},
		"an escape of no character": {`{"name":"SECRET\u12+4"}`, "invalid JSON near offset 15", false},
		"surrogates the wrong way":  {`{"name":"SECRET\udc00\ud800"}`, "invalid JSON near offset 15", false},
		"no digit behind the point": {`{"SECRET":1.}`, "invalid JSON near offset 12", false},
		"no digit in the exponent":  {`{"SECRET":1e+}`, "invalid JSON near offset 13", false},
		"no digit behind the sign":  {`{"SECRET":-}`, "invalid JSON near offset 11", false},
		"a plus":                    {`{"SECRET":+1}`, "invalid JSON near offset 10", false},
		"a byte order mark":         {"\ufeff{\"SECRET\":1}", "invalid JSON near offset 0", false},
		"another white space":       {"{\"SECRET\":\v1}", "invalid JSON near offset 10", false},
		"a NUL":                     {"{\"SECRET\":\x00}", "invalid JSON near offset 10", false},
		"a NUL behind the document": {"{\"name\":\"SECRET\"}\x00", "unexpected JSON value: trailing data", true},
		"nesting without end":       {`{"SECRET":` + strings.Repeat("[", 20_000), "invalid JSON near offset 10009", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := readThing(test.document)
			if err == nil {
				t.Fatalf("%s was read", test.document)
			}
			if diff := cmp.Diff(test.err, err.Error()); diff != "" {
				t.Errorf("%.99s (-want +got):\n%s", test.document, diff)
			}
			if errors.Is(err, jsonread.ErrShape) != test.shape {
				t.Errorf("%v: errors.Is ErrShape is %v", err, !test.shape)
			}
			// The text is compared above; this is for those who wrap or unwrap it.
			if strings.Contains(fmt.Sprintf("%+v %#v", err, errors.Unwrap(err)), "SECRET") {
				t.Errorf("%#v holds a part of the document", err)
			}
		})
	}
}

func TestReadAfterError(t *testing.T) {
	t.Parallel()
	r := jsonread.New([]byte(`[1, "a", {"b":"c"}, ["d"], 5]`))
	r.Array(func(i int) {
		if i > 0 {
			t.Errorf("element %d is visited after the error", i)
		}
		_ = r.String() // a number
	})
	first := r.Err()
	if first == nil {
		t.Fatal("no error")
	}
	checkNothingIsRead(t, r)
	r.Close()
	checkNothingIsRead(t, r)
	if !errors.Is(r.Err(), first) {
		t.Errorf("the first error %v became %v", first, r.Err())
	}
}

func TestReadAfterClose(t *testing.T) {
	t.Parallel()
	r := jsonread.New([]byte(`{"a":"b"}`))
	r.Close()
	if r.Err() == nil {
		t.Error("no error")
	}
	checkNothingIsRead(t, r)
}

func checkNothingIsRead(t *testing.T, r *jsonread.Reader) {
	t.Helper()
	called := func(string) { t.Error("a member is visited after the error") }
	r.Object(called)
	r.Skip()
	r.End()
	if got := r.Array(func(int) { called("") }); got {
		t.Error("there is a list after the error")
	}
	if got := r.String(); got != "" {
		t.Errorf("String is %q after the error", got)
	}
	if got := r.Int64(); got != nil {
		t.Errorf("Int64 is %d after the error", *got)
	}
	if r.Bool() {
		t.Error("Bool is true after the error")
	}
	if got := r.Raw(func() { called("") }); got != "" {
		t.Errorf("Raw is %q after the error", got)
	}
	if r.Null() {
		t.Error("there is a null after the error")
	}
}

func TestStringsAreNotCopied(t *testing.T) { //nolint:paralleltest // counts all that the process allocates
	document := []byte(`{"name":"before","labels":{"a":"before"},"raw":["before"]}`)
	original := bytes.Clone(document)
	r := jsonread.New(document)
	got := map[string]string{}
	allocations := testing.AllocsPerRun(10, func() {
		r = jsonread.New(document)
		r.Object(func(name string) {
			if name == "raw" {
				got[name] = r.Raw(r.Skip)
				return
			}
			r.Skip()
		})
	})
	if diff := cmp.Diff(map[string]string{"raw": `["before"]`}, got); diff != "" || r.Err() != nil {
		t.Errorf("%v (-want +got):\n%s", r.Err(), diff)
	}
	if allocations > 2 {
		t.Errorf("%v allocations for a document without escapes", allocations)
	}
	if !bytes.Equal(document, original) {
		t.Errorf("the document was changed to %s", document)
	}
}

// Names and values with escapes are made in one buffer, which grows meanwhile.
func TestEscapedStrings(t *testing.T) {
	t.Parallel()
	var document strings.Builder
	want := map[string]string{}
	document.WriteString(`{"labels":{`)
	for i := range 1000 {
		if i > 0 {
			document.WriteByte(',')
		}
		fmt.Fprintf(&document, `"\u006b%d":"\t%d"`, i, i)
		want[fmt.Sprintf("k%d", i)] = fmt.Sprintf("\t%d", i)
	}
	document.WriteString(`}}`)
	got, err := readThing(document.String())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

// Up to a number of names they are compared one by one, beyond it by a table
// that grows. Each name is written in two ways.
func TestDuplicateNames(t *testing.T) {
	t.Parallel()
	written := []string{`"n%d"`, `"\u006e%d"`, `"\u006E%d"`}
	for _, count := range []int{1, 2, 31, 32, 33, 34, 63, 64, 65, 1000} {
		for _, first := range written {
			object := wide(count, first, `{"n0":[{"n0":{}},0]}`)
			for _, place := range []string{`%s`, `{"n0":%s}`, `[{},{"n0":0,"n1":[%s]}]`, `{"x":{"n0":1,"n1":{}},"n0":%s}`} {
				if err := skip(fmt.Sprintf(place, object)); err != nil {
					t.Errorf("%d names %s in %s: %v", count, first, place, err)
				}
				for _, again := range written {
					for _, i := range []int{0, count / 2, count - 1} {
						document := fmt.Sprintf(place, strings.TrimSuffix(object, "}")+","+fmt.Sprintf(again, i)+":0}")
						if err := skip(document); err == nil {
							t.Errorf("%d names %s in %s, and "+again+" again", count, first, place, i)
						}
					}
				}
			}
		}
	}
}

// A name that contains a quote is none that ends at this quote.
func TestSimilarNames(t *testing.T) {
	t.Parallel()
	names := []string{`a`, `a\":`, `a\":0`, `a\":0,`, `a\":0,\"`, `\u0061b`, `ab\u0000`, ``, `\"`}
	members := make([]string, 0, 100)
	for range 5 {
		for _, name := range names {
			members = append(members, `"`+name+`":"b"`)
		}
		if err := skip("{" + strings.Join(members[:len(names)], ",") + "}"); err != nil {
			t.Errorf("names of %s: %v", members, err)
		}
		if len(members) == len(names) {
			continue
		}
		if err := skip("{" + strings.Join(members, ",") + "}"); err == nil {
			t.Error("duplicate names are taken")
		}
	}
	many := wide(40, `"n%d"`, `"b"`)
	if err := skip(strings.TrimSuffix(many, "}") + "," + strings.Join(members[:len(names)], ",") + `,"n1\":":0}`); err != nil {
		t.Errorf("many names: %v", err)
	}
}

// wide is an object of so many members, whose names have the form.
func wide(count int, name, value string) string {
	members := make([]string, 0, count)
	for i := range count {
		members = append(members, fmt.Sprintf(name, i)+":"+value)
	}
	return "{" + strings.Join(members, ",") + "}"
}

func skip(document string) error {
	r := jsonread.NewString(document)
	defer r.Close()
	r.Skip()
	r.End()
	return r.Err()
}

// TestMemory bounds what documents cost that are made to cost much.
func TestMemory(t *testing.T) { //nolint:paralleltest // counts all that the process allocates
	const size = 1 << 20
	fill := func(open, unit, end string) string {
		return open + strings.Repeat(unit, (size-len(open)-len(end))/len(unit)) + end
	}
	deep := func(open, end string) string { return strings.Repeat(open, 9_999) + "0" + strings.Repeat(end, 9_999) }
	names := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return "{" + strings.TrimSuffix(b.String(), ",") + "}"
	}
	few := strings.TrimSuffix(strings.TrimPrefix(wide(20, `"n%d"`, "0"), "{"), "}")
	for name, document := range map[string]string{
		"numbers":                       fill("[", "0,", "0]"),
		"objects":                       fill("[", "{},", "0]"),
		"objects in objects":            deep(`{"":`, "}"),
		"objects with names in objects": deep("{"+few+`,"":`, "}"),
		"lists in lists":                deep("[", "]"),
		"one object of short names":     names(`"%x":0,`),
		"one of names with escapes":     names(`"\n%x":0,`),
		"objects of many names":         fill("[", wide(40, `"n%d"`, "0")+",", "0]"),
		"one string with escapes":       fill(`["`, `\n`, `"]`),
		"one name with escapes":         fill(`{"`, `\n`, `":0}`),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := skip(document)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		allocated := after.TotalAlloc - before.TotalAlloc
		t.Logf("%s: %d bytes for %d", name, allocated, len(document))
		if allocated > 2*size+4*uint64(len(document)) {
			t.Errorf("%s: %d bytes are allocated to read %d", name, allocated, len(document))
		}
	}
}

// TestConcurrentReaders is for the race detector, and for what Readers may share.
func TestConcurrentReaders(t *testing.T) {
	t.Parallel()
	for i := range 4 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for j := range 100 {
				want := fmt.Sprintf("%d-%d", i, j)
				if _, err := readThing(`{"labels":{"` + want); err == nil {
					t.Error("an unfinished document was read")
				}
				got, err := readThing(`{"labels":{"` + want + `":"a"},"name":"` + want + `"}`)
				if err != nil || got.Name != want || got.Labels[want] != "a" {
					t.Errorf("got %+v, %v, want %s", got, err, want)
				}
			}
		})
	}
}

// TestEveryByteOfString: strings are looked at in words of eight bytes,
// so that a byte must count the same wherever in a word, or behind the last one, it is.
func TestEveryByteOfString(t *testing.T) {
	t.Parallel()
	for length := range 20 {
		for place := range length {
			for b := range 256 {
				text := bytes.Repeat([]byte("a"), length)
				text[place] = byte(b)
				document := slices.Concat([]byte(`["`), text, []byte(`"]`))
				var want []string
				valid := utf8.Valid(document) && json.Unmarshal(document, &want) == nil && len(want) == 1
				r := jsonread.New(bytes.Clone(document))
				got := ""
				r.Array(func(int) { got = r.String() })
				r.End()
				if (r.Err() == nil) != valid || valid && got != want[0] {
					t.Fatalf("%q: %q, %v, and encoding/json %q", document, got, r.Err(), want)
				}
			}
		}
	}
}
