package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// testGuide runs the commands of docs/vault.md in their order, as they stand. The
// last one reads the secret.
func (n *node) testGuide(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join(repository, "docs", "vault.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := shellBlocks(string(guide))
	if len(blocks) < 5 {
		t.Fatalf("the guide has %d blocks of commands, which are too few", len(blocks))
	}
	dir, programs := t.TempDir(), t.TempDir()
	for name, path := range map[string]string{"kubectl": n.kube.KubectlPath(), "vault": n.vault.VaultPath()} {
		if err := os.Symlink(path, filepath.Join(programs, name)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	script := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", strings.Join(blocks, "\n"))
	script.Dir = dir
	script.Env = append(os.Environ(),
		"PATH="+programs+":"+os.Getenv("PATH"), "HOME="+dir, "KUBECONFIG="+n.kube.Kubeconfig(),
		"VAULT_ADDR="+n.vault.Address(), "VAULT_TOKEN="+n.vault.Client().Token(), "VAULT_CACERT="+n.vault.CAFile(),
		"POD_VAULT_ADDR="+n.address,
	)
	out, err := script.CombinedOutput()
	if err != nil {
		t.Fatalf("the guide's commands: %v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if last := lines[len(lines)-1]; last != greeting {
		t.Errorf("the guide's last command prints %q, want the secret:\n%s", last, out)
	}
}

// shellBlocks are the fenced blocks of shell commands of a text in Markdown.
func shellBlocks(text string) []string {
	var blocks []string
	for {
		_, after, found := strings.Cut(text, "\n```sh\n")
		if !found {
			return blocks
		}
		block, rest, _ := strings.Cut(after, "\n```")
		blocks, text = append(blocks, block+"\n"), rest
	}
}

// testExamples sets Vault up as the example for the operator of Bank-Vaults says,
// and applies the others that log in at Vault.
func (n *node) testExamples(t *testing.T) {
	t.Parallel()
	n = n.in(t, metav1.NamespaceDefault, nil)
	n.configureAsBankVaults(t)
	for file, pod := range map[string]string{
		"vault.yaml": "app", "profile.yaml": "app-with-profile", "by-hand.yaml": "by-hand", "several-parties.yaml": "importer",
		"bank-vaults/login.yaml": "bank-vaults-login",
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			n.apply(t, n.example(t, file), pod)
			n.waitReady(t, pod)
			app := n.get(t, pod).Spec.Containers[0].Name
			n.readSecret(t, n.kubectl(t, "exec", pod, "--container="+app, "--", "cat", loginPath))
		})
	}
	t.Run("bank-vaults/client.yaml", n.testBankVaultsClient)
	for file, job := range map[string]string{"job.yaml": "report", "cronjob.yaml": "nightly-now"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			// An app that ends.
			if err := n.kube.Apply(t.Context(), strings.ReplaceAll(n.example(t, file), "app:1.0", jobImage)); err != nil {
				t.Fatal(err)
			}
			if file == "cronjob.yaml" { // nobody waits until three in the morning
				n.kubectl(t, "create", "job", job, "--from=cronjob/nightly")
			}
			if token := n.checkJob(t, job); !strings.HasPrefix(token, "hvs.") {
				t.Errorf("the job reads %d bytes that are no token", len(token))
			}
		})
	}
}

// apply applies a manifest with a pod, which is deleted after the test.
func (n *node) apply(t *testing.T, manifest, pod string) {
	t.Helper()
	if err := n.kube.Apply(t.Context(), manifest); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(n.story(pod))
		}
		n.delete(t, pod, 0)
	})
}

func (n *node) get(t *testing.T, pod string) *corev1.Pod {
	t.Helper()
	got, err := n.kube.Client().CoreV1().Pods(n.ns).Get(t.Context(), pod, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// readSecret reads the secret of the guide with a token of the role demo.
func (n *node) readSecret(t *testing.T, token string) {
	t.Helper()
	client, err := n.vault.NewClient(n.vault.Address(), token)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := client.KVv2("secret").Get(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	if secret.Data["greeting"] != greeting {
		t.Errorf("the secret is %v", secret.Data)
	}
}

// testBankVaultsClient logs in as a client does that is told by a variable where
// its token is.
func (n *node) testBankVaultsClient(t *testing.T) {
	t.Parallel()
	const pod = "bank-vaults-client"
	n.apply(t, n.example(t, "bank-vaults/client.yaml"), pod)
	n.waitReady(t, pod)
	_, after, _ := strings.Cut(n.kubectl(t, "exec", pod, "--", "env"), "KUBERNETES_SERVICE_ACCOUNT_TOKEN=")
	path, _, found := strings.Cut(after, "\n")
	if !found {
		t.Fatal("the client is not told where its token is")
	}
	auth, err := n.vault.Login(t.Context(), "jwt", "", n.kubectl(t, "exec", pod, "--", "cat", path))
	if err != nil {
		t.Fatal(err)
	}
	n.readSecret(t, auth.ClientToken)
}

// bankVaults is the part of Bank-Vaults' resource that is about policies and auth
// methods.
type bankVaults struct {
	Spec struct {
		ExternalConfig struct {
			Policies []struct{ Name, Rules string }
			Auth     []struct {
				Type, Path string
				Config     map[string]any
				Roles      []map[string]any
			}
		}
	}
}

// configureAsBankVaults does what the configurer of Bank-Vaults does: each part of
// the resource is the body of one request. The templates of the CA and the
// cluster's usual issuer are filled in.
func (n *node) configureAsBankVaults(t *testing.T) {
	t.Helper()
	var resource bankVaults
	if err := yaml.Unmarshal([]byte(n.example(t, "bank-vaults/vault.yaml")), &resource); err != nil {
		t.Fatal(err)
	}
	write := func(path string, parameters map[string]any) {
		t.Helper()
		if _, err := n.vault.Client().Logical().WriteWithContext(t.Context(), path, parameters); err != nil {
			t.Fatal(err)
		}
	}
	external := resource.Spec.ExternalConfig
	for _, policy := range external.Policies {
		write("sys/policies/acl/"+policy.Name, map[string]any{"policy": policy.Rules})
	}
	if len(external.Auth) != 1 || external.Auth[0].Type != "jwt" || len(external.Auth[0].Roles) == 0 {
		t.Fatalf("the example configures %+v, want one auth method of type jwt, with roles", external.Auth)
	}
	auth := external.Auth[0]
	auth.Config["oidc_discovery_ca_pem"] = string(n.kube.CA())
	for _, key := range []string{"oidc_discovery_url", "bound_issuer"} {
		if auth.Config[key] != "https://kubernetes.default.svc" {
			t.Errorf("the example has another issuer: %v", auth.Config[key])
		}
		auth.Config[key] = n.kube.Issuer()
	}
	write("auth/"+auth.Path+"/config", auth.Config)
	for _, role := range auth.Roles {
		write(fmt.Sprintf("auth/%s/role/%s", auth.Path, role["name"]), role)
	}
}
