package login

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/test/authserver"
	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
	"github.com/oidc-injector/oidc-injector/test/vault"
)

// examplesDir is where the examples are, as seen from this package.
const examplesDir = "../../../examples"

// examples is a world for the manifests of the examples: what they call
// https://vault.vault.svc:8200 and https://login.example.com is there.
type examples struct {
	vault   *vault.Server
	oauth   *authserver.Server
	replace *strings.Replacer
}

// exampleNamespace is the one that the examples' Vault lets in.
const exampleNamespace = "default"

// exampleTests are the manifests, and what is to become of them.
var exampleTests = map[string]func(*testing.T, *examples, string){
	"vault.yaml":              testExampleVault,
	"profile.yaml":            testExampleProfile,
	"config.yaml":             testExampleConfig,
	"job.yaml":                testExampleJob,
	"cronjob.yaml":            testExampleCronJob,
	"several-parties.yaml":    testExampleSeveralParties,
	"token-exchange.yaml":     testExampleTokenExchange,
	"by-hand.yaml":            testExampleByHand,
	"bank-vaults/vault.yaml":  testExampleBankVaults,
	"bank-vaults/client.yaml": testExampleBankVaultsClient,
	"bank-vaults/login.yaml":  testExampleProfile,
}

// TestExamples applies every example to the API server, with its strictest
// validation, and logs in with each that does. The webhook has the examples'
// own configuration, and Vault is configured as Bank-Vaults would do it.
func TestExamples(t *testing.T) {
	e := newExamples(t)
	found := exampleFiles(t)
	for _, name := range found {
		test, ok := exampleTests[name]
		if !ok {
			t.Errorf("there is no test for %s", name)
			continue
		}
		t.Run(name, func(t *testing.T) { test(t, e, e.replace.Replace(readExample(t, name))) })
	}
	for name := range exampleTests {
		if !slices.Contains(found, name) {
			t.Errorf("%s is no example any more", name)
		}
	}
}

// triedElsewhere are examples, and folders of them, that other packages try: those of
// providers e2e/shapes, those of bindings and of hardening chart.
var triedElsewhere = []string{"providers", "hardening", "bindings.yaml"}

