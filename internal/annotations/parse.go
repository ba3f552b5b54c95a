package annotations

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	// MinExpiration is the shortest lifetime that the API server grants
	// (TokenRequest, Kubernetes API reference: expirationSeconds).
	MinExpiration = 10 * time.Minute
	// MaxTokens bounds the tokens of one pod, so that a hostile pod cannot
	// make the checks between tokens expensive.
	MaxTokens = 32
	// MaxLogins bounds the logins of one pod, each of which is a container: also
	// because each may bring a bundle of certificate authorities with it, and the
	// API server stores no pod of more than 1.5 MB.
	MaxLogins = 8

	// maxSize bounds our annotations, in bytes: the API server takes no more of
	// all of a pod's, but looks only after its webhooks
	// (apimachinery TotalAnnotationSizeLimitB).
	maxSize = 256 << 10
	// defaultTokenName is what messages call the token without a suffix.
	defaultTokenName = "default"
	// maxTokenName keeps volume, file and container names within their limits.
	maxTokenName = 40
	// maxNames bounds a list of container names, for the same reason as
	// MaxTokens: lists are compared with each other.
	maxNames = 100
)

// The built-in defaults, for keys that neither the pod, nor its profile, nor
// the configuration sets.
const (
	DefaultExpiration    = time.Hour
	DefaultMaxExpiration = 24 * time.Hour
	DefaultMountPath     = "/var/run/secrets/tokens"
	DefaultTokenFile     = "oidc-token"
)

// Preset is a set of annotations without their prefix, such as
// {"audience": "vault", "expiration.aws": "2h"}: what a profile supplies.
type Preset map[string]string

// Parser turns annotations into a Spec. It is immutable, so that it may be
// used from many goroutines.
type Parser struct {
	// Prefix is the prefix of the annotations.
	Prefix Prefix
	// Defaults supplies keys that neither the pod nor its profile sets. The
	// configuration lets it hold only keys that make sense for every token.
	Defaults Preset
	// Profiles are the presets that the profile annotation may name.
	Profiles map[string]Preset
	// MaxExpiration is the longest lifetime that a token may have.
	MaxExpiration time.Duration
}

// Input is the part of a pod that decides what it asks for.
type Input struct {
	// Annotations are the pod's; those that are not ours are passed over.
	Annotations map[string]string
	// OS is the pod's operating system.
	OS OS
}

// Parse reads the annotations. The errors are all that can be said of them,
// each with its annotation, the value and what is allowed; warnings are for
// what is doubtful, and are meant for the person at kubectl. Where there are
// errors, the Spec holds the tokens that could be understood.
func (p *Parser) Parse(in Input) (Spec, []string, field.ErrorList) {
	w := parsing{Parser: p, os: in.OS, request: make(request, 1)}
	if size := p.size(in.Annotations); size > maxSize {
		return Spec{}, nil, field.ErrorList{field.TooLong(annotationsPath, "", maxSize)}
	}
	w.collect(in.Annotations)
	if w.optsOut("") {
		// Whatever else is there, right or wrong, is not asked for.
		return Spec{OptedOut: true}, nil, nil
	}
	w.limitTokens()
	w.applyProfiles()
	w.limitTokens()
	var spec Spec
	w.build(&spec)
	w.errs = append(w.errs, conflicts(spec, in.OS)...)
	sortErrors(w.errs)
	slices.Sort(w.warnings)
	return spec, w.warnings, w.errs
}

// size is how many bytes the annotations take that are ours.
func (p *Parser) size(annotations map[string]string) int {
	sum := 0
	for name, value := range annotations {
		if p.Prefix.Owns(name) {
			sum += len(name) + len(value)
		}
	}
	return sum
}

// setting is one value and where it came from.
type setting struct {
	value string
	// annotation is the full name of the annotation that supplied the value,
	// itself or by the profile that it names, and path is where it stands.
	annotation string
	path       *field.Path
	// own is true where the pod wrote it, rather than a profile or the defaults.
	own bool
}

// settings are the values of one token and its login, by key.
type settings map[string]setting

// annotation names the annotation that the value of a key came from, or, for a
// default, the one that asked for the whole.
func (s settings) annotation(key, asked string) string { return s.or(key, asked).annotation }

// path is where that annotation stands.
func (s settings) path(key, asked string) *field.Path { return s.or(key, asked).path }

func (s settings) or(key, other string) setting {
	if own, ok := s[key]; ok {
		return own
	}
	return s[other]
}

// among returns those of the keys that are set, in their order.
func (s settings) among(keys []string) []string {
	var set []string
	for _, key := range keys {
		if _, ok := s[key]; ok {
			set = append(set, key)
		}
	}
	return set
}

// request is all that a pod asks for, by token name.
type request map[string]settings

