package against

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-openapi/jsonpointer"
	glob "github.com/ryanuber/go-glob"

	"github.com/oidc-injector/oidc-injector/internal/issuer"
	"github.com/oidc-injector/oidc-injector/internal/report"
)

// vaultRole is a role of the JWT auth method, as Vault's API has it and as it is written
// (hashicorp/vault-plugin-auth-jwt path_role.go).
type vaultRole struct {
	RoleType             string         `json:"role_type"`
	BoundAudiences       list           `json:"bound_audiences"`
	BoundSubject         string         `json:"bound_subject"`
	BoundClaims          map[string]any `json:"bound_claims"`
	BoundClaimsType      string         `json:"bound_claims_type"`
	UserClaim            string         `json:"user_claim"`
	UserClaimJSONPointer bool           `json:"user_claim_json_pointer"`
	GroupsClaim          string         `json:"groups_claim"`
	ClockSkewLeeway      leeway         `json:"clock_skew_leeway"`
	ExpirationLeeway     leeway         `json:"expiration_leeway"`
	NotBeforeLeeway      leeway         `json:"not_before_leeway"`
	TokenBoundCIDRs      list           `json:"token_bound_cidrs"`
}

// list may be written with commas, too.
type list []string

// UnmarshalJSON implements [json.Unmarshaler].
func (l *list) UnmarshalJSON(data []byte) error {
	var t texts
	if err := t.UnmarshalJSON(data); err != nil {
		return err
	}
	for _, text := range t {
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				*l = append(*l, part)
			}
		}
	}
	return nil
}

// leeway is a number of seconds, or a duration.
type leeway time.Duration

var errLeeway = errors.New("a leeway must be a number of seconds, or a duration such as 2m")

// UnmarshalJSON implements [json.Unmarshaler].
func (l *leeway) UnmarshalJSON(data []byte) error {
	text := strings.Trim(string(data), `"`)
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		*l = leeway(time.Duration(seconds) * time.Second)
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return errLeeway
	}
	*l = leeway(d)
	return nil
}

// or is the leeway where it is set: zero stands for the default, and less for none.
func (l leeway) or(usual time.Duration) time.Duration {
	switch {
	case l == 0:
		return usual
	case l < 0:
		return 0
	default:
		return time.Duration(l)
	}
}

// The defaults of leeways (hashicorp/cap jwt.Expected).
const (
	defaultClockSkew = time.Minute
	defaultEnds      = 150 * time.Second
)

// readVaultRole finds the role in what was given: the role itself, an answer of the API
// ({"data": …}), or the requests of "generate vault -o json".
func readVaultRole(data []byte) (vaultRole, error) {
	const what = "a role"
	var requests []struct {
		Path string          `json:"path"`
		Data json.RawMessage `json:"data"`
	}
	if json.Unmarshal(data, &requests) == nil {
		for _, r := range requests {
			if strings.Contains(r.Path, "/role/") {
				data = r.Data
			}
		}
	}
	var answer struct {
		Data json.RawMessage `json:"data"`
	}
	if json.Unmarshal(data, &answer) == nil && answer.Data != nil {
		data = answer.Data
	}
	var role vaultRole
	if err := unmarshal(what, data, &role); err != nil {
		return vaultRole{}, err
	}
	if role.UserClaim == "" {
		return vaultRole{}, errors.New("the file is not a role of the JWT auth method: it has no user_claim")
	}
	return role, nil
}

// evaluateVault judges as Vault does at a login (hashicorp/vault-plugin-auth-jwt
// path_login.go, claims.go; hashicorp/cap jwt/jwt.go), but for the signature and the
// issuer, which the method's configuration has.
func evaluateVault(rule []byte, t *issuer.Token, now time.Time) ([]issuer.Check, error) {
	role, err := readVaultRole(rule)
	if err != nil {
		return nil, err
	}
	checks := make([]issuer.Check, 0, 8)
	if role.RoleType != "jwt" {
		checks = append(checks, issuer.Failure("role_type", fmt.Sprintf("%q: the role is for people in browsers; oidc is the default",
			role.RoleType),
			`write the role with role_type="jwt"`))
	}
	checks = append(checks, role.audience(t))
	if role.BoundSubject != "" {
		checks = append(checks, role.subject(t))
	}
	checks = append(checks, role.claims(t)...)
	checks = append(checks, role.user(t))
	if role.GroupsClaim != "" {
		checks = append(checks, role.groups(t))
	}
	if role.BoundSubject == "" && len(role.BoundClaims) == 0 {
		checks = append(checks, anySubject("bound_claims",
			`bind the role, such as bound_subject="`+t.Subject()+`", or bound_claims with /kubernetes.io/namespace`))
	}
	if len(role.TokenBoundCIDRs) > 0 {
		checks = append(checks, issuer.Check{
			Rule: "token_bound_cidrs", Status: report.Unknown, Detail: "depends on the address that the login comes from: " +
				quoted(role.TokenBoundCIDRs),
		})
	}
	return append(checks, role.times(t, now)...), nil
}

