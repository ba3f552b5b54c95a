package mutate_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/mutate"
)

// vaultKeys ask for the simplest login.
var vaultKeys = keys{"audience": "vault", "login": "vault", "login-address": "https://vault.example.com:8200"}

// What a container has that reads the result of the default login, and the login
// container and its volume, all as an earlier call made them.
const (
	resultMount   = `{name: oidc-login, readOnly: true, mountPath: /var/run/secrets/login}`
	resultVolume  = `{name: oidc-login, emptyDir: {medium: Memory, sizeLimit: 1Mi}}`
	loginVariable = `{name: OIDC_LOGIN_METHOD, value: vault}, {name: OIDC_LOGIN_MODE, value: sidecar}, ` +
		`{name: OIDC_LOGIN_JWT_FILE, value: /var/run/secrets/tokens/oidc-token}, {name: OIDC_LOGIN_ADDRESS, value: ` +
		`"https://vault.example.com:8200"}, ` +
		`{name: OIDC_LOGIN_MOUNT, value: jwt}, {name: OIDC_LOGIN_OUTPUT_FILE, value: /var/run/secrets/login/token}, {name: ` +
		`OIDC_LOGIN_OUTPUT_FORMAT, value: raw}`
	loginMode   = `{name: OIDC_LOGIN_OUTPUT_MODE, value: "0444"}`
	loginMounts = `volumeMounts: [{name: oidc-login, mountPath: /var/run/secrets/login}, ` + tokenMount + `]`
)

// loginPod has a login container with the given rest, and the container app.
func loginPod(rest string) string {
	return "volumes: [" + tokenVolume + ", " + resultVolume + "]\ninitContainers: [{name: oidc-login, " + rest +
		"}]\ncontainers: [{name: app}]"
}

// find returns a container of a pod by its name.
func find(t *testing.T, pod *corev1.Pod, name string) *corev1.Container {
	t.Helper()
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	t.Fatalf("there is no container %q", name)
	return nil
}

func envOf(c *corev1.Container) map[string]string {
	all := make(map[string]string, len(c.Env))
	for _, e := range c.Env {
		all[e.Name] = e.Value
	}
	return all
}

// TestLoginUser shows as whom a login container runs, and who can read what it
// writes, by the users that the containers run as. All but "bystander" read it.
func TestLoginUser(t *testing.T) {
	t.Parallel()
	const bystander = "{name: bystander, securityContext: {runAsUser: 4000}}"
	for name, test := range map[string]struct {
		spec string
		// own is what the login container's securityContext says of users.
		own  string
		mode string
	}{
		"nothing is known": {"containers: [{name: app}]", "nonRoot=true", "0444"},
		"the pod's user":   {"securityContext: {runAsUser: 1000}\ncontainers: [{name: app}]", "nonRoot=true", "0400"},
		"the pod's user and group": {
			"securityContext: {runAsUser: 1000, runAsGroup: 3000}\ncontainers: [{name: app}]",
			"nonRoot=true", "0400",
		},
		"the reader's own user": {
			"containers: [{name: app, securityContext: {runAsUser: 1000}}, " + bystander + "]",
			"user=1000 nonRoot=true", "0400",
		},
		"the reader's user, not the pod's": {"securityContext: {runAsUser: 1}\ncontainers: [{name: app, " +
			"securityContext: {runAsUser: 1000}}]", "user=1000 nonRoot=true", "0400"},
		"one user of several readers": {"containers: [{name: app, securityContext: {runAsUser: 1000}}, {name: b, " +
			"securityContext: {runAsUser: 1000, runAsGroup: 5}}]", "user=1000 nonRoot=true", "0400"},
		"the user of an init container counts": {"initContainers: [{name: i, securityContext: {runAsUser: 1}}]\ncontainers: [{name: app, " +
			"securityContext: {runAsUser: 1000}}]", "nonRoot=true", "0444"},
		"root": {
			"containers: [{name: app, securityContext: {runAsUser: 0}}]", "user=0 nonRoot=false",
			"0400",
		},
		"root by the pod": {"securityContext: {runAsUser: 0}\ncontainers: [{name: app}]", "nonRoot=false", "0400"},
		"two users": {"containers: [{name: app, securityContext: {runAsUser: 1}}, {name: b, " +
			"securityContext: {runAsUser: 2}}]", "nonRoot=true", "0444"},
		"two users, one the pod's": {"securityContext: {runAsUser: 1}\ncontainers: [{name: app}, {name: b, " +
			"securityContext: {runAsUser: 2}}]", "nonRoot=true", "0444"},
		"two users, one the pod's root": {"securityContext: {runAsUser: 0}\ncontainers: [{name: app}, {name: b, " +
			"securityContext: {runAsUser: 2}}]", "nonRoot=false", "0444"},
		"a user and an unknown one": {
			"containers: [{name: app, securityContext: {runAsUser: 1}}, {name: b}]", "nonRoot=true",
			"0444",
		},
		"fsGroup": {"securityContext: {fsGroup: 2000}\ncontainers: [{name: app}]", "nonRoot=true", "0440"},
		"fsGroup and one user": {
			"securityContext: {fsGroup: 2000, runAsUser: 1000}\ncontainers: [{name: app}]",
			"nonRoot=true", "0400",
		},
		"fsGroup and a common group": {
			"securityContext: {fsGroup: 2000, supplementalGroups: [5]}\ncontainers: [{name: app}]",
			"nonRoot=true", "0440",
		},
		"the pod's group": {"securityContext: {runAsGroup: 3000}\ncontainers: [{name: app}]", "nonRoot=true", "0440"},
		"the reader's own group": {
			"containers: [{name: app, securityContext: {runAsGroup: 3000}}, " + bystander + "]",
			"group=3000 nonRoot=true", "0440",
		},
		"a group in common": {"containers: [{name: app, securityContext: {runAsGroup: 5, runAsUser: 1}}, {name: b, " +
			"securityContext: {runAsGroup: 5, runAsUser: 2}}]", "group=5 nonRoot=true", "0440"},
		"no group in common": {"containers: [{name: app, securityContext: {runAsGroup: 5}}, {name: b, " +
			"securityContext: {runAsGroup: 6}}]", "nonRoot=true", "0444"},
		"the pod's group is not the reader's": {"securityContext: {runAsGroup: 5}\ncontainers: [{name: app, " +
			"securityContext: {runAsGroup: 6}}, {name: b}]", "nonRoot=true", "0444"},
		"a further group of all": {
			"securityContext: {supplementalGroups: [7, 8]}\ncontainers: [{name: app}]", "group=7 nonRoot=true",
			"0440",
		},
		"one's own group is a further one": {
			"securityContext: {supplementalGroups: [7, 5]}\ncontainers: [{name: app, securityContext: {runAsGroup: 5}}, {name: b}]",
			"group=5 nonRoot=true", "0440",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := vaultKeys
			if strings.Contains(test.spec, "bystander") {
				k = k.and(keys{"skip-containers": "bystander"})
			}
			got := create(t, k.pod(t, test.spec))
			expect(t, "errors", nil, got.Errors)
			expect(t, "warnings", nil, got.Warnings)
			c := find(t, typed(t, got.Pod), "oidc-login")
			own := ""
			if user := c.SecurityContext.RunAsUser; user != nil {
				own += fmt.Sprintf("user=%d ", *user)
			}
			if group := c.SecurityContext.RunAsGroup; group != nil {
				own += fmt.Sprintf("group=%d ", *group)
			}
			own += fmt.Sprintf("nonRoot=%t", *c.SecurityContext.RunAsNonRoot)
			expect(t, "user and mode", []string{test.own, test.mode}, []string{own, envOf(c)["OIDC_LOGIN_OUTPUT_MODE"]})
			expectSettled(t, got)
		})
	}
}