func (r request) set(token, key string, s setting) {
	if r[token] == nil {
		r[token] = make(settings, 2)
	}
	r[token][key] = s
}

// parsing is the work on one pod.
type parsing struct {
	*Parser
	os       OS
	request  request
	warnings []string
	errs     field.ErrorList
	// profileMissing is true where a profile was named that cannot be used.
	profileMissing bool
}

var annotationsPath = field.NewPath("metadata", "annotations")

// collect sorts the pod's annotations into the request.
func (w *parsing) collect(annotations map[string]string) {
	for name, value := range annotations {
		key, token, suffixed, ours := w.Prefix.split(name)
		if !ours || key == Status && !suffixed {
			continue
		}
		if !slices.Contains(inputKeys, key) {
			w.warnings = append(w.warnings, w.unknownKey(name, key, token))
			continue
		}
		path := annotationsPath.Key(name)
		if suffixed {
			if problem := tokenNameProblem(token); problem != "" {
				w.errs = append(w.errs, field.Invalid(path, token, problem))
				continue
			}
		}
		if key == Inject && !isBool(value) {
			w.errs = append(w.errs, field.Invalid(path, shorten(value), `must be "true" or "false"`))
		}
		w.request.set(token, key, setting{value: value, annotation: name, path: path, own: true})
	}
}

// unknownKey is the warning for an annotation of ours that does not exist.
func (w *parsing) unknownKey(name, key, token string) string {
	if near := nearest(key, inputKeys); near != "" {
		if tokenNameProblem(token) != "" {
			token = "" // not worth repeating, and of any length
		}
		return fmt.Sprintf("unknown annotation %s: did you mean %s?", quote(name), w.Prefix.Key(near, token))
	}
	known := slices.Concat([]string{Profile, Inject}, tokenKeys, []string{LoginMethod, LoginMethod + "-*"})
	if strings.HasPrefix(key, LoginMethod) {
		known = loginKeys
	}
	return fmt.Sprintf("unknown annotation %s: the keys are %s", quote(name), strings.Join(known, ", "))
}

// tokenNameProblem says what is wrong with a suffix; empty when nothing is.
func tokenNameProblem(name string) string {
	switch {
	case name == defaultTokenName:
		return "the default token has no suffix: leave it out"
	case len(name) > maxTokenName || len(validation.IsDNS1123Label(name)) > 0:
		return fmt.Sprintf("the suffix names a token: lower-case letters, digits and '-', at most %d characters", maxTokenName)
	default:
		return ""
	}
}

// optsOut tells whether the token's inject annotation says false. For the
// default token that speaks for the whole pod.
func (w *parsing) optsOut(token string) bool {
	inject, ok := w.request[token][Inject]
	if !ok {
		return false
	}
	yes, err := strconv.ParseBool(inject.value)
	return err == nil && !yes
}

func isBool(value string) bool {
	_, err := strconv.ParseBool(value)
	return err == nil
}

// applyProfiles adds the keys of the named profiles; the pod's own keys win,
// and a profile named for one token wins over the one named for the pod.
func (w *parsing) applyProfiles() {
	for _, token := range slices.Backward(slices.Sorted(maps.Keys(w.request))) {
		named, ok := w.request[token][Profile]
		if !ok || w.optsOut(token) {
			continue
		}
		if profile, ok := w.Profiles[named.value]; ok {
			w.applyProfile(token, named, profile)
			continue
		}
		w.profileMissing = true
		w.errs = append(w.errs, w.unknownProfile(named))
	}
}

func (w *parsing) applyProfile(token string, named setting, profile Preset) {
	if token != "" && profile.severalTokens() {
		w.profileMissing = true
		w.errs = append(w.errs, field.Invalid(named.path, named.value,
			"this profile describes several tokens, so it goes without a suffix: "+w.Prefix.Key(Profile, "")))
		return
	}
	added := make([]string, 0, len(profile)) // set only then: the profile's own keys replace none of each other
	for full := range profile {
		if name, key := profileKey(full, token); !w.decided(name, key) {
			added = append(added, full)
		}
	}
	for _, full := range added {
		name, key := profileKey(full, token)
		w.request.set(name, key, setting{value: profile[full], annotation: named.annotation, path: named.path})
	}
}

// profileKey takes a profile's key apart. One without a suffix is about the token
// that the profile was named for.
func profileKey(full, token string) (name, key string) {
	key, name, suffixed := strings.Cut(full, ".")
	if !suffixed {
		name = token
	}
	return name, key
}

// severalTokens tells whether the preset speaks of a token by its name.
func (p Preset) severalTokens() bool {
	for key := range p {
		if strings.Contains(key, ".") {
			return true
		}
	}
	return false
}

