package main

import (
	"encoding/json"
	"html"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/test/internal/dashboard"
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
		if strings.HasSuffix(pictures[name].text, ".ansi") && len(want) > 8_000 {
			t.Errorf("%s has %d bytes", name, len(want))
		}
	}
}

// The picture of the dashboard has the panels and queries of the chart's, in their places.
func TestDashboardIsOfChart(t *testing.T) {
	text, err := os.ReadFile("../../../charts/oidc-injector/files/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	want, err := dashboard.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile("../../../docs/pictures/dashboard.json"); err != nil {
		t.Fatal(err)
	}
	var recorded dashboard.Recording
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	got := make([]dashboard.Panel, len(recorded.Panels))
	for i := range recorded.Panels {
		got[i] = recorded.Panels[i].Panel
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the picture is of another dashboard, make dashboard-picture draws it anew (-want +got):\n%s", diff)
	}
	svg, err := picture("../../../docs/pictures", "dashboard.svg")
	if err != nil {
		t.Fatal(err)
	}
	for _, panel := range want {
		if !strings.Contains(svg, "<title>"+html.EscapeString(panel.Title)+"</title>") {
			t.Errorf("the picture lacks the panel %q", panel.Title)
		}
	}
	if len(want) < 15 || len(svg) > 150_000 {
		t.Errorf("the picture has %d panels and %d bytes", len(want), len(svg))
	}
}

// A terminal's lines are broken where they are too long, and not cut off at the edge.
func TestTerminal(t *testing.T) {
	long := "  " + strings.Repeat("word ", 30) + "end\n"
	svg, err := drawTerminal("", "\x1b[32mok\x1b[0m <b>\n"+long)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(svg, "<text "); n != 3 {
		t.Errorf("%d lines:\n%s", n, svg)
	}
	for _, want := range []string{`<tspan class="green">ok</tspan> &lt;b&gt;</text>`, "    word", "end</text>"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %s in:\n%s", want, svg)
		}
	}
	if _, err := drawTerminal("", "\x1b[32m"+strings.Repeat("x", letters+1)+"\x1b[0m\n"); err == nil {
		t.Error("a line that does not fit is drawn")
	}
}
