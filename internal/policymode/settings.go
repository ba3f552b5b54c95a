package policymode

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/binding"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/policy"
	"github.com/oidc-injector/oidc-injector/internal/provider"
)

// Variable is one of a policy (admissionregistration.k8s.io/v1 Variable).
type Variable struct {
	Name       string `json:"name"`
	Expression string `json:"expression"`
}

// constants are the variables that are the same in all installations: the chart has them in
// a file.
func constants() []Variable {
	return append([]Variable{
		{"keys", literal(annotations.InputKeys())},
		{"tokenKeys", literal(tokenKeys)},
		{"scopes", literal([]string{annotations.Containers, annotations.SkipContainers})},
		{"booleans", literal([]string{"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"})},
		{"tokenName", literal(tokenName)},
		{"variableName", literal(variableName)},
		{"goDuration", literal(goDuration)},
		{"systemDirectories", literal(annotations.SystemDirectories())},
		{"systemFiles", literal(annotations.SystemFiles())},
		{"apiDirectories", literal(annotations.APITokenDirectories())},
		{"reservedVariables", literal(anyOf(policy.ReservedVariables()))},
		{"tokenVariables", literal(anyOf(policy.TokenVariables()))},
	}, loginConstants()...)
}

// settings are the variables that say what the configuration says: literals, and nothing
// that depends on the pod. The chart makes the same of its values; a test compares them.
func settings(cfg *config.Config, version string) []Variable {
	prefix := cfg.Parser.Prefix
	called := prefix.Names()
	names, patterns := split(cfg.File.Injected(prefix))
	lifetime := min(annotations.DefaultExpiration, cfg.Parser.MaxExpiration)
	return append([]Variable{
		{"prefix", literal(string(prefix) + "/")},
		{"version", literal(literal(version))},
		{"usualExpiration", literal(seconds(lifetime))},
		{"maxExpiration", seconds(cfg.Parser.MaxExpiration)},
		{"tokenVolume", literal(called.TokenVolume)},
		{"tokenDirectory", literal(called.TokenDirectory)},
		{"defaults", texts(cfg.Parser.Defaults)},
		{"profiles", literal(orEmpty(cfg.Parser.Profiles))},
		{"parameters", literal(parameters(cfg.Parser.Providers))},
		{"providers", literal(providers(cfg))},
		{"bindings", literal(bindings(cfg.File.Bindings))},
		{"injectedNames", literal(names)},
		{"injectedPattern", literal(anyOf(patterns))},
		{"denyUnknown", literal(cfg.Parser.DenyUnknown)},
		{"apiServerAudiences", literal(anyOf(slices.Concat(policy.WellKnownAPIServerAudiences(), cfg.File.Policy.APIServerAudiences)))},
		{"policies", policies(&cfg.File.Policy)},
	}, loginSettings(cfg)...)
}

// split takes names and patterns of names apart: to compare with a name is cheaper.
func split(globs []string) (names, patterns []string) {
	names = []string{}
	for _, g := range globs {
		if strings.ContainsAny(g, "*?") {
			patterns = append(patterns, g)
		} else {
			names = append(names, g)
		}
	}
	return names, patterns
}

// policies are the lists that hold in the pod's namespace.
func policies(p *policy.Spec) string {
	overall := p.Lists
	if len(overall.MountPaths.Allowed) == 0 {
		overall.MountPaths.Allowed = policy.DefaultMountPaths()
	}
	text := literal([]map[string]map[string][]string{lists(&overall)})
	if len(p.Namespaces) == 0 {
		return text
	}
	own := make([]map[string]map[string][]string, 0, len(p.Namespaces))
	for i := range p.Namespaces {
		l := lists(&p.Namespaces[i].Lists)
		l["namespaces"] = map[string][]string{"names": regexps(p.Namespaces[i].Namespaces)}
		own = append(own, l)
	}
	return text + " +\n" + literal(own) + ".filter(p, p.namespaces.names.exists(n, request.namespace.matches(n)))"
}

