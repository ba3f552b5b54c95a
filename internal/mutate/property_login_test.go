package mutate_test

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// asked is a login that the annotations ask for.
type asked struct{ annotations.Login }

func (a asked) volume() string { return loginspec.Named(loginspec.Volume, a.Name) }

// loginsOf are the logins that a pod asks for, by the name of their container.
func loginsOf(pod *corev1.Pod) map[string]asked {
	all := map[string]asked{}
	for _, l := range specOf(pod).Logins {
		all[loginspec.Named(loginspec.Container, l.Name)] = asked{l}
	}
	return all
}

// resultsOf are the logins whose result a container is to have.
func resultsOf(pod *corev1.Pod, container string, got outcome) []asked {
	logins := loginsOf(pod)
	if _, logsIn := logins[container]; logsIn {
		return nil
	}
	var all []asked
	for _, a := range logins {
		if a.Containers.Includes(container) && !got.leftOut(container, "the result of login "+strconv.Quote(a.DisplayName())) {
			all = append(all, a)
		}
	}
	return all
}

// checkLogins compares the login containers, and what others have of them, with
// what the annotations say.
func checkLogins(t *testing.T, before, after *corev1.Pod, got outcome) {
	t.Helper()
	if odd(after) {
		return
	}
	if was, is := onlyUser(before), onlyUser(after); !cmp.Equal(was, is) {
		t.Errorf("the user that all containers run as was %s, and is %s: the kubelet writes all tokens otherwise now", text(was), text(is))
	}
	logins := loginsOf(after)
	read := map[string]bool{}
	var shutOut []string
	for _, c := range containersOf(after) {
		results := resultsOf(after, c.Name, got)
		for _, a := range results {
			read[a.volume()] = true
			checkResult(t, after, c, a)
			if !mayReadResult(after, c, a.volume()) && !slices.Contains(shutOut, c.Name) {
				shutOut = append(shutOut, c.Name)
			}
		}
		for _, m := range c.VolumeMounts {
			wanted := slices.ContainsFunc(results, func(a asked) bool { return a.volume() == m.Name })
			if _, logsIn := logins[c.Name]; !logsIn && !wanted && strings.HasPrefix(m.Name, "oidc-login") {
				t.Errorf("container %q mounts %q, which is not for it", c.Name, m.Name)
			}
		}
	}
	for name, a := range logins {
		i := slices.IndexFunc(after.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == name })
		if (i >= 0) != read[a.volume()] {
			t.Errorf("login container %q is number %d, and somebody reads its result: %t", name, i, read[a.volume()])
			continue
		}
		if i < 0 {
			continue
		}
		checkLoginContainer(t, after, after.Spec.InitContainers[i], a, got)
		isNew := !slices.ContainsFunc(before.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == name })
		if _, logsIn := logins[after.Spec.InitContainers[max(i-1, 0)].Name]; isNew && !logsIn {
			t.Errorf("login container %q comes behind another one", name)
		}
	}
	checkShutOut(t, before, logins, shutOut, got)
}

// checkShutOut wants a warning for exactly those that cannot read a result. They
// can be there only where the login container was made before they came.
func checkShutOut(t *testing.T, before *corev1.Pod, logins map[string]asked, shutOut []string, got outcome) {
	t.Helper()
	var warned []string
	for _, warning := range got.Warnings {
		if match := unreadableWarning.FindStringSubmatch(warning); match != nil && aboutResult(warning) &&
			!slices.Contains(warned, match[1]) {
			warned = append(warned, match[1])
		}
	}
	slices.Sort(warned)
	slices.Sort(shutOut)
	expect(t, "containers that cannot read the result of their login", shutOut, warned)
	isThere := slices.ContainsFunc(before.Spec.InitContainers, func(c corev1.Container) bool {
		_, logsIn := logins[c.Name]
		return logsIn
	})
	if !isThere && len(shutOut) > 0 {
		t.Errorf("the mode chosen shuts out %v", shutOut)
	}
}

func aboutResult(warning string) bool { return strings.Contains(warning, "which was made for others") }

// checkResult wants a container to have the result of a login.
func checkResult(t *testing.T, pod *corev1.Pod, c corev1.Container, a asked) {
	t.Helper()
	mounted := slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
		return m.Name == a.volume() && m.ReadOnly && clean(pod, m.MountPath) == a.MountPath
	})
	set := slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == a.Env })
	if !mounted || !set {
		t.Errorf("container %q lacks the result of login %q: %v, %v", c.Name, a.Name, c.VolumeMounts, c.Env)
	}
	inMemory := slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return v.Name == a.volume() && v.EmptyDir != nil && v.EmptyDir.Medium == corev1.StorageMediumMemory &&
			v.EmptyDir.SizeLimit.Value() == 1<<20
	})
	if !inMemory {
		t.Errorf("volume %q is not in memory", a.volume())
	}
}

