package node

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/test/cluster"
	"github.com/oidc-injector/oidc-injector/test/vault/faults"
)

const (
	loginPath = "/var/run/secrets/login/token"
	caPath    = "/var/run/secrets/login/ca.crt"
)

// annotations gives each key of "key=value" our prefix.
func annotations(pairs ...string) map[string]string {
	all := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		all["oidc-injector.io/"+key] = value
	}
	return all
}

// login are the annotations of a pod that logs in as the role app, unless
// further ones say otherwise.
func (n *node) login(pairs ...string) map[string]string {
	all := annotations(
		"audience=vault", "login=vault", "login-address="+n.address, "login-mount="+mount, "login-role=app", "login-ca-configmap="+vaultCA,
	)
	maps.Copy(all, annotations(pairs...))
	return all
}

// testStart starts a pod while Vault is away: nothing but the login container
// starts, and says why. When Vault is back, the others start in their order,
// and find all that they need.
func (n *node) testStart(t *testing.T) {
	t.Parallel()
	// Nobody listens at this port of the node's until it is exposed.
	proxy := faults.StartForTest(t, n.vault)
	address := n.at(proxy.Port())
	const read = "$(VAULT_TOKEN_FILE)" // Kubernetes puts the variable's value there
	pod := newPod("start", container("app"), container("first", "cat", read), container("other"))
	pod.Spec.InitContainers = []corev1.Container{container("migrate", "cat", read)}
	pod.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	pod.Annotations = n.login("login-address="+address, "containers=migrate,first,app")
	n.create(t, pod)

	n.waitForReason(t, pod.Name, "not logged in yet: could not log in to Vault at "+address, "connection refused")
	waiting := n.waitFor(t, pod.Name, "has a login container", func(*corev1.Pod) bool { return true })
	for _, name := range []string{"migrate", "app", "first", "other"} {
		if state := status(t, waiting, name).State; state.Waiting == nil {
			t.Errorf("container %s has started before the login: %v", name, state)
		}
	}
	if err := n.kube.Expose(t.Context(), proxy.Port()); err != nil {
		t.Fatal(err)
	}
	running := n.waitFor(t, pod.Name, "runs and has its first output", func(pod *corev1.Pod) bool {
		return status(t, pod, "app").State.Running != nil && status(t, pod, "first").State.Terminated != nil
	})
	n.checkOrder(t, running)
	for _, name := range []string{"migrate", "first"} {
		n.checkAlive(t, n.kubectl(t, "logs", pod.Name, "--container="+name), "app")
	}
	n.checkWorkload(t, pod.Name, address)
}

// checkOrder compares the times at which the containers of testStart started.
// They are in whole seconds.
func (n *node) checkOrder(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	login, migrate, first := status(t, pod, loginspec.Container), status(t, pod, "migrate"), status(t, pod, "first")
	if login.State.Running == nil || migrate.State.Terminated == nil || first.State.Terminated == nil {
		t.Fatalf("the containers are %v, %v and %v", login.State, migrate.State, first.State)
	}
	if login.Started == nil || !*login.Started || login.RestartCount+migrate.RestartCount+first.RestartCount > 0 {
		t.Errorf("the login container has not started for the kubelet, or a container was started again: %+v %+v %+v", login, migrate,
			first)
	}
	begin, then, last := login.State.Running.StartedAt, migrate.State.Terminated.StartedAt, first.State.Terminated.StartedAt
	if waited := then.Sub(begin.Time); waited < 3*time.Second {
		t.Errorf("the init container started %s after the login container, which had to wait longer", waited)
	}
	if last.Before(&then) {
		t.Errorf("the app started at %s, before the init container at %s", last, then)
	}
}

