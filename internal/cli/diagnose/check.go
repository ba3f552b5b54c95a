package diagnose

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/oidc-injector/oidc-injector/internal/issuer"
)

// CheckSnapshot is what was read about an installation and the cluster's issuer.
type CheckSnapshot struct {
	Webhook Webhook
	// Namespaces are those that there are, with their labels; nil where they were not read.
	Namespaces map[string]map[string]string
	// DryRun is the answer to an annotated pod in the namespace Tried; nil where none is served.
	DryRun *DryRun
	Tried  string
	// APIServer is what the API server says with the rights of whoever asks, and Outside what
	// a relying party sees; nil where nobody asked for that.
	APIServer Published
	Outside   *Published
	// Anonymous is the status of the API server's answer without credentials, or 0, and
	// AnonymousError why there was none.
	Anonymous      int
	AnonymousError string
	Now            time.Time
}

// Published is what an issuer publishes.
type Published struct {
	// Issuer is the URL that was asked for; empty for that of the document.
	Issuer   string
	Document issuer.Document
	Keys     issuer.Keys
	// Error says what of the two could not be fetched.
	Error string
	// Date is the time of the answer by the clock of the server, and Read the time here.
	Date, Read time.Time
}

// Check judges an installation and its issuer.
func Check(s *CheckSnapshot) []Step {
	webhook := append(s.Webhook.registered(s.Now), s.answers()...)
	steps := groups(
		group("webhook", webhook), group("namespaces", s.served()), group("configuration", s.configuration()),
		group("issuer", s.issuer()), group("from outside", s.outside()),
	)
	return append(steps, groups(group("not read", s.Webhook.unread()))...)
}

// Serves reports whether the webhook serves a namespace.
func (r *Registration) Serves(namespace string, own map[string]string) bool {
	from := r.NamespaceSelector
	if from == nil {
		from = &metav1.LabelSelector{}
	}
	selector, err := metav1.LabelSelectorAsSelector(from)
	return err == nil && selector.Matches(namespaceLabels(namespace, own))
}

// answers judges the creation of a pod that asks for a token.
func (s *CheckSnapshot) answers() []Step {
	const name = "dry run"
	r := s.DryRun
	switch {
	case s.Webhook.Registration == nil:
		return nil
	case r == nil:
		return []Step{unknown(name, "no namespace is known to be served")}
	case r.Reason == metav1.StatusReasonInternalError:
		return []Step{fail(name, s.Webhook.restart(), "the API server cannot call the webhook: %s", r.Message)}
	case r.Reason == metav1.StatusReasonInvalid: // as only the webhook's denials are, for the pod itself is valid
		return []Step{pass(name, "the webhook answers, and denies the pod in namespace %s: %s", s.Tried, shorten(r.Message))}
	case r.Message != "":
		return []Step{unknown(name, "the API server does not admit the pod in namespace %s: %s", s.Tried, shorten(r.Message))}
	case r.Injected:
		return []Step{pass(name, "the webhook answers in namespace %s", s.Tried)}
	default:
		return []Step{fail(name, s.Webhook.restart(),
			"the API server admits an annotated pod in namespace %s without an answer of the webhook", s.Tried)}
	}
}

func (s *CheckSnapshot) served() []Step {
	r := s.Webhook.Registration
	if r == nil || s.Namespaces == nil {
		return nil
	}
	var served []string
	for _, name := range slices.Sorted(maps.Keys(s.Namespaces)) {
		if r.Serves(name, s.Namespaces[name]) {
			served = append(served, name)
		}
	}
	if len(served) == 0 {
		return []Step{warn("served", "kubectl label namespace NAMESPACE "+string(s.Webhook.Prefix)+"/enabled=true",
			"none of %d namespaces matches the namespaceSelector", len(s.Namespaces))}
	}
	return []Step{pass("served", "%d of %d: %s", len(served), len(s.Namespaces), shorten(strings.Join(served, ", ")))}
}

func (s *CheckSnapshot) configuration() []Step {
	c := s.Webhook.Config
	return []Step{pass("counted", "%d profiles, %d providers, %d bindings", len(c.Parser.Profiles), len(c.Parser.Providers.Names()),
		c.Bindings.Len())}
}

// anonymousFix lets everybody read what tokens are verified by (Kubernetes documentation,
// "ServiceAccount issuer discovery").
const anonymousFix = "kubectl create clusterrolebinding service-account-issuer-discovery " +
	"--clusterrole=system:service-account-issuer-discovery --group=system:unauthenticated"

