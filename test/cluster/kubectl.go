package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// ToolboxImage is always on the node. Its only program is /toolbox, which is
// also the entrypoint: sleep, cat, stat, touch, id, env. It runs as user 65532.
const ToolboxImage = "localhost/oidc-injector/toolbox:test"

// KubectlPath is the path of kubectl of the cluster's version.
func (c *Cluster) KubectlPath() string { return c.programs.path("kubectl") }

// Kubectl runs kubectl as an admin and returns what it wrote to stdout. The
// error has what it wrote to stderr.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.KubectlWithInput(ctx, nil, args...)
}

// Apply applies manifests, in YAML or JSON.
func (c *Cluster) Apply(ctx context.Context, manifests string) error {
	_, err := c.KubectlWithInput(ctx, strings.NewReader(manifests), "apply", "--filename=-")
	return err
}

// KubectlWithInput is Kubectl with an input.
func (c *Cluster) KubectlWithInput(ctx context.Context, input io.Reader, args ...string) (string, error) {
	stdout, _, err := c.KubectlSaying(ctx, input, args...)
	return stdout, err
}

// KubectlSaying is KubectlWithInput, and also returns what kubectl wrote to stderr, such as
// the warnings of admission.
func (c *Cluster) KubectlSaying(ctx context.Context, input io.Reader, args ...string) (said, warned string, err error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, c.KubectlPath(), args...)
	cmd.Env = append(os.Environ(),
		"KUBECONFIG="+c.Kubeconfig(),
		// What the user has at home is about other clusters.
		"KUBECACHEDIR="+c.state.Path("kubectl-cache"),
		"KUBERC=off",
	)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		err = fmt.Errorf("could not run kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
		return stdout.String(), stderr.String(), err
	}
	return stdout.String(), stderr.String(), nil
}

// LoadImage makes an image of files, given by their path in the image and their
// path on the host, and gives it to the node. Programs have to be static, for
// the image has nothing else.
func (c *Cluster) LoadImage(ctx context.Context, ref string, files map[string]string, image Image) error {
	if c.node == nil {
		return errors.New("could not load an image: the cluster has no node")
	}
	return c.node.loadImage(ctx, ref, files, image)
}