// checkWorkload looks at what the containers of testStart have, and have not.
func (n *node) checkWorkload(t *testing.T, pod, address string) {
	t.Helper()
	env := n.exec(t, pod, "app", "env")
	for _, variable := range []string{"VAULT_ADDR=" + address, "VAULT_TOKEN_FILE=" + loginPath, "VAULT_CACERT=" + caPath} {
		if !strings.Contains(env, variable+"\n") {
			t.Errorf("the app lacks %s", variable)
		}
	}
	if ca := n.exec(t, pod, "app", "cat", caPath); !bytes.Equal([]byte(ca), n.vault.CA()) {
		t.Errorf("the app finds another CA than that of Vault:\n%s", ca)
	}
	if _, err := n.tryExec(t, pod, "app", "touch", "/var/run/secrets/login/new"); err == nil ||
		!strings.Contains(err.Error(), "read-only file system") {
		t.Errorf("the app writes beside the token: error %v", err)
	}
	if _, err := n.tryExec(t, pod, "other", "stat", "/var/run/secrets/login"); err == nil ||
		!strings.Contains(err.Error(), "no such file") {
		t.Errorf("a container that was not chosen has the result: error %v", err)
	}
	if env := n.exec(t, pod, "other", "env"); strings.Contains(env, "VAULT_") {
		t.Errorf("a container that was not chosen has variables:\n%s", env)
	}
}

// waitForReason waits until kubectl describe shows an event of the startup
// probe with these texts.
func (n *node) waitForReason(t *testing.T, pod string, texts ...string) {
	t.Helper()
	n.eventually(t, func() error {
		description := n.kubectl(t, "describe", "pod", pod)
		for line := range strings.Lines(description) {
			_, reason, found := strings.Cut(line, "Startup probe failed: ")
			for _, text := range texts {
				found = found && strings.Contains(reason, text)
			}
			if found {
				t.Logf("the reason is: %s", strings.TrimSpace(reason))
				return nil
			}
		}
		return fmt.Errorf("no event with %q:\n%s", texts, description)
	})
}

// checkAlive wants a token to be one of Vault, of the role, and good.
func (n *node) checkAlive(t *testing.T, token, role string) (accessor string) {
	t.Helper()
	self, err := n.vault.LookupSelf(t.Context(), token)
	if err != nil {
		t.Fatalf("a token of %d bytes: %v", len(token), err)
	}
	meta, _ := self["meta"].(map[string]any)
	if meta["role"] != role {
		t.Errorf("the token is of role %v, want %s", meta["role"], role)
	}
	accessor, _ = self["accessor"].(string)
	return accessor
}

// waitDead waits until Vault does not know an accessor any more.
func (n *node) waitDead(t *testing.T, accessor string) {
	t.Helper()
	n.eventually(t, func() error {
		secret, err := n.vault.Client().Auth().Token().LookupAccessorWithContext(t.Context(), accessor)
		switch {
		case err == nil:
			return fmt.Errorf("the token is alive: %v", secret.Data["ttl"])
		case !strings.Contains(err.Error(), "invalid accessor"):
			return err
		}
		return nil
	})
}

// testWrongRole starts a pod whose role is made only later.
func (n *node) testWrongRole(t *testing.T) {
	t.Parallel()
	pod := newPod("wrong-role", container("app"))
	pod.Annotations = n.login("login-role=late")
	n.create(t, pod)
	n.waitForReason(t, pod.Name, `400: "role \"late\" could not be found"`)
	n.writeRole(t, "late", nil)
	n.waitReady(t, pod.Name)
	n.checkAlive(t, n.exec(t, pod.Name, "app", "cat", loginPath), "late")
}

