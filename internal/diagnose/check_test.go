package diagnose

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/report"
)

func published() Published {
	return Published{
		Issuer: "https://issuer.example.com", KeysURL: "https://issuer.example.com/keys", Algorithms: []string{"ES256"},
		Keys: Keys{IDs: []string{"a"}, Descriptions: []string{`"a": ECDSA P-256, ES256`}, Algorithms: []string{"ES256"}},
		Date: now, Read: now,
	}
}

func checked(t *testing.T) *CheckSnapshot {
	t.Helper()
	outside := published()
	return &CheckSnapshot{
		Webhook: healthy(t), Namespaces: map[string]map[string]string{"team": {enabled: "true"}, "other": nil},
		DryRun: &DryRun{Injected: true}, Tried: "team", Audience: "a", Now: now,
		Issuer: &Issuer{
			APIServer: published(), Outside: &outside, Anonymous: 200,
			Sample: &Sample{Asked: 24 * time.Hour, Lifetime: 24 * time.Hour},
		},
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change                      func(t *testing.T, s *CheckSnapshot)
		crosses, warnings, unknowns []string
	}{
		"in_order": {change: func(*testing.T, *CheckSnapshot) {}},
		"not_registered": {
			change:  func(_ *testing.T, s *CheckSnapshot) { s.Webhook.Registration, s.DryRun = nil, &DryRun{} },
			crosses: []string{"registered: "},
		},
		"certificate_ends_soon": {
			change: func(t *testing.T, s *CheckSnapshot) {
				t.Helper()
				s.Webhook.Registration.ClientConfig.CABundle = certificate(t, now.Add(72*time.Hour))
			},
			warnings: []string{"caBundle: the certificate ends at 2026-11-30T12:00:00Z, in 3d"},
		},
		"some_replicas": {
			change:   func(_ *testing.T, s *CheckSnapshot) { s.Webhook.Installation.Ready = 1 },
			warnings: []string{"replicas: 1 of 2 pods of deployment injector/webhook are ready"},
		},
		"does_not_answer": {
			change: func(_ *testing.T, s *CheckSnapshot) {
				s.DryRun = &DryRun{Reason: metav1.StatusReasonInternalError, Message: "refused"}
			},
			crosses: []string{"dry run: the API server cannot call the webhook: refused"},
		},
		"ignored": {
			change: func(_ *testing.T, s *CheckSnapshot) { s.DryRun = &DryRun{} },
			crosses: []string{
				"dry run: the webhook was not called: an annotated pod of namespace team came back without annotation " +
					"oidc-injector.io/status. Either the MutatingWebhookConfiguration, or policies in its place, leave out that " +
					"namespace or the pod, or no webhook could be reached and its failurePolicy is Ignore",
			},
		},
		"not_served": {
			change: func(_ *testing.T, s *CheckSnapshot) { s.Tried, s.DryRun = "other", &DryRun{} },
			crosses: []string{
				"dry run: namespace other is not served: its labels do not match the namespaceSelector",
			},
		},
		"changed_by_others": {
			change: func(_ *testing.T, s *CheckSnapshot) { s.DryRun.Lacks = []string{"a is gone", "b"} },
			crosses: []string{
				"dry run: the webhook answers, and another webhook or policy has changed the pod in namespace team: a is gone; b",
			},
		},
		"warnings_of_the_API_server": {
			change:   func(_ *testing.T, s *CheckSnapshot) { s.DryRun.Warnings = []string{"deprecated"} },
			warnings: []string{"warning: deprecated"},
		},
		"rights_to_create_pods_alone": {
			change: func(_ *testing.T, s *CheckSnapshot) {
				s.Webhook.Registration, s.Webhook.Installation, s.Namespaces, s.Issuer = nil, nil, nil, nil
				s.Webhook.Unread = []Unread{{RegistrationsUnread, "forbidden"}, {ConfigurationUnread, "forbidden"}}
			},
			unknowns: []string{
				"registered: could not read MutatingWebhookConfigurations", "MutatingWebhookConfigurations: forbidden",
				"configuration: forbidden",
			},
		},
		"rights_to_create_pods_alone_and_not_called": {
			change: func(_ *testing.T, s *CheckSnapshot) {
				s.Webhook.Registration, s.Webhook.Installation, s.Namespaces, s.Issuer = nil, nil, nil, nil
				s.Webhook.Unread = []Unread{{RegistrationsUnread, "forbidden"}}
				s.DryRun = &DryRun{Reason: metav1.StatusReasonInternalError, Message: "refused"}
			},
			crosses:  []string{"dry run: the API server cannot call the webhook: refused"},
			unknowns: []string{"registered: could not read MutatingWebhookConfigurations", "MutatingWebhookConfigurations: forbidden"},
		},
		"denied_by_the_policy": {
			change: func(_ *testing.T, s *CheckSnapshot) {
				s.DryRun = &DryRun{Reason: metav1.StatusReasonInvalid, Message: "audience"}
			},
			warnings: []string{"dry run: the webhook answers, and denies a pod in namespace team: audience"},
		},
		"denied_by_a_quota": {
			change: func(_ *testing.T, s *CheckSnapshot) {
				s.DryRun = &DryRun{Reason: metav1.StatusReasonForbidden, Message: "quota"}
			},
			unknowns: []string{"dry run: the API server does not admit an annotated pod in namespace team: quota"},
		},
		"nobody_opted_in": {
			change: func(_ *testing.T, s *CheckSnapshot) {
				s.Namespaces, s.DryRun = map[string]map[string]string{"team": nil}, nil
			},
			warnings: []string{"served: none of 1 namespaces matches the namespaceSelector"},
			unknowns: []string{"dry run: no namespace is known to be served"},
		},
		"issuer_not_read": {
			change:  func(_ *testing.T, s *CheckSnapshot) { s.Issuer.APIServer = Published{Error: "forbidden"} },
			crosses: []string{"documents: forbidden"},
		},
		"issuer_of_the_cluster_alone": {
			change: func(_ *testing.T, s *CheckSnapshot) {
				for _, p := range []*Published{&s.Issuer.APIServer, s.Issuer.Outside} {
					p.Issuer = "https://kubernetes.default.svc"
				}
			},
			warnings: []string{"issuer: kubernetes.default.svc is a name that only", "issuer: kubernetes.default.svc is a name that only"},
		},
		"issuer_without_tls": {
			change: func(_ *testing.T, s *CheckSnapshot) {
				s.Issuer.APIServer.KeysURL = "http://issuer.example.com/keys"
				s.Issuer.APIServer.Unfetchable = map[string]string{"http://issuer.example.com/keys": "https is needed"}
			},
			warnings: []string{"jwks_uri: relying parties do not fetch from it: https is needed"},
		},
		"algorithm_that_is_not_named": {
			change:  func(_ *testing.T, s *CheckSnapshot) { s.Issuer.APIServer.Algorithms = []string{"RS256"} },
			crosses: []string{"algorithms: a key is for ES256, and the discovery document names RS256: relying parties refuse its tokens"},
		},
		"no_anonymous_access": {
			change: func(_ *testing.T, s *CheckSnapshot) { s.Issuer.Anonymous = 403 },
			warnings: []string{
				"anonymous access: off: no relying party can fetch from the API server, as may be wanted " +
					"where the documents are served elsewhere",
			},
		},
		"anonymous_access_not_known": {
			change:   func(_ *testing.T, s *CheckSnapshot) { s.Issuer.Anonymous, s.Issuer.AnonymousError = 0, "timeout" },
			unknowns: []string{"anonymous access: timeout"},
		},
		"clocks_apart": {
			change:   func(_ *testing.T, s *CheckSnapshot) { s.Issuer.APIServer.Date = now.Add(5 * time.Minute) },
			warnings: []string{"clock: that of the server and that of this machine are 5m apart; relying parties allow about a minute"},
		},
		"tokens_are_shortened": {
			change: func(_ *testing.T, s *CheckSnapshot) { s.Issuer.Sample.Lifetime = time.Hour },
			warnings: []string{
				"longest lifetime: the API server shortens tokens to 1h, and maxExpiration allows pods to ask for 24h",
			},
		},
		"tokens_are_of_another_issuer": {
			change:  func(_ *testing.T, s *CheckSnapshot) { s.Issuer.Sample.Problems = []string{"another issuer"} },
			crosses: []string{"issued: relying parties refuse a new token: another issuer"},
		},
		"no_token_may_be_requested": {
			change:   func(_ *testing.T, s *CheckSnapshot) { s.Issuer.Sample = &Sample{Unread: "forbidden"} },
			unknowns: []string{"issued: forbidden"},
		},
		"outside_is_another_issuer": {
			change: func(_ *testing.T, s *CheckSnapshot) { s.Issuer.Outside.Issuer = "https://other.example.com" },
			crosses: []string{
				"same issuer: relying parties see https://other.example.com, and the cluster's tokens are of https://issuer.example.com",
			},
		},
		"outside_has_old_keys": {
			change:  func(_ *testing.T, s *CheckSnapshot) { s.Issuer.Outside.Keys.IDs = []string{"b"} },
			crosses: []string{"same keys: relying parties do not see the keys a of the API server: tokens signed with them are refused"},
		},
		"outside_is_not_reachable": {
			change:  func(_ *testing.T, s *CheckSnapshot) { s.Issuer.Outside = &Published{Error: "timeout"} },
			crosses: []string{"documents: timeout"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := checked(t)
			c.change(t, s)
			steps := Check(s)
			compare(t, "crosses", c.crosses, leaves(steps, report.Fail))
			compare(t, "warnings", c.warnings, leaves(steps, report.Warn))
			compare(t, "question marks", c.unknowns, leaves(steps, report.Unknown))
		})
	}
}

func TestExactly(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		24 * time.Hour: "24h", 10 * time.Minute: "10m", 90 * time.Second: "1m30s", 70 * time.Minute: "1h10m",
		time.Hour + 10*time.Second: "1h0m10s", 30 * time.Second: "30s",
	} {
		if got := exactly(d); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
