package policymode

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// rows are maps of texts, as CEL wants one type.
type rows = []map[string]string

// methods are the methods of logins: what the annotations of each mean, and what is right.
func methods() map[string]map[string]rows {
	all := map[string]map[string]rows{}
	for i := range loginspec.Methods {
		m := &loginspec.Methods[i]
		lists := map[string]rows{
			"about": {{
				"fileVariable": m.FileVariable, "clientsOf": m.ClientsOf,
				"missing": m.Missing(func(o *loginspec.Option) string { return o.Key }),
			}},
			"options": {}, "needs": {}, "clients": {},
		}
		options := m.All()
		for j := range options {
			lists["options"] = append(lists["options"], option(&options[j]))
		}
		for _, name := range m.Needs {
			lists["needs"] = append(lists["needs"], map[string]string{"key": m.Option(name).Key})
		}
		for _, c := range m.Clients {
			lists["clients"] = append(lists["clients"], map[string]string{"env": c.Name, "key": m.Option(c.From).Key})
		}
		all[m.Name] = lists
	}
	return all
}

// option is an option of a login. Its pattern is what the values are that it can have, and
// said what is said of others.
func option(o *loginspec.Option) map[string]string {
	row := map[string]string{
		"name": string(o.Name), "key": o.Key, "env": o.Name.Env(), "default": o.Default, "secret": o.Secret,
		"written": strconv.FormatBool(o.Written), "configurable": strconv.FormatBool(o.Configurable),
		"endpoint": strconv.FormatBool(o.Endpoint), "pattern": "(?s).*", "least": "", "said": "", "oneOf": "", "reserved": "",
	}
	switch {
	case o.Key == "":
	case o.OneOf != nil:
		row["pattern"], row["oneOf"] = anyOf(o.OneOf), quoted(o.OneOf)
	case o.Check != nil:
		row["said"] = o.Check("\x00").Error()
		row["pattern"] = "^(" + syntax(o) + ")$"
		if o.Name == loginspec.Parameters {
			row["reserved"] = reserved(o)
		}
		if slices.Contains(durations, o.Name) {
			row["least"] = least(o)
		}
		if slices.Contains(withHosts, o.Name) {
			row["said"] += "; an IPv6 address, or a rare form of a URI, needs webhook mode"
		}
	}
	return row
}

// The syntax of values (RE2), as package loginspec takes them, all of which are texts of one
// line, of at most 1024 bytes, without white space at their ends: what else is asked of
// parameters and of lifetimes is in the text.
const (
	inPath  = `[!'()*+,\-.0-9:;=@A-Z\[\]_a-z~&]`
	inLabel = `[-_0-9A-Za-z]`
	// segment is neither "." nor "..", without the slash.
	notDot  = `[!'()*+,\-0-9:;=@A-Z\[\]_a-z~&]`
	segment = `([.]{0,2}` + notDot + inPath + `*|[.]{3}` + inPath + `*)`
	query   = `[!'()*+,\-./0-9:;=@A-Z\[\]_a-z~&?%]*`
	// lastLabel is no number, decimal or hexadecimal, which some take for an IPv4 address.
	lastLabel = `([0-9]*[-_A-WYZa-wyz]` + inLabel + `*|([0-9]{2,}|[1-9])?[xX]` + inLabel + `*|0[xX][0-9a-fA-F]*[-_G-Zg-z]` + inLabel + `*)`
	octet     = `(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])`
	port      = `:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])`
	host      = `((` + inLabel + `+[.])*` + lastLabel + `[.]?|` + octet + `([.]` + octet + `){3})(` + port + `)?`
	address   = `[hH][tT]{2}[pP][sS]?://` + host + `(/` + segment + `)*/?`
	uri       = `[a-zA-Z][-+.a-zA-Z0-9]*:(//[-_.0-9A-Za-z]+(:[0-9]+)?(/` + inPath + `*)*|` + inPath + `+)([?]` + query + `)?`
	pointer   = `/([^~]|~[01])*`
)

