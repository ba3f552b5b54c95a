// Package loginrun runs the login container of a pod where there is no kubelet:
// the real program, as a process of this machine, with exactly the arguments and
// variables that the container has in the pod as the API server stores it.
//
// What a kubelet would do before, this package does: volumes become directories,
// with the tokens of projections requested from the API server and bound to the
// pod, and with the entries of ConfigMaps and Secrets. Files are replaced in the
// kubelet's way, by a swap of symbolic links. As there is no container, the
// paths of its mounts are replaced by those of the directories, wherever they
// begin a value.
//
//	login, err := loginrun.New(ctx, loginrun.Options{Cluster: kube, Program: path, Dir: dir, Pod: pod})
//	err = login.Start()
//	ready, line, err := login.Ready(ctx) // what the startup probe would find out
//	token, err := os.ReadFile(login.OutputFile())
//	err = login.RotateTokens(ctx)
//	code, err := login.Terminate(ctx)
package loginrun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/internal/process"
)

// Options say what to run.
type Options struct {
	// Cluster has the pod and gives its tokens.
	Cluster *cluster.Cluster
	// Program is the path of the login program; see injector.Build.
	Program string
	// Dir is where the volumes and the log are kept.
	Dir string
	// Pod is as the API server stores it.
	Pod *corev1.Pod
	// Container is the name of the login container; that of the default login
	// where it is empty.
	Container string
	// Args are added to those of the container, for what a test cannot wait for,
	// or has to look at.
	Args []string
}

// Login is a login container. It is not started by itself, and can be started
// again after its end, with the files that it has left, as the kubelet would.
type Login struct {
	options   Options
	container *corev1.Container
	volumes   map[string]*volume // by name
	paths     []path             // the longest first

	mu      sync.Mutex
	process *process.Process
}

// path is where a path of the container is on this machine.
type path struct{ inside, outside string }

// apiAccess is where the API server mounts the pod's token for itself, which is
// of no use for a login.
const apiAccess = "/var/run/secrets/kubernetes.io/serviceaccount"

// New finds the container in the pod and fills its volumes.
func New(ctx context.Context, o Options) (*Login, error) {
	if o.Container == "" {
		o.Container = loginspec.Container
	}
	l := &Login{options: o, volumes: map[string]*volume{}}
	all := slices.Concat(o.Pod.Spec.InitContainers, o.Pod.Spec.Containers)
	at := slices.IndexFunc(all, func(c corev1.Container) bool { return c.Name == o.Container })
	if at < 0 {
		return nil, fmt.Errorf("could not find the login container: pod %s has no container %q", o.Pod.Name, o.Container)
	}
	l.container = &all[at]
	for i := range l.container.VolumeMounts {
		if err := l.mount(ctx, &l.container.VolumeMounts[i]); err != nil {
			return nil, err
		}
	}
	l.paths = append(l.paths, path{l.container.TerminationMessagePath, l.terminationLog()})
	slices.SortFunc(l.paths, func(a, b path) int { return len(b.inside) - len(a.inside) })
	return l, os.WriteFile(l.terminationLog(), nil, 0o600)
}

