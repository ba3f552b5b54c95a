package against

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/ext"

	"github.com/oidc-injector/oidc-injector/internal/issuer"
	"github.com/oidc-injector/oidc-injector/internal/report"
)

// poolProvider is a provider of a workload identity pool (Google Cloud, IAM API, REST
// resource projects.locations.workloadIdentityPools.providers).
type poolProvider struct {
	Name               string            `json:"name"`
	State              string            `json:"state"`
	Disabled           bool              `json:"disabled"`
	AttributeMapping   map[string]string `json:"attributeMapping"`
	AttributeCondition string            `json:"attributeCondition"`
	OIDC               *struct {
		IssuerURI        string   `json:"issuerUri"`
		AllowedAudiences []string `json:"allowedAudiences"`
	} `json:"oidc"`
}

// The limits of Google Cloud ("Workload Identity Federation", attribute mappings; "Prepare
// your external identity provider").
const (
	subjectAttribute = "google.subject"
	maxSubject       = 127 // bytes
	maxMapping       = 2048
	maxCondition     = 4096
	maxTokenLife     = 24 * time.Hour
	// costLimit ends expressions that would run long, which Google's own limits do, too.
	costLimit = 1_000_000
)

// evaluateGCP judges as the Security Token Service of Google Cloud does.
func evaluateGCP(rule []byte, t *issuer.Token, now time.Time) ([]issuer.Check, error) {
	var p poolProvider
	if err := unmarshal("a workload identity pool provider", rule, &p); err != nil {
		return nil, err
	}
	if p.OIDC == nil || p.OIDC.IssuerURI == "" {
		return nil, errors.New("the file is not a workload identity pool provider for OIDC: it has no oidc.issuerUri")
	}
	checks := make([]issuer.Check, 0, 8)
	if p.Disabled || p.State == "DELETED" {
		checks = append(checks, issuer.Failure("state", "the provider is disabled or deleted",
			"enable it: gcloud … providers update-oidc --no-disabled"))
	}
	checks = append(checks, tokenIssuer("oidc.issuerUri", t, p.OIDC.IssuerURI), p.audience(t))
	if a := t.Algorithm(); a != "RS256" && a != "ES256" {
		checks = append(checks, issuer.Failure("alg", fmt.Sprintf("the token is signed by %q; Google takes RS256 and ES256", a),
			"let the API server sign with an RSA or a P-256 key"))
	}
	attributes, mapped := p.mapAttributes(t)
	checks = append(checks, mapped...)
	if !issuer.Failed(mapped) {
		checks = append(checks, p.condition(t, attributes))
	}
	checks = append(checks, issuer.CheckTimes(t, now, 0)...)
	return append(checks, lifetime(t)...), nil
}

// lifetime judges how long the token lasts.
func lifetime(t *issuer.Token) []issuer.Check {
	exp, ends, endErr := t.Time("exp")
	iat, begins, beginErr := t.Time("iat")
	switch {
	case endErr != nil || beginErr != nil || !ends: // said already
		return nil
	case !begins:
		return []issuer.Check{issuer.Failure("iat", "the token does not say when it was issued", "use a token that an API server issued")}
	case exp.Sub(iat) > maxTokenLife:
		return []issuer.Check{issuer.Failure("exp", fmt.Sprintf("the token lasts %s; Google takes at most 24h", report.Rough(exp.Sub(iat))),
			"annotate the pod with a shorter expiration")}
	default:
		return nil
	}
}

// audience judges by the list, or by the provider's own name where there is none.
func (p *poolProvider) audience(t *issuer.Token) issuer.Check {
	if len(p.OIDC.AllowedAudiences) > 0 {
		return issuer.CheckAudience("oidc.allowedAudiences", t, p.OIDC.AllowedAudiences)
	}
	if p.Name == "" {
		return issuer.Check{
			Rule: "oidc.allowedAudiences", Status: report.Unknown,
			Detail: "there is none, so that the audience has to be the provider's name, which the file does not say",
		}
	}
	name := "//iam.googleapis.com/" + p.Name
	return issuer.CheckAudience("oidc.allowedAudiences", t, []string{"https:" + name, name})
}

// environment is that of Google's expressions: CEL with its strings, and extract.
func environment() (*cel.Env, error) {
	object := cel.MapType(cel.StringType, cel.DynType)
	return cel.NewEnv(
		cel.Variable("assertion", object), cel.Variable("google", object), cel.Variable("attribute", object),
		cel.CrossTypeNumericComparisons(true), ext.Strings(),
		cel.Function("extract", cel.MemberOverload("string_extract_string", []*cel.Type{cel.StringType, cel.StringType}, cel.StringType,
			cel.BinaryBinding(extract))),
	)
}

// extract is a function of Google's: of the text, what stands at {…} of the template, or
// nothing where the template does not match (IAM Conditions attribute reference).
func extract(text, template ref.Val) ref.Val {
	from, isText := text.Value().(string)
	pattern, isPattern := template.Value().(string)
	before, rest, open := strings.Cut(pattern, "{")
	_, after, closed := strings.Cut(rest, "}")
	if !isText || !isPattern || !open || !closed {
		return types.NewErr("extract needs a text, and a template such as \"prefix/{name}/suffix\"")
	}
	_, found, ok := strings.Cut(from, before)
	if !ok {
		return types.String("")
	}
	if after == "" {
		return types.String(found)
	}
	value, _, ok := strings.Cut(found, after)
	if !ok {
		return types.String("")
	}
	return types.String(value)
}

