package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/oidc-injector/oidc-injector/test/internal/pki"
	"github.com/oidc-injector/oidc-injector/test/internal/ports"
	"github.com/oidc-injector/oidc-injector/test/internal/process"
	"github.com/oidc-injector/oidc-injector/test/internal/statedir"
)

const (
	nodeName  = "node"
	nodeIP    = "10.88.0.1"    // of the bridge to which pods are connected
	podRange  = "10.88.0.0/24" // of the addresses of pods
	serviceIP = "10.96.0.1"    // of the Service "kubernetes"
	ipRange   = "10.96.0.0/16" // of the addresses of Services
)

// kind tells the folders of clusters from others. A node has control groups of
// the same name.
var kind = statedir.Kind{Name: "cluster", Remove: removeControlGroups}

// Options say what to start. The zero value is a control plane alone.
type Options struct {
	// Node adds a node that runs pods; see NodeSupported.
	Node bool
	// KubernetesVersion is a release such as v1.34.4. By default it is
	// $OIDC_INJECTOR_KUBERNETES_VERSION, or else DefaultKubernetesVersion.
	KubernetesVersion string
	// Assets is a folder with etcd, kube-apiserver and kubectl, which are used for a
	// control plane instead of built ones. By default it is $KUBEBUILDER_ASSETS, if
	// that is set.
	Assets string
	// APIServerArgs are added to those of the API server, for example
	// --admission-control-config-file=PATH. Of a flag with a single value the
	// last one counts, those with lists are extended.
	APIServerArgs []string
	// FeatureGates are switched on in the API server and in the kubelet.
	FeatureGates []string
	// Progress gets a line now and then while programs are built. By default
	// nobody is told.
	Progress io.Writer
	// StateDir is the folder in which the cluster makes a folder of its own,
	// and removes it. By default it is os.TempDir.
	StateDir string
	// LogDir is the folder for the logs of all programs, which stay there. By
	// default they are part of the state, and are removed unless
	// Cluster.KeepLogs was called.
	LogDir string
}

func (o Options) withDefaults() Options {
	if o.KubernetesVersion == "" {
		o.KubernetesVersion = os.Getenv("OIDC_INJECTOR_KUBERNETES_VERSION")
	}
	if o.KubernetesVersion == "" {
		o.KubernetesVersion = DefaultKubernetesVersion
	}
	if !strings.HasPrefix(o.KubernetesVersion, "v") {
		o.KubernetesVersion = "v" + o.KubernetesVersion
	}
	if o.Assets == "" {
		o.Assets = os.Getenv("KUBEBUILDER_ASSETS")
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	return o
}

// Cluster is a running cluster. Its methods can be called concurrently.
type Cluster struct {
	options  Options
	programs *binaries
	state    *statedir.Dir
	logDir   string
	pki      *certificates
	issuer   string
	config   *rest.Config
	client   *kubernetes.Clientset

	starter process.Starter // of the processes of the control plane
	port    *ports.Reserved // of the API server; nil with a node, where the forwarder holds it
	node    *node           // nil without a node

	etcd          *process.Process
	etcdPorts     []*ports.Reserved
	apiServerArgs []string

	mu                           sync.Mutex
	apiServer                    *process.Process // nil while stopped
	controllerManager, scheduler *process.Process // nil where there is none
	keepLogs                     bool

	stop    sync.Once
	stopErr error
}

// Start starts a cluster and waits until it can be used: with a node, until
// that is Ready. The context is for starting only; the cluster runs until
// Stop is called or this process ends.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	options = options.withDefaults()
	if options.Node {
		if err := NodeSupported(); err != nil {
			return nil, err
		}
	}
	programs, err := kubernetesBinaries(ctx, options)
	if err != nil {
		return nil, err
	}
	state, err := statedir.New(options.StateDir, kind)
	if err != nil {
		return nil, err
	}
	c := &Cluster{options: options, programs: programs, state: state, starter: process.Host{}}
	if err := c.start(ctx); err != nil {
		c.KeepLogs()
		stopErr := c.Stop()
		return nil, errors.Join(fmt.Errorf("could not start the cluster, its logs are in %s: %w", c.LogDir(), err), stopErr)
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	var err error
	if c.logDir, err = c.state.MakeLogs(c.options.LogDir); err != nil {
		return err
	}
	port, err := c.prepareHost(ctx)
	if err != nil {
		return err
	}
	c.issuer = fmt.Sprintf("https://127.0.0.1:%d", port)
	if err := c.makeCredentials(); err != nil {
		return err
	}
	if err := c.writeAdmissionConfiguration(); err != nil {
		return err
	}
	if err := c.startControlPlane(ctx); err != nil {
		return err
	}
	if c.node == nil {
		return c.waitForNamespace(ctx, "default")
	}
	if err := c.startNode(ctx); err != nil {
		return err
	}
	if err := c.waitForNamespace(ctx, "default"); err != nil {
		return err
	}
	return c.waitForNode(ctx)
}

// prepareHost makes the place in which the processes will run and finds a port
// for the API server.
func (c *Cluster) prepareHost(ctx context.Context) (port int, err error) {
	if c.options.Node {
		if c.node, err = newNode(ctx, c); err != nil {
			return 0, err
		}
		c.starter = c.node.starter()
		return c.node.forwardPort()
	}
	if c.port, err = ports.Reserve(); err != nil {
		return 0, err
	}
	return c.port.Number, nil
}

func (c *Cluster) makeCredentials() (err error) {
	ips := []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(serviceIP), net.ParseIP(nodeIP)}
	if c.pki, err = newPKI(c.state.Path("pki"), ips, nodeName, net.ParseIP(nodeIP)); err != nil {
		return err
	}
	for name, pair := range map[string]pki.KeyPair{
		"admin":              c.pki.admin,
		"controller-manager": c.pki.controllerManager,
		"scheduler":          c.pki.scheduler,
		"node":               c.pki.node,
	} {
		if err := writeKubeconfig(c.kubeconfig(name), c.issuer, c.pki.ca.PEM, name, pair); err != nil {
			return err
		}
	}
	c.config = newRESTConfig(c.issuer, c.pki.ca.PEM, c.pki.admin)
	if c.client, err = kubernetes.NewForConfig(c.config); err != nil {
		return fmt.Errorf("could not create a client: %w", err)
	}
	return nil
}

