package providers

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// anything stands for a value that an SDK makes up.
const anything = "(anything)"

// request is what a relying party documents of a request, and all that may be in it.
type request struct {
	method, path string
	query        map[string]string
	// header are those that matter.
	header map[string]string
	// form or json is the body. It has to be said by its content type as well.
	form map[string]string
	json map[string]any
}

// check compares a request with it. It does not end the test: the SDK gets its answer,
// and does not ask again.
func (want *request) check(t *testing.T, r *http.Request) {
	t.Helper()
	if r.Method != want.method || r.URL.Path != want.path {
		t.Errorf("%s %s is asked for: want %s %s", r.Method, r.URL.Path, want.method, want.path)
	}
	compare(t, "query", want.query, values(t, r.URL.Query()))
	for name, value := range want.header {
		if got := r.Header.Get(name); got != value {
			t.Errorf("header %s is %q: want %q", name, got, value)
		}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Errorf("body: %v", err)
	}
	contentType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case want.form != nil:
		form, err := url.ParseQuery(string(body))
		if err != nil || contentType != "application/x-www-form-urlencoded" {
			t.Errorf("the body is no form but %s: %v", contentType, err)
		}
		compare(t, "form", want.form, values(t, form))
	case want.json != nil:
		var got map[string]any
		if err := json.Unmarshal(body, &got); err != nil || contentType != "application/json" {
			t.Errorf("the body is no JSON but %s: %v", contentType, err)
		}
		compare(t, "body", want.json, got)
	case len(body) > 0:
		t.Errorf("there is a body: %q", body)
	}
}

// values are those of a form, each of which is there once.
func values(t *testing.T, all url.Values) map[string]string {
	t.Helper()
	var once map[string]string
	for name, list := range all {
		if once == nil {
			once = map[string]string{}
		}
		if len(list) != 1 {
			t.Errorf("%s is there %d times", name, len(list))
		}
		once[name] = list[0]
	}
	return once
}

// compare compares maps, in which anything stands for what is there.
func compare[V any](t *testing.T, what string, want, got map[string]V) {
	t.Helper()
	compared := map[string]any{}
	for name, value := range got {
		compared[name] = value
		if any(want[name]) == any(anything) && any(value) != any("") {
			compared[name] = anything
		}
	}
	expected := map[string]any{}
	for name, value := range want {
		expected[name] = value
	}
	if diff := cmp.Diff(expected, compared); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// reply answers with a text.
func reply(w http.ResponseWriter, contentType, text string) {
	w.Header().Set("Content-Type", contentType)
	_, _ = io.WriteString(w, text)
}
