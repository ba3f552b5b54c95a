package policymode

import (
	"flag"
	"maps"
	"slices"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/podtemplate"
	"github.com/oidc-injector/oidc-injector/internal/policy"
	"github.com/oidc-injector/oidc-injector/internal/provider"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

var update = flag.Bool("update", false, "rewrite what the chart has of this package")

// What the chart puts values in the place of.
const (
	anyPrefix   = annotations.Prefix("ANNOTATION-PREFIX")
	anyTemplate = "POD-TEMPLATE"
)

// TestTextOfTheChart: the chart has the policies of this package, but for what the
// configuration says of them, which its templates make.
func TestTextOfTheChart(t *testing.T) {
	t.Parallel()
	testutil.Generated(t, "../../charts/oidc-injector/files/policymode.yaml", *update, func(string) string {
		text, err := yaml.Marshal(object{
			"program": program(t),
			"text":    object{"constants": constants(), "reading": theText().reading, "checking": theText().checking},
			// As they are with one place of templates, and annotations of one prefix.
			"policies": abridged(t, maker{cfg: &config.Config{
				Parser:       annotations.Parser{Prefix: anyPrefix},
				PodTemplates: podtemplate.Locations{{Path: anyTemplate}},
				Workloads:    policy.Warn,
			}}),
		})
		if err != nil {
			t.Fatal(err)
		}
		return "# Made from internal/policymode by `make golden`: policies but for what the configuration says, and what\n" +
			"# the program knows of itself. templates/_policymode.tpl makes the rest.\n" + string(text)
	})
}

// program is what the program knows without a configuration.
func program(t *testing.T) object {
	t.Helper()
	called := annotations.Prefix(annotations.DefaultPrefix).Names()
	none := &config.InjectorConfig{InjectedContainers: new([]string)}
	always, withOthers := none.Injected(annotations.DefaultPrefix), none.Injected(anyPrefix)
	usual := new(config.InjectorConfig).Injected(annotations.DefaultPrefix)
	usualLogin := parse(t, "").Login
	providers := map[string]provider.Spec{}
	for _, name := range provider.BuiltIn().Names() {
		s := provider.BuiltIn().Get(name).Spec
		s.Sources = nil
		providers[name] = s
	}
	return object{
		"prefix": annotations.DefaultPrefix,
		"names": object{
			"tokenVolume": called.TokenVolume, "tokenDirectory": called.TokenDirectory, "loginContainer": called.LoginContainer,
			"loginVolume": called.LoginVolume, "loginDirectory": called.LoginDirectory, "caVolume": called.CAVolume,
			"clientVolume": called.ClientVolume,
		},
		"loginResources": object{
			"requests": quantities(usualLogin.Resources.Requests), "limits": quantities(usualLogin.Resources.Limits),
		},
		"expiration": annotations.DefaultExpiration.String(), "minExpiration": annotations.MinExpiration.String(),
		"maxExpiration": annotations.DefaultMaxExpiration.String(),
		"injectedContainers": object{
			"usual": usual[:len(usual)-len(always)], "always": always, "ofTheDefaultPrefix": withOthers[len(always):],
		},
		"mountPaths": policy.DefaultMountPaths(), "providers": providers,
	}
}

// abridged are the policies without what all have in common. Their variables are those of
// the texts, in this order, and their own.
func abridged(t *testing.T, m maker) []object {
	t.Helper()
	m.common = []Variable{{Name: "common"}}
	all := slices.Concat(m.injecting(), m.denying(), m.warning(), m.debugging(), m.workloads())
	var policies []object
	for pair := range slices.Chunk(all, 2) {
		spec := maps.Clone(pair[0]["spec"].(object))
		matches := spec["matchConstraints"].(object)
		conditions := spec["matchConditions"].([]object)
		short := object{"kind": pair[0]["kind"], "suffix": pair[0]["metadata"].(object)["name"]}
		if short["suffix"] != "-workloads" {
			// That of bindings, which is the webhook's, too; the rules are those of resources that are configured.
			short["resourceRules"], conditions = matches["resourceRules"], conditions[1:]
		}
		short["matchConditions"] = conditions
		if variables, found := spec["variables"].([]Variable); found {
			own := variables[2:]
			text := []string{"constants", "settings", "reading"}
			if n := len(theText().checking); len(own) >= n && slices.Equal(own[:n], theText().checking) {
				own, text = own[n:], append(text, "checking")
			}
			short["pod"], short["text"], short["variables"] = variables[0].Expression, text, own
		}
		short["actions"] = pair[1]["spec"].(object)["validationActions"]
		maps.DeleteFunc(short, func(_ string, value any) bool { return value == nil })
		for _, name := range []string{"matchConstraints", "matchConditions", "variables"} {
			delete(spec, name)
		}
		short["spec"] = spec
		policies = append(policies, short)
	}
	return policies
}
