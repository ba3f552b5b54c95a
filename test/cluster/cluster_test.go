package cluster_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/cluster"
)

func TestControlPlane(t *testing.T) {
	c := cluster.StartForTest(t, cluster.Options{})
	t.Run("issuer", func(t *testing.T) { testIssuer(t, c) })
	t.Run("token", func(t *testing.T) { testToken(t, c) })
	t.Run("restart", func(t *testing.T) { testRestart(t, c) })
	t.Run("kubectl", func(t *testing.T) { testKubectl(t, c) })
	t.Run("no node", func(t *testing.T) {
		if c.HasNode() || c.NodeName() != "" || c.NodeIP() != "" {
			t.Error("there is a node")
		}
		if err := c.Expose(t.Context(), 1); err != nil {
			t.Error(err)
		}
		if err := c.LoadImage(t.Context(), "localhost/a:1", nil, cluster.Image{}); err == nil {
			t.Error("an image was loaded without a node")
		}
	})
}

// testIssuer reads what a relying party reads, as a relying party: without
// credentials, and with the CA of the cluster.
func testIssuer(t *testing.T, c *cluster.Cluster) {
	const discovery = "/.well-known/openid-configuration"
	client := anonymous(t, c)
	if status, _ := get(t, client, c.Issuer()+discovery); status != http.StatusForbidden {
		t.Errorf("status %d before anybody was allowed, want %d", status, http.StatusForbidden)
	}
	if err := c.AllowDiscovery(t.Context()); err != nil {
		t.Fatal(err)
	}
	var document struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	// The authorizer learns of the binding a moment after its creation.
	eventually(t, func() error {
		status, body := get(t, client, c.Issuer()+discovery)
		if status != http.StatusOK {
			return fmt.Errorf("status %d", status)
		}
		return json.Unmarshal(body, &document)
	})
	if document.Issuer != c.Issuer() || document.JWKSURI != c.Issuer()+"/openid/v1/jwks" {
		t.Errorf("document is %+v, want issuer %s", document, c.Issuer())
	}
	_, body := get(t, client, document.JWKSURI)
	var keys struct {
		Keys []struct{ Kty, Alg string }
	}
	if err := json.Unmarshal(body, &keys); err != nil || len(keys.Keys) != 1 || keys.Keys[0].Alg != "RS256" {
		t.Errorf("keys are %s, want one for RS256, error %v", body, err)
	}
}

func testToken(t *testing.T, c *cluster.Cluster) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"vault"}}}
	response, err := c.Client().CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "default", request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	checkToken(t, c, response.Status.Token, "system:serviceaccount:default:default")
}