func (r *vaultRole) audience(t *issuer.Token) issuer.Check {
	const name = "bound_audiences"
	got, ok := t.Audiences()
	switch {
	case len(r.BoundAudiences) > 0:
		return issuer.CheckAudience(name, t, r.BoundAudiences)
	case ok && len(got) == 0:
		return issuer.Passed(name, "neither the role nor the token has one")
	default:
		return issuer.Failure(name, "the token has an audience and the role has none, which Vault refuses",
			"write the role with bound_audiences="+strings.Join(got, ","))
	}
}

func (r *vaultRole) subject(t *issuer.Token) issuer.Check {
	const name = "bound_subject"
	if t.Subject() == r.BoundSubject {
		return issuer.Passed(name, fmt.Sprintf("%q", t.Subject()))
	}
	return issuer.Failure(name, fmt.Sprintf("the token's subject is %q, the role has %q", t.Subject(), r.BoundSubject),
		"run the pod with the ServiceAccount of the role, or write the role with bound_subject="+t.Subject())
}

// claims judges bound_claims, in the order of their names.
func (r *vaultRole) claims(t *issuer.Token) []issuer.Check {
	checks := make([]issuer.Check, 0, len(r.BoundClaims))
	for _, claim := range slices.Sorted(maps.Keys(r.BoundClaims)) {
		name := fmt.Sprintf("bound_claims[%q]", claim)
		value := claimOf(t, claim, strings.HasPrefix(claim, "/"))
		want, got := values(r.BoundClaims[claim]), values(value)
		switch {
		case value == nil:
			checks = append(checks, issuer.Failure(name, "the token has no such claim", missingClaim(claim)))
		case want == nil:
			checks = append(checks, issuer.Failure(name, "the role's value is neither a text, a number, true or false, nor a list of them",
				"correct the role"))
		case got == nil:
			checks = append(checks, issuer.Failure(name, "the claim is an object, which no value can match", missingClaim(claim)))
		case r.BoundClaimsType == "glob" && slices.ContainsFunc(want, func(w any) bool { return !isText(w) }):
			checks = append(checks, issuer.Failure(name, "with bound_claims_type=glob all values must be texts", "correct the role"))
		case !r.matches(want, got):
			checks = append(checks, issuer.Failure(name, fmt.Sprintf("the token has %s, the role has %s%s", show(got), show(want),
				r.unusedGlob(want)),
				"run the pod as the role says, or write the role with the token's value"))
		default:
			checks = append(checks, issuer.Passed(name, show(got)))
		}
	}
	return checks
}

// missingClaim says how to name a claim that is not there.
func missingClaim(claim string) string {
	if !strings.HasPrefix(claim, "/") && strings.ContainsAny(claim, "./") {
		return "name a claim inside another by a JSON pointer, such as /kubernetes.io/namespace"
	}
	return "name a claim that the tokens of this workload have: `token inspect` shows them"
}

func isText(value any) bool {
	_, ok := value.(string)
	return ok
}

// unusedGlob hints at a star that stands for itself.
func (r *vaultRole) unusedGlob(want []any) string {
	star := func(w any) bool {
		text, ok := w.(string)
		return ok && strings.Contains(text, glob.GLOB)
	}
	if r.BoundClaimsType != "glob" && slices.ContainsFunc(want, star) {
		return "; without bound_claims_type=glob a '*' stands for itself"
	}
	return ""
}

func (r *vaultRole) matches(want, got []any) bool {
	for _, w := range want {
		for _, g := range got {
			wanted, isWanted := w.(string)
			given, isGiven := g.(string)
			if r.BoundClaimsType == "glob" && isWanted && isGiven && glob.Glob(wanted, given) || r.BoundClaimsType != "glob" && w == g {
				return true
			}
		}
	}
	return false
}

// values are those of a claim or of the role: one, or a list. Numbers are texts of their
// own kind, as they are for Vault.
func values(value any) []any {
	switch v := value.(type) {
	case []any:
		all := make([]any, 0, len(v))
		for _, one := range v {
			all = append(all, normal(one))
		}
		return all
	case string, bool, json.Number, float64:
		return []any{normal(v)}
	default:
		return nil
	}
}

