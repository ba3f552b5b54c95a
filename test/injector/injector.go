// Package injector runs the webhook against a test cluster: the real program,
// built from this repository, in a process of its own, registered with the API
// server by a MutatingWebhookConfiguration.
package injector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/cert"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/internal/metrics"
	"github.com/oidc-injector/oidc-injector/test/internal/ports"
	"github.com/oidc-injector/oidc-injector/test/internal/process"
)

const (
	// EnabledLabel opts a namespace in when it is "true", whatever the prefix.
	EnabledLabel = annotations.DefaultPrefix + "/enabled"

	// stopTimeout bounds the graceful shutdown of the program.
	stopTimeout = 20 * time.Second
	// readyTimeout bounds its start, on a machine that is busy with a build.
	readyTimeout = time.Minute
)

// Options say how to run the webhook. The zero value runs it with its defaults.
type Options struct {
	// Config is the content of the InjectorConfig file; without it there is no
	// file.
	Config string
	// Prefix is that of annotations, by default the usual one. Several webhooks can be
	// registered at a time where each has one of its own.
	Prefix string
	// Args are further flags.
	Args []string
	// Dir is where certificates, configuration, log and program are kept.
	Dir string
	// Joins are files of control groups (cgroup.procs), which the program joins
	// before it begins.
	Joins []string
}

// Injector is a running webhook.
type Injector struct {
	cluster *cluster.Cluster
	options Options
	port    int
	metrics int
	probes  int

	reserved []*ports.Reserved // of these three

	program *process.Process
	stop    sync.Once
}

// Start builds the webhook, runs it on the loopback and waits until it is ready
// and registered. Without a cluster (nil) it only runs.
func Start(ctx context.Context, c *cluster.Cluster, o Options) (*Injector, error) {
	o.Prefix = cmp.Or(o.Prefix, annotations.DefaultPrefix)
	in := &Injector{cluster: c, options: o}
	for _, begin := range []func() error{in.reserve, in.writeFiles, func() error { return in.startProgram(ctx) }} {
		if err := begin(); err != nil {
			in.release()
			return nil, err
		}
	}
	if err := in.connect(ctx); err != nil {
		return nil, errors.Join(err, in.Stop())
	}
	return in, nil
}

// reserve finds ports, which stay this webhook's until it is stopped.
func (in *Injector) reserve() error {
	for _, port := range []*int{&in.port, &in.metrics, &in.probes} {
		reserved, err := ports.Reserve()
		if err != nil {
			return err
		}
		*port = reserved.Number
		in.reserved = append(in.reserved, reserved)
	}
	return nil
}

func (in *Injector) release() {
	for _, port := range in.reserved {
		port.Release()
	}
}

func (in *Injector) path(name string) string { return filepath.Join(in.options.Dir, name) }

func (in *Injector) writeFiles() error {
	certificate, key, err := cert.GenerateSelfSignedCertKey("localhost", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		return fmt.Errorf("could not make a serving certificate: %w", err)
	}
	files := map[string][]byte{"tls.crt": certificate, "tls.key": key}
	if in.options.Config != "" {
		files["config.yaml"] = []byte(in.options.Config)
	}
	for name, content := range files {
		if err := os.WriteFile(in.path(name), content, 0o600); err != nil {
			return fmt.Errorf("could not write the webhook's files: %w", err)
		}
	}
	return nil
}

// flags are those that programs are released with; see the Makefile.
var flags = map[string][]string{"oidc-login": {"-tags=nethttpomithttp2", "-gcflags=all=-l", "-gcflags=crypto/...="}}

// version is the one that programs say they have.
const version = "v0.0.0-test"

// Build builds a program of this repository, as it is released, into a folder
// and returns its path.
func Build(ctx context.Context, program, dir string) (string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/oidc-injector/oidc-injector")
	root, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("could not find the repository: %w", err)
	}
	path := filepath.Join(dir, program)
	const setVersion = "github.com/oidc-injector/oidc-injector/internal/version.version=" + version
	args := slices.Concat([]string{"build", "-trimpath", "-ldflags=-s -w -X " + setVersion}, flags[program],
		[]string{"-o", path, "./cmd/" + program})
	build := exec.CommandContext(ctx, "go", args...)
	build.Dir = strings.TrimSpace(string(root))
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("could not build %s: %w: %s", program, err, out)
	}
	return path, nil
}

// Program is the path of the webhook's program.
func (in *Injector) Program() string { return in.path("webhook") }

