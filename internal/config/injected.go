package config

import (
	"regexp"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// injectedContainers are the containers that well-known injectors add, by the names
// in their own manifests. They bring their own credentials, or need none, and
// some of them mount a token of their own where ours would be.
var injectedContainers = []string{
	"istio-proxy", "istio-init", "istio-validation", "enable-core-dump",
	"linkerd-proxy", "linkerd-init", "linkerd-network-validator", "linkerd-debug",
	"consul-dataplane", "consul-connect-inject-init", "consul-connect-envoy-sidecar",
	"kuma-sidecar", "kuma-init", "kuma-validation",
	"osm-init", "daprd",
	"vault-agent", "vault-agent-init", "copy-vault-env",
	"azwi-proxy", "azwi-proxy-init",
	"gke-gcsfuse-sidecar", "gke-gcsfuse-metadata-prefetch",
	"opentelemetry-auto-instrumentation*", "otc-container",
	"datadog-agent-injected", "datadog-lib-*-init", "datadog-init-apm-inject",
}

// Injected are the patterns of containers that others inject: the configured ones, or else
// the built-in ones, and in any case the login containers of releases with other prefixes
// (annotations.Prefix.Names).
func (c *InjectorConfig) Injected(prefix annotations.Prefix) []string {
	all := injectedContainers
	if c.InjectedContainers != nil {
		all = *c.InjectedContainers
	}
	all = append(slices.Clone(all), "*-"+loginspec.Container, "*-"+loginspec.Container+"-*")
	if prefix != annotations.DefaultPrefix {
		all = append(all, loginspec.Container, loginspec.Container+"-*")
	}
	return all
}

// containerPattern is a container's name (a DNS label) with wildcards.
var containerPattern = regexp.MustCompile(`^[-a-z0-9*?]{1,63}$`)

func (c *InjectorConfig) validateInjectedContainers(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.InjectedContainers == nil {
		return nil
	}
	for i, pattern := range *c.InjectedContainers {
		if !containerPattern.MatchString(pattern) {
			errs = append(errs, field.Invalid(path.Index(i), pattern,
				"must be the name of a container, with '*' and '?' as wildcards: it could match no container"))
		}
	}
	return errs
}
