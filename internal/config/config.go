// Package config reads the injector's configuration file: the defaults, the
// named profiles, the login container and the policy of a cluster.
//
// A file is decoded strictly and checked as a whole, and every problem is
// reported with its path. What comes out is a [Config], ready for use and
// immutable; [Store] holds the current one and follows the file.
package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/nameset"
	"github.com/oidc-injector/oidc-injector/internal/podtemplate"
	"github.com/oidc-injector/oidc-injector/internal/policy"
	"github.com/oidc-injector/oidc-injector/internal/provider"
)

// The type of the configuration file.
const (
	APIVersion = "config.oidc-injector.io/v1alpha1"
	Kind       = "InjectorConfig"
)

// Annotation is the one of a MutatingAdmissionPolicyBinding that has the configuration of its
// policies: no program that runs has it. The policy itself is so large that what kubectl apply
// notes of it would leave little room: all annotations of an object have 256 KiB.
const Annotation = "oidc-injector.io/config"

// InjectorConfig is the configuration file.
type InjectorConfig struct {
	metav1.TypeMeta `json:",inline"`

	// Defaults are annotations without their prefix that hold for every token and
	// every login whose pod and profile do not say otherwise.
	Defaults annotations.Preset `json:"defaults,omitempty"`
	// MaxExpiration is the longest lifetime of a token, as a Go duration; 24h
	// where it is empty. The API server may shorten it further
	// (--service-account-max-token-expiration).
	MaxExpiration string `json:"maxExpiration,omitempty"`
	// Profiles are named sets of annotations without their prefix, which a pod
	// takes over with the one annotation `profile`.
	Profiles map[string]annotations.Preset `json:"profiles,omitempty"`
	// Bindings give pods what these profiles and annotations say, by namespace and
	// ServiceAccount, without an annotation of the pods.
	Bindings []Binding `json:"bindings,omitempty"`
	// Providers are added to the built-in ones, or stand in their place.
	Providers map[string]provider.Spec `json:"providers,omitempty"`
	// InjectedContainers are the names of containers that other injectors add to
	// pods, or patterns of them ('*', '?'), which replace the built-in list. What
	// annotations say of all containers is not said of these.
	InjectedContainers *[]string `json:"injectedContainers,omitempty"`
	// SetTokenUser has volumes name the user that reads a token, where all containers
	// that mount it run as one user, so that nobody else can
	// (core/v1 ServiceAccountTokenProjection.user, KEP-5936). It needs the feature gate
	// AtomicWriteVolumeUserFields, alpha in Kubernetes 1.37, of API servers and kubelets.
	SetTokenUser bool `json:"setTokenUser,omitempty"`
	// Login is the container that logs in.
	Login LoginSpec `json:"login,omitzero"`
	// PodTemplates says where objects keep the template of their pods, beside those
	// of Kubernetes itself, so that they are checked when they are applied.
	PodTemplates podtemplate.Locations `json:"podTemplates,omitempty"`
	// Policy says what pods may ask for.
	Policy policy.Spec `json:"policy,omitzero"`
}

// Config is a checked configuration.
type Config struct {
	// File is what it was made of, for those who say the same in another language.
	File *InjectorConfig
	// Parser reads annotations by the configuration's defaults and profiles.
	Parser annotations.Parser
	// Bindings are what pods get without asking for it.
	Bindings Bindings
	// InjectedContainers are the containers that other injectors add.
	InjectedContainers nameset.Set
	// SetTokenUser has volumes name the user that reads a token.
	SetTokenUser bool
	// Login is what login containers are made of.
	Login LoginContainer
	// PodTemplates says where objects keep the template of their pods.
	PodTemplates podtemplate.Locations
	// Workloads is what is done about those whose pods would be denied:
	// [policy.Warn], [policy.Deny] or [policy.Off].
	Workloads policy.Action
	// Policy decides what pods may ask for.
	Policy policy.Policy
}

// Environment is what a configuration is completed with: facts that come from
// the command line and from where the program runs.
type Environment struct {
	// Prefix is the prefix of the annotations.
	Prefix annotations.Prefix
	// APIServerAudiences are audiences of the API server that are known beside
	// the configured ones.
	APIServerAudiences []string
}

// Default returns the built-in configuration, which serves without a file.
func Default(env Environment) *Config {
	file := &InjectorConfig{}
	return compile(file, file.parser(annotations.DefaultMaxExpiration, provider.BuiltIn(), env), Bindings{}, env)
}

