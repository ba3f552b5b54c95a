// Package node tests on a whole node what only a kubelet can show: that the
// containers of an injected pod can read their tokens, with the file's owner
// and mode that the patch was computed for, and that the tokens are good; and
// that pods log in to a real Vault, from their start to their end.
package node

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/minio"
	"github.com/oidc-injector/oidc-injector/test/relyingparty"
	"github.com/oidc-injector/oidc-injector/test/vault"
)

const tokenPath = "/var/run/secrets/tokens/oidc-token"

// TestMain lets more tests run at a time than there are CPUs: most of the time
// they wait for the kubelet.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "6"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	m.Run()
}

// TestNode has one node for all tests. The guide comes first, as it begins with
// an empty cluster and an empty Vault, and the kubelet's restart last, as it
// disturbs everybody else.
func TestNode(t *testing.T) {
	n := start(t)
	if !t.Run("guide", n.testGuide) {
		return // if that fails, most of the others do, too, and take their time
	}
	n.prepareVault(t)
	if !testing.Short() {
		n.startStorage(t)
	}
	renewing := n.startRenewing(t)
	t.Run("together", func(t *testing.T) {
		t.Run("scenario", n.testScenario)
		t.Run("modes", n.testModes)
		t.Run("containers of all kinds", n.testContainersOfAllKinds)
		t.Run("cron job", n.testCronJob) // early, as it waits for the next minute
		t.Run("start", n.testStart)
		t.Run("wrong role", n.testWrongRole)
		t.Run("wrong role in init mode", n.testWrongRoleInit)
		t.Run("restricted", n.testRestricted)
		t.Run("several logins", n.testSeveralLogins)
		t.Run("end", n.testEnd)
		t.Run("killed", n.testKilled)
		t.Run("jobs", n.testJobs)
		t.Run("examples", n.testExamples)
		t.Run("mounts", n.testMounts)
		t.Run("providers", n.testProviders)
		t.Run("storage", n.testStorage)
		t.Run("trust bundles", n.testTrustBundles)
		t.Run("explain", n.testExplain)
	})
	t.Run("token users", n.testTokenUsers)
	t.Run("kubelet restarted", n.testKubeletRestarted)
	t.Run("memory", renewing.testMemory)
}

// node is the node with all that runs beside it, as seen from one namespace.
type node struct {
	kube  *cluster.Cluster
	vault *vault.Server
	// storage is a MinIO, or nil with an older release.
	storage *minio.Server
	// webhook is configured as the examples say.
	webhook *injector.Injector
	// address is that of Vault for pods.
	address string
	ns      string
}

// testScenario runs the scenario's pod and verifies the token that it reads.
func (n *node) testScenario(t *testing.T) {
	t.Parallel()
	pod := newPod("scenario", container("app"))
	pod.Annotations = map[string]string{"oidc-injector.io/audience": "vault", "oidc-injector.io/expiration": "7200"}
	pod = n.run(t, pod)
	token := n.exec(t, pod.Name, "app", "cat", tokenPath)
	var claims *relyingparty.Claims
	n.eventually(t, func() error {
		party, err := relyingparty.Discover(t.Context(), n.kube.Issuer(), n.kube.CA())
		if err == nil {
			claims, err = party.Verify(t.Context(), token, "vault")
		}
		return err
	})
	if want := "system:serviceaccount:" + n.ns + ":default"; claims.Subject != want {
		t.Errorf("sub is %q, want %q", claims.Subject, want)
	}
	if got, want := claims.Kubernetes.Pod, (relyingparty.Object{Name: pod.Name, UID: string(pod.UID)}); got != want {
		t.Errorf("pod is %v, want %v", got, want)
	}
	if got := claims.Expiry - claims.IssuedAt; got != 7200 {
		t.Errorf("the token is valid for %d s, want 7200", got)
	}
}

// testContainersOfAllKinds reads two tokens from an init container, a native
// sidecar, a regular and a debug container, each as its annotations say.
func (n *node) testContainersOfAllKinds(t *testing.T) {
	t.Parallel()
	always := corev1.ContainerRestartPolicyAlways
	migrate, proxy := container("migrate", "cat", tokenPath), container("proxy")
	proxy.RestartPolicy = &always
	pod := newPod("kinds", container("app"), container("other"))
	pod.Spec.InitContainers = []corev1.Container{migrate, proxy}
	pod.Annotations = map[string]string{
		"oidc-injector.io/audience":       "vault",
		"oidc-injector.io/audience.aws":   "sts.amazonaws.com",
		"oidc-injector.io/mount-path.aws": "/var/run/secrets/aws",
		"oidc-injector.io/containers.aws": "app",
		"oidc-injector.io/env.aws":        "AWS_WEB_IDENTITY_TOKEN_FILE",
	}
	n.run(t, pod)
	const awsPath = "/var/run/secrets/aws/oidc-token"
	if logs := n.kubectl(t, "logs", pod.Name, "--container=migrate"); audience(t, logs) != "vault" {
		t.Errorf("the init container's token is for %q", audience(t, logs))
	}
	for name, paths := range map[string]map[string]string{
		"proxy": {tokenPath: "vault"}, "other": {tokenPath: "vault"}, "app": {tokenPath: "vault", awsPath: "sts.amazonaws.com"},
	} {
		for path, want := range paths {
			if got := audience(t, n.exec(t, pod.Name, name, "cat", path)); got != want {
				t.Errorf("container %s reads a token for %q at %s, want %q", name, got, path, want)
			}
		}
	}
	if _, err := n.tryExec(t, pod.Name, "other", "cat", awsPath); err == nil {
		t.Error("container other reads a token that is not meant for it")
	}
	if env := n.exec(t, pod.Name, "app", "env"); !strings.Contains(env, "AWS_WEB_IDENTITY_TOKEN_FILE="+awsPath) {
		t.Error("container app lacks the variable")
	}
	n.kubectl(t, "debug", pod.Name, "--image="+cluster.ToolboxImage, "--container=debugger", "--target=app", "--", "/toolbox", "sleep")
	n.eventually(t, func() error {
		out, err := n.tryExec(t, pod.Name, "debugger", "cat", awsPath)
		if err == nil && audience(t, out) != "sts.amazonaws.com" {
			err = fmt.Errorf("the debug container's token is for %q", audience(t, out))
		}
		return err
	})
}

// audience returns the audience of a token, unverified.
func audience(t *testing.T, token string) string {
	t.Helper()
	_, payload, err := relyingparty.Decode(strings.TrimSpace(token))
	if err != nil {
		t.Fatal(err)
	}
	var claims relyingparty.Claims
	if err := json.Unmarshal([]byte(payload), &claims); err != nil {
		t.Fatal(err)
	}
	return strings.Join(claims.Audience, " ")
}
