package node

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/relyingparty"
	"github.com/oidc-injector/oidc-injector/test/vault"
)

const (
	repository = "../../.."
	// exampleAddress is that of Vault in the examples.
	exampleAddress = "https://vault.vault.svc:8200"
	// vaultCA is the ConfigMap with the CA of Vault.
	vaultCA = "vault-ca"
	// jobImage has an app that ends; see loadImages.
	jobImage = "job:1.0"
)

// start starts the node, and beside it Vault, which trusts nobody yet, and the
// webhook, configured as the examples say.
func start(t *testing.T) *node {
	t.Helper()
	cluster.RequireNode(t)
	o := cluster.Options{Node: true, Progress: os.Stderr}
	if !testing.Short() { // older releases know no such gate
		o.FeatureGates = []string{"AtomicWriteVolumeUserFields"}
	}
	n := &node{kube: cluster.StartForTest(t, o)}
	n.vault = vault.StartForTest(t, vault.Options{ExtraIPs: []net.IP{net.ParseIP(n.kube.NodeIP())}})
	n.address = n.at(n.vault.Port())
	if err := n.kube.Expose(t.Context(), n.vault.Port()); err != nil {
		t.Fatal(err)
	}
	if err := n.loadImages(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	webhook, err := injector.Start(t.Context(), n.kube, injector.Options{Dir: t.TempDir(), Config: n.config(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the webhook's log:\n%s", webhook.Log())
		}
		if err := webhook.Stop(); err != nil {
			t.Error(err)
		}
	})
	n.webhook = webhook
	return n.in(t, "apps", nil)
}

// at is the URL by which pods reach a server of this machine.
func (n *node) at(port int) string {
	return "https://" + net.JoinHostPort(n.kube.NodeIP(), strconv.Itoa(port))
}

// loadImages makes the images that the examples and the guide name: the login,
// an app that only waits to be looked at, and one that shows its token and ends; and
// the toolbox with links.
func (n *node) loadImages(ctx context.Context, dir string) error {
	login, err := injector.Build(ctx, "oidc-login", dir)
	if err != nil {
		return err
	}
	toolbox := filepath.Join(dir, "toolbox")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", toolbox, "../../cmd/toolbox")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("could not build the toolbox: %w: %s", err, out)
	}
	for name, image := range map[string]struct {
		files map[string]string
		cluster.Image
	}{
		"oidc-login:1.0": {files: map[string]string{"/usr/local/bin/" + loginspec.Program: login}},
		"app:1.0": {
			files: map[string]string{"/bin/sleep": toolbox, "/bin/cat": toolbox, "/bin/env": toolbox},
			Image: cluster.Image{Entrypoint: []string{"/bin/sleep"}},
		},
		jobImage: {
			files: map[string]string{"/bin/cat": toolbox},
			Image: cluster.Image{Entrypoint: []string{"/bin/cat", loginPath}},
		},
		linkedImage: {
			files: map[string]string{"/toolbox": toolbox}, Image: cluster.Image{Links: map[string]string{"/var/run": "/run"}},
		},
	} {
		if err := n.kube.LoadImage(ctx, name, image.files, image.Image); err != nil {
			return err
		}
	}
	return nil
}

// config is that of the examples, for a Vault elsewhere, and a little more.
func (n *node) config(t *testing.T) string {
	t.Helper()
	var c map[string]any
	if err := yaml.Unmarshal([]byte(n.example(t, "config.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		// Some tests have a proxy in front of Vault.
		unstructured.SetNestedStringSlice(c, []string{"https://" + n.kube.NodeIP() + ":*"}, "policy", "loginAddresses", "allowed"),
		// The default is too long to wait for its end.
		unstructured.SetNestedField(c, "12s", "login", "env", loginspec.Timeout.Env()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if n.storage != nil {
		audiences, _, err := unstructured.NestedSlice(c, "policy", "audiences", "allowed")
		if err != nil {
			t.Fatal(err)
		}
		if err := unstructured.SetNestedSlice(c, append(audiences, storageAudience), "policy", "audiences", "allowed"); err != nil {
			t.Fatal(err)
		}
		c["bindings"] = []any{map[string]any{
			"name": "storage", "namespaces": []string{"storage"}, "serviceAccounts": []string{storageAccount},
			"annotations": n.storageKeys(),
		}}
	}
	content, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// example is a file of the examples as it stands, but for the address of Vault.
func (n *node) example(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(repository, "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(content), exampleAddress, n.address)
}

// mount is where the tests have an auth method of their own, so that they do
// not touch what the guide and the examples set up.
const mount = "kubernetes"

// prepareVault does what an operator does for the tests' own pods. What the guide
// has done is done again only if it was not run.
func (n *node) prepareVault(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(n.kube.AllowDiscovery(ctx))
	n.eventually(t, func() error {
		_, err := relyingparty.Discover(ctx, n.kube.Issuer(), n.kube.CA())
		return err
	})
	trust := vault.JWTConfig{Issuer: n.kube.Issuer(), DiscoveryCA: n.kube.CA()}
	must(n.vault.EnableJWT(ctx, mount, trust))
	n.writeRole(t, "app", nil)
	n.writeRole(t, "other", nil)
	methods, err := n.vault.Client().Sys().ListAuthWithContext(ctx)
	must(err)
	if methods["jwt/"] == nil {
		must(n.vault.EnableJWT(ctx, "jwt", trust))
		must(n.vault.EnableKV(ctx, "secret"))
		must(n.vault.WriteSecret(ctx, "secret", "app", map[string]any{"greeting": greeting}))
	}
}

// greeting is the secret of the guide.
const greeting = "hello from vault"

// writeRole writes a role for all pods, with tokens of an hour unless the
// parameters say otherwise.
func (n *node) writeRole(t *testing.T, name string, parameters map[string]any) {
	t.Helper()
	all := map[string]any{
		"bound_audiences": "vault", "user_claim": "/kubernetes.io/serviceaccount/uid", "user_claim_json_pointer": true, "token_ttl": "1h",
	}
	maps.Copy(all, parameters)
	if err := n.vault.WriteRole(t.Context(), mount, name, all); err != nil {
		t.Fatal(err)
	}
}