func (l *Login) mount(ctx context.Context, m *corev1.VolumeMount) error {
	if m.MountPath == apiAccess {
		return nil
	}
	at := slices.IndexFunc(l.options.Pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
	if at < 0 || m.SubPath != "" {
		return fmt.Errorf("could not mount volume %s of pod %s: it has none, or a part of it is wanted", m.Name, l.options.Pod.Name)
	}
	v := &volume{options: l.options, source: &l.options.Pod.Spec.Volumes[at], dir: filepath.Join(l.options.Dir, "volumes", m.Name)}
	l.volumes[m.Name] = v
	l.paths = append(l.paths, path{m.MountPath, v.dir})
	return v.fill(ctx)
}

func (l *Login) terminationLog() string { return filepath.Join(l.options.Dir, "termination-log") }

// Host returns where a path of the container is on this machine. What is no such
// path stays as it is, and of NAME=PATH the path counts.
func (l *Login) Host(value string) string {
	name, rest, assigned := strings.Cut(value, "=")
	if !assigned || strings.HasPrefix(value, "/") {
		name, rest = "", value
	} else {
		name += "="
	}
	for _, p := range l.paths {
		if rest == p.inside || strings.HasPrefix(rest, p.inside+"/") {
			return name + p.outside + rest[len(p.inside):]
		}
	}
	return value
}

// environment are the container's variables and nothing else.
func (l *Login) environment() ([]string, error) {
	env := []string{loginspec.TerminationLog.Env() + "=" + l.terminationLog()}
	for _, e := range l.container.Env {
		if e.ValueFrom != nil {
			return nil, fmt.Errorf("could not set variable %s: it is taken from elsewhere", e.Name)
		}
		// Kubernetes expands $(NAME), and makes $ of $$.
		env = append(env, e.Name+"="+l.Host(strings.ReplaceAll(e.Value, "$$", "$")))
	}
	return env, nil
}

// Value returns the container's value of an option, as it is on this machine.
func (l *Login) Value(o loginspec.Name) string {
	for _, arg := range l.container.Args {
		if value, ok := strings.CutPrefix(arg, "--"+string(o)+"="); ok {
			return l.Host(value)
		}
	}
	for _, e := range l.container.Env {
		if e.Name == o.Env() {
			return l.Host(strings.ReplaceAll(e.Value, "$$", "$"))
		}
	}
	return ""
}

// OutputFile is the path of the result.
func (l *Login) OutputFile() string { return l.Value(loginspec.OutputFile) }

// Start starts the program.
func (l *Login) Start() error {
	env, err := l.environment()
	if err != nil {
		return err
	}
	args := make([]string, 0, len(l.container.Args)+len(l.options.Args))
	for _, arg := range l.container.Args {
		args = append(args, l.Host(arg))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.process != nil && l.process.Failure() == nil {
		return errors.New("could not start the login: it runs")
	}
	l.process, err = process.Host{}.Start(process.Command{
		Name: l.container.Name, Path: l.options.Program, Args: append(args, l.options.Args...), Env: env, Log: l.logFile(),
	})
	return err
}

func (l *Login) running() *process.Process {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.process
}

// Terminate asks the program to end, as the kubelet does, and returns its exit
// code.
func (l *Login) Terminate(ctx context.Context) (code int, err error) {
	if err := l.running().Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	return l.Wait(ctx)
}

// Wait waits for the end of the program and returns its exit code.
func (l *Login) Wait(ctx context.Context) (code int, err error) {
	p := l.running()
	select {
	case <-p.Done():
	case <-ctx.Done():
		return 0, fmt.Errorf("could not wait for the end of the login: %w", ctx.Err())
	}
	if exit, ok := errors.AsType[*exec.ExitError](p.Failure()); ok {
		return exit.ExitCode(), nil
	}
	return 0, nil
}

// Kill ends the program at once, if it runs.
func (l *Login) Kill() error {
	p := l.running()
	if p == nil {
		return nil
	}
	return p.Stop(0)
}

// Ready runs the startup probe of the container, or that of a sidecar where it
// has none, and returns whether it succeeds and what it says.
func (l *Login) Ready(ctx context.Context) (ready bool, line string, err error) {
	command := []string{loginspec.Program, loginspec.ReadyCommand}
	if l.container.StartupProbe != nil {
		command = l.container.StartupProbe.Exec.Command
	}
	args := make([]string, 0, len(command))
	for _, arg := range command[1:] {
		// A test asks when it wants to know, and does not wait.
		if !strings.HasPrefix(arg, "--wait=") {
			args = append(args, l.Host(arg))
		}
	}
	return l.runReady(ctx, args)
}

// Probe runs the startup probe as it stands, which waits for the login.
func (l *Login) Probe(ctx context.Context) (ready bool, line string, err error) {
	args := make([]string, 0, 4)
	for _, arg := range l.container.StartupProbe.Exec.Command[1:] {
		args = append(args, l.Host(arg))
	}
	return l.runReady(ctx, args)
}

func (l *Login) runReady(ctx context.Context, args []string) (ready bool, line string, err error) {
	env, err := l.environment()
	if err != nil {
		return false, "", err
	}
	cmd := exec.CommandContext(ctx, l.options.Program, args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	line = string(bytes.TrimSpace(out))
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		return false, line, nil
	}
	if err != nil {
		return false, line, fmt.Errorf("could not ask whether the login is ready: %w: %s", err, line)
	}
	return true, line, nil
}

func (l *Login) logFile() string { return filepath.Join(l.options.Dir, "log") }

// Log is what the program has written so far, over all its runs.
func (l *Login) Log() string {
	content, err := os.ReadFile(l.logFile())
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// Event is a line of the log.
type Event struct {
	Level   string `json:"level"`
	Message string `json:"msg"`
	Step    string `json:"step"`
	Class   string `json:"class"`
	Err     string `json:"error"`
	Because string `json:"because"`
	Address string `json:"address"`
}

// Events are the lines of a log in JSON.
func (l *Login) Events() []Event {
	var events []Event
	for line := range strings.Lines(l.Log()) {
		var e Event
		if json.Unmarshal([]byte(line), &e) == nil {
			events = append(events, e)
		}
	}
	return events
}

// TerminationMessage is what the pod's status would show of the program's end.
func (l *Login) TerminationMessage() string {
	content, err := os.ReadFile(l.terminationLog())
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// RotateTokens replaces the tokens of all projections by new ones, as the
// kubelet does when a fifth of their life is left.
func (l *Login) RotateTokens(ctx context.Context) error {
	for _, v := range l.volumes {
		if v.source.Projected != nil {
			if err := v.fill(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// Refresh replaces the contents of ConfigMaps and Secrets by those of now, as
// the kubelet does a minute after a change.
func (l *Login) Refresh(ctx context.Context) error {
	for _, v := range l.volumes {
		if v.source.ConfigMap != nil || v.source.Secret != nil {
			if err := v.fill(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// WriteToken puts a text in the place of the token that the program reads.
func (l *Login) WriteToken(text string) error {
	file := l.Value(loginspec.JWTFile)
	for _, v := range l.volumes {
		if name, err := filepath.Rel(v.dir, file); err == nil && filepath.IsLocal(name) {
			v.remember(text)
			return v.write(map[string]content{name: {text, 0o644}})
		}
	}
	return fmt.Errorf("could not find the volume of %s", file)
}

// Tokens are all tokens that the program has had in its files to use.
func (l *Login) Tokens() []string {
	var all []string
	for _, v := range l.volumes {
		all = append(all, v.remembered()...)
	}
	return all
}
