package against

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/glob"
	"github.com/oidc-injector/oidc-injector/internal/issuer"
	"github.com/oidc-injector/oidc-injector/internal/report"
)

// trustPolicy is the trust policy of a role (AWS, "IAM JSON policy elements reference").
type trustPolicy struct {
	Version   string     `json:"Version"`
	Statement statements `json:"Statement"`
}

// statements may be a single one, too.
type statements []statement

// UnmarshalJSON implements [json.Unmarshaler].
func (s *statements) UnmarshalJSON(data []byte) error {
	var one statement
	if json.Unmarshal(data, &one) == nil {
		*s = statements{one}
		return nil
	}
	var list []statement
	err := json.Unmarshal(data, &list)
	*s = list
	return err
}

type statement struct {
	Sid       string                      `json:"Sid"`
	Effect    string                      `json:"Effect"`
	Action    texts                       `json:"Action"`
	Principal principal                   `json:"Principal"`
	Condition map[string]map[string]texts `json:"Condition"`
}

// principal is "*", or lists of principals by their kind.
type principal struct {
	Anybody   bool
	Federated texts
}

// UnmarshalJSON implements [json.Unmarshaler].
func (p *principal) UnmarshalJSON(data []byte) error {
	var word string
	if json.Unmarshal(data, &word) == nil {
		p.Anybody = word == "*"
		return nil
	}
	var kinds struct{ Federated texts }
	err := json.Unmarshal(data, &kinds)
	p.Federated = kinds.Federated
	return err
}

// readTrustPolicy finds the policy in what was given: itself, or the answer of
// `aws iam get-role`, where it may be URL-encoded.
func readTrustPolicy(data []byte) (*trustPolicy, error) {
	const what = "a trust policy"
	var role struct {
		Role *struct{ AssumeRolePolicyDocument json.RawMessage }
	}
	if json.Unmarshal(data, &role) == nil && role.Role != nil {
		data = role.Role.AssumeRolePolicyDocument
		var encoded string
		if json.Unmarshal(data, &encoded) == nil {
			if decoded, err := url.QueryUnescape(encoded); err == nil {
				data = []byte(decoded)
			}
		}
	}
	var policy trustPolicy
	if err := unmarshal(what, data, &policy); err != nil {
		return nil, err
	}
	if len(policy.Statement) == 0 {
		return nil, errors.New("the file is not a trust policy: it has no Statement")
	}
	return &policy, nil
}

const assumeRole = "sts:AssumeRoleWithWebIdentity"

// providerARN is that of an OpenID Connect provider of IAM: its name is the issuer without
// https://.
var providerARN = regexp.MustCompile(`^arn:aws[a-z0-9-]*:iam::([0-9]{12}):oidc-provider/(.+)$`)

// evaluateAWS judges as the Security Token Service of AWS does: a statement has to allow
// it, and none may deny it (AWS, "Policy evaluation logic"; "Available keys for AWS OIDC
// federation").
func evaluateAWS(rule []byte, t *issuer.Token, now time.Time) ([]issuer.Check, error) {
	policy, err := readTrustPolicy(rule)
	if err != nil {
		return nil, err
	}
	var best, denied []issuer.Check
	for i := range policy.Statement {
		s := &policy.Statement[i]
		if !s.aboutWebIdentity() {
			continue
		}
		checks := s.judge(fmt.Sprintf("Statement[%d]", i), t)
		switch {
		case s.Effect == "Deny" && !issuer.Failed(checks):
			denied = append(denied, issuer.Failure(fmt.Sprintf("Statement[%d].Effect", i), "the statement denies this token",
				"narrow its Condition"))
		case s.Effect != "Allow":
		case best == nil || failures(checks) < failures(best):
			best = checks
		}
	}
	if best == nil {
		best = []issuer.Check{issuer.Failure("Statement", "none allows "+assumeRole+" to an OpenID Connect provider",
			"add one with Action "+assumeRole+" and Principal.Federated")}
	}
	best = append(best, denied...)
	best = append(best, issuer.CheckTimes(t, now, 0)...)
	return append(best, severalAudiences(t)...), nil
}

// severalAudiences says of a token for several what STS reads.
func severalAudiences(t *issuer.Token) []issuer.Check {
	if got, _ := t.Audiences(); len(got) > 1 {
		return []issuer.Check{{
			Rule: "aud", Status: report.Warn, Detail: "the token has several audiences; IAM compares one",
			Fix: "ask for a token of one audience",
		}}
	}
	return nil
}

// aboutWebIdentity reports whether the statement is about logins by a token.
func (s *statement) aboutWebIdentity() bool {
	return slices.ContainsFunc(s.Action, func(a string) bool {
		return likeFold(a, assumeRole)
	})
}

func (s *statement) judge(at string, t *issuer.Token) []issuer.Check {
	host := strings.TrimPrefix(t.Issuer(), "https://")
	checks := []issuer.Check{s.principal(at, host, t)}
	bound := false
	for _, operator := range slices.Sorted(maps.Keys(s.Condition)) {
		for _, key := range slices.Sorted(maps.Keys(s.Condition[operator])) {
			c := condition{operator: operator, key: key, want: s.Condition[operator][key]}
			checks = append(checks, c.judge(at+".Condition."+operator, host, t))
			bound = bound || strings.EqualFold(key, host+":sub")
		}
	}
	if s.Effect == "Allow" && !bound {
		checks = append(checks, anySubject(at+".Condition", fmt.Sprintf("add %q: %q to StringEquals", host+":sub", t.Subject())))
	}
	return checks
}

