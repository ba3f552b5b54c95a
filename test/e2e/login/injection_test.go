package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// loginKeys are what a pod says that logs in at the shared Vault.
func loginKeys(more ...string) []string {
	return append([]string{
		"audience=vault", "login=vault", "login-address=" + server.Address(), "login-role=demo",
		"login-ca-configmap=vault-ca",
	}, more...)
}

func TestAddressPolicy(t *testing.T) {
	t.Parallel()
	free, locked, plain := namespace(t, "free", nil), namespace(t, "locked", nil), namespace(t, "plain-policy", nil)
	at := func(address string) *corev1.Pod {
		return podtest.New("app", "audience=vault", "login=vault", "login-address="+address)
	}
	for name, test := range map[string]struct{ namespace, address, want string }{
		"not listed": {
			free, "https://vault.attacker.example",
			`the injector's policy allows in namespace "free": https://127.0.0.1:*, https://*.example.com`,
		},
		"http": {
			free, "http://127.0.0.1:8200",
			"the injector's policy allows http:// only for the addresses that it lists with it",
		},
		"denied in namespace":  {locked, "https://127.0.0.1:8200", `the injector's policy denies this address in namespace "locked"`},
		"a name in the path":   {free, "https://vault.attacker.example/127.0.0.1:8200", "the injector's policy allows"},
		"a name before the @":  {free, "https://127.0.0.1:8200@vault.attacker.example", "must not hold a user or a password"},
		"http, another server": {plain, "http://vault.attacker.example", "the injector's policy allows http:// only"},
		"no URL":               {free, "vault.example.com:8200", "must be a URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := podtest.CreateError(t, kube, test.namespace, at(test.address))
			if !strings.Contains(got, test.want) || !strings.Contains(got, "metadata.annotations[oidc-injector.io/login-address]") {
				t.Errorf("got %s, want it to say %q of login-address", got, test.want)
			}
		})
	}
	for _, address := range []string{"http://127.0.0.1:8200", "https://a.example.com"} {
		created, err := kube.Client().CoreV1().Pods(plain).Create(t.Context(), at(address),
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil || created.Spec.InitContainers[0].Name != loginspec.Container {
			t.Errorf("%s is not allowed: %v", address, err)
		}
	}
}

// TestSeveralErrors shows that one answer has all there is to say of a pod: of
// its annotations, of the policy, and of what contradicts it.
func TestSeveralErrors(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "several-errors", nil)
	pod := podtest.New("app", "audience=payments", "login=vault", "login-address=https://vault.attacker.example",
		"login-mount=auth/jwt", "login-format=yaml", "login-issuer=https://login.example.com", "login-file=../token")
	pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/var/run/secrets/login"}}
	_, err := kube.Client().CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || !apierrors.IsInvalid(err) {
		t.Fatalf("got error %v, want one of reason Invalid", err)
	}
	var got []string
	for _, cause := range status.ErrStatus.Details.Causes {
		got = append(got, strings.TrimPrefix(cause.Field, "metadata.annotations[oidc-injector.io/"))
	}
	slices.Sort(got)
	want := []string{
		"audience]", "login-address]", "login-file]", "login-format]", "login-issuer]", "login-mount]",
		"spec.containers[0].volumeMounts[0].mountPath",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("causes (-want +got):\n%s\n%v", diff, err)
	}
}

// TestWarnings shows what people see of a login that will not do what they want.
func TestWarnings(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "warnings", nil)
	client, seen := podtest.ClientWithWarnings(t, kube)
	pod := podtest.New("app", loginKeys("login-rol=demo")...)
	if _, err := client.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`unknown annotation "oidc-injector.io/login-rol": did you mean oidc-injector.io/login-role?`},
		seen.Texts()); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// TestQuotas creates pods where every container needs requests and limits: the
