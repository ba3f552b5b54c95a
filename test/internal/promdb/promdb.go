// Package promdb has Prometheus' own query engine evaluate expressions over series in
// memory. Prometheus' own storage would bring the SDKs of three clouds into this module.
package promdb

import (
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// NewEngine is Prometheus' engine, as it is by default.
func NewEngine() *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{MaxSamples: 1_000_000, Timeout: time.Minute, Parser: parser.NewParser(parser.Options{})})
}

// Database is the storage of a few series.
type Database []storage.Series

// NewSeries is a series, whose samples follow one another in time.
func NewSeries(set labels.Labels, samples []Sample) storage.Series {
	all := make([]chunks.Sample, len(samples))
	for i, s := range samples {
		all[i] = s
	}
	return storage.NewListSeries(set, all)
}

// Querier implements storage.Queryable.
func (d Database) Querier(int64, int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: d.choose}, nil
}

func (d Database) choose(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	chosen := &seriesSet{}
	for _, series := range d {
		if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(series.Labels().Get(m.Name)) }) {
			chosen.next = append(chosen.next, series)
		}
	}
	return chosen
}

// seriesSet implements storage.SeriesSet.
type seriesSet struct {
	at   storage.Series
	next []storage.Series
}

// Next goes to the next series, if there is one.
func (s *seriesSet) Next() bool {
	if len(s.next) == 0 {
		return false
	}
	s.at, s.next = s.next[0], s.next[1:]
	return true
}

// At is the series that Next went to.
func (s *seriesSet) At() storage.Series { return s.at }

// Err is nil, as nothing can fail.
func (*seriesSet) Err() error { return nil }

// Warnings are none.
func (*seriesSet) Warnings() annotations.Annotations { return nil }

// Sample implements chunks.Sample.
type Sample struct {
	At    time.Time
	Value float64
}

// T is the time in milliseconds.
func (s Sample) T() int64 { return s.At.UnixMilli() }

// ST is the time from which a counter counts, which is not known.
func (Sample) ST() int64 { return 0 }

// F is the value.
func (s Sample) F() float64 { return s.Value }

// H would be a native histogram.
func (Sample) H() *histogram.Histogram { return nil }

// FH would be one of floats.
func (Sample) FH() *histogram.FloatHistogram { return nil }

// Type is that of the value.
func (Sample) Type() chunkenc.ValueType { return chunkenc.ValFloat }

// Copy is the sample itself, which nobody changes.
func (s Sample) Copy() chunks.Sample { return s }