// testWrongRoleInit wants the reason in the status of the pod.
func (n *node) testWrongRoleInit(t *testing.T) {
	t.Parallel()
	pod := newPod("wrong-role-init", container("app"))
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	pod.Annotations = n.login("login-role=nobody", "login-mode=init")
	n.create(t, pod)
	failed := n.waitFor(t, pod.Name, "has failed", func(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodFailed })
	end := status(t, failed, loginspec.Container).State.Terminated
	if end == nil || end.ExitCode != 1 || !strings.Contains(end.Message, `400: "role \"nobody\" could not be found"`) {
		t.Errorf("the login container ended with %+v, want exit code 1 and Vault's reason", end)
	} else {
		t.Logf("the termination message is: %s", end.Message)
	}
	if state := status(t, failed, "app").State; state.Running != nil || state.Terminated != nil && !state.Terminated.StartedAt.IsZero() {
		t.Errorf("the app has started without a login: %v", state)
	}
}

// testRestricted runs pods in a namespace that enforces the Pod Security
// Standard "restricted", with a user of their own and with that of the image.
func (n *node) testRestricted(t *testing.T) {
	t.Parallel()
	n = n.in(t, "restricted", map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	if _, err := n.kube.Client().CoreV1().Pods(n.ns).Create(t.Context(), newPod("loose", container("app")),
		metav1.CreateOptions{}); err == nil ||
		!strings.Contains(err.Error(), "violates PodSecurity") {
		t.Fatalf("the namespace enforces nothing: error %v", err)
	}
	for name, uid := range map[string]*int64{"own-user": new(app), "user-of-image": nil} {
		c := container("app")
		c.SecurityContext = &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}
		pod := newPod(name, c)
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: uid, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		}
		pod.Annotations = n.login()
		n.run(t, pod)
		n.checkAlive(t, n.exec(t, name, "app", "cat", loginPath), "app")
	}
}

// testSeveralLogins has a pod with two logins, and a debug container that sees
// what its target sees.
func (n *node) testSeveralLogins(t *testing.T) {
	t.Parallel()
	const pathA, pathB = "/var/run/secrets/login-a/token", "/var/run/secrets/login-b/token"
	pod := newPod("several", container("app"), container("other"))
	pod.Annotations = annotations("audience=vault")
	for name, role := range map[string]string{"a": "app", "b": "other"} {
		maps.Copy(pod.Annotations, annotations(
			"login."+name+"=vault", "login-role."+name+"="+role, "login-address."+name+"="+n.address,
			"login-mount."+name+"="+mount, "login-ca-configmap."+name+"="+vaultCA,
		))
	}
	maps.Copy(pod.Annotations, annotations("containers.b=app"))
	n.run(t, pod)
	n.checkAlive(t, n.exec(t, pod.Name, "app", "cat", pathA), "app")
	n.checkAlive(t, n.exec(t, pod.Name, "app", "cat", pathB), "other")
	n.checkAlive(t, n.exec(t, pod.Name, "other", "cat", pathA), "app")
	if _, err := n.tryExec(t, pod.Name, "other", "cat", pathB); err == nil {
		t.Error("container other reads a result that is not meant for it")
	}
	env := n.exec(t, pod.Name, "app", "env")
	if !strings.Contains(env, "VAULT_TOKEN_FILE_A="+pathA+"\n") || !strings.Contains(env, "VAULT_TOKEN_FILE_B="+pathB+"\n") {
		t.Errorf("the app lacks the variable of a login:\n%s", env)
	}
	n.kubectl(t, "debug", pod.Name, "--image="+cluster.ToolboxImage, "--container=debugger", "--target=app", "--", "/toolbox", "sleep")
	var token string
	n.eventually(t, func() (err error) {
		token, err = n.tryExec(t, pod.Name, "debugger", "cat", pathB)
		return err
	})
	n.checkAlive(t, token, "other")
}

// testEnd deletes pods, among them one in the network of the node and one with a
// single process namespace, and wants their tokens to end with them.
func (n *node) testEnd(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]corev1.PodSpec{
		"ends":                          {},
		"ends-in-the-nodes-network":     {HostNetwork: true},
		"ends-in-one-process-namespace": {ShareProcessNamespace: new(true)},
	} {
		pod := newPod(name, container("app"))
		pod.Spec.HostNetwork, pod.Spec.ShareProcessNamespace = spec.HostNetwork, spec.ShareProcessNamespace
		pod.Annotations = n.login()
		n.run(t, pod)
		accessor := n.checkAlive(t, n.exec(t, name, "app", "cat", loginPath), "app")
		n.delete(t, name, *pod.Spec.TerminationGracePeriodSeconds)
		n.waitDead(t, accessor)
	}
}