// evaluate runs an expression.
func evaluate(env *cel.Env, expression string, variables map[string]any) (ref.Val, error) {
	ast, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	program, err := env.Program(ast, cel.CostLimit(costLimit))
	if err != nil {
		return nil, err
	}
	value, _, err := program.Eval(variables)
	return value, err
}

// mapAttributes computes the attributes, in the order of their names.
func (p *poolProvider) mapAttributes(t *issuer.Token) (map[string]any, []issuer.Check) {
	env, err := environment()
	if err != nil {
		return nil, []issuer.Check{issuer.Failure("attributeMapping", err.Error(), "this is an internal error: report it")}
	}
	variables := map[string]any{"assertion": plain(t.Claims), "google": map[string]any{}, "attribute": map[string]any{}}
	attributes := map[string]any{}
	var checks []issuer.Check
	if p.AttributeMapping[subjectAttribute] == "" {
		checks = append(checks, issuer.Failure("attributeMapping", "it has no "+subjectAttribute, "map it: google.subject=assertion.sub"))
	}
	for _, name := range slices.Sorted(maps.Keys(p.AttributeMapping)) {
		rule, expression := fmt.Sprintf("attributeMapping[%q]", name), p.AttributeMapping[name]
		value, err := mapOne(env, expression, variables)
		switch text, isText := value.(string); {
		case err != nil:
			checks = append(checks, issuer.Failure(rule, fmt.Sprintf("%s: %s", expression, err),
				"correct the expression, or map a claim that the token has"))
		case name == subjectAttribute && (!isText || text == ""):
			checks = append(checks, issuer.Failure(rule, expression+" is not a text",
				"map a claim that is a text: google.subject=assertion.sub"))
		case name == subjectAttribute && len(text) > maxSubject:
			checks = append(checks, issuer.Failure(rule, fmt.Sprintf("%q has %d bytes; Google takes %d", text, len(text), maxSubject),
				"map the uid: google.subject=assertion['kubernetes.io']['serviceaccount']['uid']"))
		default:
			attributes[name] = value
			checks = append(checks, issuer.Passed(rule, fmt.Sprintf("%s is %s", expression, asJSON(value))))
		}
	}
	return attributes, checks
}

func mapOne(env *cel.Env, expression string, variables map[string]any) (any, error) {
	if len(expression) > maxMapping {
		return nil, fmt.Errorf("the expression is longer than %d characters", maxMapping)
	}
	value, err := evaluate(env, expression, variables)
	if err != nil {
		return nil, err
	}
	return value.Value(), nil
}

func asJSON(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("a %T", value)
	}
	return string(data)
}

// condition judges the attribute condition, which sees the attributes by their two names.
func (p *poolProvider) condition(t *issuer.Token, attributes map[string]any) issuer.Check {
	const rule = "attributeCondition"
	if p.AttributeCondition == "" {
		return issuer.Check{
			Rule: rule, Status: report.Warn,
			Detail: "there is none: every token of the issuer for the audience is accepted, and what it may do rests on IAM bindings alone",
			Fix:    fmt.Sprintf("set one, such as assertion.sub == '%s'", t.Subject()),
		}
	}
	if len(p.AttributeCondition) > maxCondition {
		return issuer.Failure(rule, fmt.Sprintf("it is longer than %d characters", maxCondition), "shorten it")
	}
	env, err := environment()
	if err != nil {
		return issuer.Failure(rule, err.Error(), "this is an internal error: report it")
	}
	variables := map[string]any{"assertion": plain(t.Claims), "google": map[string]any{}, "attribute": map[string]any{}}
	for name, value := range attributes {
		group, key, _ := strings.Cut(name, ".")
		if o, ok := variables[group].(map[string]any); ok && group != "assertion" {
			o[key] = value
		}
	}
	value, err := evaluate(env, p.AttributeCondition, variables)
	switch {
	case err != nil:
		return issuer.Failure(rule, fmt.Sprintf("%s: %s", p.AttributeCondition, err),
			"correct the condition: it has to be true or false for this token")
	case value == types.True:
		return issuer.Passed(rule, p.AttributeCondition)
	case value == types.False:
		return issuer.Failure(rule, p.AttributeCondition+" is false for this token",
			"run the pod as the condition says, or widen the condition")
	default:
		return issuer.Failure(rule, p.AttributeCondition+" is neither true nor false", "correct the condition")
	}
}

// plain is JSON as expressions see it: numbers are floating-point, as those of
// google.protobuf.Struct are.
func plain(value any) any {
	switch v := value.(type) {
	case map[string]any:
		o := make(map[string]any, len(v))
		for name, member := range v {
			o[name] = plain(member)
		}
		return o
	case []any:
		all := make([]any, 0, len(v))
		for _, member := range v {
			all = append(all, plain(member))
		}
		return all
	case json.Number:
		f, _ := v.Float64() // out of range it is infinite, which no expression takes for a time
		return f
	default:
		return v
	}
}
