package admission_test

import (
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/admission/admissiontest"
)

// Whatever somebody sends, a line of the log is short.
func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	h := newHook(configured(loginConfig(t)))
	for _, hostile := range admissiontest.HostileCorpus() {
		if strings.HasSuffix(hostile.Name, "a long suffix") || hostile.Name == "a long name of the pod and a long uid" {
			h.post(hostile.Review())
		}
	}
	lines := 0
	for line := range strings.Lines(h.log.String()) {
		lines++
		if len(line) > 4096 {
			t.Errorf("a line of %d bytes: %.500s", len(line), line)
		}
	}
	if lines < 20 {
		t.Errorf("%d lines", lines)
	}
}
