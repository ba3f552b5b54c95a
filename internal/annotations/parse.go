package annotations

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/provider"
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
	// maxKey is how long the part of an annotation's name behind the prefix may be
	// (apimachinery validation.IsQualifiedName). The API server looks only after its
	// webhooks, and nobody looks before a manifest is applied.
	maxKey = 63
	// maxNames bounds a list of container names, for the same reason as
	// MaxTokens: lists are compared with each other.
	maxNames = 100
	// maxFindings bounds the errors, and the warnings, of one pod: more than
	// anybody reads, and than an answer holds.
	maxFindings = 200
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
	// Providers are those that pods may ask for.
	Providers *provider.Set
	// MaxExpiration is the longest lifetime that a token may have.
	MaxExpiration time.Duration
	// DenyUnknown makes an error of an annotation of ours that does not exist, where
	// there is a warning otherwise.
	DenyUnknown bool
}

// Known reports whether a key, without prefix and suffix, is one that users may write.
func (p *Parser) Known(key string) bool {
	_, parameter := p.Providers.Key(key)
	return parameter || Known(key)
}

// Input is the part of a pod that decides what it asks for.
type Input struct {
	// Annotations are the pod's; those that are not ours are passed over.
	Annotations List
	// OS is the pod's operating system.
	OS OS
	// Pod is what providers may know of it.
	Pod provider.Pod
	// Bound are what the bindings give that select the pod.
	Bound []*Bound
}

// Parse reads the annotations. The errors are all that can be said of them,
// each with its annotation, the value and what is allowed; warnings are for
// what is doubtful, and are meant for the person at kubectl. Where there are
// errors, the Spec holds the tokens that could be understood.
func (p *Parser) Parse(in Input) (Spec, finding.Warnings, field.ErrorList) {
	ours, size := in.Annotations.owned(p.Prefix)
	if size > maxSize {
		return Spec{}, nil, field.ErrorList{finding.Error(finding.TooLarge, field.TooLong(annotationsPath, "", maxSize))}
	}
	if len(ours)+len(in.Bound) == 0 {
		return Spec{}, nil, nil
	}
	w := parsing{Parser: p, os: in.OS, pod: in.Pod, request: newRequest()}
	w.collect(ours)
	if w.request.of("").optsOut() {
		// Whatever else is there, right or wrong, is not asked for.
		return Spec{OptedOut: true}, nil, nil
	}
	w.applyProfiles()
	spec := Spec{Bindings: w.applyBindings(in.Bound)}
	if w.tooMany {
		w.fail(finding.TooLarge, field.Forbidden(annotationsPath,
			fmt.Sprintf("asks for more than %d tokens by %s.NAME: a pod may have at most %d", MaxTokens, w.Prefix.Key(Audience, ""),
				MaxTokens)))
	}
	w.build(&spec)
	w.errs = append(w.errs, conflicts(spec)...)
	if len(ours) > 0 {
		w.explainMissing()
	}
	sortErrors(w.errs)
	slices.SortFunc(w.warnings, func(a, b finding.Warning) int { return strings.Compare(a.Text, b.Text) })
	return spec, w.warnings, w.errs
}

// parsing is the work on one pod.
type parsing struct {
	*Parser
	os       OS
	pod      provider.Pod
	request  request
	warnings finding.Warnings
	errs     field.ErrorList
	// unknown counts annotations that do not exist.
	unknown int
	// tooMany is true where more tokens are asked for than a pod may have.
	tooMany bool
	// profileMissing is true where a profile was named that cannot be used.
	profileMissing bool
	// mistyped are annotations that do not exist, and those that were meant.
	mistyped []mistyped
}

// mistyped is an annotation that is close to another one.
type mistyped struct{ name, meant string }

func (w *parsing) fail(rule finding.Rule, err *field.Error) {
	if len(w.errs) < maxFindings {
		w.errs = append(w.errs, finding.Error(rule, err))
	}
}

// set adds a setting of a name, unless the pod asks for too many already. The
// default name always counts, as it may opt the whole pod out.
func (w *parsing) set(name string, s setting) {
	if name == "" || len(w.request.of(name)) > 0 || w.request.names() < MaxTokens {
		w.request = w.request.with(name, s)
	} else {
		w.tooMany = true
	}
	w.tooMany = w.tooMany || w.request.names() > MaxTokens
}

