package main

import (
	"bytes"
	"context"
	"flag"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/testutil"
	"github.com/oidc-injector/oidc-injector/internal/version"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { testutil.Main(m, main) }

// outcome is what a user sees of a call.
type outcome struct {
	Code           int
	Stdout, Stderr string
}

func call(args ...string) outcome {
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // a call that gets as far as to serve ends at once
	code := run(ctx, args, &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

func TestHelp(t *testing.T) {
	for _, tt := range []struct {
		args, golden string
	}{
		{"--help", "help.golden"},
		{"-h", "help.golden"},
		{"check --help", "check-help.golden"},
		{"check-config --help", "check-config-help.golden"},
	} {
		golden := filepath.Join("testdata", tt.golden)
		got := call(strings.Fields(tt.args)...)
		if *update {
			if err := os.WriteFile(golden, []byte(got.Stdout), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(outcome{Stdout: string(text)}, got); diff != "" {
			t.Errorf("webhook %s (-want +got):\n%s", tt.args, diff)
		}
	}
}

// The page of the flags has what --help prints.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	testutil.Generated(t, "../../docs/flags.md", *update, func(text string) string {
		for section, args := range map[string]string{
			"webhook": "--help", "check": "check --help", "check-config": "check-config --help",
		} {
			text = testutil.Section(t, text, section, "```text\n"+call(strings.Fields(args)...).Stdout+"```\n")
		}
		return text
	})
}

func TestVersion(t *testing.T) {
	if diff := cmp.Diff(outcome{Stdout: version.String("webhook") + "\n"}, call("--version")); diff != "" {
		t.Errorf("webhook --version (-want +got):\n%s", diff)
	}
}

func TestUsageErrors(t *testing.T) {
	for _, tt := range []struct {
		args string
		want string
	}{
		{"--prot=9443", "error: unknown flag: --prot\nSee 'webhook --help'.\n"},
		{"-x", "error: unknown shorthand flag: 'x' in -x\nSee 'webhook --help'.\n"},
		{"--port", "error: flag needs an argument: --port\nSee 'webhook --help'.\n"},
		{"--port=https", "error: invalid argument \"https\" for \"--port\" flag: strconv.ParseInt: parsing \"https\": invalid " +
			"syntax\nSee 'webhook --help'.\n"},
		{"check --prot=9443", "error: unknown flag: --prot\nSee 'webhook check --help'.\n"},
		{"check-config", "error: name a file, or - for the standard input\nSee 'webhook check-config --help'.\n"},
		{"check-config a b", "error: unexpected argument \"b\"\nSee 'webhook check-config --help'.\n"},
		{"check pods", "error: unexpected argument \"pods\"\nSee 'webhook check --help'.\n"},
		{
			"check --namespace=A --annotation-prefix=x/ --audience= --timeout=0s",
			`error: --namespace: invalid value "A": must be the name of a namespace
--annotation-prefix: invalid value "x/": must be a DNS name, such as oidc-injector.io
--audience: invalid value "": must be the name of a relying party
--timeout: invalid value "0s": must be more than zero
See 'webhook check --help'.
`,
		},
		{"serve", "error: unexpected argument \"serve\"\nSee 'webhook --help'.\n"},
		{"--log-level=loud", "error: --log-level: invalid value \"loud\": must be debug, info, warn or error\nSee 'webhook --help'.\n"},
		{
			"--log-level=loud --port=0 --metrics-bind-address=8080 --health-probe-bind-address=8081 --bind-address=here",
			`error: --bind-address: invalid value "here": must be an IP address
--port: invalid value "0": must be from 1 to 65535
--metrics-bind-address: invalid value "8080": must be host:port, :port or "0"
--health-probe-bind-address: invalid value "8081": must be host:port, :port or "0"
--log-level: invalid value "loud": must be debug, info, warn or error
See 'webhook --help'.
`,
		},
	} {
		if diff := cmp.Diff(outcome{Code: 2, Stderr: tt.want}, call(strings.Fields(tt.args)...)); diff != "" {
			t.Errorf("webhook %s (-want +got):\n%s", tt.args, diff)
		}
	}
}

func TestStartErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	want := outcome{Code: 1, Stderr: "error: could not read the configuration: open " + missing + ": no such file or directory\n"}
	if diff := cmp.Diff(want, call("--config", missing)); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
}

func TestShutdown(t *testing.T) {
	got := call(serving(t)...)
	if got.Code != 0 || got.Stdout != "" || !strings.Contains(got.Stderr, `"msg":"shutting down"`) {
		t.Errorf("outcome %+v", got)
	}
}

// serving are flags to serve on free loopback ports, without a certificate.
func serving(t *testing.T) []string {
	t.Helper()
	_, port, err := net.SplitHostPort(free(t))
	if err != nil {
		t.Fatal(err)
	}
	return []string{
		"--bind-address=127.0.0.1", "--port=" + port, "--cert-dir=" + t.TempDir(), "--metrics-bind-address=0",
		"--health-probe-bind-address=" + free(t),
	}
}

func free(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestSignals(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		args := serving(t)
		process := testutil.Spawn(t, os.Environ(), args...)
		awaitHealth(t, strings.TrimPrefix(args[len(args)-1], "--health-probe-bind-address="))
		if err := process.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := process.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", signal, err, process.Output)
		}
	}
}

// Whoever is in a hurry sends the signal twice.
func TestSecondSignalKills(t *testing.T) {
	args := serving(t)
	process := testutil.Spawn(t, os.Environ(), append(args, "--shutdown-delay-duration=10m")...)
	awaitHealth(t, strings.TrimPrefix(args[len(args)-1], "--health-probe-bind-address="))
	process.KillBySecondSignal(t, "shutting down")
}

// awaitHealth waits until something answers probes.
func awaitHealth(t *testing.T, address string) {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second}
	testutil.Eventually(t, "the process is healthy", func() bool {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/healthz", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(r)
		if err == nil {
			_ = response.Body.Close()
		}
		return err == nil
	})
}
