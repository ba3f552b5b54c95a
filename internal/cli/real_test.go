package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/cli/manifest"
)

// TestRealManifests renders what projects publish by a configuration that binds every pod to a
// token, so that they need no change for that: nothing but the injection is added, to the text
// and to the values, and rendering again adds nothing more.
func TestRealManifests(t *testing.T) {
	t.Parallel()
	archive, err := txtar.ParseFile("testdata/real.txtar")
	if err != nil {
		t.Fatal(err)
	}
	injected := 0
	for _, f := range archive.Files {
		text := string(f.Data)
		if !strings.HasSuffix(text, "\n") {
			t.Errorf("%s: the last line has no end", f.Name)
		}
		code, out, errOut := call(t, text, "render", "--config=testdata/bound.yaml")
		if code != ExitOK || errOut != "" {
			t.Errorf("%s: exit code %d: %s", f.Name, code, errOut)
		}
		expectLines(t, f.Name, text, out)
		_, again, _ := call(t, out, "render", "--config=testdata/bound.yaml")
		if diff := cmp.Diff(out, again); diff != "" {
			t.Errorf("%s changes again:\n%s", f.Name, diff)
		}
		added := expectInjection(t, f.Name, documents(t, text), documents(t, out))
		_, patches, _ := call(t, text, "render", "--config=testdata/bound.yaml", "-o", "patch")
		if want := len(regexp.MustCompile(`(?m)^\[\{`).FindAllString(patches, -1)); added != want {
			t.Errorf("%s: %d pods are injected, and there are patches for %d", f.Name, added, want)
		}
		injected += added
	}
	if len(archive.Files) < 200 || injected < 150 {
		t.Errorf("%d manifests with %d pods: too few", len(archive.Files), injected)
	}
}

// expectLines holds that lines stay as they are, in their order.
func expectLines(t *testing.T, name, before, after string) {
	t.Helper()
	lines := slices.Collect(strings.Lines(after))
	for line := range strings.Lines(before) {
		i := slices.Index(lines, line)
		if i < 0 {
			t.Errorf("%s: from %q on something is gone from\n%s", name, line, after)
			return
		}
		lines = lines[i+1:]
	}
}

// documents are the values of a stream.
func documents(t *testing.T, text string) []any {
	t.Helper()
	var all []any
	reader := manifest.NewReader(strings.NewReader(text))
	for d, err := reader.Next(); err == nil; d, err = reader.Next() {
		raw, err := d.ToJSON()
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

// ofInjection are paths, with * for indices, at which a value may be more than it was.
var ofInjection = regexp.MustCompile(`(^|/)(metadata|metadata/annotations|metadata/annotations/` + annotations.DefaultPrefix + `/status|` +
	`spec/volumes(/\*)?|spec/(containers|initContainers)/\*/volumeMounts(/\*)?)$`)

// expectInjection compares values, and returns how many pods are injected.
func expectInjection(t *testing.T, name string, before, after any) int {
	t.Helper()
	injected := 0
	for _, at := range additions(before, after, "") {
		if !ofInjection.MatchString(at) {
			t.Errorf("%s: %s is another one", name, at)
		}
		if path.Base(at) == "status" || path.Base(at) == "annotations" || path.Base(at) == "metadata" { // with all that is in it
			injected++
		}
	}
	return injected
}

// additions are the paths of values that are new, or are not what they were.
func additions(before, after any, at string) []string {
	var all []string
	switch b := before.(type) {
	case map[string]any:
		a, ok := after.(map[string]any)
		if !ok {
			return []string{at + " (no object)"}
		}
		for _, key := range slices.Sorted(maps.Keys(a)) {
			if old, found := b[key]; found {
				all = append(all, additions(old, a[key], at+"/"+key)...)
			} else {
				all = append(all, at+"/"+key)
			}
		}
		for key := range b {
			if _, found := a[key]; !found {
				all = append(all, at+"/"+key+" (gone)")
			}
		}
	case []any:
		a, ok := after.([]any)
		if !ok || len(a) < len(b) {
			return []string{at + " (shorter)"}
		}
		for i := range a {
			if i < len(b) {
				all = append(all, additions(b[i], a[i], at+"/*")...)
			} else {
				all = append(all, at+"/*")
			}
		}
	default:
		if before == nil && after != nil {
			return []string{at}
		}
		if !reflect.DeepEqual(before, after) {
			return []string{fmt.Sprintf("%s (%v)", at, after)}
		}
	}
	return all
}
