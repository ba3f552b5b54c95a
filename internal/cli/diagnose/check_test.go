package diagnose

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/issuer"
)

// Two key sets, with coordinates of RFC 7517 appendix A.1.
const (
	coordinates = `"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",` +
		`"y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"`
	oneKey   = `{"keys":[{"kid":"a","alg":"ES256",` + coordinates + `}]}`
	otherKey = `{"keys":[{"kid":"b","alg":"ES256",` + coordinates + `}]}`
)

func keySet(t *testing.T, text string) issuer.Keys {
	t.Helper()
	keys, err := issuer.ParseKeys([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func published(t *testing.T) Published {
	t.Helper()
	return Published{
		Document: issuer.Document{
			Issuer: "https://issuer.example.com", JWKSURI: "https://issuer.example.com/keys", SigningAlgorithms: []string{"ES256"},
		},
		Keys: keySet(t, oneKey), Date: now, Read: now,
	}
}

func checked(t *testing.T) *CheckSnapshot {
	t.Helper()
	outside := published(t)
	return &CheckSnapshot{
		Webhook: healthy(t), Namespaces: map[string]map[string]string{"team": {enabled: "true"}, "other": nil},
		DryRun: &DryRun{Injected: true}, Tried: "team", APIServer: published(t), Outside: &outside, Anonymous: 200, Now: now,
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
			change:  func(_ *testing.T, s *CheckSnapshot) { s.Webhook.Registration = nil },
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
			change:  func(_ *testing.T, s *CheckSnapshot) { s.DryRun = &DryRun{} },
			crosses: []string{"dry run: the API server admits an annotated pod in namespace team without an answer of the webhook"},
		},
		"denied_by_the_policy": {
			change: func(_ *testing.T, s *CheckSnapshot) {
				s.DryRun = &DryRun{Reason: metav1.StatusReasonInvalid, Message: "audience"}
			},
		},
		"denied_by_a_quota": {
			change: func(_ *testing.T, s *CheckSnapshot) {
				s.DryRun = &DryRun{Reason: metav1.StatusReasonForbidden, Message: "quota"}
			},
			unknowns: []string{"dry run: the API server does not admit the pod in namespace team: quota"},
		},
		"nobody_opted_in": {
			change: func(_ *testing.T, s *CheckSnapshot) {
				s.Namespaces, s.DryRun = map[string]map[string]string{"team": nil}, nil
			},
			warnings: []string{"served: none of 1 namespaces matches the namespaceSelector"},
			unknowns: []string{"dry run: no namespace is known to be served"},
		},
		"issuer_not_read": {
			change:  func(_ *testing.T, s *CheckSnapshot) { s.APIServer = Published{Error: "forbidden"} },
			crosses: []string{"documents: forbidden"},
		},
		"issuer_of_the_cluster_alone": {
			change: func(_ *testing.T, s *CheckSnapshot) {
				for _, p := range []*Published{&s.APIServer, s.Outside} {
					p.Document.Issuer = "https://kubernetes.default.svc"
				}
			},
			warnings: []string{"issuer: kubernetes.default.svc is a name that only", "issuer: kubernetes.default.svc is a name that only"},
		},
		"issuer_without_tls": {
			change: func(_ *testing.T, s *CheckSnapshot) {
				s.APIServer.Document.JWKSURI = "http://issuer.example.com/keys"
			},
			warnings: []string{"jwks_uri: relying parties do not fetch from it: "},
		},
		"algorithm_that_is_not_named": {
			change:  func(_ *testing.T, s *CheckSnapshot) { s.APIServer.Document.SigningAlgorithms = []string{"RS256"} },
			crosses: []string{"algorithms: a key is for ES256, and the discovery document names RS256: relying parties refuse its tokens"},
		},
		"no_anonymous_access": {
			change: func(_ *testing.T, s *CheckSnapshot) { s.Anonymous = 403 },
			warnings: []string{
				"anonymous access: off: no relying party can fetch from the API server, as may be wanted " +
					"where the documents are served elsewhere",
			},
		},
		"anonymous_access_not_known": {
			change:   func(_ *testing.T, s *CheckSnapshot) { s.Anonymous, s.AnonymousError = 0, "timeout" },
			unknowns: []string{"anonymous access: timeout"},
		},
		"clocks_apart": {
			change:   func(_ *testing.T, s *CheckSnapshot) { s.APIServer.Date = now.Add(5 * time.Minute) },
			warnings: []string{"clock: that of the server and that of this machine are 5m apart; relying parties allow about a minute"},
		},
		"outside_is_another_issuer": {
			change: func(_ *testing.T, s *CheckSnapshot) { s.Outside.Document.Issuer = "https://other.example.com" },
			crosses: []string{
				"same issuer: relying parties see https://other.example.com, and the cluster's tokens are of https://issuer.example.com",
			},
		},
		"outside_has_old_keys": {
			change: func(t *testing.T, s *CheckSnapshot) {
				t.Helper()
				s.Outside.Keys = keySet(t, otherKey)
			},
			crosses: []string{"same keys: relying parties do not see the keys a of the API server: tokens signed with them are refused"},
		},
		"outside_is_not_reachable": {
			change:  func(_ *testing.T, s *CheckSnapshot) { s.Outside = &Published{Error: "timeout"} },
			crosses: []string{"documents: timeout"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := checked(t)
			c.change(t, s)
			steps := Check(s)
			compare(t, "crosses", c.crosses, leaves(steps, issuer.Fail))
			compare(t, "warnings", c.warnings, leaves(steps, issuer.Warn))
			compare(t, "question marks", c.unknowns, leaves(steps, issuer.Unknown))
		})
	}
}