func lists(l *policy.Lists) map[string]map[string][]string {
	upper := func(texts []string) []string {
		all := make([]string, 0, len(texts))
		for _, t := range texts {
			all = append(all, strings.ToUpper(t))
		}
		return all
	}
	rule := func(r policy.Rule, regexps func([]string) []string) map[string][]string {
		return map[string][]string{
			"allowed": regexps(r.Allowed), "denied": regexps(r.Denied), "named": notNil(r.Allowed), "shown": notNil(r.Allowed),
		}
	}
	return map[string]map[string][]string{
		"audiences":  rule(l.Audiences, regexps),
		"env":        rule(policy.Rule{Allowed: upper(l.Env.Allowed), Denied: upper(l.Env.Denied)}, regexps),
		"mountPaths": rule(l.MountPaths, trees),
		"secrets":    rule(l.LoginSecrets, regexps),
		"addresses": {
			"allowed": addressPatterns(l.LoginAddresses.Allowed, true), "denied": addressPatterns(l.LoginAddresses.Denied, false),
			"named": {}, "shown": notNil(l.LoginAddresses.Allowed),
		},
	}
}

func notNil(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}

// regexps are regular expressions (RE2) of globs.
func regexps(globs []string) []string {
	all := make([]string, 0, len(globs))
	for _, g := range globs {
		all = append(all, "(?s)^"+expression(g)+"$")
	}
	return all
}

// trees are those of directories and of all that is below.
func trees(globs []string) []string {
	all := make([]string, 0, len(globs))
	for _, g := range globs {
		all = append(all, "(?s)^"+expression(strings.TrimSuffix(g, "/"))+"(/.*)?$")
	}
	return all
}

// addressPatterns are those of addresses in parts, "https 4127.0.0.1 443 /path" or "https nvault.example.com 8200 ": what
// stands before a host says whether it is an IPv4 address. What is allowed without a port is allowed at the scheme's own.
func addressPatterns(globs []string, allowed bool) []string {
	all := make([]string, 0, len(globs))
	for _, g := range globs {
		parts := policy.AddressParts(g)
		if parts == nil { // any
			scheme := "https?"
			if allowed {
				scheme = "https"
			}
			all = append(all, "^"+scheme+" ")
			continue
		}
		kind := "[4n]"
		if parts.IPv4 {
			kind = "4"
		}
		at := parts.Port
		if at == "" && allowed {
			at = map[string]string{"https": "443", "http": "80"}[parts.Scheme]
		}
		all = append(all, "^"+parts.Scheme+" "+kind+part(parts.Host)+" "+part(at)+" "+part(parts.Path)+"$")
	}
	return all
}

// part is a part of an address, of which nothing stands for anything. No part has a space.
func part(glob string) string {
	if glob == "" {
		return "[^ ]*"
	}
	return strings.NewReplacer(`.*`, `[^ ]*`).Replace(expression(glob))
}

// anyOf is one regular expression of many globs.
func anyOf(globs []string) string {
	all := make([]string, 0, len(globs))
	for _, g := range globs {
		all = append(all, expression(g))
	}
	return "^(" + strings.Join(all, "|") + ")$"
}

func expression(glob string) string {
	return strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(glob))
}

// tokenKeys are the keys that describe a token.
var tokenKeys = slices.DeleteFunc(annotations.PresetKeys(), func(key string) bool { return slices.Contains(loginspec.Keys(), key) })

const (
	// tokenName is a suffix (RE2), as annotations take it.
	tokenName = `^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$` //nolint:gosec // a pattern, not a credential
	// variableName is the name of an environment variable (apimachinery validation.IsEnvVarName).
	variableName = `^([-_a-zA-Z]|[.][-_a-zA-Z0-9])[-._a-zA-Z0-9]*$`
	// goDuration is a Go duration that cannot overflow: few numbers, which are short.
	goDuration = `^[-+]?(([0-9]{1,5}([.][0-9]{0,9})?|[.][0-9]{1,9})h|` +
		`([0-9]{1,7}([.][0-9]{0,9})?|[.][0-9]{1,9})(ns|us|µs|μs|ms|s|m)){1,10}$`
)

// literal is a value made of texts, in CEL.
func literal(value any) string { return binding.Literal(value) }

// texts is a map of texts, as which CEL takes an empty one only if it was made of one.
func texts[M ~map[string]string](m M) string {
	if len(m) == 0 {
		return `{"": ""}.transformMap(k, v, k != "", v)`
	}
	return literal(m)
}

