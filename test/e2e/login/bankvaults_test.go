package login

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
	"github.com/oidc-injector/oidc-injector/test/vault"
)

// bankVaults is the part of Bank-Vaults' resource that we know of; anything else
// in it is an error.
type bankVaults struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Spec       struct {
		ExternalConfig struct {
			Policies []struct{ Name, Rules string } `json:"policies"`
			Auth     []struct {
				Type, Path string
				Config     map[string]any   `json:"config"`
				Roles      []map[string]any `json:"roles"`
			} `json:"auth"`
			Secrets []struct {
				Type, Path string
				Options    map[string]any `json:"options"`
			} `json:"secrets"`
		} `json:"externalConfig"`
	} `json:"spec"`
}

// bankVaultsCA is how Bank-Vaults puts a file into its configuration.
const bankVaultsCA = "${ file `/var/run/secrets/kubernetes.io/serviceaccount/ca.crt` }"

// configureLikeBankVaults does what Bank-Vaults' configurer does with a Vault
// resource: policies, secrets engines, then auth methods, each at a path which by
// default is its type, with their roles.
func configureLikeBankVaults(t *testing.T, s *vault.Server, manifest string) {
	t.Helper()
	var resource bankVaults
	if err := yaml.UnmarshalStrict([]byte(manifest), &resource); err != nil {
		t.Fatal(err)
	}
	client, external := s.Client(), resource.Spec.ExternalConfig
	for _, p := range external.Policies {
		if err := s.WritePolicy(t.Context(), p.Name, p.Rules); err != nil {
			t.Fatal(err)
		}
	}
	for _, engine := range external.Secrets {
		options := map[string]string{}
		for name, value := range engine.Options {
			options[name] = fmt.Sprint(value)
		}
		input := &api.MountInput{Type: engine.Type, Options: options}
		if err := client.Sys().MountWithContext(t.Context(), orType(engine.Path, engine.Type), input); err != nil {
			t.Fatal(err)
		}
	}
	write := func(path string, data map[string]any) {
		t.Helper()
		written, err := client.Logical().WriteWithContext(t.Context(), path, data)
		if err != nil {
			t.Fatal(err)
		}
		// The configurer reports a key that Vault does not know as an error.
		if written != nil && len(written.Warnings) > 0 {
			t.Errorf("Vault warns of %s: %s", path, strings.Join(written.Warnings, "; "))
		}
	}
	for _, auth := range external.Auth {
		path := orType(auth.Path, auth.Type)
		if err := client.Sys().EnableAuthWithOptionsWithContext(t.Context(), path, &api.EnableAuthOptions{Type: auth.Type}); err != nil {
			t.Fatal(err)
		}
		for key, value := range auth.Config {
			if text, ok := value.(string); ok {
				auth.Config[key] = strings.ReplaceAll(text, bankVaultsCA, string(kube.CA()))
			}
		}
		write("auth/"+path+"/config", auth.Config)
		for _, role := range auth.Roles {
			write(fmt.Sprintf("auth/%s/role/%v", path, role["name"]), role)
		}
	}
	// KV refuses requests while it turns itself from version 1 into version 2.
	podtest.Eventually(t, "the secrets engines", func(ctx context.Context) error {
		for _, engine := range external.Secrets {
			if _, err := client.Logical().ReadWithContext(ctx, orType(engine.Path, engine.Type)+"/config"); err != nil {
				return err
			}
		}
		return nil
	})
}

func orType(path, kind string) string {
	if path == "" {
		return kind
	}
	return path
}
