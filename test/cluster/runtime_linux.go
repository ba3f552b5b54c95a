package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oidc-injector/oidc-injector/test/internal/buildcache"
	"github.com/oidc-injector/oidc-injector/test/internal/process"
)

const (
	pauseImage       = "localhost/oidc-injector/pause:test"
	containerdSocket = "/run/containerd/containerd.sock"
	kubeletPort      = "10250"
)

// environment lets containerd find the programs and libraries of its packages.
func (n *node) environment() []string {
	// A variable that is there twice has its first value, unlike in os/exec.
	env := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "PATH=") || strings.HasPrefix(variable, "LD_LIBRARY_PATH=")
	})
	env = append(env, fmt.Sprintf("PATH=%[1]s/usr/bin:%[1]s/usr/sbin:%[2]s", n.root, os.Getenv("PATH")))
	if libraries := libraryPath(n.root); libraries != "" {
		env = append(env, "LD_LIBRARY_PATH="+libraries)
	}
	return env
}

func (n *node) program(name string) string {
	return filepath.Join(n.root, "usr/bin", name)
}

func (n *node) startContainerd(ctx context.Context) (err error) {
	config := n.c.state.Path("node", "containerd.toml")
	if err := buildcache.WriteFiles(n.c.state.Path("node"), map[string][]byte{
		"containerd.toml":        n.containerdConfig(),
		"cni/10-bridge.conflist": cniConfig(),
	}); err != nil {
		return err
	}
	cmd := n.c.command("containerd", n.program("containerd"), "--config="+config)
	cmd.Env = n.environment()
	if n.containerd, err = n.namespaces.Start(cmd); err != nil {
		return err
	}
	if err := process.WaitUntil(ctx, "containerd answers", func(ctx context.Context) (bool, error) {
		if err := n.containerd.Failure(); err != nil {
			return false, err
		}
		return n.ctr(ctx, "version") == nil, nil
	}); err != nil {
		return err
	}
	for image, program := range map[string]string{pauseImage: "pause", ToolboxImage: "toolbox"} {
		files := map[string]string{"/" + program: filepath.Join(n.own, program)}
		if err := n.loadImage(ctx, image, files, Image{}); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) ctr(ctx context.Context, args ...string) error {
	return n.run(ctx, n.program("ctr"), append([]string{"--address=" + containerdSocket, "--namespace=k8s.io"}, args...)...)
}

func (n *node) loadImage(ctx context.Context, ref string, files map[string]string, image Image) error {
	archive, err := os.CreateTemp(n.c.state.Root, "image-*.tar")
	if err != nil {
		return fmt.Errorf("could not create the archive of an image: %w", err)
	}
	defer os.Remove(archive.Name())
	if err := errors.Join(writeImage(archive, ref, files, image), archive.Close()); err != nil {
		return fmt.Errorf("could not write image %s: %w", ref, err)
	}
	if err := n.ctr(ctx, "images", "import", archive.Name()); err != nil {
		return fmt.Errorf("could not import image %s: %w", ref, err)
	}
	return nil
}

// containerdConfig keeps containerd from /opt, which is not masked, and from
// lowering OOM scores, which takes a capability that few containers have.
func (n *node) containerdConfig() []byte {
	return fmt.Appendf(nil, `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = %q
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
`, containerdSocket, pauseImage, filepath.Join(n.root, "usr/lib/cni"), n.c.state.Path("node", "cni"))
}

func cniConfig() []byte {
	return fmt.Appendf(nil, `{
  "cniVersion": "0.4.0",
  "name": "bridge",
  "plugins": [{
    "type": "bridge", "bridge": "br0", "isGateway": true, "ipMasq": false,
    "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}
  }]
}
`, podRange)
}

func (n *node) startKubelet() (err error) {
	config, err := json.Marshal(n.kubeletConfig())
	if err != nil {
		return fmt.Errorf("could not encode the configuration of the kubelet: %w", err)
	}
	if err := buildcache.WriteFiles(n.c.state.Path("node"), map[string][]byte{"kubelet.json": config}); err != nil {
		return err
	}
	cmd := n.c.command("kubelet", n.c.programs.path("kubelet"),
		"--config="+n.c.state.Path("node", "kubelet.json"),
		"--kubeconfig="+n.c.kubeconfig("node"),
		"--hostname-override="+nodeName,
		"--node-ip="+nodeIP,
	)
	cmd.Env = n.environment()
	n.kubelet, err = n.namespaces.Start(cmd)
	return err
}

// restartKubelet leaves the pods alone, as the containers are not its children.
func (n *node) restartKubelet(ctx context.Context) error {
	if err := n.kubelet.Stop(stopGrace); err != nil {
		return err
	}
	if err := n.startKubelet(); err != nil {
		return err
	}
	return process.WaitUntil(ctx, "the kubelet listens", func(ctx context.Context) (bool, error) {
		if err := n.kubelet.Failure(); err != nil {
			return false, err
		}
		conn, err := n.dial(ctx, net.JoinHostPort(nodeIP, kubeletPort))
		if err != nil {
			return false, nil //nolint:nilerr // not yet
		}
		return true, conn.Close()
	})
}

func (n *node) kubeletConfig() map[string]any {
	gates := map[string]bool{}
	for _, gate := range n.c.options.FeatureGates {
		gates[gate] = true
	}
	return map[string]any{
		"featureGates":             gates,
		"apiVersion":               "kubelet.config.k8s.io/v1beta1",
		"kind":                     "KubeletConfiguration",
		"address":                  nodeIP,
		"containerRuntimeEndpoint": "unix://" + containerdSocket,
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false},
			"webhook":   map[string]any{"enabled": true},
			"x509":      map[string]any{"clientCAFile": n.c.pki.file("ca.crt")},
		},
		"authorization":     map[string]any{"mode": "Webhook"},
		"tlsCertFile":       n.c.pki.file("kubelet.crt"),
		"tlsPrivateKeyFile": n.c.pki.file("kubelet.key"),
		"cgroupDriver":      "cgroupfs",
		"cgroupRoot":        "/" + n.c.state.Name(),
		"failCgroupV1":      false,
		"failSwapOn":        false,
		"oomScoreAdj":       0, // lowering it takes CAP_SYS_RESOURCE
		// There need not be any iptables.
		"makeIPTablesUtilChains": false,
		// A disk of the machine that is rather full is none of our business.
		"imageGCHighThresholdPercent": 100,
		"evictionHard":                map[string]any{"memory.available": "50Mi"},
		"volumePluginDir":             "/var/lib/kubelet/volume-plugins", // the default is not masked
		"resolvConf":                  "",
	}
}