// TestLoginContainerFirst has lists of init containers in all forms. The
// others are to get what they get at the places that they had before.
func TestLoginContainerFirst(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		list  string
		paths []string
		after []string
	}{
		"absent": {"", []string{"/spec/initContainers"}, []string{"oidc-login", "oidc-login-x"}},
		"null":   {"initContainers: null", []string{"/spec/initContainers"}, []string{"oidc-login", "oidc-login-x"}},
		"empty": {
			"initContainers: []",
			[]string{"/spec/initContainers/0", "/spec/initContainers/1"},
			[]string{"oidc-login", "oidc-login-x"},
		},
		"with others": {
			"initContainers: [{name: a}, {name: b}]",
			[]string{"/spec/initContainers/0", "/spec/initContainers/1"},
			[]string{"oidc-login", "oidc-login-x", "a", "b"},
		},
		"with one of null": {
			"initContainers: [null, {name: b}]",
			[]string{"/spec/initContainers/0", "/spec/initContainers/1"},
			[]string{"oidc-login", "oidc-login-x", "", "b"},
		},
		"with a native one": {
			"initContainers: [{name: a, restartPolicy: Always}]",
			[]string{"/spec/initContainers/0", "/spec/initContainers/1"},
			[]string{"oidc-login", "oidc-login-x", "a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := vaultKeys.and(keys{"login.x": "jwt-bearer", "login-issuer.x": "https://i", "env": "JWT"})
			got := create(t, k.pod(t, test.list+"\ncontainers: [{name: app}]"))
			expect(t, "errors", nil, got.Errors)
			all := paths(got)
			// The status comes behind, and is about no container.
			expect(t, "last operations", test.paths, all[len(all)-1-len(test.paths):len(all)-1])
			pod := typed(t, got.Pod)
			names := make([]string, 0, len(pod.Spec.InitContainers))
			for i := range pod.Spec.InitContainers {
				c := &pod.Spec.InitContainers[i]
				names = append(names, c.Name)
				if wants := c.Name == "a" || c.Name == "b"; (envOf(c)["JWT"] != "") != wants {
					t.Errorf("container %q has the variables %v", c.Name, c.Env)
				}
			}
			expect(t, "init containers", test.after, names)
			expectSettled(t, got)
		})
	}
}

// TestLoginMode: it decides whether the login container runs on.
func TestLoginMode(t *testing.T) {
	t.Parallel()
	got := create(t, vaultKeys.and(keys{"login.x": "vault", "login-address.x": "https://x", "login-mode.x": "init"}).pod(t,
		"containers: [{name: app}]"))
	pod := typed(t, got.Pod)
	sidecar, once := find(t, pod, "oidc-login"), find(t, pod, "oidc-login-x")
	want := &corev1.Probe{TimeoutSeconds: 8, PeriodSeconds: 1, FailureThreshold: 86400}
	want.Exec = &corev1.ExecAction{Command: []string{"oidc-login", "ready", "--wait=4s"}}
	if diff := cmp.Diff(want, sidecar.StartupProbe); diff != "" {
		t.Errorf("startup probe (-want +got):\n%s", diff)
	}
	if p := sidecar.RestartPolicy; p == nil || *p != corev1.ContainerRestartPolicyAlways {
		t.Errorf("the sidecar has restartPolicy %v", p)
	}
	if once.StartupProbe != nil || once.RestartPolicy != nil {
		t.Errorf("the init container has probe %v and restartPolicy %v", once.StartupProbe, once.RestartPolicy)
	}
}