func exampleFiles(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.yaml", "*/*.yaml"} {
		paths, err := filepath.Glob(filepath.Join(examplesDir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range paths {
			name, err := filepath.Rel(examplesDir, file)
			if err != nil {
				t.Fatal(err)
			}
			if name = filepath.ToSlash(name); !slices.Contains(triedElsewhere, name) && !slices.Contains(triedElsewhere, path.Dir(name)) {
				all = append(all, name)
			}
		}
	}
	return all
}

func readExample(t *testing.T, name string) string {
	t.Helper()
	return readFile(t, filepath.Join(examplesDir, name))
}

// The addresses in the examples.
const (
	exampleVault  = "https://vault.vault.svc:8200"
	exampleOAuth  = "https://login.example.com"
	exampleIssuer = "https://kubernetes.default.svc"
)

func newExamples(t *testing.T) *examples {
	t.Helper()
	e := &examples{vault: vault.StartForTest(t, vault.Options{})}
	e.oauth = authserver.StartForTest(t, authserver.Options{
		IssuerURL: kube.Issuer(), IssuerCA: kube.CA(), Clients: map[string][]string{"billing": {subject(exampleNamespace)}},
	})
	e.replace = strings.NewReplacer(exampleVault, e.vault.Address(), exampleOAuth, e.oauth.URL(), exampleIssuer, kube.Issuer())
	configureLikeBankVaults(t, e.vault, e.replace.Replace(readExample(t, "bank-vaults/vault.yaml")))
	if err := e.vault.WriteSecret(t.Context(), "secret", "app", map[string]any{"password": "hunter2"}); err != nil {
		t.Fatal(err)
	}
	namespace(t, exampleNamespace, e.vault.CA())
	t.Cleanup(func() {
		// Other tests have another Vault.
		err := kube.Client().CoreV1().ConfigMaps(exampleNamespace).Delete(context.WithoutCancel(t.Context()), "vault-ca",
			metav1.DeleteOptions{})
		if err != nil {
			t.Error(err)
		}
	})
	// First as it stands, then with the addresses that there are here.
	text := readExample(t, "config.yaml")
	setConfig(t, text, profileLeadsTo(exampleVault))
	setConfig(t, e.replace.Replace(text), profileLeadsTo(e.vault.Address()))
	return e
}

// profileLeadsTo is the condition that the profile "vault" has an address.
func profileLeadsTo(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		created, err := dryRun(ctx, exampleNamespace, podtest.New("probe", "profile=vault"))
		if err == nil && podtest.Env(created, "app", "VAULT_ADDR") != address {
			err = errors.New("the profile is another one")
		}
		return err
	}
}

// apply applies a manifest as people do, and fails on fields that are unknown or
// there twice.
func (e *examples) apply(t *testing.T, ns, manifest string) {
	t.Helper()
	if _, err := kube.KubectlWithInput(t.Context(), strings.NewReader(manifest), "--namespace="+ns, "apply", "--validate=strict",
		"--filename=-"); err != nil {
		t.Fatal(err)
	}
}

// pod applies a manifest with one pod and returns what the API server made of it.
func (e *examples) pod(t *testing.T, manifest string) *corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict([]byte(manifest), &pod); err != nil {
		t.Fatal(err)
	}
	e.apply(t, exampleNamespace, manifest)
	stored, err := kube.Client().CoreV1().Pods(exampleNamespace).Get(t.Context(), pod.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// login runs the login of a pod, and reads a secret with its result.
func (e *examples) login(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	l := newLogin(t, pod, "")
	startLogin(t, l)
	token := loggedIn(t, l)
	e.mayReadTheSecret(t, token)
	if l.Value(loginspec.Mode) != loginspec.ModeInit {
		terminate(t, l)
	}
}

func (e *examples) mayReadTheSecret(t *testing.T, token string) {
	t.Helper()
	app, err := e.vault.NewClient(e.vault.Address(), token)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := app.KVv2("secret").Get(t.Context(), "app")
	if err != nil || secret.Data["password"] != "hunter2" {
		t.Errorf("the secret is %+v, error %v", secret, err)
	}
}

// admitted checks that a pod is admitted where Pod Security "restricted" is
// enforced.
func (e *examples) admitted(t *testing.T, manifest string) {
	t.Helper()
	const ns = "examples-restricted"
	if err := kube.Namespace(t.Context(), ns, map[string]string{
		injector.EnabledLabel: "true", "pod-security.kubernetes.io/enforce": "restricted",
	}); err != nil {
		t.Fatal(err)
	}
	e.apply(t, ns, manifest)
}

func testExampleVault(t *testing.T, e *examples, manifest string) {
	pod := e.pod(t, manifest)
	checkInjected(t, pod)
	if got := mountOf(pod, "app", loginspec.Volume); got != "/var/run/secrets/login (read-only)" {
		t.Errorf("the result is at %q", got)
	}
	e.login(t, pod)
	e.admitted(t, manifest)
}

func testExampleProfile(t *testing.T, e *examples, manifest string) {
	pod := e.pod(t, manifest)
	if len(pod.Annotations) < 2 {
		t.Errorf("the pod has the annotations %v", pod.Annotations)
	}
	if first := pod.Spec.InitContainers; len(first) != 1 || first[0].Name != loginspec.Container {
		t.Fatalf("the init containers are %+v", first)
	}
	if got := podtest.Env(pod, loginspec.Container, loginspec.Role.Env()); got != "" {
		t.Errorf("the role is %q, want that of Vault's default_role", got)
	}
	e.login(t, pod)
}

// testExampleConfig tries what no other example uses of the configuration, which
// is in force: a profile, and the policy.
func testExampleConfig(t *testing.T, e *examples, _ string) {
	pod := podtest.Create(t, kube, exampleNamespace, podtest.New("strict", "profile=vault-strict"))
	if got := tokenAudiences(pod, "app"); len(got) > 0 {
		t.Errorf("the app has tokens for %v", got)
	}
	if diff := cmp.Diff([]string{"vault"}, tokenAudiences(pod, loginspec.Container)); diff != "" {
		t.Errorf("tokens of the login container (-want +got):\n%s", diff)
	}
	e.login(t, pod)
	denied := podtest.New("denied", "profile=vault", "login-address=https://vault.attacker.example")
	if _, err := dryRun(t.Context(), exampleNamespace, denied); err == nil ||
		!strings.Contains(err.Error(), "the injector's policy allows") {
		t.Errorf("got error %v for another address", err)
	}
}

// tokenAudiences are the audiences of the tokens that a container can read, but
// for the API server's own.
func tokenAudiences(pod *corev1.Pod, container string) []string {
	var all []string
	for _, v := range pod.Spec.Volumes {
		if v.Projected == nil || mountOf(pod, container, v.Name) == "" {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.ServiceAccountToken != nil && s.ServiceAccountToken.Audience != "" {
				all = append(all, s.ServiceAccountToken.Audience)
			}
		}
	}
	slices.Sort(all)
	return all
}

func testExampleJob(t *testing.T, e *examples, manifest string) {
	e.apply(t, exampleNamespace, manifest)
	pod := podOfJob(t, "report")
	if got := *pod.Spec.InitContainers[0].RestartPolicy; got != corev1.ContainerRestartPolicyAlways {
		t.Errorf("the login container's restart policy is %q", got)
	}
	e.login(t, pod)
}

func testExampleCronJob(t *testing.T, e *examples, manifest string) {
	e.apply(t, exampleNamespace, manifest)
	if _, err := kube.Kubectl(t.Context(), "--namespace="+exampleNamespace, "create", "job", "nightly-now",
		"--from=cronjob/nightly"); err != nil {
		t.Fatal(err)
	}
	pod := podOfJob(t, "nightly-now")
	first := pod.Spec.InitContainers[0]
	if first.Name != loginspec.Container || first.RestartPolicy != nil || first.StartupProbe != nil {
		t.Errorf("the first init container is no login of the mode init: %+v", first)
	}
	e.login(t, pod)
}

func podOfJob(t *testing.T, job string) (pod *corev1.Pod) {
	t.Helper()
	podtest.Eventually(t, "the pod of job "+job, func(ctx context.Context) error {
		pods, err := kube.Client().CoreV1().Pods(exampleNamespace).List(ctx,
			metav1.ListOptions{LabelSelector: "batch.kubernetes.io/job-name=" + job})
		if err != nil || len(pods.Items) != 1 || len(pods.Items[0].Spec.InitContainers) != 1 {
			return fmt.Errorf("%d pods, or not injected, error %w", len(pods.Items), err)
		}
		pod = &pods.Items[0]
		return nil
	})
	return pod
}

func testExampleSeveralParties(t *testing.T, e *examples, manifest string) {
	pod := e.pod(t, manifest)
	for container, want := range map[string][]string{
		loginspec.Container: {"vault"}, "app": {"api://AzureADTokenExchange"}, "uploader": {"sts.amazonaws.com"},
	} {
		if diff := cmp.Diff(want, tokenAudiences(pod, container)); diff != "" {
			t.Errorf("tokens of container %s (-want +got):\n%s", container, diff)
		}
	}
	for key, want := range map[string]string{
		"app VAULT_TOKEN_FILE":                 "/var/run/secrets/login/token",
		"uploader VAULT_TOKEN_FILE":            "",
		"app AZURE_FEDERATED_TOKEN_FILE":       "/var/run/secrets/tokens-azure/oidc-token",
		"uploader AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/tokens-aws/oidc-token",
	} {
		container, name, _ := strings.Cut(key, " ")
		if got := podtest.Env(pod, container, name); got != want {
			t.Errorf("container %s has %s=%q, want %q", container, name, got, want)
		}
	}
	if got := mountOf(pod, "uploader", loginspec.Volume); got != "" {
		t.Errorf("the uploader has the result of the login at %s", got)
	}
	e.login(t, pod)
}

func testExampleTokenExchange(t *testing.T, e *examples, manifest string) {
	pod := e.pod(t, manifest)
	// A public server has a certificate that images trust; this one has not.
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, e.oauth.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		// This server wants to know the client of a token exchange.
		"api":     {"--client-id=billing"},
		"billing": nil,
	} {
		l := newLogin(t, pod, loginspec.Named(loginspec.Container, name), append(args, "--ca-file="+ca)...)
		startLogin(t, l)
		token := loggedIn(t, l)
		if variable := "ACCESS_TOKEN_FILE_" + strings.ToUpper(name); l.Host(podtest.Env(pod, "app", variable)) != l.OutputFile() {
			t.Errorf("%s is %q", variable, podtest.Env(pod, "app", variable))
		}
		if name == "billing" {
			var result struct{ Token string }
			if err := yaml.Unmarshal([]byte(token), &result); err != nil {
				t.Fatal(err)
			}
			token = result.Token
		}
		if _, err := e.oauth.Verify(t.Context(), token); err != nil {
			t.Errorf("login %s: %v", name, err)
		}
	}
}

func testExampleByHand(t *testing.T, e *examples, manifest string) {
	pod := e.pod(t, manifest)
	if got := pod.Annotations[podtest.Prefix+"status"]; got != "" {
		t.Errorf("the webhook has seen the pod: %s", got)
	}
	e.login(t, pod)
	e.admitted(t, manifest)
}

// testExampleBankVaults reads what the other examples rely on, as Bank-Vaults
// has left it.
func testExampleBankVaults(t *testing.T, e *examples, _ string) {
	role, err := e.vault.Client().Logical().ReadWithContext(t.Context(), "auth/jwt/role/demo")
	if err != nil || role == nil {
		t.Fatalf("role %v, error %v", role, err)
	}
	want := map[string]any{
		"role_type": "jwt", "bound_subject": "system:serviceaccount:default:default",
		"user_claim": "/kubernetes.io/serviceaccount/uid", "user_claim_json_pointer": true,
		"bound_audiences": []any{"vault"}, "token_policies": []any{"app"},
	}
	for key, value := range want {
		if diff := cmp.Diff(value, role.Data[key]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
}

// testExampleBankVaultsClient logs in as a client of its own would, with what
// annotations and variables give it.
func testExampleBankVaultsClient(t *testing.T, e *examples, manifest string) {
	pod := e.pod(t, manifest)
	if len(pod.Spec.InitContainers) > 0 {
		t.Errorf("the pod has init containers: %+v", pod.Spec.InitContainers)
	}
	if got := podtest.Env(pod, "client", "KUBERNETES_SERVICE_ACCOUNT_TOKEN"); got != "/var/run/secrets/tokens/oidc-token" {
		t.Errorf("KUBERNETES_SERVICE_ACCOUNT_TOKEN is %q", got)
	}
	for _, v := range pod.Spec.Volumes {
		if v.Name != "oidc-token" {
			continue
		}
		token, err := kube.RequestToken(t.Context(), pod, v.Projected.Sources[0].ServiceAccountToken)
		if err != nil {
			t.Fatal(err)
		}
		auth, err := e.vault.Login(t.Context(), podtest.Env(pod, "client", "VAULT_PATH"), "", token)
		if err != nil {
			t.Fatal(err)
		}
		e.mayReadTheSecret(t, auth.ClientToken)
		return
	}
	t.Error("the pod has no volume oidc-token")
}
