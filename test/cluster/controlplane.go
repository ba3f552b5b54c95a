package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/rest"

	"github.com/oidc-injector/oidc-injector/test/internal/ports"
	"github.com/oidc-injector/oidc-injector/test/internal/process"
)

// stopGrace is how long the API server may take to finish its requests. It
// would wait for a minute for watches, which do not end by themselves.
const stopGrace = 3 * time.Second

func (c *Cluster) startControlPlane(ctx context.Context) error {
	etcdURL, err := c.startEtcd()
	if err != nil {
		return err
	}
	c.apiServerArgs = c.newAPIServerArgs(etcdURL)
	return c.StartAPIServer(ctx)
}

// restartControllers starts what acts upon objects, afresh if it runs already:
// after the API server was away it backs off for up to half a minute.
func (c *Cluster) restartControllers() (err error) {
	if c.programs.has("kube-controller-manager") {
		if c.controllerManager, err = c.restart(c.controllerManager, c.controllerManagerCommand()); err != nil {
			return err
		}
	}
	if c.node != nil {
		c.scheduler, err = c.restart(c.scheduler, c.schedulerCommand())
	}
	return err
}

func (c *Cluster) restart(old *process.Process, cmd process.Command) (*process.Process, error) {
	if old != nil {
		if err := old.Stop(0); err != nil {
			return old, err
		}
	}
	return c.starter.Start(cmd)
}

func (c *Cluster) controllerManagerCommand() process.Command {
	return c.command("kube-controller-manager", c.programs.path("kube-controller-manager"),
		"--kubeconfig="+c.kubeconfig("controller-manager"),
		"--service-account-private-key-file="+c.pki.file("sa.key"),
		"--root-ca-file="+c.pki.file("ca.crt"),
		"--use-service-account-credentials=true",
		"--leader-elect=false", // or else it waits for a lease of a predecessor
		"--secure-port=0",
		// The default of 20 makes the first ServiceAccounts take seconds.
		"--kube-api-qps=500",
		"--kube-api-burst=500",
	)
}

func (c *Cluster) schedulerCommand() process.Command {
	return c.command("kube-scheduler", c.programs.path("kube-scheduler"),
		"--kubeconfig="+c.kubeconfig("scheduler"),
		"--leader-elect=false",
		"--secure-port=0",
	)
}

func (c *Cluster) startEtcd() (url string, err error) {
	client, err := ports.Reserve()
	if err != nil {
		return "", err
	}
	peer, err := ports.Reserve()
	if err != nil {
		client.Release()
		return "", err
	}
	c.etcdPorts = []*ports.Reserved{client, peer}
	url = fmt.Sprintf("http://127.0.0.1:%d", client.Number)
	peerURL := fmt.Sprintf("http://127.0.0.1:%d", peer.Number)
	c.etcd, err = c.starter.Start(c.command("etcd", c.programs.path("etcd"),
		"--data-dir="+c.state.Path("etcd"),
		"--unsafe-no-fsync", // the data does not outlive the process
		"--socket-reuse-port=true",
		"--listen-client-urls="+url,
		"--advertise-client-urls="+url,
		"--listen-peer-urls="+peerURL,
		"--initial-advertise-peer-urls="+peerURL,
		"--initial-cluster=default="+peerURL,
	))
	return url, err
}

// gates switches the feature gates of the options on.
func (c *Cluster) gates() []string {
	var args []string
	for _, gate := range c.options.FeatureGates {
		args = append(args, "--feature-gates="+gate+"=true")
	}
	return args
}

func (c *Cluster) newAPIServerArgs(etcdURL string) []string {
	bind, advertise := "127.0.0.1", "127.0.0.1"
	if c.options.Node {
		bind, advertise = "0.0.0.0", nodeIP // inside the namespaces only
	}
	return append([]string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=" + bind,
		"--advertise-address=" + advertise,
		"--secure-port=" + c.issuer[strings.LastIndex(c.issuer, ":")+1:],
		"--permit-port-sharing=true", // with the socket that reserves the port
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=" + ipRange,
		"--tls-cert-file=" + c.pki.file("apiserver.crt"),
		"--tls-private-key-file=" + c.pki.file("apiserver.key"),
		"--client-ca-file=" + c.pki.file("ca.crt"),
		"--kubelet-certificate-authority=" + c.pki.file("ca.crt"),
		"--kubelet-client-certificate=" + c.pki.file("kubelet-client.crt"),
		"--kubelet-client-key=" + c.pki.file("kubelet-client.key"),
		"--admission-control-config-file=" + c.state.Path(admissionConfiguration),
		"--kubelet-preferred-address-types=InternalIP",
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--enable-admission-plugins=NodeRestriction,ServiceAccount,MutatingAdmissionWebhook,ValidatingAdmissionWebhook",
		// Without kube-proxy nobody translates a Service's address: the API
		// server has to find the endpoints of a webhook by itself.
		"--enable-aggregator-routing=true",
		"--service-account-issuer=" + c.issuer,
		"--service-account-jwks-uri=" + c.issuer + "/openid/v1/jwks",
		"--service-account-key-file=" + c.pki.file("sa.pub"),
		"--service-account-signing-key-file=" + c.pki.file("sa.key"),
		"--api-audiences=" + c.issuer,
	}, slices.Concat(c.gates(), c.options.APIServerArgs)...)
}

