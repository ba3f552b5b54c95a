package login

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/vault/api"
	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
	"github.com/oidc-injector/oidc-injector/test/relyingparty"
)

// TestScenario goes steps 5 and 6 of the scenario: the role "demo" as it stands
// there, for the default ServiceAccount of the default namespace; the login; and
// the look-up that shows what the token is.
func TestScenario(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "default", server.CA())
	if err := server.WriteRole(t.Context(), jwtMount, "demo", map[string]any{
		"bound_audiences": "vault", "bound_subject": "system:serviceaccount:default:default", "user_claim": "sub", "policies": "default",
	}); err != nil {
		t.Fatal(err)
	}
	pod := podtest.Create(t, kube, ns, podtest.New("scenario", "audience=vault", "expiration=7200",
		"login=vault", "login-address="+server.Address(), "login-role=demo", "login-ca-configmap=vault-ca"))
	l := newLogin(t, pod, "")
	startLogin(t, l)
	token := loggedIn(t, l)

	data, err := server.LookupSelf(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"display_name": jwtMount + "-system:serviceaccount:default:default",
		"path":         "auth/jwt/login",
		"policies":     []any{"default"},
		"meta":         map[string]any{"role": "demo"},
		"renewable":    true,
		"type":         "service",
		"orphan":       true,
		"creation_ttl": json.Number("2764800"),
	}
	got := map[string]any{}
	for key := range want {
		got[key] = data[key]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lookup-self (-want +got):\n%s", diff)
	}
	// The container has what it needs, and the app what it is to have.
	app := func(name string) string { return podtest.Env(pod, "app", name) }
	wantEnv := []string{"/var/run/secrets/login/token", server.Address(), "/var/run/secrets/login/ca.crt"}
	if diff := cmp.Diff(wantEnv, []string{app("VAULT_TOKEN_FILE"), app("VAULT_ADDR"), app("VAULT_CACERT")}); diff != "" {
		t.Errorf("the app's variables (-want +got):\n%s", diff)
	}
	terminate(t, l)
}

// TestResultIsUsable reads a secret as the app would: with the address, the CA
// and the token that its variables point to, and nothing else.
func TestResultIsUsable(t *testing.T) {
	t.Parallel()
	c := newClient(t, "usable", setup{})
	c.token()
	result, err := os.ReadFile(c.Host(podtest.Env(c.pod, "app", "VAULT_TOKEN_FILE")))
	if err != nil {
		t.Fatal(err)
	}
	options := api.DefaultConfig()
	options.Address = podtest.Env(c.pod, "app", "VAULT_ADDR")
	if err := options.ConfigureTLS(&api.TLSConfig{CACert: c.Host(podtest.Env(c.pod, "app", "VAULT_CACERT"))}); err != nil {
		t.Fatal(err)
	}
	app, err := api.NewClient(options)
	if err != nil {
		t.Fatal(err)
	}
	app.SetToken(string(result))
	secret, err := app.KVv2(kvMount).Get(t.Context(), "app")
	if err != nil || secret.Data["password"] != "hunter2" {
		t.Errorf("the secret is %+v, error %v", secret, err)
	}
	for _, path := range []string{kvMount + "/data/other", "sys/policies/acl/app", "auth/" + jwtMount + "/role/usable"} {
		if _, err := app.Logical().ReadWithContext(t.Context(), path); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("reading %s: got error %v, want that it is denied", path, err)
		}
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	for format, check := range map[string]func(*testing.T, *client, string) string{
		loginspec.FormatRaw:  func(_ *testing.T, _ *client, content string) string { return content },
		loginspec.FormatJSON: checkJSON,
		loginspec.FormatEnv:  checkEnv,
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, "format-"+format, setup{keys: []string{"login-format=" + format, "login-file=result"}})
			content := c.token()
			token := check(t, c, content)
			c.lookup(token)
			if info, err := os.Stat(c.OutputFile()); err != nil ||
				fmt.Sprintf("%04o", info.Mode().Perm()) != c.Value(loginspec.OutputMode) {
				t.Errorf("the file's mode is %v, error %v, want %s", info.Mode(), err, c.Value(loginspec.OutputMode))
			}
			if !strings.HasSuffix(c.OutputFile(), "/result") {
				t.Errorf("the file is %s", c.OutputFile())
			}
			c.terminate()
			noResult(t, c.Login)
			c.mustBeDead("after the end", token)
		})
	}
}

