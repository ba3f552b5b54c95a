package cli

import (
	"fmt"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/cli/manifest"
	"github.com/oidc-injector/oidc-injector/internal/cli/yamledit"
)

// locator finds the places of findings in a document. It reads the document when the
// first one is looked for.
type locator struct {
	file  string
	d     manifest.Document
	lines *yamledit.Lines
}

func newLocator(file string, d manifest.Document) *locator { return &locator{file: file, d: d} }

// place is where something stands in a file, from 1.
type place struct {
	file         string
	line, column int
}

func (p place) String() string { return fmt.Sprintf("%s:%d", displayName(p.file), p.line) }

// at is the place of a field of the object at a pointer. Fields are written as in
// errors: spec.containers[0].name, metadata.annotations[example.com/key].
func (l *locator) at(pointer, field string) place {
	if l.lines == nil {
		l.lines = yamledit.NewLines(l.d.Text, l.d.JSON)
	}
	var steps []string
	if pointer != "" {
		steps = strings.Split(pointer[1:], "/")
	}
	line, column := l.lines.Line(append(steps, fieldSteps(field)...)...)
	return place{l.file, l.d.Line + line - 1, column}
}

// fieldSteps takes the path of a field apart. What is in brackets is a step, whatever is
// in it.
func fieldSteps(field string) []string {
	var steps []string
	for field != "" {
		end := strings.IndexAny(field, ".[")
		if end < 0 {
			return append(steps, field)
		}
		if end > 0 {
			steps = append(steps, field[:end])
		}
		if field[end] == '.' {
			field = field[end+1:]
			continue
		}
		inside, rest, closed := strings.Cut(field[end+1:], "]")
		if !closed {
			return steps
		}
		steps, field = append(steps, inside), strings.TrimPrefix(rest, ".")
	}
	return steps
}
