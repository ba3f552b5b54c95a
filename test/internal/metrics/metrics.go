// Package metrics reads what programs under test say of themselves.
package metrics

import (
	"bytes"
	"fmt"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Value finds a counter or a gauge in Prometheus' text format, added up over all
// its labels but the given ones, such as "outcome", "denied".
func Value(text []byte, name string, labels ...string) (float64, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return 0, fmt.Errorf("could not parse metrics: %w", err)
	}
	family, ok := families[name]
	if !ok {
		return 0, fmt.Errorf("could not find metric %s", name)
	}
	sum := 0.0
	for _, metric := range family.GetMetric() {
		matching := 0
		for _, pair := range metric.GetLabel() {
			for i := 0; i+1 < len(labels); i += 2 {
				if pair.GetName() == labels[i] && pair.GetValue() == labels[i+1] {
					matching += 2
				}
			}
		}
		if matching == len(labels) {
			sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	return sum, nil
}