func (s *CheckSnapshot) issuer() []Step {
	steps := s.APIServer.judge()
	if len(steps) == 0 {
		return nil
	}
	switch s.Anonymous {
	case http.StatusOK:
		steps = append(steps, pass("anonymous access", "everybody who reaches the API server may read the two documents"))
	case http.StatusUnauthorized, http.StatusForbidden:
		steps = append(steps, warn("anonymous access", anonymousFix,
			"off: no relying party can fetch from the API server, as may be wanted where the documents are served elsewhere"))
	default:
		steps = append(steps, unknown("anonymous access", "%s", s.AnonymousError))
	}
	return steps
}

// judge says whether what is published fits together.
func (p *Published) judge() []Step {
	if p.Error != "" {
		return []Step{fail("documents", "", "%s", p.Error)}
	}
	d := p.Document
	steps := []Step{pass("documents", "issuer %s, keys at %s", d.Issuer, d.JWKSURI)}
	for _, u := range []struct{ name, url string }{{"issuer", d.Issuer}, {"jwks_uri", d.JWKSURI}} {
		steps = append(steps, judgeURL(u.name, u.url))
	}
	steps = append(steps, pass("keys", "%s", strings.Join(p.Keys.Describe(), "; ")))
	for _, problem := range p.Keys.Problems {
		steps = append(steps, warn("keys", "", "%s", problem))
	}
	return append(append(steps, p.algorithms()), p.clock()...)
}

// judgeURL says whether relying parties can fetch from a URL.
func judgeURL(name, raw string) Step {
	const hint = "serve the documents where relying parties reach them: kubectl oidc-injector generate discovery --out public/"
	if err := issuer.CheckURL(raw, false); err != nil {
		return warn(name, hint, "relying parties do not fetch from it: %v", err)
	}
	u, _ := url.Parse(raw)
	if host := u.Hostname(); !strings.Contains(host, ".") || strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".local") ||
		host == "kubernetes.default" {
		return warn(name, hint, "%s is a name that only the cluster knows", host)
	}
	return pass(name, "%s", raw)
}

// algorithms compares those of the document with those of the keys.
func (p *Published) algorithms() Step {
	named := p.Document.SigningAlgorithms
	for _, a := range p.Keys.Algorithms() {
		if len(named) > 0 && !slices.Contains(named, a) {
			return fail("algorithms", "", "a key is for %s, and the discovery document names %s: relying parties refuse its tokens", a,
				list(named))
		}
	}
	return pass("algorithms", "%s", list(named))
}

// clock compares the clocks.
func (p *Published) clock() []Step {
	if p.Date.IsZero() {
		return nil
	}
	apart := p.Date.Sub(p.Read)
	if apart.Abs() > issuer.DefaultLeeway {
		return []Step{warn("clock", "set the clocks, by NTP",
			"that of the server and that of this machine are %s apart; relying parties allow about a minute",
			issuer.Rough(apart))}
	}
	return []Step{pass("clock", "that of the server and that of this machine are less than %s apart", issuer.Rough(issuer.DefaultLeeway))}
}

// outside compares what a relying party sees with what the API server says.
func (s *CheckSnapshot) outside() []Step {
	p := s.Outside
	if p == nil {
		return nil
	}
	steps := p.judge()
	if p.Error != "" || s.APIServer.Error != "" || s.APIServer.Document.Issuer == "" {
		return steps
	}
	if want := s.APIServer.Document.Issuer; p.Document.Issuer != want {
		steps = append(steps, fail("same issuer", "kubectl oidc-injector check --from-outside "+want,
			"relying parties see %s, and the cluster's tokens are of %s", p.Document.Issuer, want))
	}
	published := p.Keys.IDs()
	missing := slices.DeleteFunc(s.APIServer.Keys.IDs(), func(id string) bool { return slices.Contains(published, id) })
	if len(missing) > 0 {
		steps = append(steps, fail("same keys", "kubectl oidc-injector generate discovery --out public/",
			"relying parties do not see the keys %s of the API server: tokens signed with them are refused", list(missing)))
	} else {
		steps = append(steps, pass("same keys", "relying parties see every key of the API server"))
	}
	return steps
}

// namespaceLabels are those of a namespace, with the one that every namespace has
// (Kubernetes documentation, "Namespaces").
func namespaceLabels(name string, own map[string]string) labels.Set {
	return labels.Merge(own, labels.Set{corev1.LabelMetadataName: name})
}
