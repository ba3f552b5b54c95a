package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/loginrun"
	"github.com/oidc-injector/oidc-injector/test/vault"
)

// The manifests of the login.
var (
	//go:embed manifests/login.yaml
	login string
	//go:embed manifests/wrong-role.yaml
	wrongRole string
)

const (
	loginImage = "localhost/oidc-injector/oidc-login:demo"
	secretText = "hello from vault"
)

// config is the webhook's at first, and vaultConfig what is added when there is a
// Vault: a profile that leaves the role to the pods, and the login container's image.
const (
	config = `apiVersion: config.oidc-injector.io/v1alpha1
kind: InjectorConfig
`
	vaultConfig = config + `profiles:
  vault:
    audience: vault
    expiration: 2h
    login: vault
    login-address: %s
    login-ca-configmap: vault-ca
login:
  image: ` + loginImage + `
  imagePullPolicy: Never
`
)

// demoPolicy and demoRole are what Vault's operator writes: the ServiceAccount
// "default" of the namespace may read one secret.
const demoPolicy = `path "secret/data/app" { capabilities = ["read"] }`

var demoRole = map[string]any{
	"role_type": "jwt", "bound_audiences": []string{"vault"}, "bound_subject": "system:serviceaccount:" + namespace + ":default",
	"user_claim": "sub", "token_policies": []string{"default", "app"}, "token_ttl": "1h",
}

// vaultAddress is where pods reach Vault.
func (d *demo) vaultAddress() string {
	if !d.kube.HasNode() {
		return d.vault.Address()
	}
	return "https://" + net.JoinHostPort(d.kube.NodeIP(), strconv.Itoa(d.vault.Port()))
}

// prepareVault finds a Vault, or begins to build one while the demo goes on: what is
// built is not in the way of the first token.
func prepareVault(ctx context.Context) *preparation {
	p := &preparation{done: make(chan error, 1)}
	for _, name := range []string{"vault", "bao"} {
		if path, err := exec.LookPath(name); err == nil {
			p.program = path
			p.done <- nil
			return p
		}
	}
	go func() { p.done <- vault.Build(ctx, vault.Options{Progress: &p.progress}) }()
	return p
}

// preparation is a Vault that will be there.
type preparation struct {
	// program is the path of one that was there before.
	program  string
	progress laterWriter
	done     chan error
}

// laterWriter keeps quiet until somebody waits.
type laterWriter struct{ shown atomic.Bool }

func (w *laterWriter) Write(text []byte) (int, error) {
	if !w.shown.Load() {
		return len(text), nil
	}
	return os.Stderr.Write(text)
}

func (d *demo) startVault(ctx context.Context, prepared *preparation) (err error) {
	d.out.heading("Start Vault")
	prepared.progress.shown.Store(true)
	if err := <-prepared.done; err != nil {
		return err
	}
	name := "Vault " + vault.DefaultVersion
	if prepared.program != "" {
		name = prepared.program
	}
	options := vault.Options{Program: prepared.program, Progress: os.Stderr}
	if d.kube.HasNode() {
		options.ExtraIPs = []net.IP{net.ParseIP(d.kube.NodeIP())}
	}
	start := time.Now()
	if d.vault, err = vault.Start(ctx, options); err != nil {
		return err
	}
	d.out.line("%s is unsealed after %s. Pods reach it at %s", name, time.Since(start).Round(100*time.Millisecond), d.vaultAddress())
	return nil
}

// configureLogins tells the webhook of Vault, and waits until it has heard.
func (d *demo) configureLogins(ctx context.Context) error {
	d.out.line("kubectl apply -f oidc-injector-config.yaml: a profile for this Vault, which the webhook reads without a restart")
	const loads = "oidc_injector_config_reloads_total"
	before, err := d.webhook.Counter(ctx, loads, "result", "success")
	if err != nil {
		return err
	}
	if err := d.webhook.SetConfig(fmt.Sprintf(vaultConfig, d.vaultAddress())); err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		now, err := d.webhook.Counter(ctx, loads, "result", "success")
		return now > before, err
	})
}