// collect sorts the pod's annotations into the request.
func (w *parsing) collect(ours List) {
	for _, a := range ours {
		key, token, suffixed, _ := w.Prefix.split(a.Name)
		if key == Status && !suffixed || key == ProviderFile && suffixed {
			continue // which we write
		}
		s, known := w.own(key, a)
		if !known {
			w.unknownKey(a.Name, key, token)
			continue
		}
		if suffixed {
			if err := s.checkSuffix(token); err != nil {
				w.fail(finding.InvalidSuffix, field.Invalid(s.path(), Shorten(token), err.Error()))
				continue
			}
			w.checkLength(s, token)
		}
		if key == Inject && !isBool(a.Value) {
			w.fail(finding.InvalidValue, field.Invalid(s.path(), Shorten(a.Value), `must be "true" or "false"`))
		}
		if !suffixed {
			token = s.name()
		}
		w.set(token, s)
	}
}

// checkLength reports a suffix with which the annotation's name is too long.
func (w *parsing) checkLength(s setting, suffix string) {
	if most := maxKey - len(s.key) - len("."); len(suffix) > most {
		w.fail(finding.InvalidSuffix, field.Invalid(s.path(), Shorten(suffix), fmt.Sprintf(
			"what follows the prefix may have at most %d characters: behind %s a suffix has at most %d", maxKey, s.key, most)))
	}
}

// own is the setting of a pod's own annotation; known is false where there is no such key.
func (w *parsing) own(key string, a Annotation) (s setting, known bool) {
	s = setting{key: key, value: a.Value, annotation: a.Name, own: true}
	if known = slices.Contains(inputKeys, key); !known {
		s.parameter, known = w.Providers.Key(key)
	}
	return s, known
}

// unknownKey reports an annotation of ours that does not exist.
func (w *parsing) unknownKey(name, key, token string) {
	w.unknown++
	if w.unknown > maxFindings {
		return // to look for what was meant takes time
	}
	detail := fmt.Sprintf("unknown annotation %s: %s", quote(name), w.meant(name, key, token))
	switch {
	case w.DenyUnknown:
		w.fail(finding.UnknownAnnotation, field.Forbidden(annotationsPath, detail))
	case len(w.warnings) < maxFindings:
		w.warnings = append(w.warnings, finding.Warning{
			Rule: finding.UnknownAnnotation, Field: annotationsPath.Key(Shorten(name)).String(), Text: detail,
		})
	}
}

// meant says what an annotation that does not exist could be instead.
func (w *parsing) meant(name, key, token string) string {
	if near := cmp.Or(nearest(key, inputKeys), nearest(key, w.Providers.Candidates(key))); near != "" {
		if checkTokenName(token) != nil {
			token = "" // not worth repeating, and of any length
		}
		other := w.Prefix.Key(near, token)
		w.mistyped = append(w.mistyped, mistyped{name, other})
		return fmt.Sprintf("did you mean %s?", other)
	}
	if strings.HasPrefix(key, LoginMethod) {
		return loginKeyList
	}
	keys := slices.Concat([]string{Profile, Inject}, tokenKeys, []string{LoginMethod, LoginMethod + "-*"})
	return "the keys are " + strings.Join(keys, ", ") + ", and those of providers"
}

// loginKeyList names the prefix of the many keys of a login once: the API
// server cuts warnings that are long.
var loginKeyList = "the keys of a login are " + LoginMethod + " and " + LoginMethod + "-… with " +
	strings.ReplaceAll(strings.Join(loginKeys[1:], ", "), LoginMethod+"-", "")

var (
	errDefaultSuffix = errors.New("the default token has no suffix: leave it out")
	errTokenName     = fmt.Errorf("the suffix names a token: lower-case letters, digits and '-', at most %d characters", maxTokenName)
)

// checkTokenName checks a suffix.
func checkTokenName(name string) error {
	switch {
	case name == defaultTokenName:
		return errDefaultSuffix
	case len(name) > maxTokenName || len(validation.IsDNS1123Label(name)) > 0:
		return errTokenName
	default:
		return nil
	}
}

