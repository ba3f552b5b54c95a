package install

import (
	"strings"
	"testing"
	"time"
)

// testSwitched goes from the webhook to policies and back, as docs/modes.md says. A pod that
// both have injected would not be one that is injected.
func (n *node) testSwitched(t *testing.T) {
	const policies = "oidc-policies"
	// inForce is more than API servers need until they heed what was just created.
	const inForce = 5 * time.Second
	out, err := n.helm4.Run(t.Context(), "upgrade", release, chart, "--set=mode=policy")
	if err == nil || !strings.Contains(out+err.Error(), "mode: an upgrade cannot change it to policy") {
		t.Errorf("an upgrade that changes the mode: %v\n%s", err, out)
	}
	n.underLoad(t, tolerance{}, func() {
		n.helm4.MustRun(t, "install", policies, chart, "--set=mode=policy")
		time.Sleep(inForce)
		n.helm4.MustRun(t, "uninstall", release, "--wait", "--timeout=2m")
	})
	out, err = n.helm4.Run(t.Context(), "upgrade", policies, chart, "--set=mode=webhook")
	if err == nil || !strings.Contains(out+err.Error(), "mode: an upgrade cannot change it to webhook") {
		t.Errorf("an upgrade that changes the mode back: %v\n%s", err, out)
	}
	n.underLoad(t, tolerance{}, func() {
		n.installFrom(t, n.helm4, chart, shortCertificates)
		time.Sleep(inForce)
		n.helm4.MustRun(t, "uninstall", policies)
	})
}
