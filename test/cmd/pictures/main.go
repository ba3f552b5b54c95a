// Pictures draws the SVG files of docs/pictures from their text:
//
//	go -C test run ./cmd/pictures
//
// A file way.txt has lanes and arrows, demo.ansi what `make demo` prints, abridged,
// render.ansi and explain.ansi what the plugin prints (a test of it writes them), and
// dashboard.json what cmd/dashboard has recorded. All are light or dark as the reader's
// system is.
package main

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// dir is where text and pictures are, as seen from the module.
const dir = "../docs/pictures"

// pictures are the files, and what draws each of its text.
var pictures = map[string]struct {
	text string
	draw func(text string) (string, error)
}{
	"way.svg":       {"way.txt", drawWay},
	"demo.svg":      {"demo.ansi", terminal("What make demo prints, abridged")},
	"render.svg":    {"render.ansi", terminal("What kubectl oidc-injector render prints")},
	"explain.svg":   {"explain.ansi", terminal("What kubectl oidc-injector explain prints")},
	"dashboard.svg": {"dashboard.json", drawDashboard},
}

func main() {
	for name := range pictures {
		if err := write(name); err != nil {
			fmt.Fprintln(os.Stderr, "pictures:", err)
			os.Exit(1)
		}
	}
}

func write(name string) error {
	svg, err := picture(dir, name)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), []byte(svg), 0o600)
}

// picture draws a picture from its text in a folder.
func picture(dir, name string) (string, error) {
	p := pictures[name]
	text, err := os.ReadFile(filepath.Join(dir, p.text))
	if err != nil {
		return "", err
	}
	return p.draw(string(text))
}

// canvas collects the elements of a picture.
type canvas struct{ strings.Builder }

// style has the colours, light first. Fonts are those of the reader.
const style = `<style>
svg{--back:#fff;--fore:#1f2328;--soft:#818b98;--line:#d1d9e0;--box:#f6f8fa;--blue:#0969da;--green:#1a7f37;--red:#cf222e;--yellow:#9a6700}
@media(prefers-color-scheme:dark){svg{--back:#0d1117;--fore:#f0f6fc;--soft:#9198a1;--line:#3d444d;--box:#151b23;
--blue:#4493f8;--green:#3fb950;--red:#f85149;--yellow:#d29922}}
text{font:13px -apple-system,'Segoe UI','DejaVu Sans',sans-serif;fill:var(--fore)}
.mono text{font:12px ui-monospace,SFMono-Regular,Menlo,'DejaVu Sans Mono',monospace;white-space:pre}
.bold{font-weight:600}.blue{fill:var(--blue)}.green{fill:var(--green)}.red{fill:var(--red)}.yellow{fill:var(--yellow)}
.box{fill:var(--box);stroke:var(--line)}.lane{stroke:var(--line);stroke-dasharray:3 4}
.arrow{stroke:var(--blue);stroke-width:1.5}.head{fill:var(--blue)}
.label{fill:var(--back)}
</style>
`

func (c *canvas) svg(width, height int, class, title string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d"
width="%[1]d" height="%[2]d" class="%[3]s" role="img">
<title>%[4]s</title>
%[5]s<rect width="100%%" height="100%%" rx="8" fill="var(--back)"/>
%[6]s</svg>
`, width, height, class, html.EscapeString(title), style, c)
}

// The measures of the picture of lanes, in pixels.
const (
	laneWidth, firstLane = 125, 63
	boxHeight, boxTop    = 30, 12
	step                 = 38
	letter               = 6.9 // about the width of a letter
)

// drawWay draws lanes from top to bottom, and arrows between them in their order.
func drawWay(text string) (string, error) {
	var c canvas
	var lanes []string
	at := func(lane string) int { return firstLane + laneWidth*slices.Index(lanes, lane) }
	y := boxTop + boxHeight
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, isLane := strings.CutPrefix(line, "lane ")
		title, isHeading := strings.CutPrefix(line, "heading ")
		arrow, label, isArrow := strings.Cut(line, ": ")
		from, to, _ := strings.Cut(arrow, " > ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case isLane:
			lanes = append(lanes, name)
		case isHeading:
			y += step
			c.label(firstLane-laneWidth/2+10, y, "start", "bold", title)
		case isArrow && slices.Contains(lanes, from) && slices.Contains(lanes, to):
			y += step
			c.arrow(at(from), at(to), y, label)
		default:
			return "", fmt.Errorf("not a lane, a heading or an arrow: %s", line)
		}
	}
	height := y + step
	var all canvas
	for _, lane := range lanes {
		x := at(lane)
		fmt.Fprintf(&all, `<line class="lane" x1="%d" y1="%d" x2="%d" y2="%d"/>`+"\n", x, boxTop+boxHeight, x, height-12)
		fmt.Fprintf(&all, `<rect class="box" x="%d" y="%d" width="%d" height="%d" rx="6"/>`+"\n", x-laneWidth/2+3, boxTop, laneWidth-6,
			boxHeight)
		fmt.Fprintf(&all, `<text class="bold" x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", x, boxTop+20, html.EscapeString(lane))
	}
	all.WriteString(c.String())
	return all.svg(firstLane*2+laneWidth*(len(lanes)-1), height, "way", "The way of an admission and of a login"), nil
}

