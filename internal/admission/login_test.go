package admission_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

// vaultLogin asks for a login with Vault, without what it takes for a suffix.
var vaultLogin = []string{"audience=vault", "login=vault", "login-address=https://vault.example.com:8200"}

func TestDecideInjectsLogins(t *testing.T) {
	t.Parallel()
	h := newHook(configured(loginConfig(t)))
	object := pod(`"futureField":[1.50],"initContainers":[{"name":"migrate","future":1}],"containers":[{"name":"app"}]`,
		append(vaultLogin, "login.sts=jwt-bearer", "login-issuer.sts=https://login.example.com", "containers.sts=app")...)
	response := h.admit(t, ask{object: object}.review())
	if !response.Allowed || response.Result != nil || len(response.Warnings) > 0 {
		t.Errorf("allowed %t, result %v, warnings %q", response.Allowed, response.Result, response.Warnings)
	}
	patched := apply(t, object, response)
	for _, part := range []string{
		`"image":"oidc-login:1"`, `"imagePullPolicy":"IfNotPresent"`, `"requests":{"cpu":"5m","memory":"16Mi"}`,
		`"limits":{"memory":"32Mi"}`,
		`"initContainers":[{"name":"oidc-login","image"`, `{"name":"migrate","future":1,`, `"futureField":[1.50]`,
		`"oidc-injector.io/status":"{\"version\":\"v1.2.3\",\"tokens\":[\"default\"],\"logins\":[\"default\",\"sts\"],` +
			`\"containers\":[\"migrate\",\"app\"]}"`,
	} {
		if !strings.Contains(strings.ReplaceAll(patched, `\u003c`, "<"), part) {
			t.Errorf("%s is not in %s", part, patched)
		}
	}
	want := map[string]string{
		"token.default": "audience=vault expirationSeconds=3600",
		"login.default": "method=vault address=https://vault.example.com:8200",
		"login.sts":     "method=jwt-bearer address=https://login.example.com",
	}
	if diff := cmp.Diff(want, response.AuditAnnotations); diff != "" {
		t.Errorf("audit annotations (-want +got):\n%s", diff)
	}

	again := h.admit(t, ask{object: patched}.review())
	if len(again.Patch) > 0 || !again.Allowed {
		t.Errorf("the second call: %s", again.Patch)
	}
	// The API server takes no second value for a key of its audit log.
	if diff := cmp.Diff(want, again.AuditAnnotations); diff != "" {
		t.Errorf("audit annotations of the second call (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"mutated/injected": 1, "unchanged/already_injected": 1}, h.counters(t)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// profileConfig has a profile with an address, and lists none.
func profileConfig(t testing.TB) *config.Config {
	t.Helper()
	cfg, err := config.Parse([]byte("apiVersion: config.oidc-injector.io/v1alpha1\nkind: InjectorConfig\nlogin: {image: 'oidc-login:1'}\n"+
		"profiles: {vault: {audience: vault, login: vault, login-address: 'https://vault.example.com:8200'}}\n"),
		config.Environment{Prefix: annotations.DefaultPrefix})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

const unlisted = "the injector's policy lists no addresses that pods may name: it needs this one in policy.loginAddresses.allowed, " +
	"or in a profile"

// The address of a profile needs no list.
func TestProfileAddressIsAllowed(t *testing.T) {
	t.Parallel()
	response := newHook(configured(profileConfig(t))).admit(t, ask{object: pod("", "profile=vault", "login-role=x")}.review())
	if !response.Allowed || response.Patch == nil {
		t.Errorf("response %v", response)
	}
}

func TestLoginDenied(t *testing.T) {
	t.Parallel()
	const forbidden = "FieldValueForbidden"
	with := func(others ...string) string { return pod("", append(append([]string{}, vaultLogin...), others...)...) }
	at := func(key string) string { return "metadata.annotations[oidc-injector.io/" + key + "]" }
	for _, tt := range []struct {
		name   string
		cfg    *config.Config
		ask    ask
		reason string
		causes []metav1.StatusCause
	}{
		{
			"no image", withPolicy(t, `{loginAddresses: {allowed: ["*"]}}`),
			ask{object: with()},
			"policy",
			[]metav1.StatusCause{{
				Type: forbidden, Field: at("login"),
				Message: "Forbidden: the injector's configuration names no image for logins (login.image)",
			}},
		},
		{
			"an address that nobody has listed, and a host to redirect to", profileConfig(t),
			ask{object: with("login-redirect-hosts=vault-0.example.com"), namespace: "prod"},
			"policy",
			[]metav1.StatusCause{
				{Type: forbidden, Field: at("login-address"), Message: `Forbidden: address "https://vault.example.com:8200": ` + unlisted},
				{Type: forbidden, Field: at("login-redirect-hosts"), Message: `Forbidden: host "vault-0.example.com": ` + unlisted},
			},
		},
		{
			"another address than the profile's", profileConfig(t),
			ask{object: pod("", "profile=vault", "login-role=x", "login-address=https://vault.example.com:8201")},
			"policy",
			[]metav1.StatusCause{{
				Type: forbidden, Field: at("login-address"),
				Message: `Forbidden: address "https://vault.example.com:8201": ` + unlisted,
			}},
		},
		{
			"addresses", loginConfig(t),
			ask{
				object:    with("login-address=https://vault.example.com", "login.x=jwt-bearer", "login-issuer.x=http://login.example.com"),
				namespace: "prod",
			},
			"policy",
			[]metav1.StatusCause{
				{
					Type: forbidden, Field: at("login-address"),
					Message: `Forbidden: address "https://vault.example.com": the injector's policy allows in namespace "prod": ` +
						`https://*.example.com:8200, https://login.example.com`,
				},
				{
					Type: forbidden, Field: at("login-issuer.x"),
					Message: `Forbidden: address "http://login.example.com": the injector's policy allows http:// only for the addresses ` +
						`that it lists with it`,
				},
			},
		},
		{
			"an audience and an address", withPolicy(t, `{audiences: {denied: [vault]}, loginAddresses: {denied: ["*"]}}`),
			ask{object: with()},
			"policy",
			[]metav1.StatusCause{
				{
					Type: forbidden, Field: at("audience"),
					Message: `Forbidden: audience "vault": the injector's policy denies this audience in namespace "default"`,
				},
				{
					Type: forbidden, Field: at("login-address"),
					Message: `Forbidden: address "https://vault.example.com:8200": the injector's policy denies this address in ` +
						`namespace "default"`,
				},
				{Type: forbidden, Field: at("login"), Message: "Forbidden: the injector's configuration names no image for logins " +
					"(login.image)"},
			},
		},
		{
			"a host to redirect to", loginConfig(t),
			ask{object: with("login-redirect-hosts=vault-0.example.com:8200 evil.example"), namespace: "prod"},
			"policy",
			[]metav1.StatusCause{{
				Type: forbidden, Field: at("login-redirect-hosts"),
				Message: `Forbidden: host "evil.example": the injector's policy allows in namespace "prod": https://*.example.com:8200, ` +
					`https://login.example.com`,
			}},
		},
		{
			"a Secret that the pod names", withPolicy(t, `{loginSecrets: {allowed: ["*-client"]}, loginAddresses: {allowed: ["*"]}}`),
			ask{object: with("login-client-certificate=vault-client", "login-ca-secret=other/ca.crt", "login.x=jwt-bearer",
				"login-issuer.x=https://login.example.com",
				"login-client-auth.x=post", "login-client-id.x=x", "login-client-secret.x=other/password"), namespace: "prod"},
			"policy",
			[]metav1.StatusCause{
				{
					Type: forbidden, Field: at("login-ca-secret"),
					Message: `Forbidden: Secret "other": the injector's policy allows in namespace "prod": *-client`,
				},
				{
					Type: forbidden, Field: at("login-client-secret.x"),
					Message: `Forbidden: Secret "other": the injector's policy allows in namespace "prod": *-client`,
				},
				{Type: forbidden, Field: at("login"), Message: "Forbidden: the injector's configuration names no image for logins " +
					"(login.image)"},
				{Type: forbidden, Field: at("login.x"), Message: "Forbidden: the injector's configuration names no image for logins " +
					"(login.image)"},
			},
		},
		{
			"a wrong address, of which the policy says nothing", loginConfig(t),
			ask{object: with("login-address=https://a@vault.example.com:8200")},
			"invalid_annotations",
			[]metav1.StatusCause{{
				Type: "FieldValueInvalid", Field: at("login-address"),
				Message: `Invalid value: "https://a@vault.example.com:8200": must not hold a user or a password`,
			}},
		},
		{
			"no audience", loginConfig(t),
			ask{object: pod("", vaultLogin[1:]...)},
			"invalid_annotations",
			[]metav1.StatusCause{{
				Type: "FieldValueRequired", Field: at("audience"),
				Message: "Required value: the login needs a token, and a token needs an audience",
			}},
		},
		{
			"a container of the name", loginConfig(t),
			ask{object: pod(`"containers":[{"name":"app"},{"name":"oidc-login"}]`, vaultLogin...)},
			"conflict",
			[]metav1.StatusCause{{
				Type: "FieldValueInvalid", Field: "spec.containers[1].name",
				Message: `Invalid value: "oidc-login": this name belongs to the login container that annotation oidc-injector.io/login ` +
					`asks for: rename the container`,
			}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHook(configured(tt.cfg))
			response := h.admit(t, tt.ask.review())
			if response.Allowed {
				t.Fatal("allowed")
			}
			if diff := cmp.Diff(tt.causes, response.Result.Details.Causes); diff != "" {
				t.Errorf("causes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]string{"denied": tt.reason}, response.AuditAnnotations); diff != "" {
				t.Errorf("audit annotations (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]int{"denied/" + tt.reason: 1}, h.counters(t)); diff != "" {
				t.Errorf("metrics (-want +got):\n%s", diff)
			}
		})
	}
}

// A profile may use a Secret that the policy does not list: its author knows where it
// is sent. A pod that changes the address would have it sent elsewhere.
func TestProfileSecretStaysFromPodAddress(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse([]byte(`
apiVersion: config.oidc-injector.io/v1alpha1
kind: InjectorConfig
login: {image: "oidc-login:1", imagePullPolicy: IfNotPresent}
policy: {loginSecrets: {allowed: [vault-client]}, loginAddresses: {allowed: ["https://*.example.com"]}}
profiles:
  oauth:
    audience: login
    login: jwt-bearer
    login-address: https://login.example.com/token
    login-client-id: billing
    login-client-auth: post
    login-client-secret: billing-client
`), config.Environment{Prefix: annotations.DefaultPrefix})
	if err != nil {
		t.Fatal(err)
	}
	h := newHook(configured(cfg))
	if response := h.admit(t, ask{object: pod("", "profile=oauth")}.review()); !response.Allowed {
		t.Errorf("the profile alone is denied: %+v", response.Result)
	}
	response := h.admit(t, ask{object: pod("", "profile=oauth", "login-address=https://collector.example.com/token")}.review())
	if response.Allowed {
		t.Fatal("the Secret is sent to an address of the pod")
	}
	want := []metav1.StatusCause{{
		Type: "FieldValueForbidden", Field: "metadata.annotations[oidc-injector.io/profile]",
		Message: `Forbidden: Secret "billing-client": the injector's policy allows in namespace "default": vault-client`,
	}}
	if diff := cmp.Diff(want, response.Result.Details.Causes); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
}

func TestLoginWithoutReaderIsLeftOut(t *testing.T) {
	t.Parallel()
	response := newHook(configured(loginConfig(t))).admit(t, ask{object: pod("", append(vaultLogin, "containers=other")...)}.review())
	want := []string{
		`no container of the pod gets token "default"`,
		`no container of the pod gets the result of login "default"`,
		`oidc-injector.io/containers: the pod has no container "other"`,
	}
	if diff := cmp.Diff(want, response.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"skipped": "no_container"}, response.AuditAnnotations); diff != "" || !response.Allowed {
		t.Errorf("allowed %t, audit annotations (-want +got):\n%s", response.Allowed, diff)
	}
}

func TestLoginContainerOfCurrentConfiguration(t *testing.T) {
	t.Parallel()
	cfg := loginConfig(t)
	h := newHook(func() *config.Config { return cfg })
	body := ask{object: pod("", vaultLogin...)}.review()
	if patch := string(h.admit(t, body).Patch); !strings.Contains(patch, `"image":"oidc-login:1"`) {
		t.Errorf("patch by the first configuration: %s", patch)
	}
	cfg = loginConfig(t)
	cfg.Login.Image = "oidc-login:2"
	if patch := string(h.admit(t, body).Patch); !strings.Contains(patch, `"image":"oidc-login:2"`) {
		t.Errorf("patch by the second configuration: %s", patch)
	}
}

func TestDebugContainerReadsLoginResult(t *testing.T) {
	t.Parallel()
	h := newHook(configured(loginConfig(t)))
	object := pod("", vaultLogin...)
	running := apply(t, object, h.admit(t, ask{object: object}.review()))
	debugged := strings.Replace(running, `"containers":[`,
		`"ephemeralContainers":[{"name":"debugger","targetContainerName":"app"}],"containers":[`, 1)
	response := h.admit(t, ask{operation: "UPDATE", subResource: "ephemeralcontainers", object: debugged, oldObject: running}.review())
	if patch := string(response.Patch); !response.Allowed ||
		!strings.Contains(patch, `{"name":"oidc-login","readOnly":true,"mountPath":"/var/run/secrets/login"}`) {
		t.Errorf("patch %s", patch)
	}
	want := map[string]string{
		"token.default": "audience=vault expirationSeconds=3600",
		"login.default": "method=vault address=https://vault.example.com:8200",
	}
	if diff := cmp.Diff(want, response.AuditAnnotations); diff != "" {
		t.Errorf("audit annotations (-want +got):\n%s", diff)
	}
	// What the policy says by now keeps nobody from debugging.
	h = newHook(configured(withPolicy(t, `{loginAddresses: {denied: ["*"]}}`)))
	response = h.admit(t, ask{operation: "UPDATE", subResource: "ephemeralcontainers", object: debugged, oldObject: running}.review())
	warning := `no token for the debug container: metadata.annotations[oidc-injector.io/login-address]: Forbidden: ` +
		`address "https://vault.example.com:8200": the injector's policy denies this address in namespace "default"`
	if diff := cmp.Diff([]string{warning}, response.Warnings); diff != "" || !response.Allowed || response.Patch != nil {
		t.Errorf("allowed %t, patch %s, warnings (-want +got):\n%s", response.Allowed, response.Patch, diff)
	}
}