func (c *Cluster) kubeconfig(user string) string {
	return c.state.Path(user + ".kubeconfig")
}

// command is one of the programs, logging into a file of its own.
func (c *Cluster) command(name, path string, args ...string) process.Command {
	return process.Command{Name: name, Path: path, Args: args, Log: filepath.Join(c.logDir, name+".log")}
}

// Kubeconfig is the path of a kubeconfig of an admin, which needs no other file.
func (c *Cluster) Kubeconfig() string { return c.kubeconfig("admin") }

// RESTConfig is that of an admin, without a rate limit. It is the caller's own.
func (c *Cluster) RESTConfig() *rest.Config { return rest.CopyConfig(c.config) }

// Client is that of an admin.
func (c *Cluster) Client() kubernetes.Interface { return c.client }

// Issuer is the issuer of ServiceAccount tokens, which is also the URL of the
// API server, such as https://127.0.0.1:40123.
func (c *Cluster) Issuer() string { return c.issuer }

// CA is the certificate, in PEM, by which the API server is to be verified.
func (c *Cluster) CA() []byte { return append([]byte(nil), c.pki.ca.PEM...) }

// Version is the Kubernetes release, such as v1.37.2. It tells nothing of
// programs from Options.Assets.
func (c *Cluster) Version() string { return c.options.KubernetesVersion }

// HasNode reports whether pods can run.
func (c *Cluster) HasNode() bool { return c.node != nil }

// NodeName is the name of the only node, or "" where there is none.
func (c *Cluster) NodeName() string {
	if c.node == nil {
		return ""
	}
	return nodeName
}

// NodeIP is the address by which pods reach the API server and what Expose
// made visible, or "" where there is no node.
func (c *Cluster) NodeIP() string {
	if c.node == nil {
		return ""
	}
	return nodeIP
}

// NodePath is the path by which this process finds a file of the node, such as
// one below /var/lib/kubelet. Without a node it is the path itself.
func (c *Cluster) NodePath(path string) string {
	if c.node == nil {
		return path
	}
	return c.node.path(path)
}

// LogDir is the folder with one log for each program. Unless Options.LogDir
// was given, it is gone after Stop, or moved if KeepLogs was called.
func (c *Cluster) LogDir() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.logDir
}

// KeepLogs makes Stop leave the logs, and LogDir tell where they are.
func (c *Cluster) KeepLogs() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keepLogs = true
}

// Expose makes a TCP server on 127.0.0.1 of the host, such as a webhook of the
// test, reachable inside the namespaces as well: at the same port of 127.0.0.1
// for the API server, and of NodeIP for pods. Without a node all are on the
// host, so that there is nothing to do. It lasts until Stop.
func (c *Cluster) Expose(_ context.Context, port int) error {
	if c.node == nil {
		return nil
	}
	return c.node.expose(port)
}

// Dial connects to a TCP address as seen from the node, such as that of a pod.
// Without a node it connects from the host.
func (c *Cluster) Dial(ctx context.Context, address string) (net.Conn, error) {
	if c.node == nil {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	return c.node.dial(ctx, address)
}

// Stop ends all processes and removes the state. Further calls return what the
// first one did.
func (c *Cluster) Stop() error {
	c.stop.Do(func() { c.stopErr = c.stopAll() })
	return c.stopErr
}

func (c *Cluster) stopAll() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	// Nothing is kept, so there is no point in letting anybody finish.
	for _, p := range []*process.Process{c.scheduler, c.controllerManager, c.apiServer, c.etcd} {
		if p != nil {
			errs = append(errs, p.Stop(0))
		}
	}
	if c.node != nil {
		errs = append(errs, c.node.stop())
	}
	for _, port := range append(c.etcdPorts, c.port) {
		port.Release()
	}
	if c.keepLogs {
		var err error
		c.logDir, err = c.state.KeepLogs(c.logDir)
		errs = append(errs, err)
	}
	return errors.Join(append(errs, c.state.Remove())...)
}