// login container has what a LimitRange does not give, and fits in between.
func TestQuotas(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "quotas", nil)
	list := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	limits := &corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Name: "limits"},
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
			Type: corev1.LimitTypeContainer, Default: list("200m", "64Mi"), DefaultRequest: list("100m", "64Mi"), Min: list("1m", "8Mi"),
			Max: list("1", "1Gi"),
		}}},
	}
	if _, err := kube.Client().CoreV1().LimitRanges(ns).Create(t.Context(), limits, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "quota"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
		corev1.ResourceRequestsCPU: resource.MustParse("1"), corev1.ResourceRequestsMemory: resource.MustParse("1Gi"),
		corev1.ResourceLimitsCPU: resource.MustParse("2"), corev1.ResourceLimitsMemory: resource.MustParse("2Gi"),
	}}}
	quotas := kube.Client().CoreV1().ResourceQuotas(ns)
	if _, err := quotas.Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	podtest.Eventually(t, "the quota in force", func(ctx context.Context) error {
		stored, err := quotas.Get(ctx, quota.Name, metav1.GetOptions{})
		if err == nil && len(stored.Status.Hard) != len(quota.Spec.Hard) {
			err = errors.New("it is not yet")
		}
		return err
	})
	pod := podtest.Create(t, kube, ns, podtest.New("app", loginKeys()...))
	got := pod.Spec.InitContainers[0].Resources
	want := corev1.ResourceRequirements{
		Requests: list("5m", "16Mi"),
		// A limit of CPU is not ours to make, but here the namespace's.
		Limits: list("200m", "32Mi"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("resources of the login container (-want +got):\n%s", diff)
	}
	podtest.Eventually(t, "the quota counts both containers", func(ctx context.Context) error {
		stored, err := quotas.Get(ctx, quota.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		used := map[corev1.ResourceName]string{}
		for name, quantity := range stored.Status.Used {
			used[name] = quantity.String()
		}
		want := map[corev1.ResourceName]string{
			corev1.ResourceRequestsCPU: "105m", corev1.ResourceRequestsMemory: "80Mi",
			corev1.ResourceLimitsCPU: "400m", corev1.ResourceLimitsMemory: "96Mi",
		}
		if diff := cmp.Diff(want, used); diff != "" {
			return fmt.Errorf("used (-want +got):\n%s", diff)
		}
		return nil
	})
}

// restricted is a container that passes the Pod Security Standard of that name.
func restricted(name string) corev1.Container {
	return corev1.Container{Name: name, Image: name, SecurityContext: &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		RunAsNonRoot:             new(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}}
}

// TestPodSecurity creates pods in a namespace that enforces "restricted": what
// passes alone passes with a login, and is warned of nothing.
func TestPodSecurity(t *testing.T) {
	t.Parallel()
	const ns = "restricted"
	namespace(t, ns, nil)
	if err := kube.Namespace(t.Context(), ns, map[string]string{
		injector.EnabledLabel: "true", "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted",
	}); err != nil {
		t.Fatal(err)
	}
	unsafe := podtest.New("unsafe", loginKeys()...)
	podtest.Eventually(t, "the standard in force", func(ctx context.Context) error {
		_, err := kube.Client().CoreV1().Pods(ns).Create(ctx, unsafe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			return errors.New("it is not")
		}
		if text := err.Error(); !strings.Contains(text, "violates PodSecurity") || strings.Contains(text, loginspec.Container) {
			t.Errorf("the pod is refused for another reason, or because of the login container: %s", text)
		}
		return nil
	})
	for name, change := range map[string]func(*corev1.Pod){
		"plain":      func(*corev1.Pod) {},
		"user":       func(p *corev1.Pod) { p.Spec.Containers[0].SecurityContext.RunAsUser = new(int64(1000)) },
		"pod-user":   func(p *corev1.Pod) { p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(1000))} },
		"two-users":  func(p *corev1.Pod) { withTwoUsers(p) },
		"group":      func(p *corev1.Pod) { p.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: new(int64(2000))} },
		"init":       func(p *corev1.Pod) { p.Annotations[podtest.Prefix+"login-mode"] = loginspec.ModeInit },
		"share-pids": func(p *corev1.Pod) { p.Spec.ShareProcessNamespace = new(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, seen := podtest.ClientWithWarnings(t, kube)
			pod := podtest.New(name, loginKeys()...)
			pod.Spec.Containers = []corev1.Container{restricted("app")}
			change(pod)
			created, err := client.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if created.Spec.InitContainers[0].Name != loginspec.Container {
				t.Error("the first init container is not the login")
			}
			if warnings := seen.Texts(); len(warnings) > 0 {
				t.Errorf("warnings: %s", warnings)
			}
		})
	}
}

func withTwoUsers(p *corev1.Pod) {
	p.Spec.Containers[0].SecurityContext.RunAsUser = new(int64(1000))
	other := restricted("other")
	other.SecurityContext.RunAsUser = new(int64(2000))
	p.Spec.Containers = append(p.Spec.Containers, other)
}