// optsOut reports whether the inject annotation says false. For the default
// token that speaks for the whole pod.
func (s settings) optsOut() bool {
	inject := s.find(Inject)
	if inject == nil {
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
	var naming request
	for _, a := range w.request {
		if a.settings.has(Profile) && !a.settings.optsOut() {
			naming = append(naming, a)
		}
	}
	for _, a := range slices.Backward(naming) {
		named := *a.settings.find(Profile)
		if profile, ok := w.Profiles[named.value]; ok {
			w.applyProfile(a.name, named, profile)
			continue
		}
		w.profileMissing = true
		w.fail(finding.UnknownProfile, w.unknownProfile(named))
	}
}

func (w *parsing) applyProfile(token string, named setting, profile Preset) {
	if token != "" && profile.severalTokens() {
		w.profileMissing = true
		w.fail(finding.InvalidSuffix, severalTokens(named, w.Prefix.Key(Profile, "")))
		return
	}
	added := make([]string, 0, len(profile)) // set only then: the profile's own keys replace none of each other
	for full := range profile {
		if name, s := w.profileSetting(full, profile[full], token); !w.decided(name, s.key) {
			added = append(added, full)
		}
	}
	slices.Sort(added)
	for _, full := range added {
		name, s := w.profileSetting(full, profile[full], token)
		s.annotation = named.annotation
		w.set(name, s)
	}
}

// profileSetting takes a profile's key apart. One without a suffix is about the token
// that the profile was named for, or else about that of its provider.
func (p *Parser) profileSetting(full, value, token string) (name string, s setting) {
	key, name, suffixed := strings.Cut(full, ".")
	s = setting{key: key, value: value}
	s.parameter, _ = p.Providers.Key(key)
	switch {
	case suffixed:
	case token != "":
		name = token
	default:
		name = s.name()
	}
	return name, s
}

// severalTokens reports whether the preset speaks of a token by its name.
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
var rivals = func() map[string][]string {
	all := map[string][]string{}
	add := func(keys ...string) {
		for _, key := range keys {
			all[key] = slices.DeleteFunc(slices.Clone(keys), func(other string) bool { return other == key })
		}
	}
	add(Containers, SkipContainers)
	add(LoginCAConfigMap, LoginCASecret, LoginCABundle)
	for i := range loginspec.Methods {
		m := &loginspec.Methods[i]
		keys := make([]string, 0, len(m.Needs))
		for _, name := range m.Needs {
			keys = append(keys, m.Option(name).Key)
		}
		if len(keys) > 1 {
			add(keys...)
		}
	}
	return all
}()

// Rivals says for each key that stands for others which group of these it is of.
func Rivals() map[string]string {
	all := map[string]string{}
	for key, others := range rivals {
		all[key] = slices.Min(append([]string{key}, others...))
	}
	return all
}

// decided reports whether a key or its rival was set before the profile at hand,
// by the pod or by a profile that wins over it.
func (w *parsing) decided(name, key string) bool {
	s := w.request.of(name)
	return s.has(key) || slices.ContainsFunc(rivals[key], s.has)
}

func isScope(key string) bool { return key == Containers || key == SkipContainers }

func (p *Parser) unknownProfile(named setting) *field.Error {
	if len(p.Profiles) == 0 {
		return field.Invalid(named.path(), Shorten(named.value), "the injector's configuration has no profiles")
	}
	return field.NotSupported(named.path(), Shorten(named.value), slices.Sorted(maps.Keys(p.Profiles)))
}

// build fills in the tokens and logins that the request holds.
func (w *parsing) build(spec *Spec) {
	spec.Tokens = make([]Token, 0, w.request.names())
	logins := 0
	for i := range w.request {
		name, s := w.request[i].name, w.request[i].settings
		if len(s) == 0 || s.optsOut() {
			continue
		}
		b := builder{
			prefix: w.Prefix, settings: s, defaults: w.Defaults, os: w.os, max: w.MaxExpiration,
			incomplete: w.profileMissing, providers: w.Providers, pod: w.pod,
		}
		token := b.build(name)
		if token.Source != nil {
			spec.Tokens = append(spec.Tokens, token)
		} else {
			w.missingAudience(name, s)
		}
		if s.has(LoginMethod) {
			logins++
			if logins <= MaxLogins {
				spec.Logins = append(spec.Logins, b.login(name, token.Scope))
			}
		} else {
			w.missingLogin(name, s)
		}
		for _, err := range b.errs {
			w.fail(finding.Of(err), err)
		}
		w.warnings = append(w.warnings, b.warnings...)
	}
	if logins > MaxLogins {
		w.fail(finding.TooLarge, field.Forbidden(annotationsPath,
			fmt.Sprintf("asks for %d logins by %s.NAME: a pod may have at most %d", logins, w.Prefix.Key(LoginMethod, ""), MaxLogins)))
	}
	for i := range spec.Logins {
		w.findToken(&spec.Logins[i], spec.Tokens)
	}
	spec.shorten()
}

// findToken sets the token of a login, or reports that there is none.
func (w *parsing) findToken(l *Login, tokens []Token) {
	err := l.findToken(tokens, w.Prefix)
	if err == nil || w.profileMissing {
		return
	}
	said := func(other *field.Error) bool { return other.Field == err.Field }
	if !slices.ContainsFunc(w.errs, said) { // by missingAudience, or of the value itself
		w.fail(finding.Of(err), err)
	}
}

// missingAudience speaks of a token that is described but not asked for. The
// containers may be those of a login that uses another token.
func (w *parsing) missingAudience(name string, s settings) {
	keys := s.among(tokenKeys)
	if s.has(LoginMethod) {
		keys = slices.DeleteFunc(keys, isScope)
	}
	audience := w.Prefix.Key(Audience, name)
	switch inject := s.find(Inject); {
	case w.profileMissing:
		// Said already; the profile might have had the audience.
	case len(keys) > 0:
		w.fail(finding.MissingAnnotation, field.Required(annotationsPath.Key(audience),
			fmt.Sprintf("the token is described (%s) but has no audience%s", strings.Join(keys, ", "), w.ofProvider(name, keys[0]))))
	case inject != nil && len(s) == 1 && (name != "" || w.request.names() == 1):
		w.warnings = append(w.warnings, finding.Warning{
			Rule: finding.NothingAsked, Field: inject.path().String(),
			Text: fmt.Sprintf("%s asks for nothing by itself: set %s or %s", inject.path(), audience, w.Prefix.Key(Profile, name)),
		})
	}
}

// ofProvider says how to write a key that stands without a suffix beside a provider.
func (w *parsing) ofProvider(name, key string) string {
	for i := range w.request {
		if s := w.request[i].settings.provided(); name == "" && s != nil {
			return fmt.Sprintf("; for the token of a provider write %s", w.Prefix.Key(key, w.request[i].name))
		}
	}
	return ""
}

// missingLogin speaks of a login that is described but not asked for.
func (w *parsing) missingLogin(name string, s settings) {
	if keys := s.among(loginKeys); len(keys) > 0 && !w.profileMissing {
		w.fail(finding.MissingAnnotation, field.Required(annotationsPath.Key(w.Prefix.Key(LoginMethod, name)),
			fmt.Sprintf("the login is described (%s) but has no method: %s", strings.Join(keys, ", "),
				strings.Join(loginspec.MethodNames(), ", "))))
	}
}

// explainMissing says of what is missing whether it is there under another name, and
// whether it could be there at all. The warning about that name may reach nobody, where the
// error reaches somebody.
func (w *parsing) explainMissing() {
	for _, err := range w.errs {
		name, ok := strings.CutPrefix(err.Field, annotationsPath.String()+"["+w.Prefix.Key("", ""))
		if ok && err.Type == field.ErrorTypeRequired && len(name) > maxKey+len("]") {
			err.Detail += fmt.Sprintf("; this name is too long with that suffix: what follows the prefix may have at most %d characters",
				maxKey)
		}
	}
	for _, m := range w.mistyped {
		path := annotationsPath.Key(m.meant).String()
		for _, err := range w.errs {
			if err.Type == field.ErrorTypeRequired && err.Field == path {
				err.Detail += fmt.Sprintf("; did you mean it by %s?", quote(m.name))
			}
		}
	}
}

// sortErrors puts errors into the order of their annotations, so that the same
// pod always gets the same text.
func sortErrors(errs field.ErrorList) {
	slices.SortStableFunc(errs, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })
}