func (in *Injector) startProgram(ctx context.Context) error {
	binary, err := Build(ctx, "webhook", in.options.Dir)
	if err != nil {
		return err
	}
	args := []string{
		"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(in.port), "--cert-dir=" + in.options.Dir,
		"--annotation-prefix=" + in.options.Prefix,
		"--metrics-bind-address=" + loopback(in.metrics), "--health-probe-bind-address=" + loopback(in.probes),
	}
	if in.cluster != nil {
		args = append(args, "--log-level=debug")
	}
	if in.options.Config != "" {
		args = append(args, "--config="+in.path("config.yaml"))
	}
	args = append(args, in.options.Args...)
	if len(in.options.Joins) > 0 {
		args = slices.Concat([]string{"-c", join, "sh"}, in.options.Joins, []string{"--", binary}, args)
		binary = "/bin/sh"
	}
	in.program, err = process.Host{}.Start(process.Command{Name: "webhook", Path: binary, Args: args, Log: in.LogPath()})
	return err
}

// join is a script that joins control groups, and becomes the program behind "--".
const join = `while [ "$1" != -- ]; do echo $$ >"$1" || exit; shift; done; shift; exec "$@"`

// Failure is nil as long as the program runs, and says afterwards how it ended.
func (in *Injector) Failure() error { return in.program.Failure() }

// ProbeURL is where the webhook serves its probes.
func (in *Injector) ProbeURL() string { return "http://" + loopback(in.probes) }

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// connect waits for the program and lets the API server know of it.
func (in *Injector) connect(ctx context.Context) error {
	if err := in.waitReady(ctx); err != nil {
		return err
	}
	if in.cluster == nil {
		return nil
	}
	if err := in.cluster.Expose(ctx, in.port); err != nil {
		return err
	}
	return in.register(ctx)
}

func (in *Injector) waitReady(ctx context.Context) error {
	last := errors.New("not asked yet")
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		select {
		case <-in.program.Done():
			return false, in.program.Failure()
		default:
		}
		_, last = metrics.Get(ctx, "http://"+loopback(in.probes)+"/readyz")
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("could not wait for the webhook: %w (%w)", err, last)
	}
	return nil
}

// PID is the process of the program that runs at the moment.
func (in *Injector) PID() int { return in.program.PID }

// URL is where the webhook answers admission reviews.
func (in *Injector) URL() string { return "https://" + loopback(in.port) + "/mutate" }

// CA is the certificate, in PEM, by which the webhook is to be verified.
func (in *Injector) CA() ([]byte, error) { return os.ReadFile(in.path("tls.crt")) }

// SetConfig replaces the configuration file, in one step as a ConfigMap would.
func (in *Injector) SetConfig(content string) error {
	next := in.path("config.yaml.next")
	if err := os.WriteFile(next, []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(next, in.path("config.yaml"))
}

// ConfigPath is the file with the configuration.
func (in *Injector) ConfigPath() string { return in.path("config.yaml") }

// LogPath is the file that the webhook logs to.
func (in *Injector) LogPath() string { return in.path("webhook.log") }

// Log is what the webhook has written so far.
func (in *Injector) Log() string {
	content, err := os.ReadFile(in.LogPath())
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// Counter returns the value of a counter or gauge of the webhook, added up over
// all its labels but the given ones, such as "outcome", "denied".
func (in *Injector) Counter(ctx context.Context, name string, labels ...string) (float64, error) {
	body, err := metrics.Get(ctx, "http://"+loopback(in.metrics)+"/metrics")
	if err != nil {
		return 0, fmt.Errorf("could not read the webhook's metrics: %w", err)
	}
	value, err := metrics.Value(body, name, labels...)
	if err != nil {
		return 0, fmt.Errorf("could not read the webhook's metrics: %w", err)
	}
	return value, nil
}

// Stop ends the webhook in order and takes its registration back. The error
// tells if it did not end with exit code 0.
func (in *Injector) Stop() error {
	var err error
	in.stop.Do(func() {
		if in.cluster != nil {
			err = in.unregister()
		}
		err = errors.Join(err, in.Terminate())
		in.release()
	})
	return err
}

// Terminate ends the program by SIGTERM and leaves its registration, as if its
// node had gone.
func (in *Injector) Terminate() error {
	if err := in.program.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-in.program.Done():
		return in.program.ExitError()
	case <-time.After(stopTimeout):
		return errors.Join(errors.New("the webhook did not end by itself"), in.program.Stop(0))
	}
}

// Kill ends the program by SIGKILL and leaves its registration.
func (in *Injector) Kill() error { return in.program.Stop(0) }

// Restart runs the program again, after Terminate or Kill, at the same port.
func (in *Injector) Restart(ctx context.Context) error {
	if err := in.startProgram(ctx); err != nil {
		return err
	}
	return in.waitReady(ctx)
}

func (in *Injector) unregister() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	webhooks := in.cluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations()
	if err := webhooks.Delete(ctx, in.options.configurationName(), metav1.DeleteOptions{}); err != nil {
		return fmt.Errorf("could not remove the webhook's registration: %w", err)
	}
	return nil
}
