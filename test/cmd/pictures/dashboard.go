package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/oidc-injector/oidc-injector/test/internal/dashboard"
)

// The measures of the picture of a dashboard, in pixels.
const (
	column, row     = 44, 24 // of Grafana's grid
	columns         = 24
	gap, padding    = 4, 10    // around and in a panel
	bold, small     = 7.7, 6.0 // about the width of a bold letter, and of one of 11 px
	big, smaller    = 28, 20   // sizes of numbers
	captionLine     = 18
	axisLeft        = 52 // for the numbers
	titleLine       = 17
	legendLine      = 16
	swatch          = 16
	widePanel       = 700 // from here on there is room for more times
	mostLegendLines = 3
)

// dashboardStyle has Grafana's colours of curves, in its order, darker on white.
const dashboardStyle = `<style>
svg{--c0:#37872d;--c1:#b88a00;--c2:#3274d9;--c3:#e0600a;--c4:#c4162a;
--c5:#1f60c4;--c6:#8f3bb8;--c7:#705da0;--c8:#19730e;--c9:#967302;--orange:#bc4c00}
@media(prefers-color-scheme:dark){svg{--c0:#73bf69;--c1:#f2cc0c;--c2:#8ab8ff;--c3:#ff780a;--c4:#f2495c;
--c5:#5794f2;--c6:#b877d9;--c7:#a790d8;--c8:#37872d;--c9:#fade2a;--orange:#db6d28}}
.panel{fill:var(--box);stroke:var(--line)}.grid{stroke:var(--line);stroke-width:.6}
text.s{font-size:11px}text.soft{fill:var(--soft)}text.big{font-weight:600}text.head{font-size:17px;font-weight:600;fill:var(--fore)}
.curve{fill:none;stroke-width:1.6;stroke-linejoin:round;stroke-linecap:round}.area{opacity:.12}
</style>
`

// drawDashboard draws what was recorded of a dashboard, as Grafana lays it out.
func drawDashboard(text string) (string, error) {
	var recorded dashboard.Recording
	if err := json.Unmarshal([]byte(text), &recorded); err != nil {
		return "", err
	}
	var c canvas
	c.WriteString(dashboardStyle)
	top := padding + 22
	c.text(gap+padding, top, "head", "oidc-injector")
	for _, sentences := range recorded.Caption {
		for _, line := range words(sentences, small, columns*column-2*padding) {
			top += captionLine
			c.text(gap+padding, top, "s soft", line)
		}
	}
	top += padding
	bottom := 0
	for _, panel := range recorded.Panels {
		at := panel.Position
		f := frame{x: gap + at.X*column, y: top + at.Y*row, w: at.W * column, h: at.H * row}
		bottom = max(bottom, f.y+f.h)
		fmt.Fprintf(&c, "<g><title>%s</title>\n", html.EscapeString(panel.Title))
		fmt.Fprintf(&c, `<rect class="panel" x="%d" y="%d" width="%d" height="%d" rx="4"/>`+"\n", f.x+gap/2, f.y+gap/2, f.w-gap, f.h-gap)
		f = frame{x: f.x + padding, y: f.y + padding, w: f.w - 2*padding, h: f.h - 2*padding}
		for _, line := range words(panel.Title, bold, f.w) {
			c.text(f.x, f.y+12, "bold", line)
			f.y, f.h = f.y+titleLine, f.h-titleLine
		}
		if panel.Type == "stat" {
			c.stat(f, &panel)
		} else {
			c.timeSeries(f, &panel, recorded.Step)
		}
		c.WriteString("</g>\n")
	}
	return c.svg(2*gap+columns*column, bottom+gap, "dashboard", "The Grafana dashboard of oidc-injector, with two minutes of real metrics"),
		nil
}

// frame is a part of the picture.
type frame struct{ x, y, w, h int }

func (c *canvas) text(x, y int, class, text string, attributes ...string) {
	fmt.Fprintf(c, `<text class="%s" x="%d" y="%d"%s>%s</text>`+"\n", class, x, y, strings.Join(attributes, ""), html.EscapeString(text))
}

const (
	middle = ` text-anchor="middle"`
	end    = ` text-anchor="end"`
)

// wrap breaks things into lines of a width.
func wrap[T any](things []T, width func(T) float64, most int) (lines [][]T) {
	left := 0.0
	for _, thing := range things {
		if left -= width(thing); left < 0 || lines == nil {
			lines = append(lines, nil)
			left = float64(most) - width(thing)
		}
		lines[len(lines)-1] = append(lines[len(lines)-1], thing)
	}
	return lines
}

