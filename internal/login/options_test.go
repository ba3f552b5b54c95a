package login

import (
	"bytes"
	"flag"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// configOf reads flags and an environment.
func configOf(t *testing.T, environ, args []string) (Config, error) {
	t.Helper()
	options := NewOptions(environ)
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	options.AddFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return options.Config()
}

func TestTheDefaults(t *testing.T) {
	got, err := configOf(t, nil, []string{"--address=https://v:8200/x"})
	want := Config{
		Method: "vault", Mode: "sidecar", JWTFile: "/var/run/secrets/tokens/oidc-token", Address: &url.URL{Scheme: "https", Host: "v:8200", Path: "/x"},
		Mount: "jwt", OutputFile: "/var/run/secrets/login/token", OutputFormat: "raw", OutputMode: 0o400, Timeout: 2 * time.Minute,
		RequestTimeout: 30 * time.Second, CheckInterval: 5 * time.Minute, RevokeOnExit: true, TerminationLog: "/dev/termination-log", LogFormat: "text",
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestEveryOptionIsAFlagAndAVariable(t *testing.T) {
	ca := certificate(t)
	values := map[loginspec.Name]string{
		loginspec.MethodName: "vault", loginspec.Mode: "init", loginspec.JWTFile: "/jwt", loginspec.Address: "http://v", loginspec.Role: "r",
		loginspec.Mount: "/auth/path/", loginspec.Namespace: "ns", loginspec.OutputFile: "/o", loginspec.OutputFormat: "json", loginspec.OutputMode: "0640",
		loginspec.CABundle: ca, loginspec.CAOutputFile: "/ca", loginspec.ClientCert: "/c", loginspec.ClientKey: "/k", loginspec.TLSServerName: "s",
		loginspec.Timeout: "0s", loginspec.RequestTimeout: "5s", loginspec.RevokeOnExit: "false", loginspec.ListenAddress: ":8080",
		loginspec.TerminationLog: "/t", loginspec.LogFormat: "json", loginspec.LogLevel: "debug",
	}
	oauth := map[loginspec.Name]string{
		loginspec.MethodName: "token-exchange", loginspec.Issuer: "https://i/x", loginspec.ClientID: "id", loginspec.Scope: "a b",
		loginspec.Resource: "https://r/1 https://r/2", loginspec.TargetAudience: " x  y ", loginspec.CAFile: "/ca",
	}
	for _, option := range options {
		if values[option.Name] == "" && oauth[option.Name] == "" {
			t.Errorf("%s is in neither set", option.Name)
		}
	}
	for i, set := range []map[loginspec.Name]string{values, oauth} {
		var environ, args []string
		for option, value := range set {
			environ = append(environ, option.Env()+"="+value)
			args = append(args, "--"+string(option)+"="+value)
		}
		byFlag, err := configOf(t, nil, args)
		if err != nil {
			t.Fatal(err)
		}
		byVariable, err := configOf(t, append(environ, "PATH=/bin", "OIDC_LOGIN_ROLE="), nil)
		if i == 0 {
			byVariable, err = configOf(t, environ, nil)
		}
		if diff := cmp.Diff(byFlag, byVariable); diff != "" || err != nil {
			t.Errorf("%v (-flag +variable):\n%s", err, diff)
		}
		want := Config{
			Method: "vault", Mode: "init", JWTFile: "/jwt", Address: &url.URL{Scheme: "http", Host: "v"}, Role: "r", Mount: "auth/path", Namespace: "ns",
			OutputFile: "/o", OutputFormat: "json", OutputMode: 0o640, CABundle: ca, CAOutputFile: "/ca", ClientCert: "/c", ClientKey: "/k",
			TLSServerName: "s", RequestTimeout: 5 * time.Second, CheckInterval: 5 * time.Minute, ListenAddress: ":8080", TerminationLog: "/t", LogFormat: "json", LogLevel: slog.LevelDebug,
		}
		if i == 1 {
			want, _ = configOf(t, nil, []string{"--address=https://x"})
			want.Method, want.Address, want.Issuer = "token-exchange", nil, &url.URL{Scheme: "https", Host: "i", Path: "/x"}
			want.ClientID, want.Scope, want.CAFile = "id", "a b", "/ca"
			want.Resources, want.Audiences = []string{"https://r/1", "https://r/2"}, []string{"x", "y"}
		}
		if diff := cmp.Diff(want, byFlag); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestAFlagWinsOverAVariable(t *testing.T) {
	environ := []string{"OIDC_LOGIN_ADDRESS=https://v", "OIDC_LOGIN_ROLE=a", "OIDC_LOGIN_REVOKE_ON_EXIT=false"}
	got, err := configOf(t, environ, []string{"--role", "b", "--revoke-on-exit"})
	if err != nil || got.Role != "b" || !got.RevokeOnExit {
		t.Errorf("%v: %+v", err, got)
	}
	got, err = configOf(t, environ, []string{"--role="})
	if err != nil || got.Role != "" {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestAnEmptyFlagIsTheDefault(t *testing.T) {
	want, err := configOf(t, []string{"OIDC_LOGIN_ADDRESS=https://v"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var args []string
	for _, option := range options {
		args = append(args, "--"+string(option.Name)+"=")
	}
	got, err := configOf(t, []string{"OIDC_LOGIN_METHOD=jwt-bearer", "OIDC_LOGIN_OUTPUT_MODE=0644"}, append(args, "--address=https://v"))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// The webhook's configuration sets such a variable for the logins of all methods.
func TestOptionsThatTheWebhookDoesNotSetAreForAllMethods(t *testing.T) {
	for _, option := range options {
		if !loginspec.WrittenByWebhook(option.Name.Env()) && len(option.methods) > 0 {
			t.Errorf("%s is only for %s", option.Name, option.methods)
		}
	}
	got, err := configOf(t, []string{"OIDC_LOGIN_REVOKE_ON_EXIT=false"}, []string{"--method=jwt-bearer", "--address=https://a"})
	if err != nil || got.RevokeOnExit {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestEverythingThatIsWrongIsReportedAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name          string
		environ, args []string
		want          string
	}{
		{"nothing", nil, nil, "--address: is missing: the URL of Vault, such as https://vault.example:8200"},
		{
			"everything",
			[]string{"OIDC_LOGIN_MODE=daemon", "OIDC_LOGIN_OUTPUT_MODE=0777", "OIDC_LOGIN_ADDRESS=vault:8200"},
			[]string{
				"--method=ldap", "--issuer=https://user:secret@i", "--mount=a/../b", "--output-format=yaml", "--ca-bundle=" + strings.Repeat("x", 100),
				"--timeout=-1s", "--request-timeout=soon", "--revoke-on-exit=maybe", "--listen-address=8080", "--log-format=xml", "--log-level=info+1",
				"--client-cert=/c", "--ca-file=/ca",
			},
			`--method: invalid value "ldap": must be vault, token-exchange, jwt-bearer or client-assertion
OIDC_LOGIN_MODE: invalid value "daemon": must be sidecar or init
OIDC_LOGIN_ADDRESS: invalid value "vault:8200": must be a URL that begins with https:// or http://
--issuer: must have no user and no password
--mount: invalid value "a/../b": must be the path of an auth method, without auth/, such as jwt
--output-format: invalid value "yaml": must be raw, json or env
OIDC_LOGIN_OUTPUT_MODE: invalid value "0777": must be an octal mode with 0400 and with no more than 0644
--ca-bundle: invalid value "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…": must have a certificate in PEM
--timeout: invalid value "-1s": must be a duration such as 90s or 2m, of at least 0s
--request-timeout: invalid value "soon": must be a duration such as 90s or 2m, of at least 1s
--revoke-on-exit: invalid value "maybe": must be true or false
--listen-address: invalid value "8080": must be host:port or :port
--log-format: invalid value "xml": must be text or json
--log-level: invalid value "info+1": must be debug, info, warn or error
--ca-file, --ca-bundle: only one of them can be given
--client-cert, --client-key: only both together are of use`,
		},
		{
			"of another method", nil,
			[]string{"--address=https://v/?a=b", "--issuer=https://i#x", "--scope=s"},
			"--issuer: invalid value \"https://i#x\": must have no fragment\n" +
				"--issuer: is of no use with the method vault\n--scope: is of no use with the method vault\n--address: must have no query, as it is the URL of Vault",
		},
		{
			"of OAuth",
			[]string{"OIDC_LOGIN_METHOD=jwt-bearer"},
			[]string{"--role=r", "--ca-output-file=/ca"},
			"--role: is of no use with the method jwt-bearer\n" +
				"--address, --issuer: exactly one of them is needed: the URL of the token endpoint, or that of the issuer\n" +
				"--ca-output-file: needs --ca-file or --ca-bundle",
		},
		{
			"both addresses", nil,
			[]string{"--method=client-assertion", "--address=https://a", "--issuer=https://i/?x"},
			"--address, --issuer: exactly one of them is needed: the URL of the token endpoint, or that of the issuer\n" +
				"--issuer: must have no query (RFC 8414 section 2)",
		},
		{
			"the same file", nil,
			[]string{"--address=https://a", "--ca-file=/ca", "--ca-output-file=/x/../o", "--output-file=/o"},
			"--ca-output-file: is the output file",
		},
		{"write only", nil, []string{"--address=https://a", "--output-mode=0200"}, `--output-mode: invalid value "0200": must be an octal mode with 0400 and with no more than 0644`},
		{"no mount", nil, []string{"--address=https://a", "--mount=/"}, `--mount: invalid value "/": must be the path of an auth method, without auth/, such as jwt`},
	} {
		_, err := configOf(t, tt.environ, tt.args)
		if err == nil {
			t.Errorf("%s: no error", tt.name)
			continue
		}
		if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestUnknownVariablesAreNoticed(t *testing.T) {
	got := NewOptions([]string{
		"OIDC_LOGIN_ROLLE=x", "OIDC_LOGIN_URL=y", "OIDC_LOGIN_ROLE=x", "OIDC_LOGIN_SERVICE_HOST=10.0.0.1", "OIDC_LOGIN_PORT_80_TCP=tcp://",
		"OIDC_LOGIN_EMPTY=", "PATH=/bin",
	}).unknown()
	if diff := cmp.Diff([]string{"OIDC_LOGIN_ROLLE", "OIDC_LOGIN_URL"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTheHelpNamesEveryOption(t *testing.T) {
	var help bytes.Buffer
	Help(&help)
	for _, option := range options {
		if !strings.Contains(help.String(), "  --"+string(option.Name)+"="+option.Value+", "+option.Name.Env()+"\n") {
			t.Errorf("%s is missing", option.Name)
		}
	}
	for line := range strings.Lines(help.String()) {
		if len(line) > helpWidth+4 {
			t.Errorf("a long line: %s", line)
		}
	}
}
