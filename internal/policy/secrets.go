package policy

import "github.com/oidc-injector/oidc-injector/internal/glob"

func secrets(r *ruleset) *rule[glob.Pattern, string] { return &r.secrets }

// Secret returns why the login containers of pods may not have a Secret of the pod's
// namespace, or nil. What is in it is proved, or sent, to a relying party.
func (r Rules) Secret(name string) error {
	switch v := judge(r, secrets, name); {
	case v.denied:
		return r.denied("Secret")
	case v.limited && !v.allowed:
		return notListed(r, secrets)
	default:
		return nil
	}
}
