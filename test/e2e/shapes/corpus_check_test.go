package shapes

import "testing"

// TestCorpus needs no cluster: it merges and decodes, strictly.
func TestCorpus(t *testing.T) {
	names := map[string]bool{}
	for _, s := range corpus(t) {
		if names[s.name] {
			t.Errorf("two shapes have the name %s", s.name)
		}
		names[s.name] = true
	}
	if len(names) < leastShapes {
		t.Errorf("there are %d shapes, want at least %d", len(names), leastShapes)
	}
}
