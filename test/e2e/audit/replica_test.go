package audit

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/testutil"
	"github.com/oidc-injector/oidc-injector/test/internal/metrics"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
	"github.com/oidc-injector/oidc-injector/test/internal/ports"
)

// replica is one process of the webhook.
type replica struct {
	program                 *exec.Cmd
	log                     *testutil.Log
	webhook, metrics, probe string // addresses
	ended                   chan struct{}
}

// start runs a replica that does the audit, with further flags.
func (in *installation) start(t *testing.T, flags ...string) *replica {
	t.Helper()
	return start(t, append([]string{
		"--cert-dir=" + in.certs, "--kubeconfig=" + in.kubeconfig, "--namespace=" + in.namespace,
		"--audit", "--audit-namespace-selector=" + in.label() + "=true", "--log-level=debug", "--log-format=text",
	}, flags...)...)
}

func start(t *testing.T, flags ...string) *replica {
	t.Helper()
	r := &replica{
		log: &testutil.Log{}, webhook: ports.ForTest(t), metrics: ports.ForTest(t), probe: ports.ForTest(t),
		ended: make(chan struct{}),
	}
	_, port, err := net.SplitHostPort(r.webhook)
	if err != nil {
		t.Fatal(err)
	}
	r.program = exec.Command(program, append([]string{
		"--bind-address=127.0.0.1", "--port=" + port, "--metrics-bind-address=" + r.metrics, "--health-probe-bind-address=" + r.probe,
	}, flags...)...)
	r.program.Stdout, r.program.Stderr = r.log, r.log
	if err := r.program.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = r.program.Wait()
		close(r.ended)
	}()
	t.Cleanup(func() {
		r.signal(t, syscall.SIGTERM)
		if t.Failed() {
			t.Logf("log of a replica:\n%s", r.log)
		}
	})
	podtest.Eventually(t, "the replica serves metrics", func(ctx context.Context) error {
		_, err := r.get(ctx)
		return err
	})
	return r
}

// signal ends a replica.
func (r *replica) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	_ = r.program.Process.Signal(signal)
	select {
	case <-r.ended:
	case <-time.After(20 * time.Second):
		_ = r.program.Process.Kill()
		t.Error("a replica did not end by itself")
	}
}

func (r *replica) get(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return metrics.Get(ctx, "http://"+r.metrics+"/metrics")
}

// metric is the sum of a metric over all labels but the given ones.
func (r *replica) metric(ctx context.Context, name string, labels ...string) (float64, error) {
	body, err := r.get(ctx)
	if err != nil {
		return 0, err
	}
	return metrics.Value(body, name, labels...)
}

func (r *replica) mustMetric(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	value, err := r.metric(t.Context(), name, labels...)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// awaitMetric waits until a metric is at least a value, and returns what it is then.
func (r *replica) awaitMetric(t *testing.T, least float64, name string, labels ...string) float64 {
	t.Helper()
	var got float64
	podtest.Eventually(t, name, func(ctx context.Context) (err error) {
		if got, err = r.metric(ctx, name, labels...); err == nil && got < least {
			err = fmt.Errorf("%v, not %v", got, least)
		}
		return err
	})
	return got
}

type counts map[string]float64

// awaitMissed waits until the replica counts these missed pods and no others.
func (r *replica) awaitMissed(t *testing.T, want counts) {
	t.Helper()
	podtest.Eventually(t, "the missed pods", func(ctx context.Context) error {
		got := counts{}
		for _, reason := range []string{"unverified", "not_injected", "foreign_status", "incomplete", "denied"} {
			value, err := r.metric(ctx, "oidc_injector_missed_pods", "reason", reason)
			if err != nil {
				return err
			}
			if value != 0 {
				got[reason] = value
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("(-want +got):\n%s", diff)
		}
		return nil
	})
}

func (r *replica) awaitLeader(t *testing.T, want float64) {
	t.Helper()
	podtest.EventuallyWithin(t, 2*time.Minute, "the leader", func(ctx context.Context) error {
		got, err := r.metric(ctx, "oidc_injector_audit_leader")
		if err == nil && got != want {
			err = fmt.Errorf("leader: %v", got)
		}
		return err
	})
}