// setUpVault does what Vault's operator does once for a cluster.
func (d *demo) setUpVault(ctx context.Context) error {
	d.out.heading("Vault trusts the cluster's issuer, as its operator tells it once")
	d.out.line("vault write auth/jwt/config oidc_discovery_url=%s oidc_discovery_ca_pem=@cluster-ca.crt bound_issuer=…", d.kube.Issuer())
	d.out.line("vault write auth/jwt/role/demo bound_audiences=vault bound_subject=%s …", demoRole["bound_subject"])
	for _, step := range []func() error{
		func() error {
			return d.vault.EnableJWT(ctx, "jwt", vault.JWTConfig{Issuer: d.kube.Issuer(), DiscoveryCA: d.kube.CA()})
		},
		func() error { return d.vault.WriteRole(ctx, "jwt", "demo", demoRole) },
		func() error { return d.vault.WritePolicy(ctx, "app", demoPolicy) },
		func() error { return d.vault.EnableKV(ctx, "secret") },
		func() error {
			return d.vault.WriteSecret(ctx, "secret", "app", map[string]any{"greeting": secretText})
		},
		func() error { return d.kube.Expose(ctx, d.vault.Port()) },
		func() error { return d.publishCA(ctx) },
		func() error { return d.loadLoginImage(ctx) },
		func() error { return d.configureLogins(ctx) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// publishCA puts Vault's CA where the login container looks for it.
func (d *demo) publishCA(ctx context.Context) error {
	_, err := d.kube.Client().CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "vault-ca"}, Data: map[string]string{loginspec.CAFileName: string(d.vault.CA())},
	}, metav1.CreateOptions{})
	return err
}

// loadLoginImage builds the login program and gives it to the node.
func (d *demo) loadLoginImage(ctx context.Context) (err error) {
	if d.program, err = injector.Build(ctx, "oidc-login", d.dir); err != nil || !d.kube.HasNode() {
		return err
	}
	return d.kube.LoadImage(ctx, loginImage, map[string]string{"/usr/local/bin/" + loginspec.Program: d.program}, cluster.Image{})
}

// logIn shows a pod that logs in to Vault.
func (d *demo) logIn(ctx context.Context) error {
	d.out.heading("A pod that logs in to Vault: kubectl apply -f login.yaml")
	d.out.block(login)
	if err := d.kube.Apply(ctx, login); err != nil {
		return err
	}
	pod, err := d.kube.Client().CoreV1().Pods(namespace).Get(ctx, "login", metav1.GetOptions{})
	if err != nil {
		return err
	}
	d.out.heading("What the webhook added")
	added, err := yaml.Marshal(additions(pod))
	if err != nil {
		return err
	}
	d.out.block(d.out.paint(green, string(added)))
	return nil
}

// additions is what a login adds, in short.
func additions(pod *corev1.Pod) map[string]any {
	var volumes []string
	for _, v := range pod.Spec.Volumes {
		if strings.HasPrefix(v.Name, "oidc-") {
			volumes = append(volumes, v.Name)
		}
	}
	sidecar := pod.Spec.InitContainers[0]
	app := pod.Spec.Containers[0]
	env := map[string]string{}
	for _, e := range app.Env {
		env[e.Name] = e.Value
	}
	return map[string]any{
		"volumes": volumes,
		"initContainers": []any{map[string]any{
			"name": sidecar.Name, "restartPolicy": sidecar.RestartPolicy, "startupProbe": sidecar.StartupProbe.Exec.Command,
			"securityContext": sidecar.SecurityContext, "resources": sidecar.Resources,
		}},
		"containers": []any{map[string]any{"name": app.Name, "env": env}},
	}
}

