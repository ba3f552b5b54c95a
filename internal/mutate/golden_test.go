package mutate_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
