package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/internal/buildcache"
	"github.com/oidc-injector/oidc-injector/test/internal/process"
)

// masked are folders of the machine that the processes of a node write to.
// Inside the namespaces something private takes their place.
var masked = []string{"/run", "/var/lib", "/var/log"}

// kernelSettings are demanded by the kubelet. It is shown files that say so,
// and the settings of the machine stay as they are.
var kernelSettings = map[string]string{
	"/proc/sys/vm/overcommit_memory": "1",
	"/proc/sys/vm/panic_on_oom":      "0",
	"/proc/sys/kernel/panic":         "10",
	"/proc/sys/kernel/panic_on_oops": "1",
}

// node is a node inside of namespaces.
type node struct {
	c          *Cluster
	root       string // of containerd, runc and the CNI plugins
	own        string // folder of our own programs
	namespaces *namespaces
	network    *network

	containerd, kubelet *process.Process
	imagesReady         chan error // gets what became of containerd and the first images
	background          sync.WaitGroup

	mu         sync.Mutex
	forwarders []*forwarder
	exposed    map[int]bool
}

// NodeSupported tells why no node can run on this machine; nil if it can.
func NodeSupported() error {
	if os.Geteuid() != 0 {
		return errors.New("a node needs root")
	}
	programs := []string{"ip", "mount", "umount"}
	if os.Getenv("OIDC_INJECTOR_NODE_ROOT") == "" {
		programs = append(programs, "apt-get", "dpkg-deb")
	}
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("a node needs the program %s: %w", name, err)
		}
	}
	if _, err := hierarchies(); err != nil {
		return fmt.Errorf("a node needs control groups: %w", err)
	}
	return probeNamespaces()
}