// readSecret shows that the app's Vault token is there, and what it is good for.
func (d *demo) readSecret(ctx context.Context) error {
	d.out.heading("The app starts after the login, and finds a Vault token at %s", loginPath)
	token, err := d.vaultToken(ctx)
	if err != nil {
		return err
	}
	self, err := d.vault.LookupSelf(ctx, token)
	if err != nil {
		return err
	}
	d.out.line("vault token lookup")
	for _, key := range []string{"display_name", "path", "policies", "ttl", "renewable"} {
		d.out.line("  %-13s %v", key, self[key])
	}
	client, err := d.vault.NewClient(d.vault.Address(), token)
	if err != nil {
		return err
	}
	secret, err := client.KVv2("secret").Get(ctx, "app")
	if err != nil {
		return err
	}
	d.out.line("vault kv get secret/app")
	d.out.line("%s greeting: %v", d.out.paint(green, "✓"), secret.Data["greeting"])
	if secret.Data["greeting"] != secretText {
		return errors.New("this is not the secret that was written")
	}
	return nil
}

// vaultToken waits for the pod and reads its token, or, without a node, runs the
// login program here with the variables of the pod's container.
func (d *demo) vaultToken(ctx context.Context) (string, error) {
	if !d.kube.HasNode() {
		return d.runLogin(ctx, "login")
	}
	if err := d.waitReady(ctx, "login"); err != nil {
		return "", err
	}
	logs, err := d.kube.Kubectl(ctx, "--namespace="+namespace, "logs", "login", "--container="+loginspec.Container)
	if err != nil {
		return "", err
	}
	d.out.line("kubectl logs login --container=%s", loginspec.Container)
	d.out.block(logs)
	token, err := d.kube.Kubectl(ctx, "--namespace="+namespace, "exec", "login", "--container=app", "--", "/toolbox", "cat", loginPath)
	return strings.TrimSpace(token), err
}

const loginPath = "/var/run/secrets/login/token"

// showWrongRole shows what the owner of a pod sees whose login is refused.
func (d *demo) showWrongRole(ctx context.Context) error {
	d.out.heading("A pod with a role that Vault does not know waits, and says why")
	if err := d.kube.Apply(ctx, wrongRole); err != nil {
		return err
	}
	if !d.kube.HasNode() {
		_, err := d.runLogin(ctx, "wrong-role")
		if err == nil {
			return errors.New("the login with a wrong role was not refused")
		}
		d.out.block(d.out.paint(red, err.Error()))
		return nil
	}
	d.out.line("kubectl get pod wrong-role; kubectl describe pod wrong-role")
	var pods, event string
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, patience, true, func(ctx context.Context) (_ bool, err error) {
		if event, err = d.startupEvent(ctx); err != nil || event == "" {
			return false, err
		}
		pods, err = d.kube.Kubectl(ctx, "--namespace="+namespace, "get", "pod", "wrong-role")
		return true, err
	})
	d.out.block(pods)
	d.out.block(d.out.paint(red, event))
	return err
}

// startupEvent is the event by which the kubelet says that a login is not done.
func (d *demo) startupEvent(ctx context.Context) (string, error) {
	events, err := d.kube.Client().CoreV1().Events(namespace).List(ctx, metav1.ListOptions{
		FieldSelector: "involvedObject.name=wrong-role,reason=Unhealthy",
	})
	if err != nil {
		return "", err
	}
	for i := range events.Items {
		// The first answer may be that nothing has been tried yet.
		if message := events.Items[i].Message; strings.Contains(message, "demmo") {
			return "Warning  Unhealthy  " + message, nil
		}
	}
	return "", nil
}

// runLogin runs the login program as the pod's container would, in a folder,
// and returns the token that it writes. The error is its termination message.
func (d *demo) runLogin(ctx context.Context, name string) (string, error) {
	pod, err := d.kube.Client().CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(filepath.Dir(d.program), name+"-")
	if err != nil {
		return "", err
	}
	container, err := loginrun.New(ctx, loginrun.Options{
		Cluster: d.kube, Program: d.program, Dir: dir, Pod: pod, Args: []string{"--mode=init", "--timeout=3s"},
	})
	if err != nil {
		return "", err
	}
	if err := container.Start(); err != nil {
		return "", err
	}
	code, err := container.Wait(ctx)
	switch {
	case err != nil:
		return "", err
	case code != 0:
		return "", errors.New(container.TerminationMessage())
	}
	d.out.line("oidc-login --mode=init, with the variables of the pod's container:")
	d.out.block(container.Log())
	token, err := os.ReadFile(container.OutputFile())
	return string(token), err
}
