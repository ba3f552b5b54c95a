package mutate_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/mutate"
	"github.com/oidc-injector/oidc-injector/internal/mutate/mutatetest"
	"github.com/oidc-injector/oidc-injector/internal/nameset"
)

// meshPod has the containers that Istio's and Linkerd's injectors add, each with a
// token of its own at our default path.
const meshPod = `
volumes:
- {name: istio-token, projected: {sources: [{serviceAccountToken: {audience: istio-ca, expirationSeconds: 43200, path: istio-token}}]}}
- {name: linkerd-identity-token, projected: {sources: [{serviceAccountToken: {audience: identity.l5d.io, path: linkerd-identity-token}}]}}
initContainers:
- {name: istio-init}
- {name: linkerd-init}
containers:
- {name: app}
- {name: istio-proxy, volumeMounts: [{name: istio-token, mountPath: /var/run/secrets/tokens}]}
- {name: linkerd-proxy, volumeMounts: [{name: linkerd-identity-token, mountPath: /var/run/secrets/tokens}]}
`

// TestHeldPaths has containers that use our path for something else.
func TestHeldPaths(t *testing.T) {
	t.Parallel()
	mesh := options
	mesh.InjectedContainers = nameset.New([]string{"istio-*", "linkerd-proxy", "linkerd-init"})
	left := func(container, volume string) string {
		return fmt.Sprintf(`container %q is left without token "default": it already mounts volume %q at /var/run/secrets/tokens; `+
			"if that is right, name it in oidc-injector.io/skip-containers, and if not, in oidc-injector.io/containers", container, volume)
	}
	held := func(index int, container, volume string) string {
		return fmt.Sprintf(`spec.containers[%d].volumeMounts[0].mountPath: Invalid value: "/var/run/secrets/tokens": container %q `+
			`already mounts volume %q here`,
			index, container, volume) + heldSuffix
	}
	for name, test := range map[string]struct {
		options    mutate.Options
		keys       keys
		containers []string
		warnings   []string
		errs       []string
	}{
		"proxies that are known get nothing": {options: mesh, containers: []string{"app"}},
		"proxies that are not known are left out": {
			options: options, containers: []string{"istio-init", "linkerd-init", "app"},
			warnings: []string{left("istio-proxy", "istio-token"), left("linkerd-proxy", "linkerd-identity-token")},
		},
		"a proxy that is named is an error": {
			options: mesh, keys: keys{"containers": "app,istio-proxy"}, errs: []string{held(1, "istio-proxy", "istio-token")},
		},
		"a known container that is named gets the token": {
			options: mesh, keys: keys{"containers": "istio-init"}, containers: []string{"istio-init"},
		},
		"a known container need not be skipped": {options: mesh, keys: keys{"skip-containers": "istio-proxy"}, containers: []string{"app"}},
		"a known container that comes later": {
			options: mesh, keys: keys{"skip-containers": "istio-validation"},
			containers: []string{"app"},
		},
		"nobody would get the token": {
			options: options, keys: keys{"skip-containers": "app,istio-init,linkerd-init"},
			errs: []string{held(1, "istio-proxy", "istio-token"), held(2, "linkerd-proxy", "linkerd-identity-token")},
		},
		"nobody but known containers": {
			options: mesh, keys: keys{"skip-containers": "app"}, warnings: []string{`no container of the pod gets token "default"`},
		},
		"another path is free": {
			options: options, keys: keys{"mount-path": "/run/vault"},
			containers: []string{"istio-init", "linkerd-init", "app", "istio-proxy", "linkerd-proxy"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := createWith(t, keys{"audience": "vault"}.and(test.keys).pod(t, meshPod), test.options)
			expect(t, "errors", test.errs, got.Errors)
			expect(t, "warnings", test.warnings, got.Warnings)
			expect(t, "containers", test.containers, got.result.Containers)
		})
	}
}

