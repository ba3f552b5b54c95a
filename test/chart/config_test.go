package chart

import (
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

// TestConfigurationIsValid has the webhook's own parser read what is rendered.
func TestConfigurationIsValid(t *testing.T) {
	for name, values := range variants {
		all := render(t, values)
		if _, err := config.Parse([]byte(all.at(t, configMap)), config.Environment{Prefix: annotations.DefaultPrefix}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSchemaTakesDefaults: what the schema allows in config.defaults the webhook takes.
func TestSchemaTakesDefaults(t *testing.T) {
	values := map[string]string{
		"expiration": "2h", "token-file": "t", "mount-path": "/t", "file-mode": "0440", "skip-containers": "c",
		"login-mode": "init", "login-mount-path": "/l", "login-file": "l", "login-format": "json", "login-ca-configmap": "ca",
		"login-address": "https://vault.example.com", "login-mount": "m", "login-namespace": "n", "login-client-env": "false",
		"login-ca-secret": "ca", "login-ca-bundle": "example.com/issuer", "login-client-certificate": "tls",
		"login-tls-server-name": "vault",
		"login-redirect-hosts":  "a:8200 b", "login-check-interval": "0", "login-client-auth": "basic",
		"login-client-secret":      "app/password",
		"login-subject-token-type": "id_token", "login-requested-token-type": "urn:a:b", "login-parameters": "a=b", "login-body": "json",
		"login-lifetime": "1h", "login-jwt-use": "once", "login-http-method": "PUT", "login-jwt-field": "jwt", "login-token-pointer": "/t",
		"login-lifetime-pointer": "/l",
	}
	all := readSchema(t)["properties"].(map[string]any)["config"].(map[string]any)["properties"].(map[string]any)
	for key := range all["defaults"].(map[string]any)["properties"].(map[string]any) {
		value, found := values[key]
		if !found {
			t.Errorf("no value is known for default %q", key)
			continue
		}
		text := configHead + "defaults:\n  " + key + ": \"" + value + "\"\n"
		if _, err := config.Parse([]byte(text), config.Environment{Prefix: annotations.DefaultPrefix}); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}