// TestStrictFields takes an injected pod through the API server's strictest
// validation: in a dry run, and once more as a manifest of its own.
func TestStrictFields(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "strict-fields", nil)
	manifest, err := json.Marshal(withKind(podtest.New("app", loginKeys("login-format=json", "login-namespace=team")...)))
	if err != nil {
		t.Fatal(err)
	}
	create := func(manifest string) string {
		t.Helper()
		out, err := kube.KubectlWithInput(t.Context(), strings.NewReader(manifest), "--namespace="+ns,
			"create", "--filename=-", "--validate=strict", "--dry-run=server", "--output=json")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	injected := create(string(manifest))
	if !strings.Contains(injected, `"name": "oidc-login"`) {
		t.Errorf("the pod is not injected: %s", injected)
	}
	again := create(strings.Replace(injected, `"name": "app"`, `"name": "again"`, 1))
	if a, b := podSpec(t, injected), podSpec(t, again); !cmp.Equal(a, b) {
		t.Errorf("an injected pod changes when it is created again:\n%s", cmp.Diff(a, b))
	}
}

func withKind(pod *corev1.Pod) *corev1.Pod {
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	return pod
}

func podSpec(t *testing.T, manifest string) map[string]any {
	t.Helper()
	var pod struct{ Spec map[string]any }
	if err := json.Unmarshal([]byte(manifest), &pod); err != nil {
		t.Fatal(err)
	}
	// The volume with the API server's own token has a random name, which is that
	// of the first pod: there is nothing to make equal.
	return pod.Spec
}

// TestInjectedAgain creates a pod out of an injected one, as backups and people
// do: it comes out as it was, and once only.
func TestInjectedAgain(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "again", nil)
	for name, keys := range map[string][]string{
		"sidecar": loginKeys(),
		"init":    loginKeys("login-mode=init", "login-format=env"),
		"profile": {"profile=vault"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := podtest.Create(t, kube, ns, podtest.New(name, keys...))
			second := podtest.Create(t, kube, ns, &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: name + "-again", Annotations: maps.Clone(first.Annotations)},
				Spec:       *first.Spec.DeepCopy(),
			})
			if diff := cmp.Diff(first.Spec, second.Spec); diff != "" {
				t.Errorf("the spec (-first +second):\n%s", diff)
			}
			if diff := cmp.Diff(first.Annotations, second.Annotations); diff != "" {
				t.Errorf("the annotations (-first +second):\n%s", diff)
			}
		})
	}
}

// TestReinvocation lets another webhook add a container after ours: ours is
// called again, and the new container gets the result, of the one login.
func TestReinvocation(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "reinvoked", nil)
	podtest.RegisterContainerAdder(t, kube, ns)
	pod := podtest.Create(t, kube, ns, podtest.New("app", loginKeys()...))
	logins := 0
	for _, c := range podtest.Containers(pod) {
		if c.Name == loginspec.Container {
			logins++
		}
	}
	if logins != 1 {
		t.Errorf("%d login containers, want one", logins)
	}
	for _, container := range []string{"app", "added"} {
		if got := mountOf(pod, container, loginspec.Volume); got != "/var/run/secrets/login (read-only)" {
			t.Errorf("container %s has the result at %q", container, got)
		}
		if got := podtest.Env(pod, container, "VAULT_TOKEN_FILE"); got != "/var/run/secrets/login/token" {
			t.Errorf("container %s has VAULT_TOKEN_FILE=%q", container, got)
		}
	}
	if got := mountOf(pod, loginspec.Container, loginspec.Volume); got != "/var/run/secrets/login" {
		t.Errorf("the login container has its result at %q", got)
	}
}

// mountOf tells where a container has a volume.
func mountOf(pod *corev1.Pod, container, volume string) string {
	for _, c := range podtest.Containers(pod) {
		for _, m := range c.VolumeMounts {
			if c.Name == container && m.Name == volume {
				if m.ReadOnly {
					return m.MountPath + " (read-only)"
				}
				return m.MountPath
			}
		}
	}
	return ""
}