// TestLoginConflicts shows what is said where a pod contradicts its login.
func TestLoginConflicts(t *testing.T) {
	t.Parallel()
	const (
		app      = "containers: [{name: app}]"
		emptyDir = "volumes: [{name: data, emptyDir: {}}]\n"
		volume   = "this name belongs to a volume of the login that annotation oidc-injector.io/login asks for, but the pod has another " +
			"volume of this name: rename it"
		wanted = `here, but annotation oidc-injector.io/login wants the result of login "default" here: choose another ` +
			`oidc-injector.io/login-mount-path, ` +
			"or leave the container out with oidc-injector.io/containers or oidc-injector.io/skip-containers"
		noLogin   = `container "oidc-login" is not the login container that annotation oidc-injector.io/login asks for: `
		remove    = "; rename or remove the container"
		differs   = noLogin + "this variable differs" + remove
		mountPath = `.volumeMounts[0].mountPath: Invalid value: "/var/run/secrets/login`
	)
	env := func(variables ...string) string {
		return "restartPolicy: Always, env: [" + strings.Join(variables, ", ") + "], "
	}
	for name, test := range map[string]struct {
		keys keys
		spec string
		errs []string
	}{
		"a volume of our name": {
			spec: "volumes: [{name: oidc-login, emptyDir: {}}]\n" + app,
			errs: []string{`spec.volumes[0].name: Invalid value: "oidc-login": ` + volume},
		},
		"a volume of our name that is none in memory": {
			spec: "volumes: [{name: oidc-login, emptyDir: {medium: HugePages}}]\n" + app,
			errs: []string{`spec.volumes[0].name: Invalid value: "oidc-login": ` + volume},
		},
		"another ConfigMap": {
			keys: keys{"login-ca-configmap": "ca"}, spec: "volumes: [{name: oidc-login-ca, configMap: {name: cb, items: [{key: ca.crt, " +
				"path: ca.crt}]}}]\n" + app,
			errs: []string{`spec.volumes[0].name: Invalid value: "oidc-login-ca": ` + volume},
		},
		"another key": {
			keys: keys{"login-ca-configmap": "ca"}, spec: "volumes: [{name: oidc-login-ca, configMap: {name: ca, items: [{key: tls.crt, " +
				"path: ca.crt}]}}]\n" + app,
			errs: []string{`spec.volumes[0].name: Invalid value: "oidc-login-ca": ` + volume},
		},
		"another path": {
			keys: keys{"login-ca-configmap": "ca"}, spec: "volumes: [{name: oidc-login-ca, configMap: {name: ca, items: [{key: ca.crt, " +
				"path: tls.crt}]}}]\n" + app,
			errs: []string{`spec.volumes[0].name: Invalid value: "oidc-login-ca": ` + volume},
		},
		"a further key": {
			keys: keys{"login-ca-configmap": "ca"}, spec: "volumes: [{name: oidc-login-ca, configMap: {name: ca, items: [{key: ca.crt, " +
				"path: ca.crt}, {key: a, path: a}]}}]\n" + app,
			errs: []string{`spec.volumes[0].name: Invalid value: "oidc-login-ca": ` + volume},
		},
		"the whole ConfigMap": {
			keys: keys{"login-ca-configmap": "ca"}, spec: "volumes: [{name: oidc-login-ca, configMap: {name: ca}}]\n" + app,
			errs: []string{`spec.volumes[0].name: Invalid value: "oidc-login-ca": ` + volume},
		},
		"a Secret for a ConfigMap": {
			keys: keys{"login-ca-configmap": "ca"}, spec: "volumes: [{name: oidc-login-ca, secret: {secretName: ca, " +
				"items: [{key: ca.crt, path: ca.crt}]}}]\n" + app,
			errs: []string{`spec.volumes[0].name: Invalid value: "oidc-login-ca": ` + volume},
		},
		"a volume of a profile": {
			keys: keys{"profile.x": "vault-login"}, spec: "volumes: [{name: oidc-login-x, emptyDir: {}}]\n" + app,
			errs: []string{`spec.volumes[0].name: Invalid value: "oidc-login-x": this name belongs to a volume of the login that ` +
				`annotation oidc-injector.io/profile.x asks for, but the pod has another volume of this name: rename it`},
		},
		"the directory is mounted": {
			spec: emptyDir + "containers: [{name: app, volumeMounts: [{name: data, mountPath: /var/run/secrets/login/}]}]",
			errs: []string{"spec.containers[0]" + mountPath + `/": container "app" already mounts volume "data" ` + wanted},
		},
		"a part of the result": {
			spec: "volumes: [" + resultVolume + "]\ncontainers: [{name: app, volumeMounts: [{name: oidc-login, " +
				"mountPath: /var/run/secrets/login, subPath: a}]}]",
			errs: []string{"spec.containers[0]" + mountPath + `": container "app" already mounts volume "oidc-login" ` + wanted},
		},
		"a device": {
			spec: emptyDir + "containers: [{name: app, volumeDevices: [{name: oidc-login, devicePath: /var/run/secrets/login}]}]",
			errs: []string{`spec.containers[0].volumeDevices[0].devicePath: Invalid value: "/var/run/secrets/login": container "app" ` +
				`already mounts volume "oidc-login" ` + wanted},
		},
		"a mount inside": {
			spec: emptyDir + "containers: [{name: app, volumeMounts: [{name: data, mountPath: /var/run/secrets/login/x}]}]",
			errs: []string{"spec.containers[0]" + mountPath +
				`/x": container "app" mounts volume "data" inside /var/run/secrets/login, which annotation oidc-injector.io/login makes ` +
				`a read-only ` +
				`directory: the container could not start`},
		},
		"a variable that an annotation names": {
			keys: keys{"login-env": "MINE"}, spec: "containers: [{name: app, env: [{name: MINE, value: x}]}]",
			errs: []string{`spec.containers[0].env[0].name: Invalid value: "MINE": container "app" sets this variable itself, and ` +
				`annotation oidc-injector.io/login-env wants it to be /var/run/secrets/login/token: remove one of them`},
		},
		"a regular container of our name": {
			spec: "containers: [{name: app}, {name: oidc-login}]",
			errs: []string{`spec.containers[1].name: Invalid value: "oidc-login": this name belongs to the login container that ` +
				`annotation oidc-injector.io/login asks for: rename the container`},
		},
		"another container": {
			spec: loginPod("image: mine"),
			errs: []string{`spec.initContainers[0].env: Invalid value: "OIDC_LOGIN_METHOD": ` + differs},
		},
		"a variable is missing": {
			spec: loginPod(env(loginVariable) + loginMounts),
			errs: []string{`spec.initContainers[0].env: Invalid value: "OIDC_LOGIN_OUTPUT_MODE": ` + differs},
		},
		"a variable too many": {
			spec: loginPod(env(loginVariable, loginMode, "{name: OIDC_LOGIN_ROLE, value: admin}") + loginMounts),
			errs: []string{`spec.initContainers[0].env: Invalid value: "OIDC_LOGIN_ROLE": ` + differs},
		},
		"a variable again, behind": {
			spec: loginPod(env(loginVariable, loginMode, "{name: OIDC_LOGIN_ADDRESS, value: 'https://evil.example.com'}") + loginMounts),
			errs: []string{`spec.initContainers[0].env: Invalid value: "OIDC_LOGIN_ADDRESS": ` + differs},
		},
		"a computed variable": {
			keys: keys{"login-mount": "k8s"},
			spec: loginPod(env(strings.Replace(loginVariable, "value: jwt}",
				"value: k8s, valueFrom: {fieldRef: {fieldPath: metadata.name}}}", 1), loginMode) + loginMounts),
			errs: []string{`spec.initContainers[0].env: Invalid value: "OIDC_LOGIN_MOUNT": ` + differs},
		},
		"a computed mode": {
			spec: loginPod(env(loginVariable, "{name: OIDC_LOGIN_OUTPUT_MODE, value: '0444', "+
				"valueFrom: {fieldRef: {fieldPath: metadata.name}}}") + loginMounts),
			errs: []string{`spec.initContainers[0].env: Invalid value: "OIDC_LOGIN_OUTPUT_MODE": ` + differs},
		},
		"a mode that is none": {
			spec: loginPod(env(loginVariable, "{name: OIDC_LOGIN_OUTPUT_MODE, value: '0999'}") + loginMounts),
			errs: []string{`spec.initContainers[0].env: Invalid value: "OIDC_LOGIN_OUTPUT_MODE": ` + differs},
		},
		"a mode that is too much": {
			spec: loginPod(env(loginVariable, "{name: OIDC_LOGIN_OUTPUT_MODE, value: '4444'}") + loginMounts),
			errs: []string{`spec.initContainers[0].env: Invalid value: "OIDC_LOGIN_OUTPUT_MODE": ` + differs},
		},
		"a sidecar that is an init container": {
			spec: loginPod("env: [" + loginVariable + ", " + loginMode + "], " + loginMounts),
			errs: []string{`spec.initContainers[0].restartPolicy: Invalid value: "": ` + noLogin + "it must be Always" + remove},
		},
		"an init container that is a sidecar": {
			keys: keys{"login-mode": "init"},
			spec: loginPod(env(strings.Replace(loginVariable, "sidecar", "init", 1), loginMode) + loginMounts),
			errs: []string{`spec.initContainers[0].restartPolicy: Invalid value: "": ` + noLogin + "it must not be Always" + remove},
		},
		"without its volume": {
			spec: loginPod(env(loginVariable, loginMode) + "volumeMounts: [" + tokenMount + "]"),
			errs: []string{`spec.initContainers[0].volumeMounts: Invalid value: "oidc-login": ` + noLogin +
				"it does not mount this volume at /var/run/secrets/login" + remove},
		},
		"with another volume": {
			spec: emptyDir + "initContainers: [{name: oidc-login, " + env(loginVariable, loginMode) +
				"volumeMounts: [{name: data, mountPath: /var/run/secrets/login}]}]\n" + app,
			errs: []string{`spec.initContainers[0].volumeMounts: Invalid value: "oidc-login": ` + noLogin +
				"it does not mount this volume at /var/run/secrets/login" + remove},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := create(t, vaultKeys.and(test.keys).pod(t, test.spec))
			expect(t, "errors", test.errs, got.Errors)
			if len(got.result.Operations)+len(got.result.Containers) > 0 {
				t.Error("there are operations beside the errors")
			}
		})
	}
}