// number is one of JSON, which is not equal to the same as a text.
type number string

func normal(value any) any {
	switch v := value.(type) {
	case float64:
		return number(strconv.FormatFloat(v, 'f', -1, 64))
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return number(strconv.FormatFloat(f, 'f', -1, 64))
		}
		return number(v)
	case string, bool:
		return v
	default:
		return fmt.Sprintf("%T", value) // an object in a list matches nothing that can be written
	}
}

func show(all []any) string {
	shown := make([]string, 0, len(all))
	for _, v := range all {
		if text, ok := v.(string); ok {
			shown = append(shown, fmt.Sprintf("%q", text))
		} else {
			shown = append(shown, fmt.Sprint(v))
		}
	}
	return strings.Join(shown, ", ")
}

// claimOf is a claim, by its name or by a JSON pointer (RFC 6901); nil where there is none.
func claimOf(t *issuer.Token, name string, pointer bool) any {
	if !pointer || !strings.HasPrefix(name, "/") {
		return t.Claims[name]
	}
	p, err := jsonpointer.New(name)
	if err != nil {
		return nil
	}
	value, _, err := p.Get(t.Claims)
	if err != nil {
		return nil
	}
	return value
}

// user judges the claim that names the alias of the identity.
func (r *vaultRole) user(t *issuer.Token) issuer.Check {
	const name = "user_claim"
	value := claimOf(t, r.UserClaim, r.UserClaimJSONPointer)
	text, ok := value.(string)
	switch {
	case ok:
		return issuer.Passed(name, fmt.Sprintf("%s is %q", r.UserClaim, text))
	case value == nil && strings.HasPrefix(r.UserClaim, "/") && !r.UserClaimJSONPointer:
		return issuer.Failure(name, fmt.Sprintf("the token has no claim %q: it is not read as a JSON pointer", r.UserClaim),
			"write the role with user_claim_json_pointer=true")
	case value == nil:
		return issuer.Failure(name, fmt.Sprintf("the token has no claim %q", r.UserClaim),
			"write the role with user_claim=/kubernetes.io/serviceaccount/uid and user_claim_json_pointer=true")
	default:
		return issuer.Failure(name, fmt.Sprintf("the claim %q is not a text", r.UserClaim),
			"write the role with user_claim=/kubernetes.io/serviceaccount/uid and user_claim_json_pointer=true")
	}
}

func (r *vaultRole) groups(t *issuer.Token) issuer.Check {
	const name = "groups_claim"
	value := claimOf(t, r.GroupsClaim, true)
	groups := values(value)
	if value == nil || groups == nil || slices.ContainsFunc(groups, func(g any) bool { return !isText(g) }) {
		return issuer.Failure(name, fmt.Sprintf("the token has no claim %q that is a text or a list of texts", r.GroupsClaim),
			"write the role without groups_claim: tokens of API servers have no groups")
	}
	return issuer.Passed(name, show(groups))
}

// times judges as hashicorp/cap does: a token without an end or a beginning gets one by
// the leeway of its own, and the clocks may differ by another.
func (r *vaultRole) times(t *issuer.Token, now time.Time) []issuer.Check {
	at := map[string]time.Time{}
	for _, claim := range []string{"iat", "nbf", "exp"} {
		value, there, err := t.Time(claim)
		if err != nil {
			return []issuer.Check{issuer.Failure(claim, err.Error(), "use a token that an API server issued")}
		}
		if there {
			at[claim] = value
		}
	}
	if len(at) == 0 {
		return []issuer.Check{issuer.Failure("exp", "the token has neither exp, nbf nor iat", "use a token that an API server issued")}
	}
	skew := r.ClockSkewLeeway.or(defaultClockSkew)
	if _, there := at["exp"]; there {
		return issuer.CheckTimes(t, now, skew)
	}
	start := at["iat"]
	if at["nbf"].After(start) {
		start = at["nbf"]
	}
	end := start.Add(r.ExpirationLeeway.or(defaultEnds))
	if now.Add(-skew).After(end) {
		return []issuer.Check{issuer.Failure("exp", fmt.Sprintf("the token has none, so that it ended %s after its beginning, at %s",
			end.Sub(start), end.Format(time.RFC3339)), "use a token that ends, or set expiration_leeway")}
	}
	return []issuer.Check{issuer.Passed("exp", "the token has none; by expiration_leeway it ends at "+end.Format(time.RFC3339))}
}
