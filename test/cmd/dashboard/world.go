package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/metrics"
	"github.com/oidc-injector/oidc-injector/test/internal/process"
	"github.com/oidc-injector/oidc-injector/test/internal/tool"
	"github.com/oidc-injector/oidc-injector/test/vault"
)

const (
	release = "oidc-injector" // and its namespace
	grace   = 20 * time.Second
)

// values are those of the release. The policy has something to deny.
const values = `
service: {port: %d}
replicas: 2
shutdownDelay: 1s
audit: {enabled: true}
metrics: {serviceMonitor: {enabled: true}, prometheusRule: {enabled: true}}
login: {metrics: {port: 9102, podMonitor: {enabled: true}}}
config:
  profiles:
    vault: {audience: vault, login: vault, login-address: %q, login-ca-configmap: vault-ca}
  policy:
    audiences: {allowed: [vault]}
    workloads: Deny
`

// world is everything that runs.
type world struct {
	dir     string // of files that are removed at the end
	kube    *cluster.Cluster
	client  kubernetes.Interface // that keeps warnings to itself
	vault   *vault.Server
	door    *door
	objects []*unstructured.Unstructured // of the chart
	webhook string                       // path of the program
	login   string                       // path of the other one

	mu       sync.Mutex
	replicas []*replica
	logins   []*login
}

// start starts all but the login containers, whose pods the webhook injects.
func (w *world) start(ctx context.Context) (err error) {
	if w.dir, err = os.MkdirTemp("", "oidc-injector-dashboard-"); err != nil {
		return err
	}
	if w.door, err = openDoor(ctx, w.pick); err != nil {
		return err
	}
	// So that a Service of type ExternalName may stand for what listens on the loopback,
	// which endpoints must not.
	args := []string{"--enable-aggregator-routing=false"}
	if w.kube, err = cluster.Start(ctx, cluster.Options{APIServerArgs: args, Progress: os.Stderr}); err != nil {
		return err
	}
	config := w.kube.RESTConfig()
	config.WarningHandler = rest.NoWarnings{}
	if w.client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if w.vault, err = vault.Start(ctx, vault.Options{Progress: os.Stderr}); err != nil {
		return err
	}
	if w.webhook, err = injector.Build(ctx, "webhook", w.dir); err != nil {
		return err
	}
	if w.login, err = injector.Build(ctx, "oidc-login", w.dir); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{w.install, w.startReplica, w.startReplica, w.prepareLogins} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) stop() error {
	var errs []error
	for _, l := range w.logins {
		errs = append(errs, l.Kill())
	}
	for _, r := range w.replicas {
		errs = append(errs, r.program.Stop(grace))
	}
	if w.vault != nil {
		errs = append(errs, w.vault.Stop())
	}
	if w.kube != nil {
		errs = append(errs, w.kube.Stop())
	}
	if w.door != nil {
		errs = append(errs, w.door.listener.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(w.dir))...)
}

// install installs what the chart has, but for the kinds of the Prometheus operator, and
// for the Service, which has to lead to the loopback.
func (w *world) install(ctx context.Context) error {
	if err := w.render(ctx); err != nil {
		return err
	}
	if err := w.kube.Namespace(ctx, release, nil); err != nil {
		return err
	}
	var manifests strings.Builder
	for _, object := range w.objects {
		if object.GetKind() == "Service" || strings.HasPrefix(object.GetAPIVersion(), "monitoring.coreos.com/") {
			continue
		}
		text, err := yaml.Marshal(object)
		if err != nil {
			return err
		}
		fmt.Fprintf(&manifests, "---\n%s", text)
	}
	if err := w.kube.Apply(ctx, manifests.String()); err != nil {
		return err
	}
	_, err := w.client.CoreV1().Services(release).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: release},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}, metav1.CreateOptions{})
	return err
}

func (w *world) render(ctx context.Context) error {
	helm, err := tool.Path(ctx, root, "helm3")
	if err != nil {
		return err
	}
	render := exec.CommandContext(ctx, helm, "template", release, filepath.Join(root, "charts", "oidc-injector"), "--namespace="+release,
		"--no-hooks", "--kube-version="+w.kube.Version(), "--values=-", "--set=global.imageRegistry=registry.invalid")
	render.Stdin = strings.NewReader(fmt.Sprintf(values, w.door.port(), w.vault.Address()))
	var stderr strings.Builder
	render.Stderr = &stderr
	text, err := render.Output()
	if err != nil {
		return fmt.Errorf("could not render the chart: %w: %s", err, stderr.String())
	}
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(string(text)), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if len(object.Object) > 0 {
			w.objects = append(w.objects, object)
		}
	}
}