// TestMountPoints has what lies in our directory, and what it lies in.
func TestMountPoints(t *testing.T) {
	t.Parallel()
	const inner = `container "app" mounts volume "v" inside /var/run/secrets/tokens, which annotation oidc-injector.io/audience makes a ` +
		`read-only ` +
		`directory: the container could not start`
	pod := func(volume, mount string) string {
		return "volumes: [{name: v, " + volume + "}]\ncontainers: [{name: app, " + mount + "}]"
	}
	mount := func(path, more string) string { return "volumeMounts: [{name: v, mountPath: " + path + more + "}]" }
	for name, test := range map[string]struct {
		spec     string
		keys     keys
		warnings []string
		errs     []string
	}{
		"a Secret inside":    {spec: pod("secret: {secretName: a}", mount("/var/run/secrets/tokens/a", ""))},
		"an emptyDir inside": {spec: pod("emptyDir: {}", mount("/var/run/secrets/tokens/a/b", ""))},
		"a part of a volume inside": {
			spec: pod("emptyDir: {}", mount("/var/run/secrets/tokens/a", ", subPath: x")),
			errs: []string{at(0, "/var/run/secrets/tokens/a") + inner},
		},
		"a Secret over the file": {
			spec: pod("secret: {secretName: a}", mount("/var/run/secrets/tokens/oidc-token", "")),
			errs: []string{at(0, "/var/run/secrets/tokens/oidc-token") +
				`container "app" mounts volume "v" over the file of token "default", which nobody could read then: choose another path, ` +
				`or another oidc-injector.io/token-file`},
		},
		"the termination message, around": {
			spec: pod("emptyDir: {}", "terminationMessagePath: /var/run/secrets"),
			errs: []string{termination("/var/run/secrets")},
		},
		"a second token inside": {
			spec: pod("emptyDir: {}", "ports: []"),
			keys: keys{"audience.b": "b", "mount-path.b": "/var/run/secrets/tokens/b"},
		},
		"a token around": {
			spec: pod("emptyDir: {}", "ports: []"),
			keys: keys{"mount-path": "/t/a", "audience.b": "b", "mount-path.b": "/t"},
		},
		"a writable directory around": {spec: pod("emptyDir: {}", mount("/var/run", ""))},
		"a Secret inside, by the other name": {
			spec: pod("secret: {secretName: a}", mount("/run/secrets/tokens/a", "")),
			warnings: []string{`container "app" mounts volume "v" at /run/secrets/tokens/a, which lies in /var/run/secrets/tokens where ` +
				`/var/run is a link to /run: the container may not start, or not find what is there; write both paths the same way`},
		},
		"a Secret around, by the other name": {
			spec: pod("secret: {secretName: a}", mount("/run/secrets", "")),
			warnings: []string{`container "app": /var/run/secrets/tokens of token "default" lies in volume "v" at /run/secrets where ` +
				`/var/run is a link to /run: the container may not start; write both paths the same way`},
		},
		"a Secret there, by the other name": {
			spec: pod("secret: {secretName: a}", mount("/run/secrets/tokens", "")),
			errs: []string{at(0, "/run/secrets/tokens") + `container "app" already mounts volume "v" here` + heldSuffix},
		},
		"another directory, alike": {spec: pod("secret: {secretName: a}", mount("/run/secrets/tokens-a", ""))},
		"Windows knows no links": {spec: "os: {name: windows}\n" +
			pod("secret: {secretName: a}", mount("/run/secrets/tokens", ""))},
		"the termination message, elsewhere": {spec: pod("emptyDir: {}", "terminationMessagePath: /dev/termination-log")},
		"the termination message, there": {
			spec: pod("emptyDir: {}", "terminationMessagePath: /run/secrets/tokens"),
			errs: []string{termination("/run/secrets/tokens")},
		},
		"the termination message, inside": {
			spec: pod("emptyDir: {}", "terminationMessagePath: /var/run/secrets/tokens/log"),
			errs: []string{termination("/var/run/secrets/tokens/log")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := create(t, keys{"audience": "vault"}.and(test.keys).pod(t, test.spec))
			expect(t, "errors", test.errs, got.Errors)
			expect(t, "warnings", test.warnings, got.Warnings)
			if len(got.Errors) == 0 {
				expectSettled(t, got)
			}
		})
	}
}

func at(mount int, path string) string {
	return fmt.Sprintf("spec.containers[0].volumeMounts[%d].mountPath: Invalid value: %q: ", mount, path)
}

