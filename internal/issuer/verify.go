package issuer

import (
	"fmt"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/oidc-injector/oidc-injector/internal/report"
)

// DefaultLeeway is how far clocks may be apart: what API servers allow each other, too
// (go-jose jwt.DefaultLeeway).
const DefaultLeeway = time.Minute

// DefaultAlgorithms are those by which an issuer may sign: all with a public key. With a
// shared secret (HS256) whoever can verify a token could make one.
var DefaultAlgorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// useIssued is what to do about a token that is none of an API server.
const useIssued = "use a token that an API server issued"

// Expected is what a token should be.
type Expected struct {
	// Issuer is the only issuer, and one of Audiences has to be the token's; what is empty
	// is not looked at.
	Issuer    string
	Audiences []string
	// Now is the time by which the token is judged, and Leeway how far it may be wrong.
	Now    time.Time
	Leeway time.Duration
	// Algorithms are those that are accepted; DefaultAlgorithms where there are none.
	Algorithms []jose.SignatureAlgorithm
}

// Verify judges a token by the keys of its issuer: its signature, issuer, audience and
// times (RFC 7519 section 7.2).
func Verify(t *Token, keys Keys, e Expected) []Check {
	checks := make([]Check, 0, 7)
	checks = append(checks, checkSignature(t, keys, e.Algorithms))
	if e.Issuer != "" {
		checks = append(checks, checkIssuer(t, e.Issuer))
	}
	if len(e.Audiences) > 0 {
		checks = append(checks, CheckAudience("aud", t, e.Audiences))
	}
	return append(checks, CheckTimes(t, e.Now, e.Leeway)...)
}

// checkSignature looks for the key that made the signature.
func checkSignature(t *Token, keys Keys, algorithms []jose.SignatureAlgorithm) Check {
	const rule = "signature"
	if len(algorithms) == 0 {
		algorithms = DefaultAlgorithms
	}
	algorithm := t.Algorithm()
	if strings.EqualFold(algorithm, "none") || len(t.Signature) == 0 {
		return Failure(rule, "the token is not signed", useIssued)
	}
	if !slices.Contains(algorithms, jose.SignatureAlgorithm(algorithm)) {
		return Failure(rule,
			fmt.Sprintf("the token is signed by %q, which is not among the allowed algorithms (%s)", algorithm, list(algorithms)),
			useIssued)
	}
	signed, err := jose.ParseSignedCompact(t.compact, algorithms)
	if err != nil {
		return Failure(rule, "the token cannot be read: "+err.Error(), useIssued)
	}
	candidates := keys.candidates(t.KeyID())
	if len(candidates) == 0 {
		return Failure(rule, fmt.Sprintf("the issuer publishes no key %q; its keys are %s", t.KeyID(), quoted(keys.IDs())),
			"look whether the token is of this cluster; after a change of the signing key, wait until all have fetched the keys anew")
	}
	for i := range candidates {
		if a := candidates[i].Algorithm; a != "" && a != algorithm {
			continue // the key is for another algorithm (RFC 7517 section 4.4)
		}
		if _, err := signed.Verify(&candidates[i]); err == nil {
			return Passed(rule, "made with key "+describe(&candidates[i]))
		}
	}
	return Failure(rule, "none of the issuer's keys made this signature: tried "+quoted(Keys{keys: candidates}.IDs()),
		"look whether the token is whole, and whether the keys are those of the cluster that issued it")
}

func list(algorithms []jose.SignatureAlgorithm) string {
	names := make([]string, 0, len(algorithms))
	for _, a := range algorithms {
		names = append(names, string(a))
	}
	return strings.Join(names, ", ")
}

func checkIssuer(t *Token, want string) Check {
	if t.Issuer() == want {
		return Passed("iss", fmt.Sprintf("%q", want))
	}
	fix := "trust the token's issuer, or take a token of the other cluster"
	if strings.TrimSuffix(t.Issuer(), "/") == strings.TrimSuffix(want, "/") {
		fix = "write the issuer as the token has it: they differ in the last slash"
	}
	return Failure("iss", fmt.Sprintf("the token's issuer is %q, wanted %q", t.Issuer(), want), fix)
}

// CheckAudience is a check, with the name of a rule, that one of the audiences is the
// token's.
func CheckAudience(rule string, t *Token, want []string) Check {
	got, ok := t.Audiences()
	switch {
	case !ok:
		return Failure(rule, "the claim aud is neither a text nor a list of texts", useIssued)
	case slices.ContainsFunc(want, func(w string) bool { return slices.Contains(got, w) }):
		return Passed(rule, quoted(got))
	case len(got) == 0:
		return Failure(rule, "the token has no audience, wanted "+quoted(want), "annotate the pod with the audience "+quoted(want))
	default:
		return Failure(rule, fmt.Sprintf("the token is for %s, wanted %s", quoted(got), quoted(want)),
			fmt.Sprintf("annotate the pod with the audience %s, or allow %s", quoted(want), quoted(got)))
	}
}

// CheckTimes judges exp, nbf and iat (RFC 7519 sections 4.1.4 to 4.1.6).
func CheckTimes(t *Token, now time.Time, leeway time.Duration) []Check {
	const (
		fresh  = "take a new token: the kubelet replaces the file before it ends, so read it anew for each use"
		clocks = "set the clocks: that of this machine or of the API server is wrong"
	)
	var checks []Check
	for _, c := range []struct {
		claim, late, fix string
		// after is true where the claim is an end.
		after bool
	}{
		{"exp", "the token ended at %s, %s ago", fresh, true},
		{"nbf", "the token begins at %s, in %s", clocks, false},
		{"iat", "the token was issued at %s, in %s", clocks, false},
	} {
		at, there, err := t.Time(c.claim)
		switch {
		case err != nil:
			checks = append(checks, Failure(c.claim, err.Error(), useIssued))
		case !there && c.after:
			checks = append(checks, Failure(c.claim, "the token never ends", "use a token of a TokenRequest, not one of a Secret"))
		case !there:
		case c.after && now.Add(-leeway).After(at):
			checks = append(checks, Failure(c.claim, fmt.Sprintf(c.late, at.Format(time.RFC3339), report.Rough(now.Sub(at))), c.fix))
		case !c.after && now.Add(leeway).Before(at):
			checks = append(checks, Failure(c.claim, fmt.Sprintf(c.late, at.Format(time.RFC3339), report.Rough(at.Sub(now))), c.fix))
		default:
			checks = append(checks, Passed(c.claim, fmt.Sprintf("%s, %s", at.Format(time.RFC3339), report.Relative(at, now))))
		}
	}
	return checks
}

func quoted(texts []string) string {
	all := make([]string, 0, len(texts))
	for _, t := range texts {
		all = append(all, fmt.Sprintf("%q", t))
	}
	return strings.Join(all, ", ")
}
