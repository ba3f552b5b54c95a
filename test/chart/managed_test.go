package chart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/helm"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
	"github.com/oidc-injector/oidc-injector/test/internal/ports"
)

// TestManagedCertificates runs the real webhook, as the Deployment says, with a token of the
// ServiceAccount and so with the rights that the chart grants, beside the cluster.
func TestManagedCertificates(t *testing.T) {
	dir := t.TempDir()
	binary, err := injector.Build(t.Context(), "webhook", dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range helms {
		t.Run(h.Name, func(t *testing.T) {
			withNamespace(t)
			gone := helm.NothingIsLeft(t, kube)
			install(t, h, "--set=audit.enabled=true")
			runWebhook(t, binary)
			made := readCertificates(t)
			if len(made.Data) == 0 || len(made.Bundles) != len(written().Bundles) || made.Bundles[0] == "" ||
				len(slices.Compact(slices.Clone(made.Bundles))) != 1 {
				t.Fatalf("the webhook is ready with the bundles %q", made.Bundles)
			}
			keeps := func(after string) {
				t.Helper()
				if diff := cmp.Diff(made, readCertificates(t)); diff != "" {
					t.Errorf("after %s the certificates are others (-want +got):\n%s", after, diff)
				}
			}
			h.MustRun(t, "upgrade", release, chartDir, noHooks, registry, "--set=replicas=3,audit.enabled=true")
			keeps("the upgrade")
			h.MustRun(t, "rollback", release, "1")
			keeps("the rollback")

			// It makes a Secret that somebody has deleted, by the right that has its name.
			if err := kube.Client().CoreV1().Secrets(namespace).Delete(t.Context(), "oidc-injector-ca",
				metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			podtest.Eventually(t, "the Secret", func(ctx context.Context) error {
				secret, err := kube.Client().CoreV1().Secrets(namespace).Get(ctx, "oidc-injector-ca", metav1.GetOptions{})
				if err == nil && len(secret.Data) == 0 {
					err = errors.New("it is empty")
				}
				return err
			})
			h.MustRun(t, "upgrade", release, chartDir, noHooks, registry, "--set=replicas=1,audit.enabled=true")

			// It is still running, and must not bring anything back.
			h.MustRun(t, "uninstall", release, "--wait", "--timeout=60s")
			gone()
		})
	}
}

// runWebhook runs the webhook until the end of the test and waits until it is ready.
func runWebhook(t *testing.T, binary string) {
	t.Helper()
	installed, err := kube.Client().AppsV1().Deployments(namespace).Get(t.Context(), release, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config, err := kube.Client().CoreV1().ConfigMaps(namespace).
		Get(t.Context(), installed.Spec.Template.Spec.Volumes[0].ConfigMap.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte(config.Data["config.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := tokenKubeconfig(t.Context(), "oidc-injector", dir)
	if err != nil {
		t.Fatal(err)
	}
	probes := "127.0.0.1:" + freePort(t)
	// Of a flag that is there twice the last one counts.
	args := slices.Concat(installed.Spec.Template.Spec.Containers[0].Args, []string{
		"--config=" + file, "--kubeconfig=" + kubeconfig, "--bind-address=127.0.0.1", "--port=" + freePort(t),
		"--metrics-bind-address=0", "--health-probe-bind-address=" + probes, "--shutdown-delay-duration=0s",
	})
	var log bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("the webhook ended: %v\n%s", err, log.String())
		}
	})
	podtest.Eventually(t, "the webhook to be ready", func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+probes+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", response.Status)
		}
		return nil
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	port, err := ports.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Release)
	return strconv.Itoa(port.Number)
}

// tokenKubeconfig is a kubeconfig with a token of a ServiceAccount of the release.
func tokenKubeconfig(ctx context.Context, account, dir string) (path string, err error) {
	token, err := kube.Client().CoreV1().ServiceAccounts(namespace).
		CreateToken(ctx, account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: kube.Issuer(), CertificateAuthorityData: kube.CA()}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	path = filepath.Join(dir, "kubeconfig")
	return path, clientcmd.WriteToFile(*config, path)
}
