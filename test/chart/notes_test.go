package chart

import (
	"strings"
	"testing"
)

// TestNotes: what people are told after an installation.
func TestNotes(t *testing.T) {
	withCRDs(t) // Helm asks for them even in a dry run
	const (
		ignore    = "webhook.failurePolicy is Ignore"
		single    = "with 1 replica, annotated pods are denied"
		discovery = "without credentials"
		host      = "hostNetwork does not pass"
		audiences = "Set config.policy.apiServerAudiences"
	)
	warnings := []string{ignore, single, discovery, host, audiences}
	for set, want := range map[string][]string{
		"global.imageRegistry=r.example.com,replicas=2": {"kubectl label namespace " +
			"NAMESPACE oidc-injector.io/enabled=true", "helm test --namespace oidc-injector oidc-injector"},
		"global.imageRegistry=r.example.com":                                nil,
		"global.imageRegistry=r.example.com,webhook.failurePolicy=Ignore":   {ignore},
		"global.imageRegistry=r.example.com,replicas=1":                     {single},
		"global.imageRegistry=r.example.com,issuerDiscovery.anonymous=true": {discovery},
		"global.imageRegistry=r.example.com,hostNetwork=true":               {host},
		"global.imageRegistry=r.example.com,webhook.namespaces.mode=OptOut": {"all namespaces but those " +
			"with oidc-injector.io/enabled=false"},
		"global.imageRegistry=r.example.com,certificates.mode=cert-manager,certificates.selfProbe=false": {audiences},
		"mode=policy": {audiences, "Nothing runs", "Let them serve a namespace", "kubectl oidc-injector check"},
		"mode=policy,image.registry=r.example.com": {audiences, "helm test --namespace oidc-injector oidc-injector"},
		"mode=policy,replicas=1,hostNetwork=true,issuerDiscovery.anonymous=true,config.policy.apiServerAudiences={a}": {discovery},
	} {
		for _, h := range helms {
			out := h.MustRun(t, "install", release, chartDir, "--dry-run=client", "--set="+set)
			_, notes, found := strings.Cut(out, "NOTES:\n")
			if !found {
				t.Fatalf("%s prints no notes:\n%s", h.Name, out)
			}
			notes = strings.Join(strings.Fields(notes), " ")
			if runs := !strings.Contains(set, "mode=policy"); strings.Contains(notes, "rollout status") != runs {
				t.Errorf("%s --set %s: what is there to wait for?\n%s", h.Name, set, notes)
			}
			for _, text := range want {
				if !strings.Contains(notes, text) {
					t.Errorf("%s --set %s: the notes lack %q:\n%s", h.Name, set, text, notes)
				}
			}
			for _, text := range warnings {
				wanted := strings.Contains(strings.ToLower(strings.Join(want, " ")), strings.ToLower(text))
				if strings.Contains(strings.ToLower(notes), strings.ToLower(text)) && !wanted {
					t.Errorf("%s --set %s: the notes say %q", h.Name, set, text)
				}
			}
		}
	}
}
