// Package dashboard reads the chart's Grafana dashboard, and keeps what its panels show of a
// run of the real programs.
package dashboard

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
)

// Recording is a dashboard with what its panels show. Its text is a file of docs/pictures.
type Recording struct {
	// Caption says what was recorded, in paragraphs.
	Caption []string `json:"caption"`
	// Step is the number of seconds from one value to the next.
	Step   int        `json:"step"`
	Panels []Recorded `json:"panels"`
}

// Recorded is a panel with its curves.
type Recorded struct {
	Panel

	Curves []Curve `json:"curves"`
}

// Panel is a panel of a dashboard, as far as a picture needs it.
type Panel struct {
	Title    string   `json:"title"`
	Type     string   `json:"type"` // stat or timeseries
	Position Position `json:"position"`
	Unit     string   `json:"unit"`
	Stacked  bool     `json:"stacked,omitempty"`
	// Texts stand for some values.
	Texts map[string]string `json:"texts,omitempty"`
	// Thresholds are the lowest values of colours.
	Thresholds []Threshold `json:"thresholds,omitempty"`
	Queries    []Query     `json:"queries"`
}

// Position is a place in the grid of 24 columns.
type Position struct{ X, Y, W, H int }

// Threshold is the lowest value of a colour; the first has none.
type Threshold struct {
	Color string   `json:"color"`
	Value *float64 `json:"value,omitempty"`
}

// Query is an expression with the dashboard's variables.
type Query struct {
	Expr   string `json:"expr"`
	Legend string `json:"legend,omitempty"`
}

// Curve is what a query shows in one colour.
type Curve struct {
	Legend string `json:"legend"`
	Values Values `json:"values"`
}

// Values follow one another by the step of the recording; NaN is a gap.
type Values []float64

// MarshalText writes them in one line, as precisely as a picture needs them.
func (v Values) MarshalText() ([]byte, error) {
	words := make([]string, len(v))
	for i, value := range v {
		if words[i] = "-"; !math.IsNaN(value) {
			words[i] = strconv.FormatFloat(value, 'g', 4, 64)
		}
	}
	return []byte(strings.Join(words, " ")), nil
}

// UnmarshalText reads what MarshalText wrote.
func (v *Values) UnmarshalText(text []byte) error {
	for word := range strings.FieldsSeq(string(text)) {
		if word == "-" {
			*v = append(*v, math.NaN())
			continue
		}
		value, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return err
		}
		*v = append(*v, value)
	}
	return nil
}

// grafana is a dashboard as Grafana stores it.
type grafana struct {
	Panels []struct {
		Title   string
		Type    string
		GridPos Position
		Targets []struct{ Expr, LegendFormat string }

		FieldConfig struct {
			Defaults struct {
				Unit     string
				Custom   struct{ Stacking struct{ Mode string } }
				Mappings []struct {
					Options map[string]struct{ Text string }
				}
				Thresholds struct{ Steps []Threshold }
			}
		}
	}
}

// Parse reads the panels of a dashboard in Grafana's format.
func Parse(text []byte) ([]Panel, error) {
	var g grafana
	if err := json.Unmarshal(text, &g); err != nil {
		return nil, fmt.Errorf("could not read the dashboard: %w", err)
	}
	panels := make([]Panel, len(g.Panels))
	for i := range g.Panels {
		p, defaults := &g.Panels[i], &g.Panels[i].FieldConfig.Defaults
		panel := Panel{
			Title: p.Title, Type: p.Type, Position: p.GridPos, Unit: defaults.Unit,
			Stacked: defaults.Custom.Stacking.Mode == "normal", Thresholds: defaults.Thresholds.Steps,
		}
		for _, mapping := range defaults.Mappings {
			panel.Texts = map[string]string{}
			for value, option := range maps.All(mapping.Options) {
				panel.Texts[value] = option.Text
			}
		}
		for _, target := range p.Targets {
			panel.Queries = append(panel.Queries, Query{target.Expr, target.LegendFormat})
		}
		panels[i] = panel
	}
	return panels, nil
}