// probeNamespaces tries what a container without privileges cannot do.
func probeNamespaces() error {
	probe := exec.Command("mount", "--make-rprivate", "/")
	probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaceFlags}
	if out, err := probe.CombinedOutput(); err != nil {
		return fmt.Errorf("a node needs namespaces of its own: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// newNodePrograms makes sure that what a node needs is in the cache.
func newNodePrograms(ctx context.Context, options Options) (*node, error) {
	root, err := nodeRoot(ctx, options.Progress)
	if err != nil {
		return nil, err
	}
	own, err := ownPrograms(ctx, options.Progress)
	if err != nil {
		return nil, err
	}
	return &node{root: root, own: own, exposed: map[int]bool{}}, nil
}

// newNode makes the namespaces, and starts containerd in them.
func newNode(ctx context.Context, c *Cluster) (*node, error) {
	n, err := newNodePrograms(ctx, c.options)
	if err != nil {
		return nil, err
	}
	n.c = c
	if err := checkMasks(c.state.Root, c.logDir, c.programs.dir, n.root, n.own); err != nil {
		return nil, err
	}
	if err := n.prepare(ctx); err != nil {
		return nil, errors.Join(err, n.stop())
	}
	n.imagesReady = make(chan error, 1)
	// It takes about as long as the API server does.
	n.background.Go(func() { n.imagesReady <- n.startContainerd(context.WithoutCancel(ctx)) })
	return n, nil
}

// checkMasks refuses folders that the node could not see.
func checkMasks(used ...string) error {
	for _, dir := range used {
		for _, mask := range masked {
			if strings.HasPrefix(dir+"/", mask+"/") {
				return fmt.Errorf("could not use %s for a node, where %s is private: move it, by OIDC_INJECTOR_CACHE or Options.StateDir",
					dir, mask)
			}
		}
	}
	return nil
}

func (n *node) prepare(ctx context.Context) (err error) {
	if err := makeControlGroups(n.c.state.Name()); err != nil {
		return err
	}
	if n.namespaces, err = newNamespaces(filepath.Join(n.own, "nsinit"), nodeName, n.c.logDir); err != nil {
		return err
	}
	if n.network, err = openNetwork(n.namespaces.init.PID); err != nil {
		return err
	}
	if err := n.setUpNetwork(ctx); err != nil {
		return err
	}
	return n.setUpMounts(ctx)
}

// setUpNetwork makes a bridge for pods. The address of the Service "kubernetes"
// is local as well, so that a forwarder can take the place of kube-proxy there.
func (n *node) setUpNetwork(ctx context.Context) error {
	for _, args := range []string{
		"link set lo up",
		// Without an address of its own it has one of its ports', which come and go
		// with the pods, and the others would look for the old one for seconds.
		"link add br0 address 0a:58:0a:58:00:01 type bridge",
		"addr add " + nodeIP + "/24 dev br0",
		"addr add " + serviceIP + "/32 dev br0",
		"link set br0 up",
		"route add default dev br0", // the kubelet looks for one
	} {
		if err := n.run(ctx, "ip", strings.Fields(args)...); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) setUpMounts(ctx context.Context) error {
	private := n.c.state.Path("node")
	files := map[string][]byte{"var/log/pods/.keep": nil, "var/lib/.keep": nil}
	for setting, value := range kernelSettings {
		files[filepath.Join("settings", setting)] = []byte(value + "\n")
	}
	if err := buildcache.WriteFiles(private, files); err != nil {
		return err
	}
	for setting := range kernelSettings {
		if err := n.run(ctx, "mount", "--bind", filepath.Join(private, "settings", setting), setting); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/var/lib", "/var/log"} {
		if err := n.run(ctx, "mount", "--bind", filepath.Join(private, dir), dir); err != nil {
			return err
		}
	}
	return n.run(ctx, "mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
}

// run runs a program of the machine inside the namespaces.
func (n *node) run(ctx context.Context, name string, args ...string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return fmt.Errorf("could not find a program: %w", err)
	}
	return process.Run(ctx, n.namespaces, n.c.command(filepath.Base(name), path, args...))
}

func (n *node) starter() process.Starter { return n.namespaces }

// forwardPort finds a port that is free on the host and will be the API
// server's inside the namespaces, and connects the two.
func (n *node) forwardPort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("could not find a free port: %w", err)
	}
	port := listener.Addr().(*net.TCPAddr).Port //nolint:errcheck,forcetypeassert // a TCP listener has no other
	target := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	inside := func(ctx context.Context) (net.Conn, error) { return n.network.dial(ctx, target) }
	n.addForwarder(forward(listener, inside))

	service, err := n.network.listen(net.JoinHostPort(serviceIP, "443"))
	if err != nil {
		return 0, fmt.Errorf("could not stand in for the Service kubernetes: %w", err)
	}
	n.addForwarder(forward(service, inside))
	return port, nil
}

func (n *node) expose(port int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.exposed[port] {
		return nil
	}
	// On all addresses: the API server takes loopback, pods the node's.
	listener, err := n.network.listen(net.JoinHostPort("0.0.0.0", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("could not expose port %d: %w", port, err)
	}
	target := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	n.forwarders = append(n.forwarders, forward(listener, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", target)
	}))
	n.exposed[port] = true
	return nil
}

func (n *node) addForwarder(f *forwarder) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forwarders = append(n.forwarders, f)
}

func (n *node) dial(ctx context.Context, address string) (net.Conn, error) {
	return n.network.dial(ctx, address)
}

// path is that of a file of the node in the mount namespace of this process.
func (n *node) path(path string) string {
	return filepath.Join("/proc", strconv.Itoa(n.namespaces.init.PID), "root", path)
}

func (n *node) stop() error {
	n.mu.Lock()
	forwarders := n.forwarders
	n.forwarders = nil
	n.mu.Unlock()
	for _, f := range forwarders {
		f.close()
	}
	if n.network != nil {
		n.network.close()
	}
	if n.namespaces == nil {
		return nil
	}
	err := n.namespaces.stop()
	// What still starts now fails, and must not write to the state any more.
	n.background.Wait()
	return err
}

// startNode starts what runs pods, once the API server is ready.
func (c *Cluster) startNode(ctx context.Context) (err error) {
	select {
	case err = <-c.node.imagesReady:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("could not start the container runtime: %w", err)
	}
	return c.node.startKubelet()
}

func (c *Cluster) waitForNode(ctx context.Context) error {
	return process.WaitUntil(ctx, "the node is ready", func(ctx context.Context) (bool, error) {
		if err := errors.Join(c.node.containerd.Failure(), c.node.kubelet.Failure()); err != nil {
			return false, err
		}
		node, err := c.client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil && schedulable(node), err
	})
}

// schedulable wants the node to be rid of its taints as well: they go a moment
// after it became ready.
func schedulable(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return len(node.Spec.Taints) == 0
		}
	}
	return false
}
