package testutil

import (
	"os"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// Generated compares a file, parts of which are made by the program, with what made
// returns for its text. With update it writes that instead.
func Generated(t TB, path string, update bool, made func(text string) string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v", err)
	}
	want := made(string(text))
	if update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil { //nolint:gosec // a file of the checkout
			t.Fatalf("%v", err)
		}
		return
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Fatalf("%s (-want +got); make golden writes it anew:\n%s", path, diff)
	}
}

// Section replaces what stands in a page between the comments that begin and end a
// generated section.
func Section(t TB, text, name, content string) string {
	t.Helper()
	begin, end := "<!-- generated: "+name+" -->\n", "<!-- end of "+name+" -->\n"
	before, rest, found := strings.Cut(text, begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("there is no section %s", name)
	}
	return before + begin + "\n" + content + "\n" + end + after
}
