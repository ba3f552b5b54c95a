package policy

import "github.com/oidc-injector/oidc-injector/internal/glob"

// wellKnownAPIServerAudiences are the names that a cluster gives to its own API
// server, and that installers therefore choose as its issuer.
var wellKnownAPIServerAudiences = glob.All([]string{
	"https://kubernetes",
	"https://kubernetes.default",
	"https://kubernetes.default.svc",
	"https://kubernetes.default.svc.*",
	"kubernetes.default.svc",
	"kubernetes.default.svc.*",
})

func audiences(r *ruleset) *rule[glob.Pattern, string] { return &r.audiences }

// Audience returns why pods may not have tokens of the audience, or nil.
func (r Rules) Audience(audience string) error {
	v := judge(r, audiences, audience)
	switch {
	case v.denied:
		return r.denied("audience")
	case r.policy.isAPIServer(audience) && !r.named(audiences, audience):
		return refuse(ErrReserved, "this is an audience of the API server itself, which the injector's policy does not allow by name")
	case v.limited && !v.allowed:
		return notListed(r, audiences)
	default:
		return nil
	}
}

func (p *Policy) isAPIServer(audience string) bool {
	return glob.Any(wellKnownAPIServerAudiences, audience) || glob.Any(p.apiServer, audience)
}