// testJobs wants Jobs to complete, and the tokens of sidecars to end then. In
// the mode init nobody is left to revoke the token.
func (n *node) testJobs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		mode    string
		restart corev1.RestartPolicy
	}{
		{"job-never", loginspec.ModeSidecar, corev1.RestartPolicyNever},
		{"job-on-failure", loginspec.ModeSidecar, corev1.RestartPolicyOnFailure},
		{"job-init", loginspec.ModeInit, corev1.RestartPolicyNever},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			job := &batchv1.Job{
				ObjectMeta: metav1.ObjectMeta{Name: test.name},
				Spec:       batchv1.JobSpec{Template: n.jobTemplate(test.restart, "login-mode="+test.mode)},
			}
			if _, err := n.kube.Client().BatchV1().Jobs(n.ns).Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			token := n.checkJob(t, test.name)
			if test.mode == loginspec.ModeInit {
				n.checkAlive(t, token, "app")
			} else if _, err := n.vault.LookupSelf(t.Context(), token); err == nil {
				t.Error("the token has not ended with the job")
			}
		})
	}
}

// jobTemplate is that of a Job which shows its token and ends.
func (n *node) jobTemplate(restart corev1.RestartPolicy, pairs ...string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Annotations: n.login(pairs...)},
		Spec: corev1.PodSpec{
			RestartPolicy: restart, Containers: []corev1.Container{container("app", "cat", "$(VAULT_TOKEN_FILE)")},
		},
	}
}

// checkJob waits for a Job and returns what its only container has written.
func (n *node) checkJob(t *testing.T, name string) string {
	t.Helper()
	n.eventually(t, func() error {
		job, err := n.kube.Client().BatchV1().Jobs(n.ns).Get(t.Context(), name, metav1.GetOptions{})
		if err == nil && job.Status.Succeeded != 1 {
			err = fmt.Errorf("job %s: %+v", name, job.Status)
		}
		return err
	})
	pods, err := n.kube.Client().CoreV1().Pods(n.ns).List(t.Context(), metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + name})
	if err != nil || len(pods.Items) != 1 {
		t.Fatalf("job %s has %d pods, error %v", name, len(pods.Items), err)
	}
	pod := &pods.Items[0]
	if end := status(t, pod, loginspec.Container).State.Terminated; end == nil || end.ExitCode != 0 {
		t.Errorf("the login container of job %s ended with %+v, want exit code 0", name, end)
	}
	return n.kubectl(t, "logs", pod.Name, "--container="+pod.Spec.Containers[0].Name)
}

// testCronJob waits for the next minute, as the controller does.
func (n *node) testCronJob(t *testing.T) {
	t.Parallel()
	const name = "cron"
	cronJobs := n.kube.Client().BatchV1().CronJobs(n.ns)
	_, err := cronJobs.Create(t.Context(), &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: batchv1.CronJobSpec{
			Schedule:    "* * * * *",
			JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: n.jobTemplate(corev1.RestartPolicyOnFailure)}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n.eventually(t, func() error {
		cronJob, err := cronJobs.Get(t.Context(), name, metav1.GetOptions{})
		if err == nil && cronJob.Status.LastSuccessfulTime == nil {
			err = fmt.Errorf("cron job: %+v", cronJob.Status)
		}
		return err
	})
	if err := cronJobs.Delete(t.Context(), name, metav1.DeleteOptions{
		PropagationPolicy: new(metav1.DeletePropagationBackground),
	}); err != nil {
		t.Error(err)
	}
}
