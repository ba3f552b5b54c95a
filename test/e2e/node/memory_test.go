package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/test/internal/contained"
)

// renewing is a pod that renews its token about every 700 ms, while the other
// tests run.
type renewing struct {
	*node
	pod *corev1.Pod
}

func (n *node) startRenewing(t *testing.T) *renewing {
	t.Helper()
	n.writeRole(t, "second", map[string]any{"token_ttl": "1s"})
	pod := newPod("renewing", container("app"))
	pod.Annotations = n.login("login-role=second")
	return &renewing{node: n, pod: n.create(t, pod)}
}

// The bounds of testMemory: what a login container may take, of its 32 MiB.
const (
	minRenewals = 200
	maxResident = 16 << 20
	maxCharged  = 24 << 20
	maxFiles    = 24
)

// testMemory measures a login container that has renewed its token many times.
func (r *renewing) testMemory(t *testing.T) {
	pod := r.waitReady(t, r.pod.Name)
	login := status(t, pod, loginspec.Container)
	if login.RestartCount != 0 {
		t.Errorf("the login container was started again %d times: %+v", login.RestartCount, login.LastTerminationState)
	}
	var renewals, logins int
	r.eventually(t, func() error {
		logs := r.kubectl(t, "logs", pod.Name, "--container="+loginspec.Container)
		renewals, logins = strings.Count(logs, "msg=renewed"), strings.Count(logs, `msg="logged in"`)
		if renewals < minRenewals {
			return fmt.Errorf("%d renewals are too few to say anything", renewals)
		}
		return nil
	})
	process := contained.Find(t, login)
	resident, peak, files := process.Memory(t, "VmRSS"), process.Memory(t, "VmHWM"), process.Files(t)
	charged, chargedPeak := process.Cgroup(t)
	t.Logf("after %d renewals and %d logins: resident %s, at most %s; charged to the control group %s, at most %s; %d open files",
		renewals, logins, mebibytes(resident), mebibytes(peak), mebibytes(charged), mebibytes(chargedPeak), files)
	if peak > maxResident {
		t.Errorf("the login container had %s resident, want at most %s", mebibytes(peak), mebibytes(maxResident))
	}
	if chargedPeak > maxCharged {
		t.Errorf("the login container was charged for %s, want at most %s", mebibytes(chargedPeak), mebibytes(maxCharged))
	}
	if files > maxFiles {
		t.Errorf("the login container has %d open files, want at most %d", files, maxFiles)
	}
}

// testKilled kills the login container, as the kernel does where memory ends. The
// token in the file serves on, and is revoked along with the new one at the end.
func (n *node) testKilled(t *testing.T) {
	t.Parallel()
	pod := newPod("killed", container("app"))
	pod.Annotations = n.login()
	pod = n.run(t, pod)
	before := n.checkAlive(t, n.exec(t, pod.Name, "app", "cat", loginPath), "app")
	contained.Find(t, status(t, pod, loginspec.Container)).Kill(t)
	n.checkAlive(t, n.exec(t, pod.Name, "app", "cat", loginPath), "app")
	again := n.waitFor(t, pod.Name, "has its login container again", func(pod *corev1.Pod) bool {
		login := status(t, pod, loginspec.Container)
		return login.RestartCount == 1 && login.Started != nil && *login.Started
	})
	if count := status(t, again, "app").RestartCount; count != 0 {
		t.Errorf("the app was started again %d times", count)
	}
	after := before
	n.eventually(t, func() error {
		after = n.checkAlive(t, n.exec(t, pod.Name, "app", "cat", loginPath), "app")
		if after == before {
			return errors.New("there is no new login")
		}
		return nil
	})
	n.delete(t, pod.Name, *pod.Spec.TerminationGracePeriodSeconds)
	n.waitDead(t, after)
	n.waitDead(t, before)
}

func mebibytes(n int) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