func termination(path string) string {
	return fmt.Sprintf("spec.containers[0].terminationMessagePath: Invalid value: %q: is a file that cannot lie in "+
		"/var/run/secrets/tokens, "+
		`which annotation oidc-injector.io/audience makes a read-only directory, nor around it: container "app" could not start`, path)
}

// TestWindowsPods are those that only Windows nodes can run, however they say it.
func TestWindowsPods(t *testing.T) {
	t.Parallel()
	affinity := func(terms string) string {
		return "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [" + terms + "]}}}\n"
	}
	term := func(operator, values string) string {
		return "{matchExpressions: [{key: kubernetes.io/arch, operator: In, values: [amd64]}, {key: kubernetes.io/os, operator: " +
			operator + ", values: [" + values + "]}]}"
	}
	for name, test := range map[string]struct {
		spec    string
		windows bool
	}{
		"spec.os":                          {"os: {name: windows}\n", true},
		"the node selector":                {"nodeSelector: {a: b, kubernetes.io/os: windows}\n", true},
		"the node selector, beta":          {"nodeSelector: {beta.kubernetes.io/os: windows}\n", true},
		"the node selector, another label": {"nodeSelector: {example.com/os: windows}\n", false},
		"a host process":                   {"securityContext: {windowsOptions: {hostProcess: true}}\n", true},
		"no host process":                  {"securityContext: {windowsOptions: {hostProcess: false}}\n", false},
		"affinity":                         {affinity(term("In", "windows")), true},
		"affinity in each alternative":     {affinity(term("In", "windows") + "," + term("NotIn", "linux")), true},
		"affinity in one of two":           {affinity(term("In", "windows") + ",{matchExpressions: [{key: a, operator: Exists}]}"), false},
		"affinity beside a field": {affinity(term("In", "windows") +
			",{matchFields: [{key: metadata.name, operator: In, values: [a]}]}"), false},
		"affinity beside what matches none": {affinity(term("In", "windows") + ",{matchExpressions: []},{}"), true},
		"affinity to both":                  {affinity(term("In", "windows, linux")), false},
		"affinity against Windows":          {affinity(term("NotIn", "windows")), false},
		"affinity by existence":             {affinity(term("Exists", "")), false},
		"affinity without terms":            {affinity(""), false},
		"affinity that is only preferred": {"affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, " +
			"preference: " + term("In", "windows") + "}]}}\n", false},
		"spec.os counts more than the rest": {"os: {name: linux}\nnodeSelector: {kubernetes.io/os: windows}\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := parse(t, keys{}.pod(t, test.spec+"containers: [{name: app}]"))
			if got := pod.OS == "windows"; got != test.windows {
				t.Errorf("OS %q", pod.OS)
			}
		})
	}
	pod := parse(t, keys{}.pod(t, "containers: [{name: app}, {name: host, securityContext: {windowsOptions: {hostProcess: true}}}]"))
	if pod.OS != "windows" {
		t.Errorf("OS %q of a pod whose container is a host process", pod.OS)
	}
}