// rivals are keys that stand for each other, so that the one that a pod writes
// replaces the one of its profile: side by side they would contradict each other.
var rivals = map[string]string{
	Containers: SkipContainers, SkipContainers: Containers,
	LoginCAConfigMap: LoginCASecret, LoginCASecret: LoginCAConfigMap,
	LoginAddress: LoginIssuer, LoginIssuer: LoginAddress,
}

// decided tells whether a key or its rival was set before the profile at hand,
// by the pod or by a profile that wins over it.
func (w *parsing) decided(name, key string) bool {
	_, same := w.request[name][key]
	_, rival := w.request[name][rivals[key]]
	return same || rival
}

func isScope(key string) bool { return key == Containers || key == SkipContainers }

func (w *parsing) unknownProfile(named setting) *field.Error {
	if len(w.Profiles) == 0 {
		return field.Invalid(named.path, shorten(named.value), "the injector's configuration has no profiles")
	}
	return field.NotSupported(named.path, shorten(named.value), slices.Sorted(maps.Keys(w.Profiles)))
}

// limitTokens reports a request for too many tokens, and leaves out the last.
func (w *parsing) limitTokens() {
	if len(w.request) <= MaxTokens {
		return
	}
	w.errs = append(w.errs, field.Forbidden(annotationsPath,
		fmt.Sprintf("asks for %d tokens by %s.NAME: a pod may have at most %d", len(w.request), w.Prefix.Key(Audience, ""), MaxTokens)))
	for _, name := range slices.Sorted(maps.Keys(w.request))[MaxTokens:] {
		delete(w.request, name)
	}
}

// build fills in the tokens and logins that the request holds.
func (w *parsing) build(spec *Spec) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(w.request)), w.optsOut)
	spec.Tokens = make([]Token, 0, len(names))
	logins := 0
	for _, name := range names {
		b := builder{
			prefix: w.Prefix, settings: w.request[name], defaults: w.Defaults, os: w.os, max: w.MaxExpiration,
			incomplete: w.profileMissing,
		}
		token := b.build(name)
		if token.Source != nil {
			spec.Tokens = append(spec.Tokens, token)
		} else {
			w.missingAudience(name)
		}
		if _, asked := b.settings[LoginMethod]; asked {
			logins++
			if logins <= MaxLogins {
				spec.Logins = append(spec.Logins, b.login(name, token.Scope))
			}
		} else {
			w.missingLogin(name)
		}
		w.errs = append(w.errs, b.errs...)
	}
	if logins > MaxLogins {
		w.errs = append(w.errs, field.Forbidden(annotationsPath,
			fmt.Sprintf("asks for %d logins by %s.NAME: a pod may have at most %d", logins, w.Prefix.Key(LoginMethod, ""), MaxLogins)))
	}
	for i := range spec.Logins {
		w.findToken(&spec.Logins[i], spec.Tokens)
	}
}

// findToken sets the token of a login, or reports that there is none.
func (w *parsing) findToken(l *Login, tokens []Token) {
	err := l.findToken(tokens, w.Prefix)
	if err == nil || w.profileMissing {
		return
	}
	said := func(other *field.Error) bool { return other.Field == err.Field }
	if !slices.ContainsFunc(w.errs, said) { // by missingAudience, or of the value itself
		w.errs = append(w.errs, err)
	}
}

// missingAudience speaks of a token that is described but not asked for. The
// containers may be those of a login that uses another token.
func (w *parsing) missingAudience(name string) {
	s := w.request[name]
	keys := s.among(tokenKeys)
	if _, login := s[LoginMethod]; login {
		keys = slices.DeleteFunc(keys, isScope)
	}
	audience := w.Prefix.Key(Audience, name)
	switch inject, only := s[Inject]; {
	case w.profileMissing:
		// Said already; the profile might have had the audience.
	case len(keys) > 0:
		w.errs = append(w.errs, field.Required(annotationsPath.Key(audience),
			fmt.Sprintf("the token is described (%s) but has no audience", strings.Join(keys, ", "))))
	case only && len(s) == 1 && (name != "" || len(w.request) == 1):
		w.warnings = append(w.warnings, fmt.Sprintf("%s asks for nothing by itself: set %s or %s",
			inject.path, audience, w.Prefix.Key(Profile, name)))
	}
}

// missingLogin speaks of a login that is described but not asked for.
func (w *parsing) missingLogin(name string) {
	if keys := w.request[name].among(loginKeys); len(keys) > 0 && !w.profileMissing {
		w.errs = append(w.errs, field.Required(annotationsPath.Key(w.Prefix.Key(LoginMethod, name)),
			fmt.Sprintf("the login is described (%s) but has no method: %s", strings.Join(keys, ", "), strings.Join(methods, ", "))))
	}
}

// sortErrors puts errors into the order of their annotations, so that the same
// pod always gets the same text.
func sortErrors(errs field.ErrorList) {
	slices.SortStableFunc(errs, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })
}