// TestLoginIdempotent has pods with a part of what they need.
func TestLoginIdempotent(t *testing.T) {
	t.Parallel()
	const (
		volumes = "volumes: [" + tokenVolume + ", " + resultVolume + "]\n"
		login   = "initContainers: [{name: oidc-login, restartPolicy: Always, env: [" + loginVariable + ", " + loginMode + "], " +
			loginMounts + "}]\n"
		mounted   = "containers: [{name: app, volumeMounts: [" + tokenMount + ", " + resultMount + "], env: ["
		variables = "{name: VAULT_TOKEN_FILE, value: /var/run/secrets/login/token}, {name: VAULT_ADDR, " +
			"value: 'https://vault.example.com:8200'}"
		status = "/metadata/annotations/oidc-injector.io~1status"
	)
	for name, test := range map[string]struct {
		spec  string
		paths []string
	}{
		"everything":   {volumes + login + mounted + variables + "]}]", []string{status}},
		"no volume":    {"volumes: [" + tokenVolume + "]\n" + login + mounted + variables + "]}]", []string{"/spec/volumes/-", status}},
		"no container": {volumes + mounted + variables + "]}]", []string{"/spec/initContainers", status}},
		"no mount": {
			volumes + login + "containers: [{name: app, volumeMounts: [" + tokenMount + "], env: [" + variables + "]}]",
			[]string{"/spec/containers/0/volumeMounts/-", status},
		},
		"no variables": {volumes + login + mounted + "]}]", []string{"/spec/containers/0/env/-", "/spec/containers/0/env/-", status}},
		"one container": {
			volumes + login + mounted + variables + "]}, {name: late}]",
			[]string{
				"/spec/containers/1/volumeMounts", "/spec/containers/1/volumeMounts/-", "/spec/containers/1/env",
				"/spec/containers/1/env/-", status,
			},
		},
		"a wider mode": {volumes + strings.Replace(login, "0444", "0644", 1) + mounted + variables + "]}]", []string{status}},
		"one's own image": {volumes + strings.Replace(login, "restartPolicy", "image: mine, args: [x], resources: {}, restartPolicy", 1) +
			mounted + variables + "]}]", []string{status}},
		"other variables": {
			volumes + strings.Replace(login, "env: [",
				"env: [{name: OIDC_LOGIN_LOG_LEVEL, value: debug}, {name: A, valueFrom: {}}, ", 1) + mounted + variables + "]}]",
			[]string{status},
		},
		"a writable mount": {
			volumes + login + strings.Replace(mounted, "readOnly: true, ", "", 1) + variables + "]}]", []string{status},
		},
		"the login lacks its token": {
			volumes + strings.Replace(login, ", "+tokenMount, "", 1) + mounted + variables + "]}]",
			[]string{"/spec/initContainers/0/volumeMounts/-", status},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := create(t, vaultKeys.pod(t, test.spec))
			expect(t, "errors", nil, got.Errors)
			expect(t, "warnings", nil, got.Warnings)
			expect(t, "paths that change", test.paths, paths(got))
			expectSettled(t, got)
		})
	}
}