func checkToken(t *testing.T, c *cluster.Cluster, token, subject string) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("the token has %d parts, want 3", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Issuer   string   `json:"iss"`
		Subject  string   `json:"sub"`
		Audience []string `json:"aud"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	if claims.Issuer != c.Issuer() || claims.Subject != subject || len(claims.Audience) != 1 || claims.Audience[0] != "vault" {
		t.Errorf("claims are %+v, want issuer %s, subject %s, audience vault", claims, c.Issuer(), subject)
	}
}

func testRestart(t *testing.T, c *cluster.Cluster) {
	ctx := t.Context()
	if err := c.Namespace(ctx, "kept", map[string]string{"team": "a"}); err != nil {
		t.Fatal(err)
	}
	if err := c.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Client().CoreV1().Namespaces().Get(ctx, "kept", metav1.GetOptions{}); err == nil {
		t.Error("a stopped API server has answered")
	}
	if err := c.StartAPIServer(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.RestartAPIServer(ctx); err != nil {
		t.Fatal(err)
	}
	namespace, err := c.Client().CoreV1().Namespaces().Get(ctx, "kept", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if namespace.Labels["team"] != "a" {
		t.Errorf("labels are %v", namespace.Labels)
	}
	// The controller manager works if it fills a new one.
	if err := c.Namespace(ctx, "after", nil); err != nil {
		t.Error(err)
	}
}

func testKubectl(t *testing.T, c *cluster.Cluster) {
	if err := c.Apply(t.Context(), "{apiVersion: v1, kind: ConfigMap, metadata: {name: applied}, data: {a: b}}"); err != nil {
		t.Fatal(err)
	}
	out, err := c.Kubectl(t.Context(), "get", "configmap", "applied", "--output=jsonpath={.data.a}")
	if err != nil || out != "b" {
		t.Errorf("kubectl says %q, error %v", out, err)
	}
	if _, err := c.Kubectl(t.Context(), "get", "configmap", "none"); err == nil || !strings.Contains(err.Error(), "NotFound") {
		t.Errorf("got error %v, want one that tells what kubectl said", err)
	}
}

func TestNamespaceWithoutControllerManager(t *testing.T) {
	c := cluster.StartForTest(t, cluster.Options{})
	assets := t.TempDir()
	for _, name := range []string{"etcd", "kube-apiserver", "kubectl"} {
		if err := os.Symlink(strings.TrimSuffix(c.KubectlPath(), "kubectl")+name, assets+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("KUBEBUILDER_ASSETS", assets)
	bare := cluster.StartForTest(t, cluster.Options{})
	if err := bare.Namespace(t.Context(), "bare", nil); err != nil {
		t.Fatal(err)
	}
	for _, namespace := range []string{"default", "bare"} {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "app"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: cluster.ToolboxImage}}},
		}
		if _, err := bare.Client().CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Error(err)
		}
	}
}

func TestStartErrorHasCause(t *testing.T) {
	parent := t.TempDir()
	_, err := cluster.Start(t.Context(), cluster.Options{
		StateDir: parent, LogDir: t.TempDir(), Progress: os.Stderr,
		APIServerArgs: []string{"--no-such-flag"},
	})
	if err == nil || !strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
		t.Errorf("got error %v, want the end of the log", err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left %v, error %v", left, err)
	}
}

func TestNode(t *testing.T) {
	c := cluster.StartForTest(t, cluster.Options{Node: true})
	if err := c.Namespace(t.Context(), "apps", nil); err != nil {
		t.Fatal(err)
	}
	t.Run("pod", func(t *testing.T) { testPod(t, c) })
	t.Run("job", func(t *testing.T) { testJob(t, c) })
	t.Run("expose", func(t *testing.T) { testExpose(t, c) })
	t.Run("service kubernetes", func(t *testing.T) { testServiceKubernetes(t, c) })
	t.Run("restart", func(t *testing.T) { testRestart(t, c) })
}

const podManifest = `
apiVersion: v1
kind: Pod
metadata: {name: app, namespace: apps}
spec:
  terminationGracePeriodSeconds: 5
  containers:
  - name: app
    image: ` + cluster.ToolboxImage + `
    args: [sleep]
    volumeMounts: [{name: oidc-token, mountPath: /var/run/secrets/tokens}]
  - name: once
    image: ` + cluster.ToolboxImage + `
    args: [cat, /var/run/secrets/tokens/oidc-token]
    volumeMounts: [{name: oidc-token, mountPath: /var/run/secrets/tokens}]
  restartPolicy: OnFailure
  securityContext: {fsGroup: 2000}
  volumes:
  - name: oidc-token
    projected:
      sources: [{serviceAccountToken: {path: oidc-token, expirationSeconds: 7200, audience: vault}}]
`

func testPod(t *testing.T, c *cluster.Cluster) {
	const tokenPath = "/var/run/secrets/tokens/oidc-token"
	if err := c.Apply(t.Context(), podManifest); err != nil {
		t.Fatal(err)
	}
	in := func(args ...string) string { return kubectl(t, c, append([]string{"--namespace=apps"}, args...)...) }
	in("wait", "--for=jsonpath={.status.containerStatuses[?(@.name=='app')].ready}=true", "pod/app", "--timeout=60s")
	in("wait", "--for=jsonpath={.status.containerStatuses[?(@.name=='once')].state.terminated.reason}=Completed", "pod/app",
		"--timeout=60s")
	checkToken(t, c, in("logs", "app", "--container=once"), "system:serviceaccount:apps:default")
	checkToken(t, c, in("exec", "app", "--container=app", "--", "/toolbox", "cat", tokenPath), "system:serviceaccount:apps:default")
	if got, want := in("exec", "app", "--container=app", "--", "/toolbox", "stat", tokenPath), "0640 0 2000 "+tokenPath+"\n"; got != want {
		t.Errorf("stat says %q, want %q", got, want)
	}
	got := in("exec", "app", "--container=app", "--", "/toolbox", "id")
	if !strings.HasPrefix(got, "uid=65532 gid=0 groups=") || !strings.Contains(got, "2000") {
		t.Errorf("id says %q, want user 65532 and group 2000", got)
	}
	testDebug(t, in)
	in("delete", "pod", "app", "--wait", "--timeout=30s")
}

// testDebug adds an ephemeral container.
func testDebug(t *testing.T, in func(...string) string) {
	in("debug", "app", "--image="+cluster.ToolboxImage, "--container=debugger", "--profile=general", "--", "/toolbox", "env")
	in("wait", "--for=jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.reason}=Completed", "pod/app", "--timeout=60s")
	if got := in("logs", "app", "--container=debugger"); !strings.Contains(got, "KUBERNETES_SERVICE_HOST=") {
		t.Errorf("the ephemeral container logged %q, want its environment", got)
	}
}

// testJob runs an image of its own.
func testJob(t *testing.T, c *cluster.Cluster) {
	const image = "localhost/custom:1"
	out := filepath.Join(t.TempDir(), "hello")
	build := exec.Command("go", "build", "-o", out, "./testdata/hello.go")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if err := c.LoadImage(t.Context(), image, map[string]string{"/bin/hello": out},
		cluster.Image{Env: []string{"WHOM=world"}}); err != nil {
		t.Fatal(err)
	}
	kubectl(t, c, "--namespace=apps", "create", "job", "once", "--image="+image)
	kubectl(t, c, "--namespace=apps", "wait", "--for=condition=Complete", "job/once", "--timeout=60s")
	if got := kubectl(t, c, "--namespace=apps", "logs", "job/once"); got != "hello world\n" {
		t.Errorf("the job logged %q", got)
	}
}

func testExpose(t *testing.T, c *cluster.Cluster) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	port := listener.Addr().(*net.TCPAddr).Port
	for range 2 { // the second time nothing is left to do
		if err := c.Expose(t.Context(), port); err != nil {
			t.Fatal(err)
		}
	}
	for _, ip := range []string{"127.0.0.1", c.NodeIP()} {
		if got, err := echo(t.Context(), c, net.JoinHostPort(ip, strconv.Itoa(port))); err != nil || got != "hello" {
			t.Errorf("%s echoed %q, error %v", ip, got, err)
		}
	}
}

// echo closes its own direction only, and waits for the end of the other one.
func echo(ctx context.Context, c *cluster.Cluster, address string) (string, error) {
	conn, err := c.Dial(ctx, address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "hello"); err != nil {
		return "", err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// testServiceKubernetes does what an in-cluster client does first.
func testServiceKubernetes(t *testing.T, c *cluster.Cluster) {
	service, err := c.Client().CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := c.Dial(t.Context(), net.JoinHostPort(service.Spec.ClusterIP, "443"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := tls.Client(conn, &tls.Config{RootCAs: pool(t, c), ServerName: service.Spec.ClusterIP})
	if err := client.HandshakeContext(t.Context()); err != nil {
		t.Error(err)
	}
}

func kubectl(t *testing.T, c *cluster.Cluster, args ...string) string {
	t.Helper()
	out, err := c.Kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func pool(t *testing.T, c *cluster.Cluster) *x509.CertPool {
	t.Helper()
	certificates := x509.NewCertPool()
	if !certificates.AppendCertsFromPEM(c.CA()) {
		t.Fatal("the CA is no certificate")
	}
	return certificates
}

func anonymous(t *testing.T, c *cluster.Cluster) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool(t, c)}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func get(t *testing.T, client *http.Client, url string) (status int, body []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body
}

// eventually repeats until there is no error.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