// words breaks a text into lines of a width, where a letter has another one.
func words(text string, letter float64, most int) (lines []string) {
	for _, line := range wrap(strings.Fields(text), func(word string) float64 { return letter * float64(len([]rune(word))+1) }, most) {
		lines = append(lines, strings.Join(line, " "))
	}
	return lines
}

// stat shows the last value of each curve.
func (c *canvas) stat(f frame, panel *dashboard.Recorded) {
	if len(panel.Curves) == 0 {
		c.text(f.x+f.w/2, f.y+f.h/2, "soft", "No data", middle)
	}
	width, size := f.w/max(len(panel.Curves), 1), big
	if len(panel.Curves) > 1 {
		size = smaller
	}
	for i, curve := range panel.Curves {
		last := math.NaN()
		for _, v := range curve.Values {
			if !math.IsNaN(v) {
				last = v
			}
		}
		text, ok := panel.Texts[strconv.FormatFloat(last, 'g', -1, 64)]
		if !ok {
			divisor, unit := scale(panel.Unit, last)
			text = strings.TrimSpace(strconv.FormatFloat(math.Round(10*last/divisor)/10, 'g', 4, 64) + " " + unit)
		}
		colour := "fore"
		for _, threshold := range panel.Thresholds {
			if threshold.Value == nil || last >= *threshold.Value {
				colour = threshold.Color
			}
		}
		x := f.x + width*i + width/2
		c.text(x, f.y+f.h/2+6, "big", text, middle, fmt.Sprintf(` style="fill:var(--%s);font-size:%dpx"`, colour, size))
		c.text(x, f.y+f.h/2+24, "s soft", curve.Legend, middle)
	}
}

// scale is what a number is divided by, and the unit that it then has.
func scale(unit string, most float64) (divisor float64, name string) {
	type step struct {
		from, divisor float64
		name          string
	}
	const minute, hour, day = 60, 3600, 86400
	steps := map[string][]step{
		"s": {
			{0, 1e-6, "µs"},
			{1e-3, 1e-3, "ms"},
			{1, 1, "s"},
			{3 * minute, minute, "min"},
			{3 * hour, hour, "h"},
			{2 * day, day, "days"},
		},
		"bytes": {{0, 1, "B"}, {1 << 10, 1 << 10, "KiB"}, {1 << 20, 1 << 20, "MiB"}, {1 << 30, 1 << 30, "GiB"}},
		"reqps": {{0, 1, "req/s"}},
	}[unit]
	divisor = 1
	for _, s := range steps {
		if most >= s.from {
			divisor, name = s.divisor, s.name
		}
	}
	return divisor, name
}

// timeSeries draws the curves with their axes and their legend.
func (c *canvas) timeSeries(f frame, panel *dashboard.Recorded, step int) {
	if len(panel.Curves) == 0 {
		c.text(f.x+f.w/2, f.y+f.h/2, "soft", "No data", middle)
		return
	}
	f.h -= c.legend(f, panel.Curves)
	lower := make(dashboard.Values, len(panel.Curves[0].Values)) // of what is stacked
	upper := make([]dashboard.Values, len(panel.Curves))
	most := 0.0
	for i, curve := range panel.Curves {
		upper[i] = slices.Clone(curve.Values)
		for j, v := range curve.Values {
			if panel.Stacked && !math.IsNaN(v) {
				lower[j] += v
				upper[i][j] = lower[j]
			}
			if !math.IsNaN(v) {
				most = max(most, upper[i][j])
			}
		}
	}
	plot := frame{x: f.x + axisLeft, y: f.y + 8, w: f.w - axisLeft - padding, h: f.h - 30}
	top := c.axes(plot, panel.Unit, most, (len(lower)-1)*step)
	for i, values := range upper {
		if hidden(panel.Curves, i) {
			continue
		}
		var bottom dashboard.Values
		if panel.Stacked && i > 0 {
			bottom = upper[i-1]
		}
		c.curve(plot, i, values, bottom, top)
	}
}

// legend writes the names of the curves below them and returns its height. Those that are
// hidden are counted only.
func (c *canvas) legend(f frame, curves []dashboard.Curve) int {
	type entry struct{ class, name string }
	var entries []entry
	still := 0
	for i, curve := range curves {
		if hidden(curves, i) {
			still++
			continue
		}
		entries = append(entries, entry{"c" + strconv.Itoa(i%10), cmp.Or(curve.Legend, "value")})
	}
	if still > 0 {
		entries = append(entries, entry{"", fmt.Sprintf("%d more at 0", still)})
	}
	width := func(e entry) float64 {
		if e.class == "" {
			return small * float64(len(e.name))
		}
		return small*float64(len([]rune(e.name))) + 2*swatch
	}
	lines := wrap(entries, width, f.w)
	lines = lines[:min(len(lines), mostLegendLines)]
	for i, line := range lines {
		x, y := float64(f.x+4), f.y+f.h-3-legendLine*(len(lines)-1-i)
		for _, e := range line {
			if e.class == "" {
				c.text(int(x), y, "s soft", e.name)
			} else {
				fmt.Fprintf(c, `<path class="curve" style="stroke:var(--%s)" stroke-width="3" d="M%d %dh11"/>`, e.class, int(x), y-4)
				c.text(int(x)+swatch, y, "s", e.name)
			}
			x += width(e)
		}
	}
	return legendLine*len(lines) + 2
}