func TestLoginWarnings(t *testing.T) {
	t.Parallel()
	const (
		app      = "containers: [{name: app}]"
		ownValue = `container "app" sets %s itself, so it keeps another value than that of annotation oidc-injector.io/%s`
	)
	jwtForLogin := keys{"audience": "sts", "audience.jwt": "vault", "login-token": "jwt"}
	for name, test := range map[string]struct {
		keys     keys
		spec     string
		warnings []string
	}{
		"nothing to warn of": {nil, app, nil},
		"nobody reads it": {
			keys{"skip-containers": "app"}, app, []string{
				`no container of the pod gets token "default"`,
				`no container of the pod gets the result of login "default"`,
			},
		},
		"a reader that is not there": {
			keys{"containers": "app,worker"},
			app,
			[]string{`oidc-injector.io/containers: the pod has no container "worker"`},
		},
		"a reader of a login without a token that is not there": {
			keys{"login.x": "vault", "login-address.x": "https://vault.example.com:8200", "containers.x": "app,worker"},
			app,
			[]string{`oidc-injector.io/containers.x: the pod has no container "worker"`},
		},
		"a token for the login container only": {jwtForLogin.and(keys{"containers.jwt": "oidc-login"}), app, nil},
		"a token for all but the login container, which it has nevertheless": {
			jwtForLogin.and(keys{"skip-containers.jwt": "oidc-login"}), app, nil,
		},
		"a token for the container of another login": {
			keys{"audience.x": "x", "containers.x": "oidc-login-x"},
			app,
			[]string{`no container of the pod gets token "x"`, `oidc-injector.io/containers.x: the pod has no container "oidc-login-x"`},
		},
		"another address": {
			nil, "containers: [{name: app, env: [{name: VAULT_ADDR, value: x}]}]",
			[]string{fmt.Sprintf(ownValue, "VAULT_ADDR", "login-address")},
		},
		"an address from elsewhere": {
			nil, "containers: [{name: app, env: [{name: VAULT_ADDR, valueFrom: {}}]}]",
			[]string{fmt.Sprintf(ownValue, "VAULT_ADDR", "login-address")},
		},
		"another address, and the same behind it, which counts": {
			nil, "containers: [{name: app, env: [{name: VAULT_ADDR, value: x}, {name: VAULT_ADDR, " +
				"value: 'https://vault.example.com:8200'}]}]", nil,
		},
		"another file": {
			nil, "containers: [{name: app, env: [{name: VAULT_TOKEN_FILE, value: x}]}]",
			[]string{fmt.Sprintf(ownValue, "VAULT_TOKEN_FILE", "login")},
		},
		"another namespace": {
			keys{"login-namespace": "a$b"},
			"containers: [{name: app, env: [{name: VAULT_NAMESPACE, value: x}]}]",
			[]string{fmt.Sprintf(ownValue, "VAULT_NAMESPACE", "login-namespace")},
		},
		"the same namespace": {
			keys{"login-namespace": "a$b"},
			"containers: [{name: app, env: [{name: VAULT_NAMESPACE, value: a$$b}]}]",
			nil,
		},
		"another ConfigMap": {
			keys{"login-ca-configmap": "a"},
			"containers: [{name: app, env: [{name: VAULT_CACERT, value: x}]}]",
			[]string{fmt.Sprintf(ownValue, "VAULT_CACERT", "login-ca-configmap")},
		},
		"another Secret": {
			keys{"login-ca-secret": "a"},
			"containers: [{name: app, env: [{name: VAULT_CACERT, value: x}]}]",
			[]string{fmt.Sprintf(ownValue, "VAULT_CACERT", "login-ca-secret")},
		},
		"two logins with one Vault": {
			keys{"login.x": "vault", "login-address.x": "https://vault.example.com:8200", "login-role.x": "x"}, app, nil,
		},
		"two logins with two Vaults": {
			keys{"login.x": "vault", "login-address.x": "https://x"},
			app,
			[]string{`container "app" logs in to Vault in several ways: its VAULT_ADDR and the like are those of login "default", not of ` +
				`login "x"`},
		},
		"two logins with two namespaces": {
			keys{"login.x": "vault", "login-address.x": "https://vault.example.com:8200", "login-namespace.x": "x"},
			app,
			[]string{`container "app" logs in to Vault in several ways: its VAULT_ADDR and the like are those of login "default", not of ` +
				`login "x"`},
		},
		"two logins with two authorities": {
			keys{"login-ca-secret": "a", "login.x": "vault", "login-address.x": "https://vault.example.com:8200", "login-ca-secret.x": "b"},
			app,
			[]string{`container "app" logs in to Vault in several ways: its VAULT_ADDR and the like are those of login "default", not of ` +
				`login "x"`},
		},
		"two logins, one with an authority": {
			keys{"login.x": "vault", "login-address.x": "https://vault.example.com:8200", "login-ca-secret.x": "b"},
			app,
			[]string{`container "app" logs in to Vault in several ways: its VAULT_ADDR and the like are those of login "default", not of ` +
				`login "x"`},
		},
		"two logins with Vault, of two containers": {
			keys{"containers": "app", "login.x": "vault", "login-address.x": "https://x", "containers.x": "b"},
			"containers: [{name: app}, {name: b}]", nil,
		},
		"inside a ConfigMap": {
			keys{"login-mount-path": "/c/d"},
			"volumes: [{name: a, configMap: {name: a}}]\ncontainers: [{name: app, volumeMounts: [{name: a, mountPath: /c}]}]", nil,
		},
		"inside a read-only volume": {
			keys{"login-mount-path": "/c/d"},
			"volumes: [{name: a, emptyDir: {}}]\ncontainers: [{name: app, volumeMounts: [{name: a, mountPath: /c, readOnly: true}]}]",
			[]string{`container "app": /c/d of the result of login "default" lies inside volume "a", which is mounted read-only at /c: ` +
				`the container cannot start unless the volume has that directory; choose another oidc-injector.io/login-mount-path`},
		},
		// The login container cannot read the token either.
		"a mode that shuts the login out": {
			keys{"file-mode": "0400"},
			"containers: [{name: app, securityContext: {runAsUser: 0}}, {name: b}]",
			[]string{
				`container "b" may not be able to read /var/run/secrets/tokens: it runs as the user of its image, and the file has mode ` +
					`0400, user 0 and group 0; set fsGroup or oidc-injector.io/file-mode`,
				`container "oidc-login" may not be able to read /var/run/secrets/tokens: it runs as the user of its image, and the file ` +
					`has mode 0400, user 0 and group 0; set fsGroup or oidc-injector.io/file-mode`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := create(t, vaultKeys.and(test.keys).pod(t, test.spec))
			expect(t, "errors", nil, got.Errors)
			expect(t, "warnings", test.warnings, got.Warnings)
			expectSettled(t, got)
		})
	}
}

// TestVaultClientVariables shows which of them come together.
func TestVaultClientVariables(t *testing.T) {
	t.Parallel()
	const address = "https://vault.example.com:8200"
	all := keys{"login-namespace": "team", "login-ca-secret": "ca"}
	for name, test := range map[string]struct {
		keys keys
		env  string
		want map[string]string
	}{
		"the address": {nil, "[]", map[string]string{"VAULT_TOKEN_FILE": "/var/run/secrets/login/token", "VAULT_ADDR": address}},
		"all of them": {all, "null", map[string]string{
			"VAULT_TOKEN_FILE": "/var/run/secrets/login/token", "VAULT_ADDR": address,
			"VAULT_NAMESPACE": "team", "VAULT_CACERT": "/var/run/secrets/login/ca.crt",
		}},
		"another Vault": {
			all, "[{name: VAULT_ADDR, value: x}]",
			map[string]string{"VAULT_TOKEN_FILE": "/var/run/secrets/login/token", "VAULT_ADDR": "x"},
		},
		"the same Vault": {
			all, "[{name: VAULT_ADDR, value: '" + address + "'}]",
			map[string]string{
				"VAULT_TOKEN_FILE": "/var/run/secrets/login/token", "VAULT_ADDR": address, "VAULT_NAMESPACE": "team",
				"VAULT_CACERT": "/var/run/secrets/login/ca.crt",
			},
		},
		"other names": {
			keys{"login-env": "T", "login-file": "t", "login-mount-path": "/l"},
			"[]",
			map[string]string{"T": "/l/t", "VAULT_ADDR": address},
		},
		"OAuth has none": {
			keys{"login": "jwt-bearer", "login-ca-secret": "ca"},
			"[]",
			map[string]string{"ACCESS_TOKEN_FILE": "/var/run/secrets/login/token"},
		},
		"the first Vault": {
			all.and(keys{"login.x": "vault", "login-address.x": "https://x", "login-namespace.x": "x"}), "[]",
			map[string]string{
				"VAULT_TOKEN_FILE": "/var/run/secrets/login/token", "VAULT_TOKEN_FILE_X": "/var/run/secrets/login-x/token",
				"VAULT_ADDR": address, "VAULT_NAMESPACE": "team", "VAULT_CACERT": "/var/run/secrets/login/ca.crt",
			},
		},
		"of no mixture": {
			keys{"login.x": "vault", "login-address.x": "https://x", "login-namespace.x": "x", "login-ca-secret.x": "ca"},
			"[]",
			map[string]string{
				"VAULT_TOKEN_FILE":   "/var/run/secrets/login/token",
				"VAULT_TOKEN_FILE_X": "/var/run/secrets/login-x/token", "VAULT_ADDR": address,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := create(t, vaultKeys.and(test.keys).pod(t, "containers: [{name: app, env: "+test.env+"}]"))
			expect(t, "errors", nil, got.Errors)
			if diff := cmp.Diff(test.want, envOf(find(t, typed(t, got.Pod), "app"))); diff != "" {
				t.Errorf("variables (-want +got):\n%s", diff)
			}
			expectSettled(t, got)
		})
	}
}