// TestControllers creates templates, which the API server validates without us,
// and waits for the pods that controllers make of them.
func TestControllers(t *testing.T) {
	t.Parallel()
	labels := map[string]string{"app": "web"}
	template := func(policy corev1.RestartPolicy) corev1.PodTemplateSpec {
		pod := podtest.New("", loginKeys()...)
		pod.Labels, pod.Spec.RestartPolicy = labels, policy
		return corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}
	}
	meta, selector := metav1.ObjectMeta{Name: "web"}, &metav1.LabelSelector{MatchLabels: labels}
	always, never := template(corev1.RestartPolicyAlways), template(corev1.RestartPolicyNever)
	for name, create := range map[string]func(ctx context.Context, ns string) error{
		"deployment": func(ctx context.Context, ns string) error {
			_, err := kube.Client().AppsV1().Deployments(ns).Create(ctx, &appsv1.Deployment{
				ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Selector: selector, Template: always},
			}, strict)
			return err
		},
		"statefulset": func(ctx context.Context, ns string) error {
			_, err := kube.Client().AppsV1().StatefulSets(ns).Create(ctx, &appsv1.StatefulSet{
				ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{ServiceName: "web", Selector: selector, Template: always},
			}, strict)
			return err
		},
		"job": func(ctx context.Context, ns string) error {
			_, err := kube.Client().BatchV1().Jobs(ns).Create(ctx, &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Template: never}},
				strict)
			return err
		},
		"cronjob": func(ctx context.Context, ns string) error {
			_, err := kube.Client().BatchV1().CronJobs(ns).Create(ctx, &batchv1.CronJob{
				ObjectMeta: meta,
				// The next full minute is waited for.
				Spec: batchv1.CronJobSpec{
					Schedule:    "* * * * *",
					JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: never}},
				},
			}, strict)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t, "controller-"+name, nil)
			if err := create(t.Context(), ns); err != nil {
				t.Fatal(err)
			}
			podtest.EventuallyWithin(t, scheduled, "an injected pod", func(ctx context.Context) error {
				pods, err := kube.Client().CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
				if err != nil || len(pods.Items) == 0 {
					return fmt.Errorf("%d pods, error %w", len(pods.Items), err)
				}
				checkInjected(t, &pods.Items[0])
				return nil
			})
		})
	}
}

// checkInjected checks the shape of a pod with one login, a sidecar.
func checkInjected(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	first := pod.Spec.InitContainers
	if len(first) != 1 || first[0].Name != loginspec.Container || *first[0].RestartPolicy != corev1.ContainerRestartPolicyAlways {
		t.Fatalf("the init containers are %+v", first)
	}
	if got := podtest.Env(pod, "app", "VAULT_TOKEN_FILE"); got != "/var/run/secrets/login/token" {
		t.Errorf("VAULT_TOKEN_FILE is %q", got)
	}
}

// TestSharedNamespaces injects pods that share more with their node, or among
// their containers, than others do.
func TestSharedNamespaces(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "shared", nil)
	for name, change := range map[string]func(*corev1.PodSpec){
		"host-network": func(s *corev1.PodSpec) { s.HostNetwork = true },
		"pids":         func(s *corev1.PodSpec) { s.ShareProcessNamespace = new(true) },
		"host-pid":     func(s *corev1.PodSpec) { s.HostPID = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := podtest.New(name, loginKeys()...)
			change(&pod.Spec)
			checkInjected(t, podtest.Create(t, kube, ns, pod))
		})
	}
}

// TestNoImage has a configuration without a login image: a pod that wants to log
// in is denied, and tokens are injected as ever.
func TestNoImage(t *testing.T) {
	ns := namespace(t, "no-image", nil)
	setConfig(t, strings.Replace(configuration(config), "image: oidc-login:test", "", 1), func(ctx context.Context) error {
		_, err := dryRun(ctx, ns, podtest.New("app", loginKeys()...))
		want := "the injector's configuration names no image for logins (login.image)"
		if err == nil || !strings.Contains(err.Error(), want) {
			return fmt.Errorf("got error %w, want %q", err, want)
		}
		return nil
	})
	if _, err := dryRun(t.Context(), ns, podtest.New("app", "audience=vault")); err != nil {
		t.Errorf("a pod without a login is denied: %v", err)
	}
}

// TestCABundle has the certificate authorities in the configuration: no object
// is needed in the namespaces, and the app gets them as well.
func TestCABundle(t *testing.T) {
	ns := namespace(t, "ca-bundle", nil)
	bundle := "  caBundle: |\n    " + strings.ReplaceAll(strings.TrimSpace(string(server.CA())), "\n", "\n    ") + "\n  env:"
	pod := podtest.New("app", "audience=vault", "login=vault", "login-address="+server.Address(), "login-role=ca-bundle")
	setConfig(t, strings.Replace(configuration(config), "  env:", bundle, 1), func(ctx context.Context) error {
		created, err := dryRun(ctx, ns, pod)
		if err == nil && podtest.Env(created, loginspec.Container, loginspec.CABundle.Env()) == "" {
			err = errors.New("the pod has no bundle")
		}
		return err
	})
	if err := server.WriteRole(t.Context(), jwtMount, "ca-bundle", usualRole(ns)); err != nil {
		t.Fatal(err)
	}
	l := newLogin(t, podtest.Create(t, kube, ns, pod), "")
	startLogin(t, l)
	loggedIn(t, l)
	copied := l.Value(loginspec.CAOutputFile)
	if content := readFile(t, copied); strings.TrimSpace(content) != strings.TrimSpace(string(server.CA())) {
		t.Errorf("the copy of the CA in %s is another", copied)
	}
	terminate(t, l)
}