// checkLoginContainer wants what the Pod Security Standard "restricted" asks for,
// and the contract's variables.
func checkLoginContainer(t *testing.T, pod *corev1.Pod, c corev1.Container, a asked, got outcome) {
	t.Helper()
	s := contextOf(c)
	asRoot := or(nobody, s.RunAsUser, podContextOf(pod).RunAsUser) == 0
	want := &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true), RunAsNonRoot: new(!asRoot),
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		RunAsUser:      s.RunAsUser, RunAsGroup: s.RunAsGroup,
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("securityContext of %q (-want +got):\n%s", c.Name, diff)
	}
	if !cmp.Equal(c.Resources, options.Login.Resources) || c.Image != options.Login.Image ||
		c.ImagePullPolicy != options.Login.ImagePullPolicy {
		t.Errorf("container %q has image %s (%s) and resources %v", c.Name, c.Image, c.ImagePullPolicy, c.Resources)
	}
	always := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
	if always != a.Sidecar() || (c.StartupProbe != nil) != a.Sidecar() {
		t.Errorf("container %q runs on: %t, with probe %v", c.Name, always, c.StartupProbe)
	}
	env := envOf(&c)
	tokens, _, _ := wanted(pod, c.Name, got)
	if _, ok := tokens[env["OIDC_LOGIN_JWT_FILE"]]; !ok || env["OIDC_LOGIN_OUTPUT_FILE"] != a.Path() {
		t.Errorf("container %q reads %s and writes %s", c.Name, env["OIDC_LOGIN_JWT_FILE"], env["OIDC_LOGIN_OUTPUT_FILE"])
	}
	for name, value := range env {
		if strings.Contains(strings.ReplaceAll(value, "$$", ""), "$(") {
			t.Errorf("Kubernetes would expand %s=%s", name, value)
		}
	}
	writes := slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
		return m.Name == a.volume() && !m.ReadOnly && m.MountPath == a.MountPath
	})
	if !writes {
		t.Errorf("container %q cannot write: %v", c.Name, c.VolumeMounts)
	}
}

// onlyUser is the user that all containers run as; nil where they differ or one
// does not say.
func onlyUser(pod *corev1.Pod) *int64 {
	var users []int64
	for _, c := range containersOf(pod) {
		users = append(users, or(nobody, contextOf(c).RunAsUser, podContextOf(pod).RunAsUser))
	}
	slices.Sort(users)
	if users = slices.Compact(users); len(users) != 1 || users[0] == nobody {
		return nil
	}
	return &users[0]
}

func text(user *int64) string {
	if user == nil {
		return "not known"
	}
	return strconv.FormatInt(*user, 10)
}

// mayReadResult follows the login container to the file that it writes.
func mayReadResult(pod *corev1.Pod, reader corev1.Container, volume string) bool {
	i := slices.IndexFunc(pod.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == volume }) // both have one name
	if i < 0 {
		return false
	}
	const image = 65532
	podContext, c := podContextOf(pod), pod.Spec.InitContainers[i]
	owner := or(image, contextOf(c).RunAsUser, podContext.RunAsUser)
	group := or(image, contextOf(c).RunAsGroup, podContext.RunAsGroup)
	groups := append(slices.Clone(podContext.SupplementalGroups), or(nobody, contextOf(reader).RunAsGroup, podContext.RunAsGroup))
	if podContext.FSGroup != nil {
		group = *podContext.FSGroup // the directory hands its group on
		groups = append(groups, group)
	}
	mode, err := strconv.ParseInt(envOf(&c)["OIDC_LOGIN_OUTPUT_MODE"], 8, 32)
	return err == nil && permits(int32(mode), owner, group, or(nobody, contextOf(reader).RunAsUser, podContext.RunAsUser), groups)
}

// checkDebugResults wants a debug container to have the results that its target
// reads or writes, and no other.
func checkDebugResults(t *testing.T, pod *corev1.Pod, scope string, got outcome) {
	t.Helper()
	c := corev1.Container(pod.Spec.EphemeralContainers[0].EphemeralContainerCommon)
	results := resultsOf(pod, scope, got)
	if a, logsIn := loginsOf(pod)[scope]; logsIn {
		results = []asked{a}
	}
	var want, has []string
	for _, a := range results {
		if slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == a.volume() }) &&
			len(got.result.Containers) > 0 {
			want = append(want, a.volume()+" at "+path.Clean(a.MountPath))
		}
	}
	for _, m := range c.VolumeMounts {
		if strings.HasPrefix(m.Name, "oidc-login") {
			has = append(has, m.Name+" at "+path.Clean(m.MountPath))
		}
	}
	slices.Sort(want)
	slices.Sort(has)
	expect(t, "results that the debug container of "+scope+" has", want, has)
}
