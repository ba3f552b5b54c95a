package policy

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Spec is the policy as the configuration file has it. In patterns, '*' stands
// for any text and '?' for one character.
type Spec struct {
	// Lists holds for every namespace.
	Lists
	// Namespaces adds rules for some namespaces.
	Namespaces []NamespaceRule `json:"namespaces,omitempty"`
	// APIServerAudiences are the audiences that the cluster's own API server
	// accepts (its --api-audiences, by default its issuer), or patterns of them. A
	// token with one of them can be used against the API server, so they are
	// denied unless an allowed list names them literally.
	APIServerAudiences []string `json:"apiServerAudiences,omitempty"`
	// UnknownAnnotations is what happens to a pod with an annotation of ours that does
	// not exist: Warn, which is the default, or Deny.
	UnknownAnnotations Action `json:"unknownAnnotations,omitempty"`
	// Workloads is what happens to a Deployment, or another object with a pod template,
	// whose pods would be denied: Warn, which is the default, Deny, or Off, which also
	// leaves out all other warnings about the template.
	Workloads Action `json:"workloads,omitempty"`
}

// Action is what happens to an object that has something wrong.
type Action string

// UnmarshalJSON also takes what YAML 1.1 makes of an Off without quotes, which is
// false.
func (a *Action) UnmarshalJSON(text []byte) error {
	var value string
	switch err := json.Unmarshal(text, &value); {
	case err == nil:
		*a = Action(value)
	case string(text) == "false":
		*a = Off
	default:
		*a = Action(text) // which Validate refuses
	}
	return nil
}

// The values of [Spec.UnknownAnnotations] and [Spec.Workloads].
const (
	Warn Action = "Warn"
	Deny Action = "Deny"
	Off  Action = "Off"
)

// Lists are rules for what annotations ask for.
type Lists struct {
	// Audiences are those of tokens, see [Rules.Audience].
	Audiences Rule `json:"audiences,omitzero"`
	// LoginAddresses are those that the tokens of login containers may be sent
	// to: URLs, see [Rules.Address].
	LoginAddresses Rule `json:"loginAddresses,omitzero"`
	// LoginSecrets are the Secrets of the pod's namespace that annotations may name
	// for a login, see [Rules.Secret].
	LoginSecrets Rule `json:"loginSecrets,omitzero"`
	// Env are the variables that annotations may name, see [Rules.Env].
	Env Rule `json:"env,omitzero"`
	// MountPaths are the directories that annotations may name, and all that is
	// below them, see [Rules.MountPath].
	MountPaths Rule `json:"mountPaths,omitzero"`
}

// Rule lists patterns. What is denied stays denied; where anything is allowed,
// nothing else is.
type Rule struct {
	Allowed []string `json:"allowed,omitempty"`
	Denied  []string `json:"denied,omitempty"`
}

// NamespaceRule is a rule for the namespaces whose names match one of the
// patterns. Its lists add to those that hold for every namespace.
type NamespaceRule struct {
	Namespaces []string `json:"namespaces"`
	Lists
}

// Validate reports everything that is wrong with a policy.
func (s *Spec) Validate(path *field.Path) field.ErrorList {
	errs := s.validate(path)
	for i := range s.Namespaces {
		errs = append(errs, s.Namespaces[i].validate(path.Child("namespaces").Index(i))...)
	}
	for _, action := range []struct {
		name  string
		value Action
		known []Action
	}{
		{"unknownAnnotations", s.UnknownAnnotations, []Action{Warn, Deny}},
		{"workloads", s.Workloads, []Action{Warn, Deny, Off}},
	} {
		if action.value != "" && !slices.Contains(action.known, action.value) {
			errs = append(errs, field.NotSupported(path.Child(action.name), action.value, action.known))
		}
	}
	return append(errs, validatePatterns(s.APIServerAudiences, path.Child("apiServerAudiences"), isPlain, notPlain)...)
}

func (ns *NamespaceRule) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(ns.Namespaces) == 0 {
		errs = append(errs, field.Required(path.Child("namespaces"), "name at least one namespace or pattern"))
	}
	errs = append(errs, validatePatterns(ns.Namespaces, path.Child("namespaces"), namespacePattern.MatchString,
		"must be lower-case letters, digits and '-', with '*' and '?' as wildcards: it could match no namespace")...)
	if ns.empty() {
		errs = append(errs, field.Required(path.Child("audiences"),
			"a rule that allows and denies no audiences, loginAddresses, loginSecrets, env or mountPaths does nothing"))
	}
	return append(errs, ns.Lists.validate(path)...)
}

func (r Rule) empty() bool { return len(r.Allowed)+len(r.Denied) == 0 }

func (l *Lists) empty() bool {
	return l.Audiences.empty() && l.LoginAddresses.empty() && l.LoginSecrets.empty() && l.Env.empty() && l.MountPaths.empty()
}

func (l *Lists) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	errs = append(errs, l.Audiences.validate(path.Child("audiences"), isPlain, notPlain)...)
	errs = append(errs, l.LoginAddresses.validate(path.Child("loginAddresses"), couldBeAddress,
		"must be '*', or a URL with wildcards such as https://*.example.com:8200: it could match no address")...)
	errs = append(errs, l.LoginSecrets.validate(path.Child("loginSecrets"), secretPattern.MatchString,
		"must be lower-case letters, digits, '-' and '.', with '*' and '?' as wildcards: it could match no Secret")...)
	errs = append(errs, l.Env.validate(path.Child("env"), variablePattern.MatchString,
		"must be letters, digits, '_', '-' and '.', with '*' and '?' as wildcards: it could match no variable")...)
	return append(errs, l.MountPaths.validate(path.Child("mountPaths"), couldBeDirectory,
		"must be '*', or a clean absolute path such as /srv/tokens or D:\\tokens, "+
			"with '*' and '?' as wildcards: it could match no directory")...)
}

func (r Rule) validate(path *field.Path, valid func(string) bool, problem string) field.ErrorList {
	return append(validatePatterns(r.Allowed, path.Child("allowed"), valid, problem),
		validatePatterns(r.Denied, path.Child("denied"), valid, problem)...)
}

func validatePatterns(patterns []string, path *field.Path, valid func(string) bool, problem string) field.ErrorList {
	var errs field.ErrorList
	for i, p := range patterns {
		if !valid(p) {
			errs = append(errs, field.Invalid(path.Index(i), p, problem))
		}
	}
	return errs
}

// namespacePattern is what can match the name of a namespace, a DNS label
// (RFC 1123).
var namespacePattern = regexp.MustCompile(`^[-a-z0-9*?]+$`)

// secretPattern is what can match the name of a Secret, a DNS subdomain (RFC 1123).
var secretPattern = regexp.MustCompile(`^[-.a-z0-9*?]+$`)

const notPlain = "must not be empty, hold control characters, or begin or end with white space"

func isPlain(pattern string) bool {
	return pattern != "" && strings.TrimSpace(pattern) == pattern && !strings.ContainsFunc(pattern, unicode.IsControl)
}