// hidden reports whether a curve is one of many and lies on the axis all the time: programs
// have series for all that could happen.
func hidden(curves []dashboard.Curve, i int) bool { return len(curves) > 2 && flat(curves[i].Values) }

// flat reports whether all values are 0.
func flat(values dashboard.Values) bool {
	return !slices.ContainsFunc(values, func(v float64) bool { return v != 0 })
}

// axes draws lines for round numbers and times, and returns the value at the upper edge.
func (c *canvas) axes(plot frame, unit string, most float64, seconds int) (top float64) {
	divisor, name := scale(unit, most)
	step := round(cmp.Or(most, 1) / divisor / 3)
	top = step * math.Ceil(cmp.Or(most, 1)/divisor/step)
	for v := 0.0; v <= top+step/2; v += step {
		y := plot.y + plot.h - int(v/top*float64(plot.h))
		fmt.Fprintf(c, `<path class="grid" d="M%d %dh%d"/>`, plot.x, y, plot.w)
		c.text(plot.x-6, y+4, "s soft", strings.TrimSpace(strconv.FormatFloat(v, 'g', 3, 64)+" "+name), end)
	}
	every := 30
	if plot.w > widePanel {
		every = 10
	}
	for second := 0; second <= seconds; second += every {
		x := plot.x + plot.w*second/seconds
		fmt.Fprintf(c, `<path class="grid" d="M%d %dv%d"/>`, x, plot.y, plot.h+3)
		c.text(x, plot.y+plot.h+16, "s soft", fmt.Sprintf("%d:%02d", second/60, second%60), middle)
	}
	return top * divisor
}

// round is the next number above with one digit that is 1, 2, 3 or 5.
func round(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, digit := range []float64{1, 2, 3, 5} {
		if digit*power >= v {
			return digit * power
		}
	}
	return 10 * power
}

// curve draws the line of some values, which may have gaps, and what is below it.
func (c *canvas) curve(plot frame, number int, values, bottom dashboard.Values, top float64) {
	at := func(i int, v float64) (x, y float64) {
		return float64(plot.x) + float64(plot.w*i)/float64(len(values)-1), float64(plot.y+plot.h) - v/top*float64(plot.h)
	}
	var line, area path
	for from := 0; from < len(values); from++ {
		to := from
		for to < len(values) && !math.IsNaN(values[to]) {
			to++
		}
		if to == from {
			continue
		}
		line.up, area.up = true, true
		for i := from; i < to; i++ {
			x, y := at(i, values[i])
			line.to(x, y)
			area.to(x, y)
		}
		for i := to - 1; i >= from; i-- {
			below := 0.0
			if bottom != nil && !math.IsNaN(bottom[i]) {
				below = bottom[i]
			}
			if bottom != nil || i == to-1 || i == from {
				area.to(at(i, below))
			}
		}
		area.WriteString("z")
		from = to
	}
	if !flat(values) {
		fmt.Fprintf(c, `<path class="area" style="fill:var(--c%d)" d="%s"/>`, number%10, area.String())
	}
	fmt.Fprintf(c, `<path class="curve" style="stroke:var(--c%d)" d="%s"/>`+"\n", number%10, line.String())
}

// path is the data of a path, in tenths of a pixel, each point after the one before it.
type path struct {
	strings.Builder

	x, y int
	up   bool // the pen, which is moved only
}

func (p *path) to(x, y float64) {
	nextX, nextY := int(math.Round(10*x)), int(math.Round(10*y))
	switch dx, dy := nextX-p.x, nextY-p.y; {
	case p.up:
		fmt.Fprintf(p, "M%s %sh0", tenths(nextX), tenths(nextY))
		p.up = false
	case dy == 0:
		p.WriteString("h" + tenths(dx))
	default:
		p.WriteString("l" + tenths(dx) + " " + tenths(dy))
	}
	p.x, p.y = nextX, nextY
}

func tenths(n int) string { return strconv.FormatFloat(float64(n)/10, 'f', -1, 64) }
