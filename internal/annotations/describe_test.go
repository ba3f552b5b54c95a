package annotations_test

import (
	"slices"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

func TestEveryKeyIsDescribed(t *testing.T) {
	t.Parallel()
	var keys []string
	for _, d := range annotations.Descriptions() {
		keys = append(keys, d.Key)
		if d.Text == "" {
			t.Errorf("%s has no description", d.Key)
		}
	}
	if !slices.Equal(keys, annotations.InputKeys()) {
		t.Errorf("keys %q", keys)
	}
}