// installed finds an object of the chart by its kind and the beginning of its name.
func (w *world) installed(kind, name string, object any) error {
	for _, o := range w.objects {
		if o.GetKind() == kind && strings.HasPrefix(o.GetName(), name) {
			text, err := o.MarshalJSON()
			if err != nil {
				return err
			}
			return yaml.Unmarshal(text, object)
		}
	}
	return fmt.Errorf("the chart has no %s %s", kind, name)
}

// replica is a process of the webhook.
type replica struct {
	pod                     string
	webhook, metrics, probe string // addresses
	program                 *process.Process
	leaving                 bool // it is to get no more calls
}

// startReplica runs the webhook as the Deployment says, with the rights of its ServiceAccount.
func (w *world) startReplica(ctx context.Context) error {
	var deployment appsv1.Deployment
	if err := w.installed("Deployment", release, &deployment); err != nil {
		return err
	}
	if err := w.writeConfig(w.config()); err != nil {
		return err
	}
	kubeconfig, err := w.writeKubeconfig(ctx)
	if err != nil {
		return err
	}
	// Names like those of a ReplicaSet's pods.
	r := &replica{pod: release + "-7c9f6d5b8-" + []string{"4xkqz", "p2w8n", "t6jvd"}[len(w.replicas)]}
	for _, address := range []*string{&r.webhook, &r.metrics, &r.probe} {
		if *address, err = freeAddress(); err != nil {
			return err
		}
	}
	// Of a flag that is there twice the last one counts.
	args := slices.Concat(deployment.Spec.Template.Spec.Containers[0].Args, []string{
		"--config=" + w.configPath(), "--kubeconfig=" + kubeconfig, "--bind-address=127.0.0.1",
		"--port=" + r.webhook[strings.LastIndex(r.webhook, ":")+1:],
		"--metrics-bind-address=" + r.metrics, "--health-probe-bind-address=" + r.probe,
	})
	r.program, err = process.Host{}.Start(process.Command{
		Name: r.pod, Path: w.webhook, Args: args,
		Log: filepath.Join(w.dir, r.pod+".log"),
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.replicas = append(w.replicas, r)
	w.mu.Unlock()
	return process.WaitUntil(ctx, r.pod+" is ready", func(ctx context.Context) (bool, error) {
		_, err := get(ctx, "http://"+r.probe+"/readyz")
		return err == nil, r.program.Failure()
	})
}

func (w *world) configPath() string { return filepath.Join(w.dir, "config.yaml") }

// config is what the chart's ConfigMap says.
func (w *world) config() string {
	var configMap corev1.ConfigMap
	if err := w.installed("ConfigMap", release+"-config", &configMap); err != nil {
		return err.Error() // which is no configuration
	}
	return configMap.Data["config.yaml"]
}

// writeConfig replaces the file in one step, as a ConfigMap would.
func (w *world) writeConfig(text string) error {
	if err := os.WriteFile(w.configPath()+".next", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(w.configPath()+".next", w.configPath())
}

func (w *world) writeKubeconfig(ctx context.Context) (string, error) {
	token, err := w.client.CoreV1().ServiceAccounts(release).
		CreateToken(ctx, release, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: w.kube.Issuer(), CertificateAuthorityData: w.kube.CA()}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	path := filepath.Join(w.dir, "kubeconfig")
	return path, clientcmd.WriteToFile(*config, path)
}

// replace brings a new replica, and then ends the oldest one, as a Deployment does.
func (w *world) replace(ctx context.Context) error {
	if err := w.startReplica(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	w.replicas[0].leaving = true
	w.mu.Unlock()
	return w.replicas[0].program.Stop(grace)
}

// pick is the address of a replica for a new connection.
func (w *world) pick(n int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var up []string
	for _, r := range w.replicas {
		if !r.leaving {
			up = append(up, r.webhook)
		}
	}
	if len(up) == 0 {
		return ""
	}
	return up[n%len(up)]
}

func get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, interval)
	defer cancel()
	return metrics.Get(ctx, url)
}
