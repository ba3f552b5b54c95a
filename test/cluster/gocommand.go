package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// goCommand runs the go command in a module of its own.
type goCommand struct {
	dir    string
	output io.Writer // of what it writes to stderr, in addition to errors
}

func (g goCommand) run(ctx context.Context, arguments ...string) error {
	_, err := g.stdout(ctx, arguments...)
	return err
}

func (g goCommand) stdout(ctx context.Context, arguments ...string) ([]byte, error) {
	var stdout bytes.Buffer
	errorTail := &tailWriter{size: 4 << 10}
	cmd := exec.CommandContext(ctx, "go", arguments...)
	cmd.Dir = g.dir
	cmd.Env = goEnvironment()
	cmd.Stdout, cmd.Stderr = &stdout, errorTail
	if g.output != nil {
		cmd.Stderr = io.MultiWriter(errorTail, g.output)
	}
	// Without it the go command's own children would go on compiling.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("could not run go %s: %w:\n%s", arguments[0], err, errorTail.text)
	}
	return stdout.Bytes(), nil
}

// goEnvironment keeps flags, workspaces and targets of the surrounding build
// away: they are meant for another module, and the programs have to run here.
func goEnvironment() []string {
	return append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
}

// goVersion is the version of the go command, such as go1.26.8.
func goVersion(ctx context.Context) (string, error) {
	// Outside of any module, as a go.mod can switch the toolchain.
	out, err := goCommand{dir: os.TempDir()}.stdout(ctx, "env", "GOVERSION")
	return strings.TrimSpace(string(out)), err
}

// tailWriter keeps the end of what is written to it.
type tailWriter struct {
	size int
	text []byte
}

func (w *tailWriter) Write(text []byte) (int, error) {
	w.text = append(w.text, text...)
	if excess := len(w.text) - w.size; excess > 0 {
		w.text = w.text[excess:]
	}
	return len(text), nil
}
