package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

// header is what every configuration file begins with.
const header = "apiVersion: config.oidc-injector.io/v1alpha1\nkind: InjectorConfig\n"

func environment() config.Environment {
	return config.Environment{Prefix: annotations.DefaultPrefix}
}

func mustParse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse([]byte(text), environment())
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// allows reports whether pods of namespace default may have tokens of the audience.
func allows(cfg *config.Config, audience string) bool {
	return cfg.Policy.For("default").Audience(audience) == nil
}

// write replaces a file at once, as the kubelet and careful editors do.
func write(t *testing.T, path, content string) {
	t.Helper()
	next := filepath.Join(filepath.Dir(path), ".next")
	if err := os.WriteFile(next, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}
