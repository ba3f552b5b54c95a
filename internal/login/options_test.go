package login

import (
	"bytes"
	"flag"
	"io"
	"log/slog"
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

func TestDefaults(t *testing.T) {
	got, err := configOf(t, nil, []string{"--address=https://v:8200/x"})
	want := Config{
		Method: "vault", Mode: "sidecar", JWTFile: "/var/run/secrets/tokens/oidc-token",
		OutputFile: "/var/run/secrets/login/token", OutputFormat: "raw", OutputMode: 0o400, Timeout: 2 * time.Minute,
		RevokeOnExit: true, TerminationLog: "/dev/termination-log", LogFormat: "text",
		Options: loginspec.Values{
			"method": "vault", "mode": "sidecar", "jwt-file": "/var/run/secrets/tokens/oidc-token", "address": "https://v:8200/x",
			"mount":          "jwt",
			"check-interval": "5m", "output-file": "/var/run/secrets/login/token", "output-format": "raw", "output-mode": "0400",
			"timeout": "2m", "request-timeout": "30s", "revoke-on-exit": "true", "termination-log": "/dev/termination-log",
			"log-format": "text", "log-level": "info",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// sets give every option a value, and some of them nothing but what a method of
// another name takes.
func sets(t *testing.T) []loginspec.Values {
	t.Helper()
	return []loginspec.Values{
		{
			"method": "vault", "mode": "init", "jwt-file": "/jwt", "address": "http://v", "role": "r", "mount": "auth2/path",
			"namespace": "ns", "check-interval": "0",
			"output-file": "/o", "output-format": "json", "output-mode": "0640", "ca-bundle": certificate(t), "ca-output-file": "/ca",
			"client-cert": "/c", "client-key": "/k", "tls-server-name": "s", "redirect-hosts": "a b:8200", "timeout": "0s",
			"request-timeout": "5s",
			"revoke-on-exit":  "false", "listen-address": ":8080", "termination-log": "/t", "log-format": "json", "log-level": "debug",
		},
		{
			"method": "token-exchange", "issuer": "https://i/x", "client-id": "id", "client-auth": "basic", "client-secret-file": "/s",
			"scope":    "a b",
			"resource": "https://r/1 https://r/2", "target-audience": "x  y", "subject-token-type": "id_token",
			"requested-token-type": "urn:x:y",
			"parameters":           "a=b\nc=d=e", "body": "json", "lifetime": "1h", "jwt-use": "once", "ca-file": "/ca",
		},
		{
			"method": "http", "address": "https://c/login?x=y", "http-method": "PUT", "jwt-field": "/auth/jwt",
			"parameters": "/auth/method=k8s", "body": "json",
			"token-pointer": "/SecretID", "lifetime-pointer": "/ExpirationTime",
		},
	}
}

func TestFlagsAndVariables(t *testing.T) {
	used := map[loginspec.Name]bool{}
	for _, set := range sets(t) {
		var environ, args []string
		for option, value := range set {
			used[option] = true
			environ = append(environ, option.Env()+"="+value)
			args = append(args, "--"+string(option)+"="+value)
		}
		byFlag, err := configOf(t, nil, args)
		if err != nil {
			t.Fatal(err)
		}
		byVariable, err := configOf(t, append(environ, "PATH=/bin", "OIDC_LOGIN_EMPTY="), nil)
		if diff := cmp.Diff(byFlag, byVariable); diff != "" || err != nil {
			t.Errorf("%v (-flag +variable):\n%s", err, diff)
		}
		for option, value := range set {
			if got := byFlag.Options[option]; got != value {
				t.Errorf("%s: %q instead of %q", option, got, value)
			}
		}
	}
	for _, option := range options {
		if !used[option.Name] {
			t.Errorf("%s is in no set", option.Name)
		}
	}
}

func TestConfig(t *testing.T) {
	var args []string
	for option, value := range sets(t)[0] {
		args = append(args, "--"+string(option)+"="+value)
	}
	got, err := configOf(t, nil, args)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Options: got.Options, Method: "vault", Mode: "init", JWTFile: "/jwt", OutputFile: "/o", OutputFormat: "json", OutputMode: 0o640,
		CABundle: got.Options["ca-bundle"], CAOutputFile: "/ca", ListenAddress: ":8080", TerminationLog: "/t", LogFormat: "json",
		LogLevel: slog.LevelDebug,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFlagWinsOverVariable(t *testing.T) {
	environ := []string{"OIDC_LOGIN_ADDRESS=https://v", "OIDC_LOGIN_ROLE=a", "OIDC_LOGIN_REVOKE_ON_EXIT=false"}
	got, err := configOf(t, environ, []string{"--role", "b", "--revoke-on-exit"})
	if err != nil || got.Options["role"] != "b" || !got.RevokeOnExit {
		t.Errorf("%v: %+v", err, got)
	}
	got, err = configOf(t, environ, []string{"--role="})
	if err != nil || got.Options["role"] != "" {
		t.Errorf("%v: %+v", err, got)
	}
}

func TestEmptyFlagIsDefault(t *testing.T) {
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
func TestFurtherOptionsForAllMethods(t *testing.T) {
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

func TestConfigErrors(t *testing.T) {
	for _, tt := range []struct {
		name          string
		environ, args []string
		want          string
	}{
		{"nothing", nil, nil, "--address: is missing: the address of Vault, such as https://vault.example.com:8200"},
		{
			"everything",
			[]string{"OIDC_LOGIN_MODE=daemon", "OIDC_LOGIN_OUTPUT_MODE=0777", "OIDC_LOGIN_ADDRESS=vault:8200"},
			[]string{
				"--method=ldap", "--issuer=https://user:secret@i", "--mount=a/../b", "--output-format=yaml",
				"--ca-bundle=" + strings.Repeat("x", 100),
				"--timeout=-1s", "--request-timeout=soon", "--revoke-on-exit=maybe", "--listen-address=8080", "--log-format=xml",
				"--log-level=info+1",
				"--client-cert=/c", "--ca-file=/ca",
			},
			`--method: invalid value "ldap": must be vault, token-exchange, jwt-bearer, client-assertion or http
OIDC_LOGIN_MODE: invalid value "daemon": must be sidecar or init
OIDC_LOGIN_ADDRESS: invalid value "vault:8200": must be a URL of at most 1024 bytes, such as https://vault.example.com:8200
--issuer: must not hold a user or a password
--mount: invalid value "a/../b": must be the path at which the auth method is mounted, such as jwt or teams/jwt
--output-format: invalid value "yaml": must be raw, json or env
OIDC_LOGIN_OUTPUT_MODE: invalid value "0777": must be an octal mode with 0400 and with no more than 0644
--ca-bundle: invalid value "` + strings.Repeat("x", 80) + `…": must be certificates in PEM: 0 of 0 can be read
--timeout: invalid value "-1s": must be a duration such as 90s or 2m, of at least 0s
--request-timeout: invalid value "soon": must be a duration such as 90s or 2m, of at least 1s
--revoke-on-exit: invalid value "maybe": must be "true" or "false"
--listen-address: invalid value "8080": must be host:port or :port
--log-format: invalid value "xml": must be text or json
--log-level: invalid value "info+1": must be debug, info, warn or error
--ca-file, --ca-bundle: only one of them can be given
--client-cert, --client-key: only both together are of use`,
		},
		{
			"of another method", nil,
			[]string{"--address=https://v/?a=b", "--issuer=https://i#x", "--scope=s"},
			"--address: invalid value \"https://v/?a=b\": must not have a query or a fragment\n" +
				"--issuer: not supported by method vault\n--scope: not supported by method vault",
		},
		{
			"of OAuth",
			[]string{"OIDC_LOGIN_METHOD=jwt-bearer"},
			[]string{"--role=r", "--ca-output-file=/ca"},
			"--role: not supported by method jwt-bearer\n" +
				"--issuer: is missing: the issuer, such as https://login.example.com, or its token endpoint as --address\n" +
				"--ca-output-file: needs --ca-file or --ca-bundle",
		},
		{
			"both addresses", nil,
			[]string{"--method=client-assertion", "--address=https://a", "--issuer=https://i/?x"},
			"--issuer: invalid value \"https://i/?x\": must not have a query or a fragment\n" +
				"--issuer, --address: only one of them can be given",
		},
		{
			"the same file", nil,
			[]string{"--address=https://a", "--ca-file=/ca", "--ca-output-file=/x/../o", "--output-file=/o"},
			"--ca-output-file: is the output file",
		},
		{
			"a client without a proof", nil,
			[]string{"--method=jwt-bearer", "--address=https://a", "--client-auth=basic"},
			"--client-secret-file: is missing: --client-auth is basic",
		},
		{
			"a client without a name", nil,
			[]string{"--method=token-exchange", "--address=https://a", "--client-auth=tls", "--client-cert=/c", "--client-key=/k"},
			"--client-id: is missing: --client-auth is tls",
		},
		{
			"a secret that nobody asks for", nil,
			[]string{"--method=jwt-bearer", "--address=https://a", "--client-secret-file=/s"},
			"--client-auth: is missing: with --client-secret-file it has to be basic or post",
		},
		{
			"a secret that is not to be used", nil,
			[]string{"--method=jwt-bearer", "--address=https://a", "--client-secret-file=/s", "--client-auth=none"},
			`--client-auth: invalid value "none": with --client-secret-file it has to be basic or post`,
		},
		{
			"parameters of the program itself", nil,
			[]string{"--method=jwt-bearer", "--address=https://a", "--parameters=a=b\nscope=c"},
			`--parameters: invalid value "a=b\nscope=c": must not have scope, which has an annotation of its own or is set by the ` +
				`login itself`,
		},
		{
			"a body that GET has not", nil,
			[]string{"--method=http", "--address=https://a", "--http-method=GET", "--jwt-field=jwt"},
			`--jwt-field: invalid value "jwt": GET has no body: leave the field of the JWT out, so that it is sent as a bearer token`,
		},
		{
			"a field twice", nil,
			[]string{"--method=http", "--address=https://a", "--jwt-field=/a/jwt", "--parameters=a=b"},
			`--parameters: invalid value "a=b": a field is there twice, or is a value and has fields of its own: /a/jwt`,
		},
		{
			"write only", nil,
			[]string{"--address=https://a", "--output-mode=0200"},
			`--output-mode: invalid value "0200": must be an octal mode with 0400 and with no more than 0644`,
		},
		{
			"no mount", nil,
			[]string{"--address=https://a", "--mount=/"},
			`--mount: invalid value "/": must be the path at which the auth method is mounted, such as jwt or teams/jwt`,
		},
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

func TestUnknownVariables(t *testing.T) {
	got := NewOptions([]string{
		"OIDC_LOGIN_ROLLE=x", "OIDC_LOGIN_URL=y", "OIDC_LOGIN_ROLE=x", "OIDC_LOGIN_SERVICE_HOST=10.0.0.1", "OIDC_LOGIN_PORT_80_TCP=tcp://",
		"OIDC_LOGIN_EMPTY=", "PATH=/bin",
	}).unknown()
	if diff := cmp.Diff([]string{"OIDC_LOGIN_ROLLE", "OIDC_LOGIN_URL"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHelpNamesEveryOption(t *testing.T) {
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