// StartAPIServer starts the API server after StopAPIServer, at the same port
// and with the same data, and waits until it is ready. A node goes on running
// its pods, but may take half a minute until it hears of new ones.
func (c *Cluster) StartAPIServer(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.apiServer != nil {
		return errors.New("could not start the API server: it runs")
	}
	p, err := c.starter.Start(c.command("kube-apiserver", c.programs.path("kube-apiserver"), c.apiServerArgs...))
	if err != nil {
		return err
	}
	c.apiServer = p
	if err := process.WaitUntil(ctx, "the API server is ready", func(ctx context.Context) (bool, error) {
		if err := errors.Join(c.etcd.Failure(), p.Failure()); err != nil {
			return false, err
		}
		return c.apiServerReady(ctx), nil
	}); err != nil {
		return err
	}
	return c.restartControllers()
}

// StopAPIServer stops the API server. The other programs go on and retry.
func (c *Cluster) StopAPIServer() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.apiServer == nil {
		return nil
	}
	if err := c.apiServer.Stop(stopGrace); err != nil {
		return err
	}
	c.apiServer = nil
	return nil
}

// RestartAPIServer stops and starts the API server.
func (c *Cluster) RestartAPIServer(ctx context.Context) error {
	if err := c.StopAPIServer(); err != nil {
		return err
	}
	return c.StartAPIServer(ctx)
}

// RestartKubelet stops and starts the kubelet. The pods of the node go on, and
// it has forgotten what it kept in memory, such as their ServiceAccount tokens.
func (c *Cluster) RestartKubelet(ctx context.Context) error {
	if c.node == nil {
		return errors.New("could not restart the kubelet: there is no node")
	}
	return c.node.restartKubelet(ctx)
}

func (c *Cluster) apiServerReady(ctx context.Context) bool {
	// The client proper would retry and wait on its own account.
	client, err := rest.HTTPClientFor(c.config)
	if err != nil {
		return false
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.issuer+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// rootCAConfigMap is published into each namespace by the controller manager.
const rootCAConfigMap = "kube-root-ca.crt"

// Namespace creates a namespace, or labels the one that exists, and waits until
// pods can be created in it, which takes a ServiceAccount.
func (c *Cluster) Namespace(ctx context.Context, name string, labels map[string]string) error {
	namespace := applycorev1.Namespace(name).WithLabels(labels)
	if _, err := c.client.CoreV1().Namespaces().Apply(ctx, namespace,
		metav1.ApplyOptions{FieldManager: "cluster", Force: true}); err != nil {
		return fmt.Errorf("could not create namespace %s: %w", name, err)
	}
	return c.waitForNamespace(ctx, name)
}

func (c *Cluster) waitForNamespace(ctx context.Context, name string) error {
	c.mu.Lock()
	controllerManager := c.controllerManager
	c.mu.Unlock()
	if controllerManager == nil {
		return c.fillNamespace(ctx, name)
	}
	return process.WaitUntil(ctx, "namespace "+name+" is ready", func(ctx context.Context) (bool, error) {
		if err := controllerManager.Failure(); err != nil {
			return false, err
		}
		_, err := c.client.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		if err == nil {
			_, err = c.client.CoreV1().ConfigMaps(name).Get(ctx, rootCAConfigMap, metav1.GetOptions{})
		}
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
}

// fillNamespace does what the controller manager would do.
func (c *Cluster) fillNamespace(ctx context.Context, name string) error {
	if err := process.WaitUntil(ctx, "namespace "+name+" exists", func(ctx context.Context) (bool, error) {
		_, err := c.client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	}); err != nil {
		return err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	_, err := c.client.CoreV1().ServiceAccounts(name).Create(ctx, account, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("could not create the default ServiceAccount: %w", err)
	}
	rootCA := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: rootCAConfigMap},
		Data:       map[string]string{"ca.crt": string(c.pki.ca.PEM)},
	}
	_, err = c.client.CoreV1().ConfigMaps(name).Create(ctx, rootCA, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("could not create ConfigMap %s: %w", rootCAConfigMap, err)
	}
	return nil
}
