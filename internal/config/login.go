package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// LoginSpec is what the configuration file says of the login container. No
// annotation can change any of it.
type LoginSpec struct {
	// Image is the image of the login program. Without it no pod can log in.
	Image string `json:"image,omitempty"`
	// ImagePullPolicy is Always, IfNotPresent or Never; empty leaves it to the
	// API server.
	ImagePullPolicy string `json:"imagePullPolicy,omitempty"`
	// Resources are the container's. Each of its two maps replaces the default:
	// requests of 5m CPU and 16Mi memory, a limit of 32Mi memory.
	Resources ResourcesSpec `json:"resources,omitzero"`
	// CABundle holds certificate authorities, in PEM, for relying parties whose
	// login names no ConfigMap and no Secret.
	CABundle string `json:"caBundle,omitempty"`
	// Env are further variables of the container, such as HTTPS_PROXY or
	// OIDC_LOGIN_LOG_FORMAT.
	Env map[string]string `json:"env,omitempty"`
}

// ResourcesSpec maps names of resources to quantities.
type ResourcesSpec struct {
	Requests map[string]string `json:"requests,omitempty"`
	Limits   map[string]string `json:"limits,omitempty"`
}

// The resources of a login container where the configuration says nothing. It
// takes less (docs/design/measurements.md); the limit leaves room for large bundles of
// certificate authorities.
var (
	defaultRequests = map[string]string{"cpu": "5m", "memory": "16Mi"}
	defaultLimits   = map[string]string{"memory": "32Mi"}
)

// maxCABundle bounds the bundle, in bytes, as each login container has it in
// its pod's manifest.
const maxCABundle = 64 << 10

// resourceNames are what a container without devices can ask for.
var resourceNames = []string{"cpu", "memory", "ephemeral-storage"}

// LoginContainer is what login containers are made of, whatever pod they are in. The
// zero value lets no pod log in. It has the fields of what package mutate takes, so
// that the one converts to the other.
type LoginContainer struct {
	Image           string
	ImagePullPolicy corev1.PullPolicy
	Resources       corev1.ResourceRequirements
	CABundle        string
	Env             []corev1.EnvVar
}

// compile returns the container's settings; the file has been validated.
func (s *LoginSpec) compile() LoginContainer {
	resources, _ := s.Resources.parse(nil)
	c := LoginContainer{
		Image: s.Image, ImagePullPolicy: corev1.PullPolicy(s.ImagePullPolicy), Resources: resources, CABundle: s.CABundle,
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: s.Env[name]})
	}
	return c
}

func (s *LoginSpec) validate(path *field.Path) field.ErrorList {
	_, errs := s.Resources.parse(path.Child("resources"))
	if strings.ContainsFunc(s.Image, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		errs = append(errs, field.Invalid(path.Child("image"), s.Image,
			"must be the reference of an image, without white space and control characters"))
	}
	policies := []corev1.PullPolicy{"", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever}
	if !slices.Contains(policies, corev1.PullPolicy(s.ImagePullPolicy)) {
		errs = append(errs, field.NotSupported(path.Child("imagePullPolicy"), s.ImagePullPolicy, policies[1:]))
	}
	if err := checkCABundle(s.CABundle); err != nil {
		errs = append(errs, field.Invalid(path.Child("caBundle"), "…", err.Error()))
	}
	return append(errs, s.validateEnv(path.Child("env"))...)
}

func (s *LoginSpec) validateEnv(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		for _, problem := range validation.IsEnvVarName(name) {
			errs = append(errs, field.Invalid(path.Key(name), name, problem))
		}
		if loginspec.WrittenByWebhook(name) {
			errs = append(errs, field.Forbidden(path.Key(name), "the webhook sets this variable itself, by the pod's annotations"))
		}
	}
	return errs
}

// checkCABundle checks a bundle, which may be empty.
func checkCABundle(bundle string) error {
	if bundle == "" {
		return nil
	}
	if len(bundle) > maxCABundle {
		return fmt.Errorf("must be at most %d bytes", maxCABundle)
	}
	return loginspec.Certificates(bundle)
}

// parse returns the resources and what is wrong with them.
func (s *ResourcesSpec) parse(path *field.Path) (corev1.ResourceRequirements, field.ErrorList) {
	requests, limits := s.Requests, s.Limits
	if requests == nil {
		requests = defaultRequests
	}
	if limits == nil {
		limits = defaultLimits
	}
	parsed, errs := parseResources(requests, path.Child("requests"))
	parsedLimits, wrong := parseResources(limits, path.Child("limits"))
	errs = append(errs, wrong...)
	for _, name := range slices.Sorted(maps.Keys(parsedLimits)) {
		limit := parsedLimits[name]
		if request, ok := parsed[name]; ok && request.Cmp(limit) > 0 {
			errs = append(errs, field.Invalid(path.Child("limits").Key(string(name)), limit.String(),
				fmt.Sprintf("must not be less than the request, which is %s", request.String())))
		}
	}
	return corev1.ResourceRequirements{Requests: parsed, Limits: parsedLimits}, errs
}

func parseResources(texts map[string]string, path *field.Path) (corev1.ResourceList, field.ErrorList) {
	var errs field.ErrorList
	list := make(corev1.ResourceList, len(texts))
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if !slices.Contains(resourceNames, name) {
			errs = append(errs, field.NotSupported(path.Key(name), name, resourceNames))
			continue
		}
		quantity, err := resource.ParseQuantity(texts[name])
		if err != nil || quantity.Sign() < 0 {
			errs = append(errs, field.Invalid(path.Key(name), texts[name], "must be a quantity, such as 5m of CPU or 16Mi of memory"))
			continue
		}
		list[corev1.ResourceName(name)] = quantity
	}
	return list, errs
}
