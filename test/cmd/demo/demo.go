package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/relyingparty"
	"github.com/oidc-injector/oidc-injector/test/vault"
)

// The manifests of the demo.
var (
	//go:embed manifests/by-hand.yaml
	byHand string
	//go:embed manifests/annotated.yaml
	annotated string
	//go:embed manifests/denied.yaml
	denied string
)

const (
	namespace = "demo"
	tokenPath = "/var/run/secrets/tokens/oidc-token"
	// patience bounds each wait, on a machine that is busy.
	patience = 2 * time.Minute
)

// demo tells the story, step by step.
type demo struct {
	out     *printer
	keep    bool
	dir     string // of files that are removed at the end
	kube    *cluster.Cluster
	webhook *injector.Injector
	vault   *vault.Server
	// program is the path of the login program.
	program string
}

func (d *demo) run(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "oidc-injector-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.dir)
	if err := d.startCluster(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.kube.Stop()) }()
	if err := d.startWebhook(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.webhook.Stop()) }()
	vaultProgram := prepareVault(ctx)
	for _, step := range []func(context.Context) error{d.injectPod, d.showToken, d.denyPod} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	d.out.line("")
	d.out.line("%s: the first token after %s.", d.out.paint(green, "Half of it"), d.elapsed())
	if err := d.startVault(ctx, vaultProgram); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.vault.Stop()) }()
	for _, step := range []func(context.Context) error{d.setUpVault, d.logIn, d.readSecret, d.showWrongRole} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	d.out.line("")
	d.out.line("%s in %s.", d.out.paint(green, "Done"), d.elapsed())
	d.stayUp(ctx)
	return nil
}

func (d *demo) elapsed() time.Duration {
	return time.Since(d.out.started).Round(100 * time.Millisecond)
}

func (d *demo) startCluster(ctx context.Context) (err error) {
	options := cluster.Options{Node: true, Progress: os.Stderr}
	what := "a control plane and a node"
	reason := cluster.NodeSupported()
	if options.Assets = cluster.Installed(ctx); options.Assets != "" {
		reason = fmt.Errorf("the programs are those of %s, and there is no kubelet", options.Assets)
	}
	if reason != nil {
		options.Node = false
		what = fmt.Sprintf("a control plane (no node: %v)", reason)
	}
	d.out.heading("Start Kubernetes: %s", what)
	start := time.Now()
	if d.kube, err = cluster.Start(ctx, options); err != nil {
		return err
	}
	d.out.line("Kubernetes %s is ready after %s. Its issuer is %s", d.kube.Version(), time.Since(start).Round(100*time.Millisecond),
		d.kube.Issuer())
	return nil
}

func (d *demo) startWebhook(ctx context.Context) (err error) {
	d.out.heading("Start the webhook and opt namespace %q in", namespace)
	if d.webhook, err = injector.Start(ctx, d.kube, injector.Options{Dir: d.dir, Config: config}); err != nil {
		return err
	}
	d.out.line("The API server sends annotated pods to %s", d.webhook.URL())
	d.out.line("kubectl label namespace %s %s=true", namespace, injector.EnabledLabel)
	return d.kube.Namespace(ctx, namespace, map[string]string{injector.EnabledLabel: "true"})
}

// injectPod shows the pod before and after.
func (d *demo) injectPod(ctx context.Context) error {
	d.out.heading("What people write: two annotations instead of a volume and its mounts")
	d.out.diff("by-hand.yaml", byHand, "annotated.yaml", annotated)
	if err := d.kube.Apply(ctx, annotated); err != nil {
		return err
	}
	pod, err := d.kube.Client().CoreV1().Pods(namespace).Get(ctx, "app", metav1.GetOptions{})
	if err != nil {
		return err
	}
	stored, err := yaml.Marshal(essence(pod))
	if err != nil {
		return err
	}
	var written corev1.Pod
	if err := yaml.Unmarshal([]byte(annotated), &written); err != nil {
		return err
	}
	applied, err := yaml.Marshal(essence(&written))
	if err != nil {
		return err
	}
	d.out.heading("What the cluster runs (without Kubernetes' own defaults)")
	d.out.diff("annotated.yaml", string(applied), "kubectl get pod app", string(stored))
	return nil
}

// essence is the part of a pod that the demo is about.
func essence(pod *corev1.Pod) map[string]any {
	const ours = "oidc-"
	var mounts []corev1.VolumeMount
	for _, m := range pod.Spec.Containers[0].VolumeMounts {
		if strings.HasPrefix(m.Name, ours) {
			mounts = append(mounts, m)
		}
	}
	var volumes []corev1.Volume
	for _, v := range pod.Spec.Volumes {
		if strings.HasPrefix(v.Name, ours) {
			v.Projected.DefaultMode = nil // Kubernetes' own default
			volumes = append(volumes, v)
		}
	}
	annotations := map[string]string{}
	for key, value := range pod.Annotations {
		if strings.HasPrefix(key, "oidc-injector.io/") {
			annotations[key] = value
		}
	}
	container := map[string]any{
		"name": pod.Spec.Containers[0].Name, "image": pod.Spec.Containers[0].Image,
		"args": pod.Spec.Containers[0].Args,
	}
	spec := map[string]any{"containers": []any{container}}
	if len(mounts) > 0 {
		container["volumeMounts"] = mounts
	}
	if len(volumes) > 0 {
		spec["volumes"] = volumes
	}
	return map[string]any{
		"metadata": map[string]any{"name": pod.Name, "namespace": pod.Namespace, "annotations": annotations},
		"spec":     spec,
	}
}

