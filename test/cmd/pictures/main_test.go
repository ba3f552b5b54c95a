package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The pictures are those of their text.
func TestPicturesAreUpToDate(t *testing.T) {
	const dir = "../../../docs/pictures"
	for name := range pictures {
		want, err := picture(dir, name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s is not that of its text, error %v: go -C test run ./cmd/pictures", name, err)
		}
	}
}
