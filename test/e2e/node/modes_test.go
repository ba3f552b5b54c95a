package node

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The users and groups of the pods below.
const (
	root = int64(0)
	app  = int64(1000)
	side = int64(2000)
	team = int64(3000)
)

// modeTest is a pod, and as "mode uid gid" the token that its containers find
// there, and the result of a login. The token is to be the same with a login as
// without one: the login container must not widen it.
type modeTest struct {
	name        string
	annotations map[string]string
	security    corev1.PodSecurityContext
	containers  []corev1.Container
	// readers are by default all containers.
	readers       []string
	token, result string
	// owned is the token where its volume names the user, if that makes a difference.
	owned string
}

var modeTests = []modeTest{
	{
		name:       "root-alone",
		containers: []corev1.Container{user(container("a"), root)},
		token:      "0600 0 0", result: "0400 0 0",
	},
	{
		name:       "one-user",
		containers: []corev1.Container{user(container("a"), app), user(container("b"), app)},
		token:      "0600 1000 0", result: "0400 1000 0",
	},
	{
		name:       "one-user-and-group",
		security:   corev1.PodSecurityContext{FSGroup: new(team)},
		containers: []corev1.Container{user(container("a"), app)},
		token:      "0640 1000 3000", result: "0400 1000 3000",
	},
	{
		name:       "group-alone",
		security:   corev1.PodSecurityContext{FSGroup: new(team)},
		containers: []corev1.Container{container("a"), user(container("b"), side)},
		token:      "0640 0 3000", result: "0440 65532 3000",
	},
	{
		name:       "supplemental-group",
		security:   corev1.PodSecurityContext{SupplementalGroups: []int64{team}},
		containers: []corev1.Container{container("a"), user(container("b"), side)},
		token:      "0644 0 0", result: "0440 65532 3000",
	},
	{
		name:       "two-users",
		containers: []corev1.Container{user(container("a"), app), user(container("b"), side)},
		token:      "0644 0 0", result: "0444 65532 0",
	},
	{
		name:        "one-of-two-users",
		annotations: annotations("containers=a"),
		containers:  []corev1.Container{user(container("a"), app), user(container("b"), side)},
		readers:     []string{"a"},
		token:       "0644 0 0", result: "0400 1000 0", owned: "0600 1000 0",
	},
	{
		name:       "user-of-pod-and-another",
		security:   corev1.PodSecurityContext{RunAsUser: new(app)},
		containers: []corev1.Container{container("a"), user(container("b"), side)},
		token:      "0644 0 0", result: "0444 1000 0",
	},
	{
		name:       "user-of-image",
		containers: []corev1.Container{container("a")},
		token:      "0644 0 0", result: "0444 65532 0",
	},
	{
		name:        "root-beside-another",
		annotations: annotations("containers=a"),
		containers:  []corev1.Container{user(container("a"), root), user(container("b"), side)},
		readers:     []string{"a"},
		token:       "0400 0 0", result: "0400 0 0", owned: "0600 0 0",
	},
	{
		name:       "group-zero",
		containers: []corev1.Container{group(user(container("a"), app), root), group(user(container("b"), side), root)},
		token:      "0440 0 0", result: "0440 65532 0",
	},
	{
		name:        "annotated",
		annotations: annotations("file-mode=0444"),
		containers:  []corev1.Container{user(container("a"), app), user(container("b"), side)},
		token:       "0444 0 0", result: "0444 65532 0",
	},
}

// testModes compares the files that each container finds with those that the
// modes were computed for, and reads them as the container's own user.
func (n *node) testModes(t *testing.T) {
	t.Parallel()
	n.checkModes(t, func(m modeTest) string { return m.token })
}

// testTokenUsers is the same where volumes name the user who reads a token.
func (n *node) testTokenUsers(t *testing.T) {
	if testing.Short() {
		t.Skip("older releases have no user in volumes")
	}
	was := n.config(t)
	if err := n.webhook.SetConfig(was + "setTokenUser: true\n"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.webhook.SetConfig(was); err != nil {
			t.Error(err)
		}
	}()
	n.eventually(t, func() error {
		pod := newPod("probe", user(container("app"), app))
		pod.Annotations = annotations("audience=vault")
		made, err := n.kube.Client().CoreV1().Pods(n.ns).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(made.Spec.Volumes, func(v corev1.Volume) bool {
			return v.Name == "oidc-token" && v.Projected.Sources[0].ServiceAccountToken.User != nil
		}) {
			return errors.New("no volume names a user yet")
		}
		return nil
	})
	t.Run("all", func(t *testing.T) {
		n.in(t, "users", nil).checkModes(t, func(m modeTest) string { return cmp.Or(m.owned, m.token) })
	})
}

func (n *node) checkModes(t *testing.T, token func(modeTest) string) {
	t.Helper()
	for _, test := range modeTests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			without, with := newPod(test.name, test.containers...), newPod(test.name+"-login", test.containers...)
			without.Annotations, with.Annotations = annotations("audience=vault"), n.login()
			for _, pod := range []*corev1.Pod{without, with} {
				pod.Spec.SecurityContext = test.security.DeepCopy()
				maps.Copy(pod.Annotations, test.annotations)
				n.create(t, pod)
			}
			readers := test.readers
			if readers == nil {
				for _, c := range test.containers {
					readers = append(readers, c.Name)
				}
			}
			n.waitReady(t, without.Name)
			n.waitReady(t, with.Name)
			for _, reader := range readers {
				n.checkFile(t, without.Name, reader, tokenPath, token(test))
				n.checkFile(t, with.Name, reader, tokenPath, token(test))
				n.checkFile(t, with.Name, reader, loginPath, test.result)
			}
		})
	}
}

// checkFile compares mode, user and group, and reads the file.
func (n *node) checkFile(t *testing.T, pod, container, path, want string) {
	t.Helper()
	if got := strings.TrimSpace(n.exec(t, pod, container, "stat", path)); got != want+" "+path {
		t.Errorf("container %s of pod %s finds %q, want %q", container, pod, got, want+" "+path)
	}
	if content := n.exec(t, pod, container, "cat", path); strings.Count(content, ".") == 0 {
		t.Errorf("container %s of pod %s reads %d bytes of %s that are no token", container, pod, len(content), path)
	}
}
