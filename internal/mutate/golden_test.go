package mutate_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden compares what becomes of testdata/NAME.pod.json with
// testdata/NAME.golden.json. Where there is a NAME.old.json too, the pod runs
// already and gets the ephemeral containers that the old one lacks.
func TestGolden(t *testing.T) {
	t.Parallel()
	inputs, err := filepath.Glob("testdata/*.pod.json")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	for _, input := range inputs {
		name := strings.TrimSuffix(filepath.Base(input), ".pod.json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".golden.json")
			if old, err := os.ReadFile(filepath.Join("testdata", name+".old.json")); err == nil {
				compareGolden(t, golden, debug(t, raw, old))
				return
			}
			got := create(t, raw)
			compareGolden(t, golden, got)
			if len(got.Errors) == 0 {
				expectSettled(t, got)
			}
		})
	}
}

func compareGolden(t *testing.T, path string, got outcome) {
	t.Helper()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(got); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run the test with -update", err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Errorf("%s (-want +got); if it is meant, run the test with -update:\n%s", path, diff)
	}
}

// TestGoldenKeys: a pod of a golden file shows what a key does, so that one that nobody
// reads, or that has no such file, is found. Those of logins are rows, which one code
// reads; no built-in provider does without parameters.
func TestGoldenKeys(t *testing.T) {
	t.Parallel()
	inputs, err := filepath.Glob("testdata/*.pod.json")
	if err != nil {
		t.Fatal(err)
	}
	matters := map[string]bool{}
	for _, input := range inputs {
		raw, err := os.ReadFile(input)
		if err != nil {
			t.Fatal(err)
		}
		for key := range keysThatMatter(t, raw) {
			matters[key] = true
		}
	}
	for _, key := range annotations.InputKeys() {
		if !matters[key] && key != annotations.Provider && !slices.Contains(loginspec.Keys(), key) {
			t.Errorf("no testdata/*.pod.json gets another patch by %s", key)
		}
	}
}

// keysThatMatter are the keys of a pod without which it would get another patch.
func keysThatMatter(t *testing.T, raw []byte) map[string]bool {
	t.Helper()
	var pod map[string]any
	if err := json.Unmarshal(raw, &pod); err != nil {
		t.Fatal(err)
	}
	metadata := pod["metadata"].(map[string]any)
	all, _ := metadata["annotations"].(map[string]any)
	matter := map[string]bool{}
	with := create(t, raw)
	for name, value := range all {
		key, ours := strings.CutPrefix(name, annotations.DefaultPrefix+"/")
		key, _, _ = strings.Cut(key, ".")
		if !ours || matter[key] || len(with.Errors) > 0 {
			continue
		}
		delete(all, name)
		without, err := json.Marshal(pod)
		if err != nil {
			t.Fatal(err)
		}
		matter[key] = !cmp.Equal(with.Patch, create(t, without).Patch)
		all[name] = value
	}
	return matter
}
