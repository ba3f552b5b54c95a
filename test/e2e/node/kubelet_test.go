package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// testKubeletRestarted lets the kubelet replace the JWT of one pod, and try to
// replace that of another one, whose ServiceAccount is gone.
//
// A kubelet replaces a token after 80 % of its life, of ten minutes at least.
// It has no option for less, but keeps tokens in memory only: one that starts
// asks for new ones and writes them to the volumes of the pods that run, by the
// code by which it always does (GetServiceAccountToken, AtomicWriter).
func (n *node) testKubeletRestarted(t *testing.T) {
	rotated, gone := newPod("rotated", user(container("app"), app)), newPod("gone", container("app"))
	rotated.Annotations = n.login()
	rotated = n.run(t, rotated)

	accounts := n.kube.Client().CoreV1().ServiceAccounts(n.ns)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "gone"}}
	if _, err := accounts.Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// Of an expired JWT Vault accepts another minute or more by default.
	n.writeRole(t, "brief", map[string]any{
		"token_ttl": "2s", "token_max_ttl": "4s", "clock_skew_leeway": -1, "expiration_leeway": -1,
	})
	gone.Annotations = n.login("login-role=brief")
	gone.Spec.ServiceAccountName = account.Name
	gone = n.run(t, gone)
	mounts := n.in(t, mountsNamespace, nil)
	mounts.run(t, newNested("nested"))
	n.checkAlive(t, n.exec(t, gone.Name, "app", "cat", loginPath), "brief")
	if err := accounts.Delete(t.Context(), account.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}

	nestedJWT := mounts.exec(t, "nested", "app", "cat", tokenPath)
	jwt, token := n.exec(t, rotated.Name, "app", "cat", tokenPath), n.exec(t, rotated.Name, "app", "cat", loginPath)
	if err := n.kube.RestartKubelet(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.checkRotated(t, rotated, jwt, token)
	mounts.waitForChange(t, "nested", tokenPath, nestedJWT)
	mounts.checkNested(t, "nested")
	n.checkGone(t, gone)
}

// checkRotated wants a new login after the JWT was replaced. The old Vault token
// is alive for a while, as the app may still use it.
func (n *node) checkRotated(t *testing.T, pod *corev1.Pod, oldJWT, oldToken string) {
	t.Helper()
	n.waitForChange(t, pod.Name, tokenPath, oldJWT)
	token := n.waitForChange(t, pod.Name, loginPath, oldToken)
	accessors := []string{n.checkAlive(t, token, "app"), n.checkAlive(t, oldToken, "app")}
	n.checkFile(t, pod.Name, "app", tokenPath, "0600 1000 0")
	n.checkFile(t, pod.Name, "app", loginPath, "0400 1000 0")
	if logs := n.kubectl(t, "logs", pod.Name, "--container="+loginspec.Container); !strings.Contains(logs, "the JWT has changed") {
		t.Errorf("the login does not say why it was repeated:\n%s", logs)
	}
	now := n.waitReady(t, pod.Name)
	if count := status(t, now, "app").RestartCount + status(t, now, loginspec.Container).RestartCount; count != 0 {
		t.Errorf("containers were started again %d times", count)
	}
	n.delete(t, pod.Name, *pod.Spec.TerminationGracePeriodSeconds)
	for _, accessor := range accessors {
		n.waitDead(t, accessor)
	}
}

// waitForChange waits until a file of the app has another content.
func (n *node) waitForChange(t *testing.T, pod, path, old string) (content string) {
	t.Helper()
	n.eventually(t, func() (err error) {
		if content, err = n.tryExec(t, pod, "app", "cat", path); err == nil && content == old {
			err = fmt.Errorf("%s has not changed", path)
		}
		return err
	})
	return content
}

// checkGone wants access to end along with the last JWT. The kubelet gets no new
// one, and so does not touch the volume any more: the end of its token, which
// would take ten minutes, is put there in the way in which it writes.
func (n *node) checkGone(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	n.eventually(t, func() error {
		if description := n.kubectl(t, "describe", "pod", pod.Name); !strings.Contains(description, `serviceaccounts "gone" not found`) {
			return fmt.Errorf("the kubelet has not tried to get a token:\n%s", description)
		}
		return nil
	})
	n.checkAlive(t, n.exec(t, pod.Name, "app", "cat", loginPath), "brief")

	end := time.Now().Add(12 * time.Second).Truncate(time.Second)
	jwt, err := n.kube.ShortenToken(n.exec(t, pod.Name, "app", "cat", tokenPath), end)
	if err != nil {
		t.Fatal(err)
	}
	n.writeVolume(t, pod, jwt)
	var last string
	n.eventually(t, func() error {
		token, err := n.tryExec(t, pod.Name, "app", "cat", loginPath)
		switch {
		case err == nil:
			last = token
			return errors.New("the app still has a token")
		case !strings.Contains(err.Error(), "no such file"):
			return err
		case time.Now().Before(end): // with such short leases there may be a gap
			return errors.New("the JWT is good, and there is no token")
		}
		return nil
	})
	if last == "" {
		t.Error("there was no token while the JWT was good")
	}
	if _, err := n.vault.LookupSelf(t.Context(), last); err == nil {
		t.Error("the last token of the app is alive")
	}
	n.eventually(t, func() error {
		logs := n.kubectl(t, "logs", pod.Name, "--container="+loginspec.Container)
		if !strings.Contains(logs, "token is expired") && !strings.Contains(logs, "the kubelet has not replaced it") {
			return fmt.Errorf("the login does not say that the JWT has expired:\n%s", logs)
		}
		return nil
	})
}

// writeVolume replaces the JWT of a pod as the kubelet's AtomicWriter does: by
// swapping the link to the directory in which the file is.
func (n *node) writeVolume(t *testing.T, pod *corev1.Pod, jwt string) {
	t.Helper()
	volume := ""
	for _, v := range pod.Spec.Volumes {
		if v.Projected != nil && v.Projected.Sources[0].ServiceAccountToken != nil &&
			v.Projected.Sources[0].ServiceAccountToken.Audience == "vault" {
			volume = v.Name
		}
	}
	dir := n.kube.NodePath(filepath.Join("/var/lib/kubelet/pods", string(pod.UID), "volumes/kubernetes.io~projected", volume))
	const data, content = "..data", "..short"
	for _, step := range []func() error{
		func() error { return os.Mkdir(filepath.Join(dir, content), 0o755) },
		func() error {
			return os.WriteFile(filepath.Join(dir, content, filepath.Base(tokenPath)), []byte(jwt), 0o644)
		},
		func() error { return os.Symlink(content, filepath.Join(dir, "..data_tmp")) },
		func() error { return os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, data)) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}
