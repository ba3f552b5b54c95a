package login

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// buildPlugin builds the kubectl plugin, once.
var buildPlugin = sync.OnceValues(func() (string, error) {
	path := filepath.Join(dir, "plugins")
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", err
	}
	_, err := injector.Build(context.Background(), "kubectl-oidc_injector", path)
	return path, err
})

// plugin runs kubectl oidc-injector, by kubectl, and returns what it wrote and its exit
// code.
func plugin(t *testing.T, input string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	path, err := buildPlugin()
	if err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(t.Context(), kube.KubectlPath(), append([]string{"oidc-injector"}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH"), "KUBECONFIG="+kube.Kubeconfig(), "KUBERC=off",
		"KUBECACHEDIR="+filepath.Join(t.TempDir(), "cache"), "VAULT_TOKEN="+server.Client().Token())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errOut
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), code
}

// said is the output of a call that succeeds.
func said(t *testing.T, input string, args ...string) string {
	t.Helper()
	stdout, stderr, code := plugin(t, input, args...)
	if code != 0 {
		t.Fatalf("kubectl oidc-injector %s: exit code %d: %s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// accountPod is a pod of a ServiceAccount, which is made for it.
func accountPod(t *testing.T, ns, account, name string, keys ...string) *corev1.Pod {
	t.Helper()
	object := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}
	if _, err := kube.Client().CoreV1().ServiceAccounts(ns).Create(t.Context(), object, metav1.CreateOptions{}); err != nil &&
		!apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	pod := podtest.New(name, keys...)
	pod.Spec.ServiceAccountName = account
	return podtest.Create(t, kube, ns, pod)
}

// writeTemp writes a file of the test's own.
func writeTemp(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tokenFor is a token of a pod for an audience, as the kubelet would get it.
func tokenFor(t *testing.T, pod *corev1.Pod, audience string) string {
	t.Helper()
	hour := int64(time.Hour / time.Second)
	token, err := kube.RequestToken(t.Context(), pod, &corev1.ServiceAccountTokenProjection{Audience: audience, ExpirationSeconds: &hour})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// holder is somebody with a token, and whether the other side is to let it in.
type holder struct {
	who, token string
	accepted   bool
}

// holders are the workload, and all that differ from it by one thing.
func holders(t *testing.T, pod *corev1.Pod, audience string) []holder {
	t.Helper()
	account := pod.Spec.ServiceAccountName
	otherNamespace := namespace(t, pod.Namespace+"-2", server.CA())
	own := said(t, "", "token", "create", pod.Name, "--namespace="+pod.Namespace, "--print")
	return []holder{
		{"the workload", strings.TrimSpace(own), true},
		{"another ServiceAccount", tokenFor(t, accountPod(t, pod.Namespace, account+"-2", pod.Name+"-2"), audience), false},
		{"another namespace", tokenFor(t, accountPod(t, otherNamespace, account, pod.Name), audience), false},
		{"another audience", tokenFor(t, pod, audience+"-2"), false},
	}
}

// TestGenerateVault has the plugin write Vault's side for a pod, in each form, applies it
// to the real Vault and logs in: the pod gets in, and nobody else. What token verify says
// of each token is what Vault does.
func TestGenerateVault(t *testing.T) {
	t.Parallel()
	for party, apply := range map[string]func(t *testing.T, args []string){
		"vault": runCommands, "openbao": runCommands, "vault-api": sendRequests, "terraform": applyTerraform,
		"bank-vaults": func(t *testing.T, args []string) {
			t.Helper()
			configureLikeBankVaults(t, server, said(t, "", args...))
		},
	} {
		t.Run(party, func(t *testing.T) {
			t.Parallel()
			name := "generated-" + party
			pod := accountPod(t, namespace(t, name, server.CA()), "app", "app", "audience=vault", "login=vault",
				"login-address="+server.Address(), "login-role="+name, "login-mount="+name, "login-ca-configmap=vault-ca")
			args := []string{
				"generate", strings.TrimSuffix(party, "-api"), "app", "--namespace=" + name,
				"--issuer-ca=" + writeTemp(t, "ca.crt", kube.CA()),
			}
			apply(t, args)
			url := server.Address() + "/v1/auth/" + name + "/role/" + name
			for _, h := range holders(t, pod, "vault") {
				auth, err := server.Login(t.Context(), name, name, h.token)
				if (err == nil) != h.accepted {
					t.Errorf("%s: error %v", h.who, err)
				}
				stdout, stderr, code := plugin(t, h.token, "token", "verify", "--from-cluster", "--against=vault-role",
					"--ca-file="+server.CAFile(), url)
				if (code == 0) != h.accepted || code > 1 {
					t.Errorf("%s: Vault says %v, token verify ends with %d: %s%s", h.who, err, code, stdout, stderr)
				}
				if h.accepted && err == nil {
					checkAlias(t, pod, auth.ClientToken)
				}
			}
			// The login container finds what the annotations name.
			l := newLogin(t, pod, "")
			startLogin(t, l)
			loggedIn(t, l)
		})
	}
}

// checkAlias looks for the ServiceAccount's uid as the name by which Vault knows the pod.
func checkAlias(t *testing.T, pod *corev1.Pod, token string) {
	t.Helper()
	account, err := kube.Client().CoreV1().ServiceAccounts(pod.Namespace).Get(t.Context(), pod.Spec.ServiceAccountName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := server.LookupSelf(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(data["display_name"]); !strings.HasSuffix(got, "-"+string(account.UID)) {
		t.Errorf("Vault calls the pod %s, want the uid %s", got, account.UID)
	}
	if got := fmt.Sprint(data["policies"]); !strings.Contains(got, pod.Namespace) {
		t.Errorf("the policies are %s", got)
	}
}

// runCommands runs the commands that are generated, by a shell, with the program of Vault
// in the place of that of OpenBao, too.
func runCommands(t *testing.T, args []string) {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{"vault", "bao"} {
		if err := os.Symlink(server.VaultPath(), filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-eu")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+bin, "VAULT_ADDR="+server.Address(),
		"VAULT_CACERT="+server.CAFile(), "VAULT_TOKEN="+server.Client().Token())
	cmd.Stdin = strings.NewReader(said(t, "", args...))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// sendRequests sends the requests that are generated.
func sendRequests(t *testing.T, args []string) {
	t.Helper()
	var requests []struct {
		Path string         `json:"path"`
		Data map[string]any `json:"data"`
	}
	if err := json.Unmarshal([]byte(said(t, "", append(args, "-o=json")...)), &requests); err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		answer, err := server.Client().Logical().WriteWithContext(t.Context(), r.Path, r.Data)
		if err != nil {
			t.Fatalf("%s: %v", r.Path, err)
		}
		if answer != nil && len(answer.Warnings) > 0 {
			t.Errorf("Vault warns of %s: %q", r.Path, answer.Warnings)
		}
	}
}

// TestGenerateClouds evaluates what the plugin writes for AWS, Azure and Google Cloud,
// which are not here, with tokens of the real API server.
func TestGenerateClouds(t *testing.T) {
	t.Parallel()
	for party, test := range map[string]struct {
		keys           []string
		audience, rule string
	}{
		"aws": {[]string{"aws-role-arn=arn:aws:iam::123456789012:role/app"}, "sts.amazonaws.com", "aws-trust"},
		"azure": {[]string{
			"azure-client-id=00000000-0000-0000-0000-000000000000", "azure-tenant-id=00000000-0000-0000-0000-000000000000",
		}, "api://AzureADTokenExchange", "azure"},
		"gcp": {
			[]string{"gcp-provider=projects/123456789/locations/global/workloadIdentityPools/clusters/providers/demo"},
			"https://iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/clusters/providers/demo", "gcp",
		},
	} {
		t.Run(party, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t, "generated-"+party, server.CA())
			pod := accountPod(t, ns, "app", "app", test.keys...)
			rule := writeTemp(t, "rule.json", []byte(said(t, "", "generate", party, "app", "--namespace="+ns, "-o=json")))
			for _, h := range holders(t, pod, test.audience) {
				stdout, stderr, code := plugin(t, h.token, "token", "verify", "--issuer="+kube.Issuer(),
					"--ca-file="+writeTemp(t, "ca.crt", kube.CA()), "--against="+test.rule, rule)
				if (code == 0) != h.accepted || code > 1 || !strings.Contains(stdout, "✓ signature") {
					t.Errorf("%s: exit code %d: %s%s", h.who, code, stdout, stderr)
				}
				if h.accepted && strings.ContainsAny(stdout, "!?") {
					t.Errorf("%s: there are doubts: %s", h.who, stdout)
				}
			}
		})
	}
}

// TestGenerateKubernetes starts another cluster with the configuration that the plugin
// writes, which lets the pod in and no other.
func TestGenerateKubernetes(t *testing.T) {
	t.Parallel()
	const audience = "https://generated.example.com"
	ns := namespace(t, "generated-kubernetes", server.CA())
	pod := accountPod(t, ns, "app", "app", "kubernetes-server=https://127.0.0.1:6443", "kubernetes-audience="+audience)
	other := startWith(t, said(t, "", "generate", "kubernetes", "app", "--namespace="+ns, "--issuer-ca="+writeTemp(t, "ca.crt", kube.CA())))
	account, err := kube.Client().CoreV1().ServiceAccounts(ns).Get(t.Context(), "app", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range holders(t, pod, audience) {
		client := clientWith(t, other, writeTemp(t, "token", []byte(h.token)))
		var review *authenticationv1.SelfSubjectReview
		ask := func(ctx context.Context) (err error) {
			review, err = client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{},
				metav1.CreateOptions{})
			return err
		}
		if !h.accepted {
			if err := ask(t.Context()); !apierrors.IsUnauthorized(err) {
				t.Errorf("%s: %v", h.who, err)
			}
			continue
		}
		podtest.Eventually(t, "the token is accepted", ask)
		if got := review.Status.UserInfo; got.Username != "cluster-a:system:serviceaccount:"+ns+":app" || got.UID != string(account.UID) {
			t.Errorf("the other cluster knows the pod as %+v", got)
		}
	}
}

// TestTokenCreate requests what the kubelet would request, of a pod, of a Deployment with
// pods and of a file, and says what is missing to those who may not.
func TestTokenCreate(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "token-create", server.CA())
	in := "--namespace=" + ns
	pod := accountPod(t, ns, "app", "app", "audience=vault", "expiration=2h", "audience.other=other")
	var got struct {
		Claims struct {
			Aud      []string
			Iat, Exp int64
		}
		Kubernetes struct {
			Pod *struct{ Name, UID string }
		}
		Problems []string
	}
	read := func(args ...string) (stderr string) {
		t.Helper()
		stdout, stderr, code := plugin(t, "", append([]string{"token", "create", in, "-o=json"}, args...)...)
		got.Kubernetes.Pod = nil
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 {
			t.Fatalf("%v: exit code %d, error %v: %s%s", args, code, err, stdout, stderr)
		}
		return stderr
	}
	read("app", "--token=default")
	if p := got.Kubernetes.Pod; p == nil || p.UID != string(pod.UID) || fmt.Sprint(got.Claims.Aud) != "[vault]" ||
		got.Claims.Exp-got.Claims.Iat != 7200 || len(got.Problems) > 0 {
		t.Errorf("the pod's token says %+v", got)
	}
	read("pod/app", "--token=other")
	if fmt.Sprint(got.Claims.Aud) != "[other]" || got.Claims.Exp-got.Claims.Iat != 3600 {
		t.Errorf("the other token says %+v", got)
	}
	_, stderr, code := plugin(t, "", "token", "create", in, "app")
	if code != 2 || !strings.Contains(stderr, "the pod has the tokens default, other: say which with --token") {
		t.Errorf("without a name: exit code %d: %s", code, stderr)
	}

	deployment := newDeployment(t, ns)
	if note := read("deploy/web"); !strings.Contains(note, "note: deployment/web has no pod in the cluster") ||
		got.Kubernetes.Pod != nil {
		t.Errorf("a Deployment without pods: %+v: %s", got, note)
	}
	podOfIt := podtest.New("web-0")
	podOfIt.Labels = deployment.Spec.Selector.MatchLabels
	podOfIt = podtest.Create(t, kube, ns, podOfIt)
	if note := read("deploy/web"); note != "" || got.Kubernetes.Pod == nil || got.Kubernetes.Pod.UID != string(podOfIt.UID) {
		t.Errorf("a Deployment with pods: %+v: %s", got, note)
	}

	_, stderr, code = plugin(t, "", "token", "create", in, "deploy/web", "--as=nobody")
	if code != 2 || !strings.Contains(stderr, "forbidden") {
		t.Errorf("without rights: exit code %d: %s", code, stderr)
	}
	// Nothing but the token, where it is asked for.
	token := said(t, "", "token", "create", in, "app", "--token=default", "--print")
	if strings.Count(token, "\n") != 1 || strings.Count(token, ".") != 2 {
		t.Error("--print prints more, or less, than a token")
	}
	inspected := said(t, token, "token", "inspect")
	if parts := strings.Split(strings.TrimSpace(token), "."); strings.Contains(inspected, parts[2][:20]) ||
		!strings.Contains(inspected, string(pod.UID)) {
		t.Errorf("token inspect says %s", inspected)
	}
}

// newDeployment is one whose pods nobody makes: it has no replicas.
func newDeployment(t *testing.T, ns string) *appsv1.Deployment {
	t.Helper()
	labels := map[string]string{"app": "web"}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: appsv1.DeploymentSpec{
		Replicas: new(int32), Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: podtest.Annotations("audience=web")},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
		},
	}}
	created, err := kube.Client().AppsV1().Deployments(ns).Create(t.Context(), deployment, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// TestGenerateDiscovery writes the issuer's documents, by which a token can be verified
// without the API server, by the plugin and by a relying party's library.
func TestGenerateDiscovery(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "public")
	said(t, "", "generate", "discovery", "--out="+out)
	var document map[string]any
	data, err := os.ReadFile(filepath.Join(out, ".well-known", "openid-configuration"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	if document["issuer"] != kube.Issuer() || document["jwks_uri"] != kube.Issuer()+"/openid/v1/jwks" ||
		document["id_token_signing_alg_values_supported"] == nil {
		t.Errorf("the discovery document is %s", data)
	}
	ns := namespace(t, "generated-discovery", server.CA())
	accountPod(t, ns, "app", "app", "audience=vault")
	token := said(t, "", "token", "create", "app", "--namespace="+ns, "--print")
	jwks := filepath.Join(out, "openid", "v1", "jwks")
	said(t, token, "token", "verify", "--jwks="+jwks, "--issuer="+kube.Issuer(), "--audience=vault")
	if stdout, _, code := plugin(t, token, "token", "verify", "--jwks="+jwks, "--issuer=https://other.example.com"); code != 1 {
		t.Errorf("of another issuer: exit code %d: %s", code, stdout)
	}

	// A web server that knows nothing but files, where relying parties look for the issuer.
	web := httptest.NewTLSServer(http.FileServer(http.Dir(out)))
	defer web.Close()
	transport := web.Client().Transport.(*http.Transport).Clone() //nolint:forcetypeassert // net/http/httptest says so
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, web.Listener.Addr().String())
	}
	ctx := oidc.ClientContext(t.Context(), &http.Client{Transport: transport})
	provider, err := oidc.NewProvider(ctx, kube.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	verified, err := provider.Verifier(&oidc.Config{ClientID: "vault"}).Verify(ctx, strings.TrimSpace(token))
	if err != nil {
		t.Fatal(err)
	}
	if want := "system:serviceaccount:" + ns + ":app"; verified.Subject != want {
		t.Errorf("the subject is %s, want %s", verified.Subject, want)
	}
}