// label writes a text on the colour of the page, so that lines end beside it.
func (c *canvas) label(x, y int, anchor, class, text string) {
	width := int(letter * float64(len([]rune(text))))
	left := x
	if anchor == "middle" {
		left = x - width/2
	}
	fmt.Fprintf(c, `<rect class="label" x="%d" y="%d" width="%d" height="17"/>`+"\n", left-4, y-13, width+8)
	fmt.Fprintf(c, `<text class="%s" x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, html.EscapeString(text))
}

func (c *canvas) arrow(from, to, y int, label string) {
	tip := -7
	if to < from {
		tip = 7
	}
	fmt.Fprintf(c, `<line class="arrow" x1="%d" y1="%d" x2="%d" y2="%d"/>`+"\n", from, y, to+tip, y)
	fmt.Fprintf(c, `<path class="head" d="M%d %d l%d -5 v10 z"/>`+"\n", to, y, tip*9/7)
	c.label((from+to)/2, y-9, "middle", "", label)
}

// The measures of the picture of a terminal, in pixels, and how many letters a line has.
const lineHeight, margin, terminalWidth, letters = 17, 16, 880, 117

var (
	escape = regexp.MustCompile("\x1b\\[([0-9]*)m")
	// classes are those of the colours that the programs print (ECMA-48 SGR).
	classes = map[string]string{"1": "bold", "31": "red", "32": "green", "33": "yellow", "36": "blue"}
)

// terminal draws texts with a title.
func terminal(title string) func(string) (string, error) {
	return func(text string) (string, error) { return drawTerminal(title, text) }
}

// drawTerminal draws lines as a terminal shows them.
func drawTerminal(title, text string) (string, error) {
	var c canvas
	y, class := margin, ""
	for line := range strings.Lines(broken(text)) {
		if shown := escape.ReplaceAllString(line, ""); len([]rune(shown)) > letters+1 {
			return "", fmt.Errorf("wider than the picture: %s", shown)
		}
		y += lineHeight
		fmt.Fprintf(&c, `<text x="%d" y="%d" xml:space="preserve">`, margin, y)
		rest := strings.TrimRight(line, "\n")
		for rest != "" {
			at := escape.FindStringSubmatchIndex(rest)
			if at == nil {
				at = []int{len(rest), len(rest), 0, 0}
			}
			if at[0] > 0 {
				c.span(class, rest[:at[0]])
			}
			class = classes[rest[at[2]:at[3]]]
			rest = rest[at[1]:]
		}
		c.WriteString("</text>\n")
	}
	return c.svg(terminalWidth, y+margin, "mono", title), nil
}

func (c *canvas) span(class, text string) {
	if class == "" {
		c.WriteString(html.EscapeString(text))
		return
	}
	fmt.Fprintf(c, `<tspan class="%s">%s</tspan>`, class, html.EscapeString(text))
}

// broken has lines that are too long go on in the next one, where a word begins. Those with
// colors stay.
func broken(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		for len([]rune(line)) > letters+1 && !escape.MatchString(line) {
			end := strings.LastIndexByte(line[:letters], ' ')
			if end <= len(continued) {
				break
			}
			b.WriteString(line[:end] + "\n")
			line = continued + line[end+1:]
		}
		b.WriteString(line)
	}
	return b.String()
}

// continued is what the rest of a line begins with.
const continued = "    "
