package diagnose

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/report"
)

// Issuer is what was read about the cluster's issuer.
type Issuer struct {
	// APIServer is what the API server says with the rights of whoever asks, and Outside what
	// a relying party sees; nil where nobody asked for that.
	APIServer Published
	Outside   *Published
	// Anonymous is the status of the API server's answer without credentials, or 0, and
	// AnonymousError why there was none.
	Anonymous      int
	AnonymousError string
	// Sample is a token that the API server issued; nil where nobody asked for one.
	Sample *Sample
}

// Published is what an issuer publishes.
type Published struct {
	// Issuer is the issuer of the discovery document, KeysURL where that has the keys, and
	// Algorithms are those that it names.
	Issuer, KeysURL string
	Algorithms      []string
	Keys            Keys
	// Unfetchable says of one of the two URLs why relying parties do not fetch from it.
	Unfetchable map[string]string
	// Error says what of the two could not be fetched.
	Error string
	// Date is the time of the answer by the clock of the server, and Read the time here.
	Date, Read time.Time
}

// Keys are the keys of an issuer.
type Keys struct {
	// IDs, and what each of the keys is.
	IDs, Descriptions []string
	// Algorithms are those that the keys are for, and Problems what is wrong with some.
	Algorithms, Problems []string
}

// Sample is a token that was issued to be looked at.
type Sample struct {
	// Asked is the lifetime that was asked for, and Lifetime that of the token.
	Asked, Lifetime time.Duration
	// Problems say why relying parties would refuse it by what the API server publishes.
	Problems []string
	// Unread is why there is none.
	Unread string
}

// anonymousFix lets everybody read what tokens are verified by (Kubernetes documentation,
// "ServiceAccount issuer discovery").
const anonymousFix = "kubectl create clusterrolebinding service-account-issuer-discovery " +
	"--clusterrole=system:service-account-issuer-discovery --group=system:unauthenticated"

func (s *Issuer) judge() []Step {
	steps := s.APIServer.judge()
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
	steps := []Step{
		pass("documents", "issuer %s, keys at %s", p.Issuer, p.KeysURL), p.judgeURL("issuer", p.Issuer),
		p.judgeURL("jwks_uri", p.KeysURL), pass("keys", "%s", strings.Join(p.Keys.Descriptions, "; ")),
	}
	for _, problem := range p.Keys.Problems {
		steps = append(steps, warn("keys", "", "%s", problem))
	}
	return append(append(steps, p.algorithms()), p.clock()...)
}

// judgeURL says whether relying parties can fetch from a URL.
func (p *Published) judgeURL(name, raw string) Step {
	const hint = "serve the documents where relying parties reach them: kubectl oidc-injector generate discovery --out public/"
	u, err := url.Parse(raw)
	if why := p.Unfetchable[raw]; why != "" || err != nil {
		return warn(name, hint, "relying parties do not fetch from it: %s", why)
	}
	if host := u.Hostname(); !strings.Contains(host, ".") || strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".local") ||
		host == "kubernetes.default" {
		return warn(name, hint, "%s is a name that only the cluster knows", host)
	}
	return pass(name, "%s", raw)
}

// algorithms compares those of the document with those of the keys.
func (p *Published) algorithms() Step {
	named := p.Algorithms
	for _, a := range p.Keys.Algorithms {
		if len(named) > 0 && !slices.Contains(named, a) {
			return fail("algorithms", "", "a key is for %s, and the discovery document names %s: relying parties refuse its tokens", a,
				list(named))
		}
	}
	return pass("algorithms", "%s", list(named))
}

// leeway is how far relying parties, and API servers, allow clocks to be apart (go-jose
// jwt.DefaultLeeway).
const leeway = time.Minute

// clock compares the clocks.
func (p *Published) clock() []Step {
	if p.Date.IsZero() {
		return nil
	}
	apart := p.Date.Sub(p.Read)
	if apart.Abs() > leeway {
		return []Step{warn("clock", "set the clocks, by NTP",
			"that of the server and that of this machine are %s apart; relying parties allow about a minute",
			report.Rough(apart))}
	}
	return []Step{pass("clock", "that of the server and that of this machine are less than %s apart", report.Rough(leeway))}
}

// outside compares what a relying party sees with what the API server says.
func (s *Issuer) outside() []Step {
	p := s.Outside
	if p == nil {
		return nil
	}
	steps := p.judge()
	if p.Error != "" || s.APIServer.Error != "" || s.APIServer.Issuer == "" {
		return steps
	}
	if want := s.APIServer.Issuer; p.Issuer != want {
		steps = append(steps, fail("same issuer", "kubectl oidc-injector check --from-outside "+want,
			"relying parties see %s, and the cluster's tokens are of %s", p.Issuer, want))
	}
	missing := slices.DeleteFunc(slices.Clone(s.APIServer.Keys.IDs), func(id string) bool { return slices.Contains(p.Keys.IDs, id) })
	if len(missing) > 0 {
		steps = append(steps, fail("same keys", "kubectl oidc-injector generate discovery --out public/",
			"relying parties do not see the keys %s of the API server: tokens signed with them are refused", list(missing)))
	} else {
		steps = append(steps, pass("same keys", "relying parties see every key of the API server"))
	}
	return steps
}

// tokens judges one that the API server issued.
func (s *Issuer) tokens(longest time.Duration) []Step {
	p := s.Sample
	switch {
	case p == nil:
		return nil
	case p.Unread != "":
		return []Step{unknown("issued", "%s", p.Unread)}
	}
	steps := make([]Step, 0, 2+len(p.Problems))
	for _, problem := range p.Problems {
		steps = append(steps, fail("issued", "", "relying parties refuse a new token: %s", problem))
	}
	if len(p.Problems) == 0 {
		steps = append(steps, pass("issued", "the published keys and the issuer are those of a new token"))
	}
	return append(steps, p.lifetime(longest))
}

// lifetime compares what the API server grants with what the webhook's configuration allows.
// Tokens for the API server itself may live longer than asked for
// (--service-account-extend-token-expiration), others never.
func (p *Sample) lifetime(longest time.Duration) Step {
	const name = "longest lifetime"
	if p.Lifetime < p.Asked {
		return warn(name, "set maxExpiration to "+exactly(p.Lifetime)+" in the webhook's configuration, or raise the API server's "+
			"--service-account-max-token-expiration, or what its signer allows",
			"the API server shortens tokens to %s, and maxExpiration allows pods to ask for %s", exactly(p.Lifetime), exactly(longest))
	}
	return pass(name, "the API server grants what maxExpiration allows, %s", exactly(longest))
}

// exactly is a duration as people write it in the configuration: 24h, not 24h0m0s.
func exactly(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