// Parse reads a configuration file. The error names everything that is wrong; it is an
// [*InvalidError] unless the file is no YAML mapping at all.
func Parse(data []byte, env Environment) (*Config, error) {
	file, undecodable, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("could not decode the configuration: %w", err)
	}
	maxExpiration, providers, errs := file.validate()
	parser := file.parser(maxExpiration, providers, env)
	var bindings Bindings
	if len(errs) == 0 { // of which the bindings would have more
		bindings, errs = file.compileBindings(&parser)
	}
	if len(undecodable)+len(errs) > 0 {
		return nil, newInvalidError(undecodable, errs)
	}
	return compile(file, parser, bindings, env), nil
}

func (c *InjectorConfig) parser(maxExpiration time.Duration, providers *provider.Set, env Environment) annotations.Parser {
	return annotations.Parser{
		Prefix:        env.Prefix,
		Defaults:      c.Defaults,
		Profiles:      c.Profiles,
		Providers:     providers,
		MaxExpiration: maxExpiration,
		DenyUnknown:   c.Policy.UnknownAnnotations == policy.Deny,
	}
}

func compile(file *InjectorConfig, parser annotations.Parser, bindings Bindings, env Environment) *Config {
	return &Config{
		File:               file,
		Parser:             parser,
		Bindings:           bindings,
		InjectedContainers: nameset.New(file.Injected(env.Prefix)),
		SetTokenUser:       file.SetTokenUser,
		Login:              file.Login.compile(),
		PodTemplates:       slices.Concat(podtemplate.BuiltIn, file.PodTemplates),
		Workloads:          cmp.Or(file.Policy.Workloads, policy.Warn),
		Policy:             policy.New(file.Policy, env.APIServerAudiences),
	}
}

// maxTokenExpiration is the longest lifetime that the API accepts at all
// (core/v1 ServiceAccountTokenProjection.expirationSeconds: 2^32 seconds).
const maxTokenExpiration = (1 << 32) * time.Second

func (c *InjectorConfig) validate() (time.Duration, *provider.Set, field.ErrorList) {
	var errs field.ErrorList
	if c.APIVersion != APIVersion {
		errs = append(errs, field.NotSupported(field.NewPath("apiVersion"), c.APIVersion, []string{APIVersion}))
	}
	if c.Kind != Kind {
		errs = append(errs, field.NotSupported(field.NewPath("kind"), c.Kind, []string{Kind}))
	}
	maxExpiration, err := c.maxExpiration()
	if err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, annotations.ValidateDefaults(c.Defaults, maxExpiration, field.NewPath("defaults"))...)
	providers, more := provider.NewSet(c.Providers, annotations.Known, field.NewPath("providers"))
	errs = append(errs, more...)
	errs = append(errs, c.validateProfiles(providers, maxExpiration)...)
	errs = append(errs, c.validateInjectedContainers(field.NewPath("injectedContainers"))...)
	errs = append(errs, c.Login.validate(field.NewPath("login"))...)
	errs = append(errs, c.PodTemplates.Validate(field.NewPath("podTemplates"))...)
	return maxExpiration, providers, append(errs, c.Policy.Validate(field.NewPath("policy"))...)
}

func (c *InjectorConfig) maxExpiration() (time.Duration, *field.Error) {
	if c.MaxExpiration == "" {
		return annotations.DefaultMaxExpiration, nil
	}
	d, err := time.ParseDuration(c.MaxExpiration)
	if err != nil || d < annotations.MinExpiration || d > maxTokenExpiration || d%time.Second != 0 {
		// The rest is checked as if the default stood here.
		return annotations.DefaultMaxExpiration, field.Invalid(field.NewPath("maxExpiration"), c.MaxExpiration,
			fmt.Sprintf("must be a Go duration of whole seconds from %s to %s, such as 24h", annotations.MinExpiration, maxTokenExpiration))
	}
	return d, nil
}

func (c *InjectorConfig) validateProfiles(providers *provider.Set, maxExpiration time.Duration) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(c.Profiles)) {
		path := field.NewPath("profiles").Key(name)
		for _, problem := range validation.IsDNS1123Subdomain(name) {
			errs = append(errs, field.Invalid(path, name, problem))
		}
		errs = append(errs, annotations.ValidateProfile(c.Profiles[name], providers, maxExpiration, path)...)
	}
	return errs
}