// TestQualityOfService wants a login to leave the pod's class as it is.
func TestQualityOfService(t *testing.T) {
	t.Parallel()
	const (
		guaranteed = "resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {cpu: '0.5', memory: 1024Mi}}"
		limitsOnly = "resources: {limits: {cpu: 2, memory: 1Gi}}"
		burstable  = "resources: {requests: {cpu: 100m, memory: 1Gi}, limits: {cpu: 500m, memory: 1Gi}}"
	)
	usual := `{"limits":{"memory":"32Mi"},"requests":{"cpu":"5m","memory":"16Mi"}}`
	equal := `{"limits":{"cpu":"100m","memory":"32Mi"},"requests":{"cpu":"100m","memory":"32Mi"}}`
	for name, test := range map[string]struct{ spec, want string }{
		"best effort":                {"containers: [{name: app}]", usual},
		"burstable":                  {"containers: [{name: app, " + burstable + "}]", usual},
		"guaranteed":                 {"containers: [{name: app, " + guaranteed + "}]", equal},
		"guaranteed by limits alone": {"containers: [{name: app, " + limitsOnly + "}]", equal},
		"guaranteed, init containers, too": {"initContainers: [{name: i, " + guaranteed + "}]\ncontainers: [{name: app, " + guaranteed +
			"}]", equal},
		"one container has no limits": {"initContainers: [{name: i}]\ncontainers: [{name: app, " + guaranteed + "}]", usual},
		"one container is burstable":  {"containers: [{name: app, " + guaranteed + "}, {name: b, " + burstable + "}]", usual},
		"only memory":                 {"containers: [{name: app, resources: {limits: {memory: 1Gi}, requests: {memory: 1Gi}}}]", usual},
		"limits of nothing":           {"containers: [{name: app, resources: {limits: {cpu: 0, memory: 1Gi}}}]", usual},
		"a quantity beyond all measure": {"containers: [{name: app, resources: {limits: {cpu: 1e10000000, memory: 1Gi}, requests: " +
			"{cpu: 1}}}]", usual},
		"more digits than a word holds": {
			"containers: [{name: app, resources: {limits: {cpu: '1234567890123456789', memory: 1Gi}}}]",
			usual,
		},
		"the pod names all":     {"resources: {limits: {cpu: 1, memory: 1Gi}}\ncontainers: [{name: app, " + guaranteed + "}]", `{}`},
		"the pod names memory":  {"resources: {requests: {memory: 1Gi}}\ncontainers: [{name: app}]", `{}`},
		"the pod names nothing": {"resources: {}\ncontainers: [{name: app, " + guaranteed + "}]", equal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := create(t, keys{"audience": "vault", "login": "vault", "login-address": "https://vault.example.com:8200"}.pod(t,
				test.spec))
			expect(t, "errors", nil, got.Errors)
			resources, err := json.Marshal(typed(t, got.Pod).Spec.InitContainers[0].Resources)
			if err != nil || string(resources) != test.want {
				t.Errorf("resources %s, want %s; %v", resources, test.want, err)
			}
			expectSettled(t, got)
		})
	}
}

// TestClientVariables are those by which Vault's clients find it.
func TestClientVariables(t *testing.T) {
	t.Parallel()
	const fromElsewhere = "containers: [{name: app, envFrom: [{configMapRef: {name: vault}}]}]"
	k := keys{"audience": "vault", "login": "vault", "login-address": "https://vault.example.com:8200"}
	for name, test := range map[string]struct {
		keys     keys
		env      []string
		warnings []string
	}{
		"beside envFrom": {
			env: []string{"VAULT_TOKEN_FILE", "VAULT_ADDR"},
			warnings: []string{`container "app" has envFrom: VAULT_ADDR and the like of login "default" win over the variables that come ` +
				`from there; ` +
				`set oidc-injector.io/login-client-env to "false" if they are to stay`},
		},
		"switched off": {keys: keys{"login-client-env": "false"}, env: []string{"VAULT_TOKEN_FILE"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := create(t, k.and(test.keys).pod(t, fromElsewhere))
			expect(t, "errors", nil, got.Errors)
			expect(t, "warnings", test.warnings, got.Warnings)
			expect(t, "variables", test.env, names(typed(t, got.Pod).Spec.Containers[0].Env))
			expectSettled(t, got)
		})
	}
}

func names(env []corev1.EnvVar) []string {
	all := make([]string, 0, len(env))
	for _, e := range env {
		all = append(all, e.Name)
	}
	return all
}

// TestMessagesAreShortened wants texts that fit a terminal, whatever
// the names in a pod are.
func TestMessagesAreShortened(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<16)
	raw := keys{"audience": "vault", "containers": "app", "env": "TOKEN"}.pod(t, `
volumes: [{name: `+long+`, emptyDir: {}}, {name: oidc-token, secret: {secretName: `+long+`}}]
containers:
- {name: app, terminationMessagePath: /run/secrets/tokens/`+long+`, env: [{name: TOKEN, value: `+long+`}], volumeMounts: [{name: `+long+
		`, mountPath: /var/run/secrets/tokens/`+long+`, subPath: x}]}
- {name: b, volumeMounts: [{name: `+long+`, mountPath: /var/run/secrets/tokens}]}
`)
	got := create(t, raw)
	if len(got.Errors) < 4 {
		t.Errorf("only %d errors: %q", len(got.Errors), got.Errors)
	}
	for _, text := range append(got.Errors, got.Warnings...) {
		if len(text) > 1500 {
			t.Errorf("a text of %d bytes: %s…", len(text), text[:200])
		}
	}
}