func checkJSON(t *testing.T, c *client, content string) string {
	t.Helper()
	var got struct {
		Token, Accessor string
		TokenType       string `json:"token_type"`
		Expiry          time.Time
		Renewable       bool
		Policies        []string
		Metadata        map[string]string
	}
	if err := json.Unmarshal([]byte(content), &got); err != nil {
		t.Fatal(err)
	}
	data := c.lookup(got.Token)
	if got.Accessor != data["accessor"] || got.TokenType != "service" || !got.Renewable {
		t.Errorf("got accessor %q, type %q, renewable %t", got.Accessor, got.TokenType, got.Renewable)
	}
	if diff := cmp.Diff([]string{"app", "default"}, got.Policies); diff != "" {
		t.Errorf("policies (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"role": c.role}, got.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	// Rather too early than too late: an app must not trust a token that has ended.
	if early := c.expiry(got.Token).Sub(got.Expiry); early < 0 || early > time.Minute {
		t.Errorf("the file says that the token ends at %s, which is %s too early", got.Expiry, early)
	}
	return got.Token
}

func checkEnv(t *testing.T, _ *client, content string) string {
	t.Helper()
	first, second, _ := strings.Cut(content, "\n")
	token, ok := strings.CutPrefix(first, "VAULT_TOKEN=")
	expires, alsoOK := strings.CutPrefix(strings.TrimSuffix(second, "\n"), "VAULT_TOKEN_EXPIRES=")
	if !ok || !alsoOK {
		t.Fatal("the file has other lines than VAULT_TOKEN and VAULT_TOKEN_EXPIRES")
	}
	at, err := time.Parse(time.RFC3339, expires)
	if err != nil || time.Until(at) <= 0 || time.Until(at) > 10*time.Minute {
		t.Errorf("the token is said to expire at %s, error %v", expires, err)
	}
	return token
}

// TestProfileAlone shows that a pod needs one annotation: the profile has the
// rest, and Vault's default_role the role.
func TestProfileAlone(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "profile-alone", server.CA())
	if err := server.WriteRole(t.Context(), jwtMount, "default-role", usualRole(ns)); err != nil {
		t.Fatal(err)
	}
	pod := podtest.Create(t, kube, ns, podtest.New("app", "profile=vault"))
	l := newLogin(t, pod, "")
	startLogin(t, l)
	data, err := server.LookupSelf(t.Context(), loggedIn(t, l))
	if err != nil || !cmp.Equal(data["meta"], map[string]any{"role": "default-role"}) {
		t.Errorf("lookup-self says %v, error %v", data, err)
	}
}

// TestNamedLogins logs in twice with one token, as two roles: two containers,
// two volumes, two results, each of them for the container that it is meant for.
func TestNamedLogins(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "named", server.CA())
	roles := map[string]string{"reader": "default", "writer": "app"}
	for role, policy := range roles {
		parameters := usualRole(ns)
		parameters["token_policies"] = policy
		if err := server.WriteRole(t.Context(), jwtMount, "named-"+role, parameters); err != nil {
			t.Fatal(err)
		}
	}
	pod := podtest.New("app", "audience=vault",
		"login.reader=vault", "login-address.reader="+server.Address(), "login-role.reader=named-reader",
		"login-ca-configmap.reader=vault-ca",
		"containers.reader=app",
		"login.writer=vault", "login-address.writer="+server.Address(), "login-role.writer=named-writer",
		"login-ca-configmap.writer=vault-ca",
		"containers.writer=worker", "login-env.writer=TOKEN_OF_WRITER")
	pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "worker", Image: "worker"})
	pod = podtest.Create(t, kube, ns, pod)
	env := map[string]string{
		"app VAULT_TOKEN_FILE_READER": "/var/run/secrets/login-reader/token",
		"worker TOKEN_OF_WRITER":      "/var/run/secrets/login-writer/token",
		"app TOKEN_OF_WRITER":         "", "worker VAULT_TOKEN_FILE_READER": "",
	}
	for key, want := range env {
		container, name, _ := strings.Cut(key, " ")
		if got := podtest.Env(pod, container, name); got != want {
			t.Errorf("container %s has %s=%q, want %q", container, name, got, want)
		}
	}
	seen := map[string]bool{}
	for role, policy := range roles {
		l := newLogin(t, pod, "oidc-login-"+role)
		startLogin(t, l)
		data, err := server.LookupSelf(t.Context(), loggedIn(t, l))
		if err != nil {
			t.Fatal(err)
		}
		if policies := fmt.Sprint(data["policies"]); !strings.Contains(policies, policy) {
			t.Errorf("login %s has the policies %s, want %s among them", role, policies, policy)
		}
		seen[fmt.Sprint(data["accessor"])] = true
	}
	if len(seen) != 2 {
		t.Errorf("there are %d Vault tokens, want one for each login", len(seen))
	}
}

// TestModeInit logs in once, before the app starts, and leaves a token that
// outlives the container.
func TestModeInit(t *testing.T) {
	t.Parallel()
	c := newClient(t, "mode-init", setup{keys: []string{"login-mode=init"}})
	if code, err := c.Wait(t.Context()); err != nil || code != 0 {
		t.Fatalf("the program ended with code %d, error %v", code, err)
	}
	c.lookup(result(t, c.Login))
	if n := c.proxy.Requests(revokePath); n > 0 {
		t.Errorf("a token was revoked %d times", n)
	}
}

// TestModeInitFails shows the reason where people look for it: in the pod's
// status.
func TestModeInitFails(t *testing.T) {
	t.Parallel()
	c := newClient(t, "mode-init-fails", setup{keys: []string{"login-mode=init"}, noRole: true, args: []string{"--timeout=3s"}})
	if code, err := c.Wait(t.Context()); err != nil || code != 1 {
		t.Fatalf("the program ended with code %d, error %v, want 1", code, err)
	}
	message := c.TerminationMessage()
	for _, want := range []string{"not logged in within 3s", quoted(`role "mode-init-fails" could not be found`), c.proxy.Address()} {
		if !strings.Contains(message, want) {
			t.Errorf("the termination message does not say %q: %s", want, message)
		}
	}
	noResult(t, c.Login)
}

// claim reads a claim of a JWT.
func claim(t *testing.T, jwt, name string) any {
	t.Helper()
	_, payload, err := relyingparty.Decode(jwt)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal([]byte(payload), &claims); err != nil {
		t.Fatal(err)
	}
	return claims[name]
}