var (
	syntaxes = map[loginspec.Name]string{
		loginspec.Address: address, loginspec.Issuer: address, loginspec.RedirectHosts: host + "( +" + host + ")*",
		loginspec.Role: ".+", loginspec.Namespace: ".+", loginspec.ClientID: ".+", loginspec.Scope: ".+", loginspec.TargetAudience: ".+",
		loginspec.TLSServerName: ".+",
		loginspec.Resource:      uri + "( +" + uri + ")*",
		loginspec.Mount:         `[^./?#%][^/?#%]*(/([.]{0,2}[^./?#%][^/?#%]*|[.]{3}[^/?#%]*))*`,
		loginspec.CheckInterval: "[^-].*", loginspec.Lifetime: "[^-].*",
		loginspec.SubjectTokenType:   strings.Join(tokenTypes, "|") + "|" + uri,
		loginspec.RequestedTokenType: strings.Join(tokenTypes, "|") + "|" + uri,
		loginspec.Parameters:         "(?s).*",
		loginspec.JWTField:           "[^/= ][^= ]*|/([^~= ]|~[01])*",
		loginspec.TokenPointer:       loginspec.WholeBody + "|" + pointer,
		loginspec.LifetimePointer:    pointer,
	}
	tokenTypes = []string{"jwt", "id_token", "access_token", "refresh_token", "saml1", "saml2"}
	durations  = []loginspec.Name{loginspec.CheckInterval, loginspec.Lifetime}
	withHosts  = []loginspec.Name{
		loginspec.Address, loginspec.Issuer, loginspec.RedirectHosts, loginspec.Resource, loginspec.SubjectTokenType,
		loginspec.RequestedTokenType,
	}
)

// syntax is that of an option with a check.
func syntax(o *loginspec.Option) string {
	switch {
	case o.Value == loginspec.Boolean:
		return "1|t|T|TRUE|true|True|0|f|F|FALSE|false|False"
	case o.Name == loginspec.Address && o.Check("https://h?q") == nil:
		return address + "([?]" + query + ")?"
	default:
		return syntaxes[o.Name]
	}
}

// reserved are the parameters that the program sets itself.
func reserved(o *loginspec.Option) string {
	names := slices.DeleteFunc(loginspec.SentByOAuth(), func(name string) bool { return o.Check(name+"=x") == nil })
	return strings.Join(names, " ")
}

// least is the shortest duration that an option takes.
func least(o *loginspec.Option) string {
	if o.Check("0s") == nil {
		return "0s"
	}
	return "10s"
}

// quoted lists texts as errors about unsupported values do.
func quoted(texts []string) string {
	all := make([]string, 0, len(texts))
	for _, text := range texts {
		all = append(all, strconv.Quote(text))
	}
	return strings.Join(all, ", ")
}

// loginSettings are the variables that say what the configuration says of logins.
func loginSettings(cfg *config.Config) []Variable {
	called := cfg.Parser.Prefix.Names()
	l := cfg.Login
	env := make(rows, 0, len(l.Env))
	for _, e := range l.Env {
		env = append(env, map[string]string{"name": e.Name, "value": e.Value})
	}
	return []Variable{
		{"loginContainer", literal(called.LoginContainer)},
		{"loginVolume", literal(called.LoginVolume)},
		{"loginDirectory", literal(called.LoginDirectory)},
		{"caVolume", literal(called.CAVolume)},
		{"clientVolume", literal(called.ClientVolume)},
		{"loginImage", literal(l.Image)},
		{"loginPullPolicy", literal(string(l.ImagePullPolicy))},
		{"loginRequests", literal(quantities(l.Resources.Requests))},
		{"loginLimits", literal(quantities(l.Resources.Limits))},
		{"loginBundle", literal(l.CABundle)},
		{"loginVariables", literal(env)},
	}
}

func quantities(list corev1.ResourceList) map[string]string {
	all := map[string]string{}
	for name, q := range list {
		all[string(name)] = q.String()
	}
	return all
}

// loginConstants are those of logins in all installations.
func loginConstants() []Variable {
	families := map[string]string{}
	for _, key := range loginspec.Keys() {
		if names := loginspec.Families(key); len(names) > 0 {
			families[key] = loginspec.List(names, "and")
		}
	}
	written := []string{}
	for _, o := range loginspec.All() {
		if env := o.Name.Env(); o.Name != "" && loginspec.WrittenByWebhook(env) && !slices.Contains(written, env) {
			written = append(written, env)
		}
	}
	return []Variable{
		{"loginKeys", literal(loginspec.Keys())},
		{"rivals", literal(annotations.Rivals())},
		{"methods", literal(methods())},
		{"families", literal(families)},
		{"writtenVariables", literal(written)},
		{"addressPattern", literal("^" + address + "$")},
		{"caDirectory", literal(loginspec.CADir)},
		{"clientDirectory", literal(loginspec.ClientDir)},
		{"readyCommand", literal([]string{loginspec.Program, loginspec.ReadyCommand, loginspec.ReadyWait})},
	}
}