// principal looks for the token's issuer among the providers.
func (s *statement) principal(at, host string, t *issuer.Token) issuer.Check {
	rule := at + ".Principal.Federated"
	if s.Principal.Anybody {
		return issuer.Failure(rule, `"*" stands for no OpenID Connect provider`, "name the ARN of the provider for "+t.Issuer())
	}
	for _, arn := range s.Principal.Federated {
		if m := providerARN.FindStringSubmatch(arn); m != nil && m[2] == host {
			return issuer.Passed(rule, arn)
		}
	}
	return issuer.Failure(rule, fmt.Sprintf("the token's issuer is %q; the statement trusts %s", t.Issuer(), quoted(s.Principal.Federated)),
		fmt.Sprintf("name arn:aws:iam::ACCOUNT:oidc-provider/%s, or take a token of the other cluster", host))
}

// condition is one operator with one key.
type condition struct {
	operator, key string
	want          []string
}

// operators are those of texts, without their prefixes and suffixes, and whether any
// value that matches is enough, or none may.
var operators = map[string]struct {
	match    func(pattern, text string) bool
	negative bool
}{
	"StringEquals":              {match: func(a, b string) bool { return a == b }},
	"StringNotEquals":           {match: func(a, b string) bool { return a == b }, negative: true},
	"StringEqualsIgnoreCase":    {match: strings.EqualFold},
	"StringNotEqualsIgnoreCase": {match: strings.EqualFold, negative: true},
	"StringLike":                {match: like},
	"StringNotLike":             {match: like, negative: true},
}

// judge compares what the token says with what the condition wants.
func (c condition) judge(rule, host string, t *issuer.Token) issuer.Check {
	rule += fmt.Sprintf("[%q]", c.key)
	got, ofToken := keyOf(c.key, host, t)
	all := strings.HasPrefix(c.operator, "ForAllValues:")
	name := strings.TrimPrefix(strings.TrimPrefix(c.operator, "ForAllValues:"), "ForAnyValue:")
	name, ifExists := strings.CutSuffix(name, "IfExists")
	operator, known := operators[name]
	variable := slices.ContainsFunc(c.want, func(w string) bool { return strings.Contains(w, "${") })
	switch {
	case !ofToken && c.ofProvider():
		return issuer.Failure(rule, fmt.Sprintf("the key is about another provider than the token's, %q", host),
			"write the key as "+host+c.key[strings.LastIndex(c.key, ":"):])
	case !ofToken || !known || variable:
		return issuer.Check{Rule: rule, Status: report.Unknown, Detail: "depends on the request, or needs more than the token: " +
			quoted(c.want)}
	case len(got) == 0 && (ifExists || operator.negative || all):
		return issuer.Passed(rule, "the token does not have it")
	}
	matches := func(g string) bool {
		return slices.ContainsFunc(c.want, func(w string) bool { return operator.match(w, g) }) != operator.negative
	}
	if c.holds(got, all, matches) {
		return issuer.Passed(rule, quoted(got))
	}
	return issuer.Failure(rule, fmt.Sprintf("the token has %s, the condition wants %s%s", quoted(got), quoted(c.want), c.unusedGlob(name)),
		c.fix(got))
}

// ofProvider reports whether the key is one that a provider's tokens have.
func (c condition) ofProvider() bool {
	key := strings.ToLower(c.key)
	return strings.HasSuffix(key, ":sub") || strings.HasSuffix(key, ":aud")
}

// holds reports whether one of the values matches, or all do.
func (c condition) holds(got []string, all bool, matches func(string) bool) bool {
	if all {
		return !slices.ContainsFunc(got, func(g string) bool { return !matches(g) })
	}
	return slices.ContainsFunc(got, matches)
}

// unusedGlob hints at a star that stands for itself.
func (c condition) unusedGlob(operator string) string {
	if !strings.HasSuffix(operator, "Like") && slices.ContainsFunc(c.want, func(w string) bool { return strings.ContainsAny(w, "*?") }) {
		return "; '*' and '?' are patterns in StringLike alone"
	}
	return ""
}

func (c condition) fix(got []string) string {
	if strings.HasSuffix(strings.ToLower(c.key), ":aud") {
		return fmt.Sprintf("annotate the pod with the audience %s, or write %s", quoted(c.want), quoted(got))
	}
	return fmt.Sprintf("run the pod with the ServiceAccount of the policy, or write %s", quoted(got))
}

// keyOf is what a condition key stands for. It is false where the token does not decide
// it. Keys do not distinguish upper and lower case.
func keyOf(key, host string, t *issuer.Token) ([]string, bool) {
	claim, ok := strings.CutPrefix(strings.ToLower(key), strings.ToLower(host)+":")
	if !ok || host == "" {
		return nil, false
	}
	azp, _ := t.Claims["azp"].(string)
	audiences, _ := t.Audiences()
	switch claim {
	case "sub":
		return []string{t.Subject()}, true
	case "aud": // of a token with an azp, AWS calls that the audience, and the audience oaud
		if azp != "" {
			return []string{azp}, true
		}
		return audiences, true
	case "oaud":
		if azp != "" {
			return audiences, true
		}
		return nil, true
	default:
		return nil, false
	}
}

// likeFold is like without regard to upper and lower case, as actions are compared.
func likeFold(pattern, text string) bool {
	return like(strings.ToLower(pattern), strings.ToLower(text))
}

// like matches a text with a pattern of IAM: '*' stands for any text and '?' for one
// character.
func like(pattern, text string) bool { return glob.New(pattern).Matches(text) }
