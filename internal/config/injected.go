package config

import (
	"regexp"

	"k8s.io/apimachinery/pkg/util/validation/field"
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

func (c *InjectorConfig) injectedContainers() []string {
	if c.InjectedContainers == nil {
		return injectedContainers
	}
	return *c.InjectedContainers
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
