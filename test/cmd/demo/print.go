package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"
)

// The colours (ECMA-48 SGR), used on terminals only.
const (
	bold  = "1"
	red   = "31"
	green = "32"
	cyan  = "36"
)

// printer writes for people.
type printer struct {
	out     *os.File
	colours bool
	step    int
	started time.Time
}

func newPrinter(out *os.File) *printer {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	forced := os.Getenv("CLICOLOR_FORCE") != "" && os.Getenv("CLICOLOR_FORCE") != "0"
	return &printer{out: out, colours: forced || terminal && os.Getenv("NO_COLOR") == "", started: time.Now()}
}

func (p *printer) paint(colour, text string) string {
	if !p.colours {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// heading begins a step.
func (p *printer) heading(format string, args ...any) {
	p.step++
	fmt.Fprintf(p.out, "\n%s\n", p.paint(bold, fmt.Sprintf("%d. "+format, append([]any{p.step}, args...)...)))
}

func (p *printer) line(format string, args ...any) {
	fmt.Fprintf(p.out, "   "+format+"\n", args...)
}

// block prints a text of several lines.
func (p *printer) block(text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintf(p.out, "   %s\n", strings.TrimRight(line, "\n"))
	}
}

// diff prints how one text becomes another.
func (p *printer) diff(oldName, oldText, newName, newText string) {
	for line := range strings.Lines(string(diff.Diff(oldName, []byte(oldText), newName, []byte(newText)))) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "diff "):
			continue
		case strings.HasPrefix(line, "+"):
			line = p.paint(green, line)
		case strings.HasPrefix(line, "-"):
			line = p.paint(red, line)
		case strings.HasPrefix(line, "@@"):
			line = p.paint(cyan, line)
		}
		fmt.Fprintf(p.out, "   %s\n", line)
	}
}
