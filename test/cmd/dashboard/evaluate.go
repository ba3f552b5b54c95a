package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/oidc-injector/oidc-injector/test/internal/dashboard"
	"github.com/oidc-injector/oidc-injector/test/internal/promdb"
)

// rule is an alert of the chart's PrometheusRule.
type rule struct {
	Alert, Expr string
	For         model.Duration
	Labels      map[string]string
}

func (w *world) alertRules() ([]rule, error) {
	var rules struct {
		Spec struct{ Groups []struct{ Rules []rule } }
	}
	if err := w.installed("PrometheusRule", release, &rules); err != nil {
		return nil, err
	}
	var all []rule
	for _, group := range rules.Spec.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) == 0 {
		return nil, errors.New("the chart has no alerts")
	}
	return all, nil
}

// alert adds the series ALERTS, as Prometheus does where rules are evaluated after each scrape.
func (s *scraper) alert(ctx context.Context, rules []rule) error {
	metrics, alerts := s.database(), &scraper{series: map[string]*series{}}
	since := map[string]time.Time{}
	for _, now := range s.times {
		active, written := map[string]bool{}, map[string]bool{}
		for _, r := range rules {
			found, err := r.evaluate(ctx, metrics, now)
			if err != nil {
				return fmt.Errorf("%s: %w", r.Alert, err)
			}
			for _, set := range found {
				key := set.String()
				active[key] = true
				if since[key].IsZero() {
					since[key] = now
				}
				state := "pending"
				if now.Sub(since[key]) >= time.Duration(r.For) {
					state = "firing"
				}
				written[alerts.add(labels.NewBuilder(set).Set("alertstate", state).Labels(), now, 1)] = true
			}
		}
		maps.DeleteFunc(since, func(key string, _ time.Time) bool { return !active[key] })
		alerts.end(written, now)
	}
	maps.Copy(s.series, alerts.series)
	return nil
}

// evaluate returns the labels of the alerts that there are now.
func (r *rule) evaluate(ctx context.Context, metrics promdb.Database, now time.Time) ([]labels.Labels, error) {
	q, err := promdb.NewEngine().NewInstantQuery(ctx, metrics, nil, r.Expr, now)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	vector, err := q.Exec(ctx).Vector()
	if err != nil {
		return nil, err
	}
	found := make([]labels.Labels, len(vector))
	for i, sample := range vector {
		b := labels.NewBuilder(sample.Metric).Set(model.MetricNameLabel, "ALERTS").Set("alertname", r.Alert)
		for name, v := range r.Labels {
			b.Set(name, v)
		}
		found[i] = b.Labels()
	}
	return found, nil
}

// variables are the dashboard's, for this release. Of a rate Grafana makes the interval at
// least four scrapes.
var variables = strings.NewReplacer("$__rate_interval", (4 * interval).String(), "$cluster", ".*", "$namespace", release, "$job",
	release+"-metrics")

// evaluate has each panel's queries evaluated, from start on.
func evaluate(ctx context.Context, panels []dashboard.Panel, rules []rule, s *scraper, start time.Time) (*dashboard.Recording, error) {
	if err := s.alert(ctx, rules); err != nil {
		return nil, err
	}
	engine, database := promdb.NewEngine(), s.database()
	// In the middle between two scrapes it does not matter if one is a little late.
	start = start.Add(interval / 2)
	recorded := &dashboard.Recording{Step: int(interval.Seconds())}
	for _, panel := range panels {
		one := dashboard.Recorded{Panel: panel, Curves: []dashboard.Curve{}}
		for _, query := range panel.Queries {
			q, err := engine.NewRangeQuery(ctx, database, nil, variables.Replace(query.Expr), start, start.Add(length), interval)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", panel.Title, err)
			}
			matrix, err := q.Exec(ctx).Matrix()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", panel.Title, err)
			}
			for _, curve := range matrix {
				one.Curves = append(one.Curves, dashboard.Curve{Legend: legend(query.Legend, curve.Metric), Values: points(curve, start)})
			}
			q.Close()
		}
		recorded.Panels = append(recorded.Panels, one)
	}
	return recorded, nil
}

func points(curve promql.Series, start time.Time) dashboard.Values {
	values := slices.Repeat(dashboard.Values{math.NaN()}, int(length/interval)+1)
	for _, point := range curve.Floats {
		values[int((point.T-start.UnixMilli())/interval.Milliseconds())] = point.F
	}
	return values
}

var placeholder = regexp.MustCompile(`\{\{ *(\w+) *\}\}`)

// legend puts the labels of a series into the format of its legend.
func legend(format string, set labels.Labels) string {
	return placeholder.ReplaceAllStringFunc(format, func(found string) string {
		return set.Get(placeholder.FindStringSubmatch(found)[1])
	})
}
