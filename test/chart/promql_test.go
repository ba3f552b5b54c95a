package chart

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/oidc-injector/oidc-injector/test/internal/promdb"
)

// query evaluates an expression by Prometheus' own engine, over series in the notation of
// promtool's rule tests, whose values follow one another by the minute and end now.
func query(t *testing.T, expr string, now time.Time, described []string) promql.Vector {
	t.Helper()
	p := parser.NewParser(parser.Options{})
	var all promdb.Database
	for _, text := range described {
		set, values, err := p.ParseSeriesDesc(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var samples []promdb.Sample
		for i, v := range values {
			if v.Omitted {
				continue
			}
			at := now.Add(time.Duration(i-len(values)+1) * time.Minute)
			samples = append(samples, promdb.Sample{At: at, Value: v.Value})
		}
		all = append(all, promdb.NewSeries(set, samples))
	}
	q, err := promdb.NewEngine().NewInstantQuery(t.Context(), all, nil, expr, now)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	defer q.Close()
	vector, err := q.Exec(t.Context()).Vector()
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return slices.Clone(vector)
}
