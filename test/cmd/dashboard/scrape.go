package main

import (
	"bytes"
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/oidc-injector/oidc-injector/test/internal/dashboard"
	"github.com/oidc-injector/oidc-injector/test/internal/promdb"
)

// target is what is scraped, and the labels that a scrape adds.
type target struct {
	labels map[string]string
	read   func(context.Context) ([]byte, error)
}

// targets are those of now, labelled as the operator's ServiceMonitor and PodMonitor do.
func (w *world) targets() []target {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := func(address string) func(context.Context) ([]byte, error) {
		return func(ctx context.Context) ([]byte, error) { return get(ctx, "http://"+address+"/metrics") }
	}
	all := []target{{map[string]string{"job": "apiserver"}, func(ctx context.Context) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, interval)
		defer cancel()
		return w.client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	}}}
	for _, r := range w.replicas {
		all = append(all, target{map[string]string{"namespace": release, "job": release + "-metrics", "pod": r.pod}, at(r.metrics)})
	}
	for _, l := range w.logins {
		all = append(all, target{
			map[string]string{"namespace": l.namespace, "job": release + "/" + release + "-logins", "pod": l.pod},
			at(l.metrics),
		})
	}
	return all
}

// scraper keeps the samples that queries ask for.
type scraper struct {
	queries string // all of them
	series  map[string]*series
	times   []time.Time
}

type series struct {
	labels  labels.Labels
	samples []promdb.Sample
}

func newScraper(panels []dashboard.Panel, rules []rule) *scraper {
	s := &scraper{series: map[string]*series{}}
	for _, panel := range panels {
		for _, query := range panel.Queries {
			s.queries += query.Expr + "\n"
		}
	}
	for _, rule := range rules {
		s.queries += rule.Expr + "\n"
	}
	return s
}

// scrape reads all targets. A target that does not answer has no samples.
func (s *scraper) scrape(ctx context.Context, targets []target) error {
	now := time.Now()
	seen := map[string]bool{}
	for _, t := range targets {
		text, err := t.read(ctx)
		if err != nil {
			continue
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
		if err != nil {
			return err
		}
		// There may be an error for a kind that this format does not have.
		samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{Timestamp: model.TimeFromUnixNano(now.UnixNano())},
			slices.Collect(maps.Values(families))...)
		if err != nil {
			return err
		}
		for _, sample := range samples {
			if !strings.Contains(s.queries, string(sample.Metric[model.MetricNameLabel])) {
				continue
			}
			b := labels.NewBuilder(labels.EmptyLabels())
			for name, v := range sample.Metric {
				b.Set(string(name), string(v))
			}
			for name, v := range t.labels {
				b.Set(name, v)
			}
			seen[s.add(b.Labels(), now, float64(sample.Value))] = true
		}
	}
	s.end(seen, now)
	s.times = append(s.times, now)
	return nil
}

// add appends a sample to its series and returns the key of that.
func (s *scraper) add(set labels.Labels, at time.Time, v float64) (key string) {
	key = set.String()
	if s.series[key] == nil {
		s.series[key] = &series{labels: set}
	}
	s.series[key].samples = append(s.series[key].samples, promdb.Sample{At: at, Value: v})
	return key
}

// end marks the series that are gone, as Prometheus does.
func (s *scraper) end(seen map[string]bool, at time.Time) {
	for key, one := range s.series {
		if last := one.samples[len(one.samples)-1].Value; !seen[key] && !value.IsStaleNaN(last) {
			one.samples = append(one.samples, promdb.Sample{At: at, Value: math.Float64frombits(value.StaleNaN)})
		}
	}
}

func (s *scraper) database() promdb.Database {
	var all promdb.Database
	for _, key := range slices.Sorted(maps.Keys(s.series)) {
		all = append(all, promdb.NewSeries(s.series[key].labels, s.series[key].samples))
	}
	return all
}