func orEmpty[M ~map[string]V, V any](m M) M {
	if m == nil {
		return M{}
	}
	return m
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// parameters are the keys of providers: whose parameter each is.
func parameters(set *provider.Set) map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, name := range set.Names() {
		for _, q := range set.Get(name).Parameters {
			all[name+"-"+q.Name] = map[string]string{"provider": name, "parameter": q.Name}
		}
	}
	return all
}

// providers are the providers as lists of rows, as CEL wants one type.
func providers(cfg *config.Config) map[string]map[string][]map[string]string {
	all := map[string]map[string][]map[string]string{}
	for _, name := range cfg.Parser.Providers.Names() {
		p := cfg.Parser.Providers.Get(name)
		least, most := max(p.MinExpiration, annotations.MinExpiration), cfg.Parser.MaxExpiration
		if p.MaxExpiration > 0 {
			most = min(most, p.MaxExpiration)
		}
		about := map[string]string{
			"audience": p.Audience, "minExpiration": seconds(min(least, most)), "maxExpiration": seconds(most), "file": "", "json": "false",
		}
		rows := []map[string]string{}
		if f := p.File; f != nil {
			about["file"], about["json"] = f.Name, strconv.FormatBool(f.JSON != nil)
			for _, row := range fileRows(f) {
				rows = append(rows, map[string]string{"text": row})
			}
		}
		lists := map[string][]map[string]string{"about": {about}, "rows": rows, "parameters": {}, "env": {}, "conflicts": {}}
		for _, q := range p.Parameters {
			pattern := q.Pattern
			if pattern == "" {
				pattern = ".*"
			}
			lists["parameters"] = append(lists["parameters"], map[string]string{
				"name": q.Name, "description": q.Description, "required": strconv.FormatBool(q.Required), "default": q.Default,
				"maxLength": strconv.Itoa(q.MaxLength), "pattern": "^(?:" + pattern + ")$", "said": q.Pattern,
				"address": q.Address,
			})
		}
		for _, v := range p.Env {
			lists["env"] = append(lists["env"], map[string]string{"name": v.Name, "value": v.Value})
		}
		for _, c := range p.Conflicts {
			lists["conflicts"] = append(lists["conflicts"], map[string]string{"env": c.Env, "reason": c.Reason})
		}
		all[name] = lists
	}
	return all
}

// separator stands before each member of JSON, some of which are left out: what comes
// first after a bracket has no comma. No value holds a control character.
const separator = "\x01"

// fileRows are the parts of a file, each of which is there if all that it names has a
// value: lines of a text, or members of JSON.
func fileRows(f *provider.File) []string {
	if f.JSON == nil {
		return slices.Collect(strings.Lines(f.Text))
	}
	return jsonRows("", f.JSON)
}

// jsonRows are the rows of a value, with what stands before it.
func jsonRows(before string, value any) []string {
	switch v := value.(type) {
	case map[string]any:
		rows := []string{before + "{"}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			rows = append(rows, jsonRows(separator+goJSON(name)+":", v[name])...)
		}
		return append(rows, "}")
	case []any:
		rows := []string{before + "["}
		for _, element := range v {
			rows = append(rows, jsonRows(separator, element)...)
		}
		return append(rows, "]")
	default:
		return []string{before + goJSON(v)}
	}
}

// goJSON is what encoding/json makes of a plain value, which is what the webhook writes.
func goJSON(value any) string {
	b, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("a value that came from JSON: %v", err)) //nolint:forbidigo // it came from JSON
	}
	return string(b)
}

// bindings are the bindings, as maps of texts.
func bindings(all []config.Binding) []map[string]map[string]string {
	list := make([]map[string]map[string]string, 0, len(all))
	for i := range all {
		b := &all[i]
		list = append(list, map[string]map[string]string{
			"selector": {
				"name": b.Name, "namespaces": "^" + binding.Alternatives(b.Namespaces) + "$",
				"serviceAccounts": "^" + binding.Alternatives(b.ServiceAccounts) + "$",
			},
			"labels": orEmpty(b.PodLabels), "annotations": orEmpty(b.Annotations),
		})
	}
	return list
}