func TestLongNames(t *testing.T) {
	t.Parallel()
	for n, want := range map[int][]string{63: nil, 64: {"spec.initContainers[0].name: Too long: may not be more than 63 bytes"}} {
		got := create(t, keys{"audience": "vault"}.pod(t, "initContainers: [{name: "+strings.Repeat("x", n)+"}]\ncontainers: "+
			"[{name: app}]"))
		expect(t, "errors", want, got.Errors)
	}
}

// TestDuplicateVariables has a pod that says the right value last,
// and one that says it first.
func TestDuplicateVariables(t *testing.T) {
	t.Parallel()
	const right, wrong = "{name: TOKEN, value: /var/run/secrets/tokens/oidc-token}", "{name: TOKEN, value: x}"
	k := keys{"audience": "vault", "env": "TOKEN"}
	got := create(t, k.pod(t, "containers: [{name: app, env: ["+wrong+", "+right+"]}]"))
	expect(t, "errors", nil, got.Errors)
	got = create(t, k.pod(t, "containers: [{name: app, env: ["+right+", "+wrong+"]}]"))
	if len(got.Errors) != 1 || !strings.Contains(got.Errors[0], "env[1].name") {
		t.Errorf("errors %q", got.Errors)
	}
}

// TestDebuggingAProxy has a debug container that targets one which gets nothing.
func TestDebuggingAProxy(t *testing.T) {
	t.Parallel()
	mesh := options
	mesh.InjectedContainers = nameset.New([]string{"istio-proxy"})
	running := createWith(t, keys{"audience": "vault"}.pod(t, "containers: [{name: app}, {name: istio-proxy}]"), mesh).Pod
	pod := typed(t, running)
	for target, want := range map[string][]string{"app": {"dbg"}, "istio-proxy": nil} {
		pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{
			TargetContainerName: target, EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "dbg"},
		}}
		raw, err := json.Marshal(pod)
		if err != nil {
			t.Fatal(err)
		}
		result, errs := mutate.PatchEphemeral(parse(t, raw), parse(t, running), specOf(pod), mesh)
		expect(t, "errors", nil, texts(errs))
		expect(t, "containers", want, result.Containers)
		if told := len(result.Warnings) == 1 && strings.Contains(result.Warnings[0].Text, "another injector adds"); told != (want == nil) {
			t.Errorf("warnings about target %s: %q", target, result.Warnings)
		}
	}
}

// TestManySourcesAndMounts has as many of both as are read, which is slow if
// each is compared with each.
func TestManySourcesAndMounts(t *testing.T) {
	t.Parallel()
	source := `{"serviceAccountToken":{"path":"oidc-token","audience":"` + strings.Repeat("b", 200) + `"}}`
	raw := []byte(`{"metadata":{"annotations":{"oidc-injector.io/audience":"` + strings.Repeat("b", 199) +
		`c"}},"spec":{"volumes":[{"name":"v","projected":{"sources":[` +
		strings.TrimSuffix(strings.Repeat(source+",", 9900), ",") + `]}}],"containers":[{"name":"app","volumeMounts":[` +
		strings.TrimSuffix(strings.Repeat(`{"name":"v","mountPath":"/run/secrets/tokens"},`, 9900), ",") + `]}]}}`)
	if got := create(t, raw); len(got.Errors) != 1 {
		t.Errorf("errors %q", got.Errors)
	}
}

// TestCheckFindsWhatPatchFinds has pods of all kinds.
func TestCheckFindsWhatPatchFinds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := mutatetest.New(seed)
		raw := r.Encode(r.Pod())
		pod := parse(t, raw)
		spec := specOf(typedOrNothing(raw))
		result, errs := mutate.Patch(pod, spec, options)
		warnings, found := mutate.Check(pod, spec, options)
		if diff := cmp.Diff(texts(errs), texts(found)); diff != "" {
			t.Errorf("errors of seed %d (-patch +check):\n%s", seed, diff)
		}
		expect(t, "warnings", result.Warnings.Texts(), warnings.Texts())
	}
}

func typedOrNothing(raw []byte) *corev1.Pod {
	pod := &corev1.Pod{}
	_ = json.Unmarshal(raw, pod) // what cannot be read asks for nothing
	return pod
}
