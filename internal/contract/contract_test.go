package contract_test

import (
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/contract"
)

func TestNamed(t *testing.T) {
	t.Parallel()
	if got := contract.Named(contract.LoginContainer, ""); got != "oidc-login" {
		t.Errorf("the default login: %s", got)
	}
	if got := contract.Named(contract.CAVolume, "a-b"); got != "oidc-login-ca-a-b" {
		t.Errorf("a named login: %s", got)
	}
}

func TestEnv(t *testing.T) {
	t.Parallel()
	for option, want := range map[contract.Option]string{
		contract.Method:         "OIDC_LOGIN_METHOD",
		contract.JWTFile:        "OIDC_LOGIN_JWT_FILE",
		contract.TargetAudience: "OIDC_LOGIN_TARGET_AUDIENCE",
	} {
		if got := option.Env(); got != want {
			t.Errorf("%s: %s, want %s", option, got, want)
		}
	}
}

// TestWrittenByWebhook has all options, so that a new one makes somebody think.
func TestWrittenByWebhook(t *testing.T) {
	t.Parallel()
	for option, want := range map[contract.Option]bool{
		contract.Method: true, contract.Mode: true, contract.JWTFile: true, contract.Address: true, contract.Issuer: true,
		contract.Role: true, contract.Mount: true, contract.Namespace: true,
		contract.ClientID: true, contract.Scope: true, contract.Resource: true, contract.TargetAudience: true,
		contract.OutputFile: true, contract.OutputFormat: true, contract.OutputMode: true,
		contract.CAFile: true, contract.CABundle: true, contract.CAOutputFile: true,

		contract.ClientCert: false, contract.ClientKey: false, contract.TLSServerName: false, contract.Timeout: false,
		contract.RequestTimeout: false, contract.RevokeOnExit: false, contract.ListenAddress: false,
		contract.LogFormat: false, contract.LogLevel: false,
	} {
		if got := contract.WrittenByWebhook(option.Env()); got != want {
			t.Errorf("%s: %t", option.Env(), got)
		}
	}
	for _, other := range []string{"", "HTTPS_PROXY", "method", "oidc_login_method", contract.EnvPrefix} {
		if contract.WrittenByWebhook(other) {
			t.Errorf("%q is said to be one of ours", other)
		}
	}
}