// TestCertificateAuthorities shows where a login container has them from.
func TestCertificateAuthorities(t *testing.T) {
	t.Parallel()
	with := options
	with.Login.CABundle = "PEM $(A)\n"
	for name, test := range map[string]struct {
		keys    keys
		options mutate.Options
		want    map[string]string
		volume  string
	}{
		"none": {nil, options, map[string]string{}, ""},
		"the configuration's": {
			nil, with, map[string]string{
				"OIDC_LOGIN_CA_BUNDLE":      "PEM $$(A)\n",
				"OIDC_LOGIN_CA_OUTPUT_FILE": "/var/run/secrets/login/ca.crt",
			}, "",
		},
		"a ConfigMap": {
			keys{"login-ca-configmap": "ca/a.pem"},
			with,
			map[string]string{
				"OIDC_LOGIN_CA_FILE":        "/var/run/oidc-login/ca/ca.crt",
				"OIDC_LOGIN_CA_OUTPUT_FILE": "/var/run/secrets/login/ca.crt",
			},
			`{"name":"oidc-login-ca","configMap":{"name":"ca","items":[{"key":"a.pem","path":"ca.crt"}]}}`,
		},
		"a Secret": {
			keys{"login-ca-secret": "ca"},
			options,
			map[string]string{
				"OIDC_LOGIN_CA_FILE":        "/var/run/oidc-login/ca/ca.crt",
				"OIDC_LOGIN_CA_OUTPUT_FILE": "/var/run/secrets/login/ca.crt",
			},
			`{"name":"oidc-login-ca","secret":{"secretName":"ca","items":[{"key":"ca.crt","path":"ca.crt"}]}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := createWith(t, vaultKeys.and(test.keys).pod(t, "containers: [{name: app}]"), test.options)
			expect(t, "errors", nil, got.Errors)
			pod := typed(t, got.Pod)
			c := find(t, pod, "oidc-login")
			authorities := map[string]string{}
			for name, value := range envOf(c) {
				if strings.HasPrefix(name, "OIDC_LOGIN_CA_") {
					authorities[name] = value
				}
			}
			if diff := cmp.Diff(test.want, authorities); diff != "" {
				t.Errorf("variables (-want +got):\n%s", diff)
			}
			if has := envOf(find(t, pod, "app"))["VAULT_CACERT"]; has != test.want["OIDC_LOGIN_CA_OUTPUT_FILE"] {
				t.Errorf("the workload's VAULT_CACERT is %q", has)
			}
			var volume []byte
			for i := range pod.Spec.Volumes {
				if pod.Spec.Volumes[i].Name == "oidc-login-ca" {
					volume, _ = json.Marshal(&pod.Spec.Volumes[i])
				}
			}
			expect(t, "volume", []string{test.volume}, []string{string(volume)})
			isMounted := slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
				return m.Name == "oidc-login-ca" && m.MountPath == "/var/run/oidc-login/ca" && m.ReadOnly
			})
			if isMounted != (test.volume != "") {
				t.Errorf("mounts %v", c.VolumeMounts)
			}
		})
	}
}

func TestLoginWithoutImage(t *testing.T) {
	t.Parallel()
	got := createWith(t, vaultKeys.and(keys{"profile.x": "vault-login"}).pod(t, "containers: [{name: app}]"),
		mutate.Options{Prefix: annotations.DefaultPrefix})
	const text = "the injector's configuration names no image for logins (login.image)"
	expect(t, "errors", []string{
		"metadata.annotations[oidc-injector.io/login]: Forbidden: " + text,
		"metadata.annotations[oidc-injector.io/profile.x]: Forbidden: " + text,
	}, got.Errors)
	// A container that somebody wrote needs none.
	got = createWith(t, vaultKeys.pod(t, loginPod("restartPolicy: Always, env: ["+loginVariable+", "+loginMode+"], "+loginMounts)),
		mutate.Options{Prefix: annotations.DefaultPrefix})
	expect(t, "errors about a container that is there", nil, got.Errors)
	got = createWith(t, vaultKeys.and(keys{"containers": "b"}).pod(t, "containers: [{name: app}]"),
		mutate.Options{Prefix: annotations.DefaultPrefix})
	expect(t, "errors about a login that nobody reads", nil, got.Errors)
}

// TestFirstLoginListens since the containers of a pod share its address.
func TestFirstLoginListens(t *testing.T) {
	t.Parallel()
	o := options
	o.Login.Env = []corev1.EnvVar{{Name: "OIDC_LOGIN_LISTEN_ADDRESS", Value: ":8080"}, {Name: "HTTPS_PROXY", Value: "http://proxy"}}
	k := vaultKeys.and(keys{
		"containers": "missing", "login.x": "vault", "login-address.x": "https://x", "login.y": "vault", "login-address.y": "https://x",
	})
	pod := typed(t, createWith(t, k.pod(t, "containers: [{name: app}]"), o).Pod)
	for name, want := range map[string]string{"oidc-login-x": ":8080", "oidc-login-y": ""} {
		env := envOf(find(t, pod, name))
		if env["OIDC_LOGIN_LISTEN_ADDRESS"] != want || env["HTTPS_PROXY"] == "" {
			t.Errorf("container %s has %v", name, env)
		}
		if ports := find(t, pod, name).Ports; (len(ports) == 1 && ports[0].Name == "oidc-login" &&
			ports[0].ContainerPort == 8080) != (want != "") {
			t.Errorf("container %s has ports %v", name, ports)
		}
	}
	// The node's address is everybody's.
	pod = typed(t, createWith(t, k.pod(t, "hostNetwork: true\ncontainers: [{name: app}]"), o).Pod)
	if c := find(t, pod, "oidc-login-x"); envOf(c)["OIDC_LOGIN_LISTEN_ADDRESS"] != "" || len(c.Ports) > 0 {
		t.Errorf("with the node's address the container has %v, %v", c.Env, c.Ports)
	}
}

// TestLoginReinvoked has pods to which another webhook
// added the container "late" after our first call.
func TestLoginReinvoked(t *testing.T) {
	t.Parallel()
	const shutOut = `container "late" may not be able to read /var/run/secrets/login/token: it runs %s, and container "oidc-login", ` +
		`which was made for others, ` +
		`writes the file with mode %s; leave it out with oidc-injector.io/skip-containers, or let all run as one user`
	for name, test := range map[string]struct {
		keys     keys
		first    string
		late     string
		reads    bool
		warnings []string
	}{
		"the same user": {first: "securityContext: {runAsUser: 1}\ncontainers: [{name: app}]", late: "{name: late}", reads: true},
		"nobody's user": {first: "containers: [{name: app}]", late: "{name: late, securityContext: {runAsUser: 5}}", reads: true},
		"another user": {
			first: "securityContext: {runAsUser: 1}\ncontainers: [{name: app}]", late: "{name: late, securityContext: {runAsUser: 2}}",
			reads:    true,
			warnings: []string{fmt.Sprintf(shutOut, "as user 2", "0400")},
		},
		"an unknown user": {
			first: "containers: [{name: app, securityContext: {runAsUser: 1}}]", late: "{name: late}", reads: true,
			warnings: []string{fmt.Sprintf(shutOut, "as the user of its image", "0400")},
		},
		"root": {
			first: "securityContext: {runAsUser: 1}\ncontainers: [{name: app}]", late: "{name: late, securityContext: {runAsUser: 0}}",
			reads: true,
		},
		"a group": {
			first: "containers: [{name: app, securityContext: {runAsGroup: 5}}]", late: "{name: late, securityContext: {runAsGroup: 5}}",
			reads: true,
		},
		"another group": {
			first: "containers: [{name: app, securityContext: {runAsGroup: 5}}]", late: "{name: late, securityContext: {runAsGroup: 6}}",
			reads:    true,
			warnings: []string{fmt.Sprintf(shutOut, "as the user of its image", "0440")},
		},
		"the pod's group": {first: "securityContext: {runAsGroup: 5}\ncontainers: [{name: app}]", late: "{name: late}", reads: true},
		"fsGroup": {
			first: "securityContext: {fsGroup: 5}\ncontainers: [{name: app}]",
			late:  "{name: late, securityContext: {runAsUser: 2}}", reads: true,
		},
		"out of scope": {
			keys: keys{"skip-containers": "late"}, first: "securityContext: {runAsUser: 1}\ncontainers: [{name: app}]",
			late: "{name: late, securityContext: {runAsUser: 2}}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := create(t, vaultKeys.and(test.keys).pod(t, test.first))
			added := apply(t, first.Pod, json.RawMessage(`[{"op":"add","path":"/spec/containers/-","value":`+yamlToJSON(t, test.late)+`}]`))
			second := create(t, added)
			expect(t, "errors", nil, second.Errors)
			expect(t, "warnings", test.warnings, second.Warnings)
			before, after := typed(t, first.Pod), typed(t, second.Pod)
			if diff := cmp.Diff(before.Spec.InitContainers, after.Spec.InitContainers); diff != "" {
				t.Errorf("init containers (-first +second):\n%s", diff)
			}
			late := find(t, after, "late")
			result := func(m corev1.VolumeMount) bool {
				return m.Name == "oidc-login" && m.ReadOnly && m.MountPath == "/var/run/secrets/login"
			}
			if slices.ContainsFunc(late.VolumeMounts, result) != test.reads {
				t.Errorf("mounts of the new container: %v", late.VolumeMounts)
			}
			expectSettled(t, second)
		})
	}
}

func TestResultNamesLogins(t *testing.T) {
	t.Parallel()
	k := vaultKeys.and(keys{
		"containers": "app", "login.x": "vault", "login-address.x": "https://x", "containers.x": "worker",
		"login.y": "vault", "login-address.y": "https://x", "containers.y": "missing",
	})
	got := create(t, k.pod(t, "containers: [{name: worker}, {name: app}, {name: other}]"))
	expect(t, "logins", []string{"default", "x"}, got.result.Logins)
	expect(t, "containers", []string{"worker", "app"}, got.result.Containers)
	expect(t, "init containers", []string{"oidc-login", "oidc-login-x"}, namesOf(typed(t, got.Pod).Spec.InitContainers))
}

func namesOf(containers []corev1.Container) []string {
	names := make([]string, 0, len(containers))
	for i := range containers {
		names = append(names, containers[i].Name)
	}
	return names
}

// TestDebugContainersAndLogins has a running pod, injected by an earlier call, to
// which kubectl debug adds the container "dbg".
func TestDebugContainersAndLogins(t *testing.T) {
	t.Parallel()
	const (
		mountIt  = "/spec/ephemeralContainers/0/volumeMounts"
		setIt    = "/spec/ephemeralContainers/0/env"
		noResult = `debug container "dbg" gets no result of login "default": the pod was created without a volume for it, and the ` +
			`volumes of a running pod cannot change`
	)
	// A release may give what it injects other names; the running pods keep theirs.
	renamed := func(pod string) string { return strings.ReplaceAll(pod, `"name":"oidc-`, `"name":"other-`) }
	for name, test := range map[string]struct {
		keys     keys
		spec     string
		added    string
		change   func(string) string
		paths    []string
		logins   []string
		warnings []string
	}{
		"no target": {
			spec: "containers: [{name: app}]", added: "{name: dbg}",
			paths: []string{mountIt, mountIt + "/-", setIt, setIt + "/-"}, logins: []string{"default"},
		},
		"a target": {
			keys: keys{"containers": "app", "audience.x": "x", "containers.x": "worker"}, spec: "containers: [{name: app}, {name: worker}]",
			added: "{name: dbg, targetContainerName: app}", paths: []string{mountIt, mountIt + "/-", setIt, setIt + "/-"},
			logins: []string{"default"},
		},
		"a target that reads nothing": {
			keys: keys{"containers": "app", "audience.x": "x", "containers.x": "worker"}, spec: "containers: [{name: app}, {name: worker}]",
			added: "{name: dbg, targetContainerName: worker}", paths: []string{mountIt},
		},
		// It sees what that sees, which is no more than its own token and result.
		"the login container for a target": {
			keys:  keys{"audience.x": "x", "env.x": "X", "login.x": "vault", "login-address.x": "https://vault.example.com:8200"},
			spec:  "containers: [{name: app}]",
			added: "{name: dbg, targetContainerName: oidc-login-x}", paths: []string{mountIt, mountIt + "/-"}, logins: []string{"x"},
		},
		"its own name": {
			keys: keys{
				"containers": "app", "login.x": "vault", "login-address.x": "https://vault.example.com:8200",
				"containers.x": "app,dbg",
			}, spec: "containers: [{name: app}, {name: worker}]",
			added: "{name: dbg, targetContainerName: worker}", paths: []string{mountIt, setIt, setIt + "/-"}, logins: []string{"x"},
		},
		"everything is there": {
			spec: "containers: [{name: app}]",
			added: "{name: dbg, volumeMounts: [" + tokenMount + ", " + resultMount + "], env: [" +
				"{name: VAULT_TOKEN_FILE, value: /var/run/secrets/login/token}, {name: VAULT_ADDR, " +
				"value: 'https://vault.example.com:8200'}]}", logins: []string{"default"},
		},
		"the names of another release": {
			spec: "containers: [{name: app}]", added: "{name: dbg}",
			change: renamed,
			paths:  []string{mountIt, mountIt + "/-", setIt, setIt + "/-"}, logins: []string{"default"},
		},
		"a login container with the name of another release for a target": {
			keys: keys{"audience.x": "x", "env.x": "X", "login.x": "vault", "login-address.x": "https://vault.example.com:8200"},
			spec: "containers: [{name: app}]", added: "{name: dbg, targetContainerName: other-login-x}", change: renamed,
			paths: []string{mountIt, mountIt + "/-"}, logins: []string{"x"},
		},
		"the volume's name of another release": {
			spec: "containers: [{name: app}]", added: "{name: dbg}",
			change: strings.NewReplacer(`"name":"oidc-login","image"`, `"name":"oidc-login","image"`,
				`"name":"oidc-login"`, `"name":"other"`).Replace,
			paths: []string{mountIt, mountIt + "/-", setIt, setIt + "/-"}, logins: []string{"default"},
		},
		"the names of another release, and a volume of another kind": {
			spec: "containers: [{name: app}]", added: "{name: dbg}",
			change: func(s string) string { return strings.ReplaceAll(renamed(s), `"Memory"`, `""`) },
			paths:  []string{mountIt}, warnings: []string{noResult},
		},
		"the names of another release, and no volume": {
			spec: "containers: [{name: app}]", added: "{name: dbg}",
			change: func(s string) string {
				return strings.ReplaceAll(renamed(s), `"/var/run/secrets/login"`, `"/elsewhere"`)
			},
			paths: []string{mountIt}, warnings: []string{noResult},
		},
		"no login": {
			spec: "containers: [{name: app}]", added: "{name: dbg}",
			change: func(s string) string { return strings.ReplaceAll(renamed(s), "OUTPUT_FILE", "OUTPUT") },
			paths:  []string{mountIt}, warnings: []string{noResult},
		},
		"a volume of another kind": {
			spec: "containers: [{name: app}]", added: "{name: dbg}",
			change: func(s string) string { return strings.ReplaceAll(s, `"Memory"`, `""`) },
			paths:  []string{mountIt}, warnings: []string{noResult},
		},
		"no token either": {
			spec: "containers: [{name: app}]", added: "{name: dbg}",
			change: func(s string) string { return strings.ReplaceAll(s, `"audience":"vault"`, `"audience":"other"`) },
			warnings: []string{`debug container "dbg" gets no token: the pod was created without a volume for it, and the volumes of a ` +
				`running pod cannot change`},
		},
		"a user who may not read": {
			spec:  "containers: [{name: app, securityContext: {runAsUser: 1}}, {name: b, securityContext: {runAsUser: 2}}]",
			keys:  keys{"containers": "app"},
			added: "{name: dbg, targetContainerName: app, securityContext: {runAsUser: 3}}",
			paths: []string{mountIt, mountIt + "/-", setIt, setIt + "/-"}, logins: []string{"default"},
			warnings: []string{`container "dbg" may not be able to read /var/run/secrets/login/token: it runs as user 3, and container ` +
				`"oidc-login", which was made for others, ` +
				`writes the file with mode 0400; leave it out with oidc-injector.io/skip-containers, or let all run as one user`},
		},
		"the login container is gone": {
			spec: "containers: [{name: app}]", added: "{name: dbg, targetContainerName: app}",
			change: func(s string) string { return strings.ReplaceAll(s, `"initContainers"`, `"x"`) },
			paths:  []string{mountIt, mountIt + "/-", setIt, setIt + "/-"}, logins: []string{"default"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			running := string(create(t, vaultKeys.and(test.keys).pod(t, test.spec)).Pod)
			if test.change != nil {
				running = test.change(running)
			}
			raw := apply(t, []byte(running), json.RawMessage(`[{"op":"add","path":"/spec/ephemeralContainers","value":[`+
				yamlToJSON(t, test.added)+`]}]`))
			got := debug(t, raw, []byte(running))
			expect(t, "errors", nil, got.Errors)
			expect(t, "warnings", test.warnings, got.Warnings)
			expect(t, "paths that change", test.paths, paths(got))
			expect(t, "logins", test.logins, got.result.Logins)
			expect(t, "paths that change by a second call", nil, paths(debug(t, got.Pod, []byte(running))))
		})
	}
}

// TestHostilePodWithLogins has as many of everything as there can be.
// TestHostilePodWithLogins asks for more than any pod could hold.
func TestHostilePodWithLogins(t *testing.T) {
	t.Parallel()
	k := keys{}
	for i := range annotations.MaxTokens {
		k[fmt.Sprintf("audience.t%02d", i)] = "vault"
		k[fmt.Sprintf("mount-path.t%02d", i)] = fmt.Sprintf("/t/%d", i)
		k[fmt.Sprintf("env.t%02d", i)] = fmt.Sprintf("T%d", i)
	}
	for i := range annotations.MaxLogins {
		k[fmt.Sprintf("login.t%02d", i)] = "vault"
		k[fmt.Sprintf("login-address.t%02d", i)] = "https://" + strings.Repeat(fmt.Sprintf("v%d.", i), 300) + "example.com"
		k[fmt.Sprintf("login-role.t%02d", i)] = strings.Repeat("r", 1024)
		k[fmt.Sprintf("login-ca-secret.t%02d", i)] = strings.Repeat("c", 253)
	}
	var containers strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&containers, "{name: c%d},", i)
	}
	got := create(t, k.pod(t, "containers: ["+containers.String()+"]"))
	expect(t, "errors", []string{"metadata.annotations: Too many: 82050: oidc-injector.io/* ask for 82050 changes with 10234738 bytes, " +
		"and a pod can take 10000 with 1572864 bytes: ask for fewer tokens, or for fewer containers with oidc-injector.io/containers"},
		got.Errors)
}

// TestLargestPatch has as many operations as are written for one pod.
func TestLargestPatch(t *testing.T) {
	t.Parallel()
	k := keys{}
	for i := range 9 {
		k[fmt.Sprintf("audience.t%d", i)] = "vault"
	}
	var containers strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&containers, "{name: c%d},", i)
	}
	got := create(t, k.pod(t, "containers: ["+containers.String()+"]"))
	expect(t, "errors", nil, got.Errors)
	if n, size := len(got.result.Operations), len(got.Patch); n != 9*1000+9+1 || size > 3<<19 {
		t.Errorf("%d operations with %d bytes", n, size)
	}
}

func TestTooManyOperations(t *testing.T) {
	t.Parallel()
	k := keys{}
	for i := range 11 {
		k[fmt.Sprintf("audience.t%d", i)] = "vault"
	}
	var containers strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&containers, "{name: c%d},", i)
	}
	got := create(t, k.pod(t, "containers: ["+containers.String()+"]"))
	if text := fmt.Sprint(got.Errors); len(got.Errors) != 1 || !strings.Contains(text, "ask for 11012 changes with 14") {
		t.Errorf("fewer bytes than a patch may have, and too many operations: %s", text)
	}
}