// showToken reads the token and verifies it.
func (d *demo) showToken(ctx context.Context) error {
	token, err := d.readToken(ctx)
	if err != nil {
		return err
	}
	header, payload, err := relyingparty.Decode(token)
	if err != nil {
		return err
	}
	d.out.block(header)
	d.out.block(payload)

	d.out.heading("A relying party verifies it: discovery and keys over TLS, without credentials")
	d.out.line("The operator allows discovery: kubectl create clusterrolebinding oidc-reviewer \\")
	d.out.line("  --clusterrole=system:service-account-issuer-discovery --group=system:unauthenticated")
	if err := d.kube.AllowDiscovery(ctx); err != nil {
		return err
	}
	claims, err := d.verify(ctx, token)
	if err != nil {
		return err
	}
	d.out.line("%s signature, issuer, audience %q and lifetime are good", d.out.paint(green, "✓"), claims.Audience[0])
	d.out.line("%s it speaks for %s, in pod %s/%s", d.out.paint(green, "✓"), claims.Subject, claims.Kubernetes.Namespace,
		claims.Kubernetes.Pod.Name)
	return nil
}

// readToken reads the token in the container, or, without a node, asks the API
// server for what the kubelet would have asked for.
func (d *demo) readToken(ctx context.Context) (string, error) {
	if !d.kube.HasNode() {
		d.out.heading("The token that the kubelet would put at %s", tokenPath)
		return d.requestToken(ctx)
	}
	d.out.heading("The token that the container finds: kubectl exec app -- cat %s", tokenPath)
	if err := d.waitReady(ctx, "app"); err != nil {
		return "", err
	}
	return d.kube.Kubectl(ctx, "--namespace="+namespace, "exec", "app", "--", "/toolbox", "cat", tokenPath)
}

func (d *demo) waitReady(ctx context.Context, pod string) error {
	_, err := d.kube.Kubectl(ctx, "--namespace="+namespace, "wait", "--for=condition=Ready", "pod/"+pod, "--timeout="+patience.String())
	if err == nil {
		return nil
	}
	description, describeErr := d.kube.Kubectl(ctx, "--namespace="+namespace, "describe", "pod", pod)
	return fmt.Errorf("%w\n%s", errors.Join(err, describeErr), description)
}

func (d *demo) requestToken(ctx context.Context) (string, error) {
	pod, err := d.kube.Client().CoreV1().Pods(namespace).Get(ctx, "app", metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	for _, v := range pod.Spec.Volumes {
		if v.Name == "oidc-token" {
			return d.kube.RequestToken(ctx, pod, v.Projected.Sources[0].ServiceAccountToken)
		}
	}
	return "", errors.New("the pod has no token volume")
}

// verify waits until the API server acts by the binding.
func (d *demo) verify(ctx context.Context, token string) (claims *relyingparty.Claims, err error) {
	waitErr := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		var party *relyingparty.RelyingParty
		if party, err = relyingparty.Discover(ctx, d.kube.Issuer(), d.kube.CA()); err != nil {
			return false, nil //nolint:nilerr // it is tried again
		}
		claims, err = party.Verify(ctx, strings.TrimSpace(token), "vault")
		return true, err
	})
	if waitErr != nil {
		return nil, errors.Join(waitErr, err)
	}
	return claims, nil
}

// denyPod shows what the author of a wrong pod sees.
func (d *demo) denyPod(ctx context.Context) error {
	d.out.heading("A pod with mistakes is denied, with all of them at once: kubectl create -f denied.yaml")
	_, err := d.kube.KubectlWithInput(ctx, strings.NewReader(denied), "create", "--filename=-")
	if err == nil {
		return errors.New("the pod with mistakes was not denied")
	}
	_, text, _ := strings.Cut(err.Error(), "exit status 1: ")
	d.out.block(d.out.paint(red, text))
	return nil
}

// stayUp leaves everything running until a signal comes.
func (d *demo) stayUp(ctx context.Context) {
	if !d.keep {
		d.out.line("DEMO=keep make demo leaves it running to play with.")
		return
	}
	d.out.heading("Yours to play with")
	d.out.line("export KUBECONFIG=%s", d.kube.Kubeconfig())
	d.out.line("%s --namespace=%s get pod login -o yaml", d.kube.KubectlPath(), namespace)
	d.out.line("export VAULT_ADDR=%s VAULT_CACERT=%s", d.vault.Address(), d.vault.CAFile())
	d.out.line("%s status", d.vault.VaultPath())
	d.out.line("The log of the webhook: %s", d.webhook.LogPath())
	d.out.line("Ctrl-C ends it all.")
	<-ctx.Done()
	fmt.Fprintln(d.out.out)
}
