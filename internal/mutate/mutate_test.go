package mutate_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/mutate"
)

// What a container of the default token has: written as people write it.
const (
	tokenVolume = `{name: oidc-token, projected: {sources: [{serviceAccountToken: {audience: vault, expirationSeconds: 3600, path: ` +
		`oidc-token}}]}}`
	tokenMount = `{name: oidc-token, mountPath: /var/run/secrets/tokens}`
)

func TestScenario(t *testing.T) {
	t.Parallel()
	got := create(t, keys{"audience": "vault", "expiration": "2h"}.pod(t, "containers: [{name: app}]"))
	want := `[{"op":"add","path":"/spec/volumes","value":[{"name":"oidc-token",` +
		`"projected":{"sources":[{"serviceAccountToken":{"audience":"vault","expirationSeconds":7200,"path":"oidc-token"}}]}}]},` +
		`{"op":"add","path":"/spec/containers/0/volumeMounts","value":[{"name":"oidc-token","mountPath":"/var/run/secrets/tokens"}]},` +
		`{"op":"add","path":"/metadata/annotations/oidc-injector.io~1status","value":"{\"version\":\"v0.0.0-test\",` +
		`\"tokens\":[\"default\"],\"containers\":[\"app\"]}"}]`
	if diff := cmp.Diff(want, string(got.Patch)); diff != "" {
		t.Errorf("patch (-want +got):\n%s", diff)
	}
	expect(t, "warnings", nil, got.Warnings)
	expect(t, "errors", nil, got.Errors)
	expectSettled(t, got)
}

// TestFileMode shows the mode of the volume, and the warnings, by the users
// that the containers run as. All containers but "bystander" get the token.
func TestFileMode(t *testing.T) {
	t.Parallel()
	const (
		byImage = `container "app" may not be able to read /var/run/secrets/tokens: it runs as the user of its image, and the file has ` +
			`mode %s; set fsGroup or oidc-injector.io/file-mode`
		byUser = `container "app" may not be able to read /var/run/secrets/tokens: it runs as user 1000, and the file has mode %s; set ` +
			`fsGroup or oidc-injector.io/file-mode`
		noEffect = "file-mode %s has no effect: the kubelet writes tokens with mode %s where all containers run as one user or " +
			"fsGroup is set"
		bystander = ", {name: bystander, securityContext: {runAsUser: 4000}}"
	)
	app := func(securityContext string) string {
		return "containers: [{name: app, securityContext: " + securityContext + "}" + bystander + "]"
	}
	for name, test := range map[string]struct {
		spec       string
		annotation string
		mode       string
		warnings   []string
	}{
		"an unknown user needs the default":        {spec: app("{}"), mode: "default"},
		"another user than root needs the default": {spec: app("{runAsUser: 1000}"), mode: "default"},
		"the pod's user needs the default":         {spec: "securityContext: {runAsUser: 1000}\n" + app("{}"), mode: "default"},
		"root owns the file":                       {spec: app("{runAsUser: 0}"), mode: "0400"},
		"the container's user wins over the pod's": {
			spec: "securityContext: {runAsUser: 1000}\n" + app("{runAsUser: 0}"),
			mode: "0400",
		},
		"the root group may read":                    {spec: app("{runAsUser: 1000, runAsGroup: 0}"), mode: "0440"},
		"the root group of an unknown user may read": {spec: app("{runAsGroup: 0}"), mode: "0440"},
		"the pod's root group may read": {
			spec: "securityContext: {runAsGroup: 0}\n" + app("{runAsUser: 1000}"),
			mode: "0440",
		},
		"the container's group wins over the pod's": {spec: "securityContext: {runAsGroup: 0}\n" +
			app("{runAsUser: 1000, runAsGroup: 7}"), mode: "default"},
		"the root group as a further one": {spec: "securityContext: {supplementalGroups: [7, 0]}\n" +
			app("{runAsUser: 1000}"), mode: "0440"},
		"root and the root group": {spec: "containers: [{name: app, securityContext: {runAsUser: 0}}, {name: b, " +
			"securityContext: {runAsUser: 1000, runAsGroup: 0}}" + bystander + "]", mode: "0440"},
		"root and another user": {spec: "containers: [{name: app, securityContext: {runAsUser: 0}}, {name: b, " +
			"securityContext: {runAsUser: 1000}}]", mode: "default"},
		"an init container counts": {spec: "initContainers: [{name: b, securityContext: {runAsUser: 1000}}]\n" +
			app("{runAsUser: 0}"), mode: "default"},
		"one user: the kubelet decides": {
			spec: "securityContext: {runAsUser: 1000}\ncontainers: [{name: app}, {name: b}]",
			mode: "default",
		},
		"one user, root: the kubelet decides": {
			spec: "securityContext: {runAsUser: 0}\ncontainers: [{name: app}]",
			mode: "default",
		},
		"fsGroup: the kubelet decides": {
			spec: "securityContext: {fsGroup: 2000}\n" + app("{runAsUser: 0}"),
			mode: "default",
		},
		"Windows has no modes":               {spec: "os: {name: windows}\n" + app("{runAsUser: 0}"), mode: "default"},
		"an annotation decides":              {spec: app("{}"), annotation: "0444", mode: "0444"},
		"an annotation that suits the group": {spec: app("{runAsUser: 1000, runAsGroup: 0}"), annotation: "0440", mode: "0440"},
		"an annotation that shuts out an unknown user": {
			spec: app("{}"), annotation: "0400", mode: "0400",
			warnings: []string{fmt.Sprintf(byImage, "0400, user 0 and group 0")},
		},
		"an annotation that shuts out a user": {
			spec: app("{runAsUser: 1000}"), annotation: "0440", mode: "0440",
			warnings: []string{fmt.Sprintf(byUser, "0440, user 0 and group 0")},
		},
		"an annotation without effect: one user": {
			spec:       "securityContext: {runAsUser: 1000}\ncontainers: [{name: app}]",
			annotation: "0440", mode: "0440", warnings: []string{
				fmt.Sprintf(noEffect, "0440", "0600"),
				`file-mode 0440 makes the token unreadable to container "app" as soon as somebody adds a debug container that runs as ` +
					`another user`,
			},
		},
		"an annotation without effect: fsGroup": {
			spec: "securityContext: {fsGroup: 2000}\n" + app("{}"), annotation: "0400",
			mode: "0400", warnings: []string{fmt.Sprintf(noEffect, "0400", "0640")},
		},
		"an annotation that says what the kubelet does": {
			spec: "securityContext: {fsGroup: 2000}\n" + app("{}"), annotation: "0640",
			mode: "0640",
		},
		"an annotation that shuts out the root group": {
			spec: app("{runAsUser: 1000, runAsGroup: 0}"), annotation: "0404", mode: "0404",
			warnings: []string{fmt.Sprintf(byUser, "0404, user 0 and group 0")},
		},
		"Windows by the node selector has no modes": {
			spec: "nodeSelector: {kubernetes.io/os: windows}\n" + app("{runAsUser: 0}"),
			mode: "default",
		},
		"Linux by name counts more than a selector": {spec: "os: {name: linux}\nnodeSelector: {kubernetes.io/os: windows}\n" +
			app("{runAsUser: 0}"), mode: "0400"},
		"an annotation on Windows": {
			spec: "os: {name: windows}\n" + app("{}"), annotation: "0400", mode: "default",
			warnings: []string{"annotation oidc-injector.io/file-mode: file modes have no effect on Windows"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := keys{"audience": "vault", "skip-containers": "bystander"}
			if !strings.Contains(test.spec, "bystander") {
				delete(k, "skip-containers")
			}
			if test.annotation != "" {
				k["file-mode"] = test.annotation
			}
			got := create(t, k.pod(t, test.spec))
			expect(t, "warnings", test.warnings, got.Warnings)
			expect(t, "errors", nil, got.Errors)
			mode := "default"
			if m := typed(t, got.Pod).Spec.Volumes[0].Projected.DefaultMode; m != nil {
				mode = fmt.Sprintf("%04o", *m)
			}
			if mode != test.mode {
				t.Errorf("the volume has mode %s, want %s", mode, test.mode)
			}
			expectSettled(t, got)
		})
	}
}

func typed(t *testing.T, raw []byte) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	if err := json.Unmarshal(raw, pod); err != nil {
		t.Fatalf("could not decode %s: %v", raw, err)
	}
	return pod
}

// heldSuffix is the rest of an error about a mount where the default token is to be.
const heldSuffix = `, but annotation oidc-injector.io/audience wants token "default" (oidc-token with audience "vault" for 3600 s) here: ` +
	`choose another oidc-injector.io/mount-path, or leave the container out with oidc-injector.io/containers or ` +
	`oidc-injector.io/skip-containers`

// TestConflicts shows what is said where a pod contradicts its annotations.
func TestConflicts(t *testing.T) {
	t.Parallel()
	const (
		emptyDir  = "volumes: [{name: data, emptyDir: {}}]\n"
		otherName = `container "app" already mounts volume "data" here` + heldSuffix
		taken     = `this name belongs to the volume that annotation oidc-injector.io/audience asks for (oidc-token with audience ` +
			`"vault" for 3600 s), but the pod has another volume of this name: rename it`
		mountAt  = "spec.containers[0].volumeMounts[0].mountPath: Invalid value: "
		variable = `container "app" sets this variable itself, and annotation oidc-injector.io/env wants it to be ` +
			`/var/run/secrets/tokens/oidc-token: remove one of them`
		hidden = `container "app" mounts volume "data" inside /var/run/secrets/tokens, which annotation oidc-injector.io/audience makes ` +
			`a read-only ` +
			`directory: the container could not start`
	)
	source := func(source string) string {
		return "volumes: [{name: oidc-token, projected: {sources: [" + source + "]}}]\ncontainers: [{name: app}]"
	}
	volume := []string{`spec.volumes[0].name: Invalid value: "oidc-token": ` + taken}
	for name, test := range map[string]struct {
		keys keys
		spec string
		errs []string
	}{
		"a volume of our name and another kind": {
			spec: "volumes: [{name: oidc-token, emptyDir: {}}]\ncontainers: [{name: app}]",
			errs: volume,
		},
		"a volume of our name, another audience": {
			spec: source("{serviceAccountToken: {audience: bao, path: oidc-token}}"),
			errs: volume,
		},
		"a volume of our name, no audience": {spec: source("{serviceAccountToken: {path: oidc-token}}"), errs: volume},
		"a volume of our name, another file": {
			spec: source("{serviceAccountToken: {audience: vault, path: token}}"),
			errs: volume,
		},
		"a volume of our name, another expiration": {spec: source("{serviceAccountToken: {audience: vault, path: oidc-token, " +
			"expirationSeconds: 3601}}"), errs: volume},
		"a volume of our name, a further token": {spec: source("{serviceAccountToken: {audience: vault, path: oidc-token}}, " +
			"{serviceAccountToken: {audience: a, path: a}}"), errs: volume},
		"a volume of our name, a further source": {spec: source("{serviceAccountToken: {audience: vault, path: oidc-token}}, " +
			"{configMap: {name: a}}"), errs: volume},
		"a volume of our name, a source of the future": {spec: source("{serviceAccountToken: {audience: vault, path: oidc-token}}, " +
			"{future: {}}"), errs: volume},
		"a volume of our name, nothing in it": {spec: source(""), errs: volume},
		"a volume of our name, in another case": {
			spec: "volumes: [{name: oidc-token, Projected: {sources: [{serviceAccountToken: {audience: vault, path: oidc-token}}]}}]\n" +
				"containers: [{name: app}]",
			errs: volume,
		},
		"a volume of our name, once for all its containers": {
			spec: "volumes: [{name: a}, {name: oidc-token, emptyDir: {}}]\ncontainers: [{name: app}, {name: b}]",
			errs: []string{`spec.volumes[1].name: Invalid value: "oidc-token": ` + taken},
		},
		"the path is mounted": {
			spec: emptyDir + "containers: [{name: app, volumeMounts: [{name: data, mountPath: /var/run/secrets/tokens}]}]",
			errs: []string{mountAt + `"/var/run/secrets/tokens": ` + otherName},
		},
		"the path is mounted, and written in another way": {
			spec: emptyDir + "containers: [{name: app, volumeMounts: [{name: data, mountPath: var/run//secrets/tokens/}]}]",
			errs: []string{mountAt + `"var/run//secrets/tokens/": ` + otherName},
		},
		"a part of the right volume": {
			spec: "volumes: [" + tokenVolume + "]\ncontainers: [{name: app, volumeMounts: [{name: oidc-token, " +
				"mountPath: /var/run/secrets/tokens, subPath: oidc-token}]}]",
			errs: []string{mountAt + `"/var/run/secrets/tokens": container "app" already mounts volume "oidc-token" here` + heldSuffix},
		},
		"a computed part of the right volume": {
			spec: "volumes: [" + tokenVolume + "]\ncontainers: [{name: app, volumeMounts: [{name: oidc-token, " +
				"mountPath: /var/run/secrets/tokens, subPath: '', subPathExpr: $(A)}]}]",
			errs: []string{mountAt + `"/var/run/secrets/tokens": container "app" already mounts volume "oidc-token" here` + heldSuffix},
		},
		"a part, and an empty expression behind": {
			spec: "volumes: [" + tokenVolume + "]\ncontainers: [{name: app, volumeMounts: [{name: oidc-token, " +
				"mountPath: /var/run/secrets/tokens, subPath: a, subPathExpr: ''}]}]",
			errs: []string{mountAt + `"/var/run/secrets/tokens": container "app" already mounts volume "oidc-token" here` + heldSuffix},
		},
		"a device": {
			spec: emptyDir + "containers: [{name: app, volumeDevices: [{name: data, devicePath: /var/run/secrets/tokens, future: 1}]}]",
			errs: []string{`spec.containers[0].volumeDevices[0].devicePath: Invalid value: "/var/run/secrets/tokens": ` + otherName},
		},
		"a part of a volume inside ours": {
			spec: emptyDir + "containers: [{name: app, volumeMounts: [{name: x, mountPath: /x}, {name: data, " +
				"mountPath: /var/run/secrets/tokens/data, subPath: a}]}]",
			errs: []string{`spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/var/run/secrets/tokens/data": ` + hidden},
		},
		"two tokens are wanted": {
			keys: keys{"audience.aws": "sts", "expiration.aws": "2h"},
			spec: emptyDir + "initContainers: [{name: app, volumeMounts: [{name: data, mountPath: /var/run/secrets/tokens-aws}]}]",
			errs: []string{`spec.initContainers[0].volumeMounts[0].mountPath: Invalid value: "/var/run/secrets/tokens-aws": container ` +
				`"app" already mounts volume "data" here, ` +
				`but annotation oidc-injector.io/audience.aws wants token "aws" (oidc-token with audience "sts" for 7200 s) here: ` +
				`choose another oidc-injector.io/mount-path.aws, or leave the container out with oidc-injector.io/containers.aws or ` +
				`oidc-injector.io/skip-containers.aws`},
		},
		"the volume has another mode": {
			keys: keys{"file-mode": "0400"},
			spec: "volumes: [" + tokenVolume + "]\ncontainers: [{name: app}, {name: b}]",
			errs: []string{`spec.volumes[0].projected.defaultMode: Invalid value: "0644": volume "oidc-token" holds the token already, ` +
				`but annotation oidc-injector.io/file-mode wants mode 0400`},
		},
		"the mounted volume has another mode": {
			keys: keys{"file-mode": "0400"},
			spec: "volumes: [" + tokenVolume + "]\ncontainers: [{name: app, volumeMounts: [" + tokenMount + "]}]",
			errs: []string{`spec.volumes[0].projected.defaultMode: Invalid value: "0644": volume "oidc-token" holds the token already, ` +
				`but annotation oidc-injector.io/file-mode wants mode 0400`},
		},
		"the variable has another value": {
			keys: keys{"env": "TOKEN"},
			spec: "containers: [{name: app, env: [{name: A}, {name: TOKEN, value: /x}]}]",
			errs: []string{`spec.containers[0].env[1].name: Invalid value: "TOKEN": ` + variable},
		},
		"the variable is empty": {
			keys: keys{"env": "TOKEN"},
			spec: "containers: [{name: app, env: [{name: TOKEN}]}]",
			errs: []string{`spec.containers[0].env[0].name: Invalid value: "TOKEN": ` + variable},
		},
		"the variable comes from elsewhere": {
			keys: keys{"env": "TOKEN"},
			spec: "containers: [{name: app, env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: a, key: b}}}]}]",
			errs: []string{`spec.containers[0].env[0].name: Invalid value: "TOKEN": ` + variable},
		},
		"the variable is right, and comes from elsewhere": {
			keys: keys{"env": "TOKEN"},
			spec: "containers: [{name: app, env: [{name: TOKEN, value: /var/run/secrets/tokens/oidc-token, " +
				"valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}]",
			errs: []string{`spec.containers[0].env[0].name: Invalid value: "TOKEN": ` + variable},
		},
		"the variable is right, and wrong behind": {
			keys: keys{"env": "TOKEN"},
			spec: "containers: [{name: app, env: [{name: TOKEN, value: /var/run/secrets/tokens/oidc-token}, {name: TOKEN, value: /x}]}]",
			errs: []string{`spec.containers[0].env[1].name: Invalid value: "TOKEN": ` + variable},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := keys{"audience": "vault"}.and(test.keys)
			got := create(t, k.pod(t, test.spec))
			expect(t, "errors", test.errs, got.Errors)
			if len(got.result.Operations)+len(got.result.Containers) > 0 {
				t.Error("there are operations beside the errors")
			}
		})
	}
}

// TestExistingParts has pods that hold everything already, whoever wrote it.
func TestExistingParts(t *testing.T) {
	t.Parallel()
	const mounted = "containers: [{name: app, volumeMounts: [" + tokenMount + "]}]"
	for name, test := range map[string]struct {
		keys keys
		spec string
	}{
		"as people write it": {nil, "volumes: [" + tokenVolume + "]\n" + mounted},
		"the API server's defaults": {nil, "volumes: [{name: oidc-token, projected: {defaultMode: 420, " +
			"sources: [{serviceAccountToken: {audience: vault, path: oidc-token}}]}}]\n" + mounted},
		"null means absent": {nil, "volumes: [{name: oidc-token, emptyDir: null, projected: {defaultMode: null, sources: " +
			"[{configMap: null, serviceAccountToken: {audience: vault, expirationSeconds: null, path: oidc-token}}]}}]\n" + mounted},
		"another name": {nil, "volumes: [{name: mine, projected: {sources: [{serviceAccountToken: {audience: vault, " +
			"path: oidc-token}}]}}]\ncontainers: [{name: app, volumeMounts: [{name: mine, mountPath: /var/run/secrets/tokens}]}]"},
		"a slash more and readOnly": {nil, "volumes: [" + tokenVolume +
			"]\ncontainers: [{name: app, volumeMounts: [{name: oidc-token, readOnly: true, mountPath: /var/run/secrets/tokens/}]}]"},
		"fields of the future": {nil, "volumes: [{name: oidc-token, x: 1, projected: {x: 2, sources: [{x: 3, " +
			"serviceAccountToken: {x: 4, audience: vault, path: oidc-token}}]}}]\n" + mounted},
		"what shows more than the token": {nil, "volumes: [{name: mine, projected: {sources: [{serviceAccountToken: {audience: b, " +
			"path: b}}, {serviceAccountToken: {audience: vault, path: oidc-token}}, {configMap: {name: a}}]}}]\n" +
			"containers: [{name: app, volumeMounts: [{name: mine, mountPath: /var/run/secrets/tokens}]}]"},
		"the directory by its other name": {nil, "volumes: [" + tokenVolume +
			"]\ncontainers: [{name: app, volumeMounts: [{name: oidc-token, mountPath: /run/secrets/tokens}]}]"},
		"a variable": {
			keys{"env": "TOKEN"},
			"volumes: [" + tokenVolume + "]\ncontainers: [{name: app, env: [{name: TOKEN, value: /var/run/secrets/tokens/oidc-token}], " +
				"volumeMounts: [" + tokenMount + "]}]",
		},
		"a mode that the kubelet lets": {
			keys{"file-mode": "0444"},
			"volumes: [{name: oidc-token, projected: {defaultMode: 0444, sources: [{serviceAccountToken: {audience: vault, " +
				"path: oidc-token}}]}}]\n" + mounted,
		},
		"Windows": {
			keys{"mount-path": `C:\Tokens`},
			"os: {name: windows}\nvolumes: [" + tokenVolume +
				"]\ncontainers: [{name: app, volumeMounts: [{name: oidc-token, mountPath: 'c:/tokens'}]}]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := keys{"audience": "vault"}.and(test.keys)
			got := create(t, k.pod(t, test.spec))
			expect(t, "errors", nil, got.Errors)
			expect(t, "warnings", nil, got.Warnings)
			expect(t, "paths that change", []string{"/metadata/annotations/oidc-injector.io~1status"}, paths(got))
		})
	}
}

func paths(o outcome) []string {
	var all []string
	for _, operation := range o.result.Operations {
		all = append(all, operation.Path)
	}
	return all
}

// TestIdempotent has pods with a part of what they need.
func TestIdempotent(t *testing.T) {
	t.Parallel()
	const status = "/metadata/annotations/oidc-injector.io~1status"
	for name, test := range map[string]struct {
		spec  string
		paths []string
	}{
		"the volume": {
			"volumes: [" + tokenVolume + "]\ncontainers: [{name: app}]",
			[]string{"/spec/containers/0/volumeMounts", "/spec/containers/0/env", status},
		},
		"the volume and the mount": {
			"volumes: [" + tokenVolume + "]\ncontainers: [{name: app, volumeMounts: [" + tokenMount + "]}]",
			[]string{"/spec/containers/0/env", status},
		},
		"the variable": {
			"containers: [{name: app, env: [{name: TOKEN, value: /var/run/secrets/tokens/oidc-token}]}]",
			[]string{"/spec/volumes", "/spec/containers/0/volumeMounts", status},
		},
		"other things": {"volumes: [{name: a}]\ncontainers: [{name: app, volumeMounts: [{name: a, mountPath: /a}], " +
			"env: [{name: A}]}]", []string{"/spec/volumes/-", "/spec/containers/0/volumeMounts/-", "/spec/containers/0/env/-", status}},
		"a mount of no volume": {
			"containers: [{name: app, volumeMounts: [" + tokenMount + "]}]",
			[]string{"/spec/containers/0/env", status},
		},
		"one of two containers": {"volumes: [" + tokenVolume + "]\ncontainers: [{name: app}, {name: b, volumeMounts: [" + tokenMount +
			"]}]", []string{"/spec/containers/0/volumeMounts", "/spec/containers/0/env", "/spec/containers/1/env", status}},
		"a container that is null": {
			"containers: [null, {name: app}]",
			[]string{"/spec/volumes", "/spec/containers/1/volumeMounts", "/spec/containers/1/env", status},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := create(t, keys{"audience": "vault", "env": "TOKEN"}.pod(t, test.spec))
			expect(t, "errors", nil, got.Errors)
			expect(t, "paths that change", test.paths, paths(got))
			expectSettled(t, got)
		})
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	const noWorker = `oidc-injector.io/containers: the pod has no container "worker"`
	inside := func(volume, mount string) string {
		return "volumes: [{name: a, " + volume + "}]\ncontainers: [{name: app, volumeMounts: [{name: a, mountPath: /var/run/secrets" +
			mount + "}]}]"
	}
	cannotStart := []string{`container "app": /var/run/secrets/tokens of token "default" lies inside volume "a", which is mounted ` +
		`read-only at /var/run/secrets: ` +
		`the container cannot start unless the volume has that directory; choose another oidc-injector.io/mount-path`}
	for name, test := range map[string]struct {
		keys     keys
		spec     string
		warnings []string
	}{
		"a container that is not there": {keys{"containers": "app,worker"}, "containers: [{name: app}]", []string{noWorker}},
		"none of the containers is there": {
			keys{"containers": "worker"},
			"containers: [{name: app}]",
			[]string{`no container of the pod gets token "default"`, noWorker},
		},
		"a skipped container that is not there": {
			keys{"audience.b": "b", "skip-containers.b": "worker"},
			"containers: [{name: app}]",
			[]string{`oidc-injector.io/skip-containers.b: the pod has no container "worker"`},
		},
		"every container is skipped": {
			keys{"skip-containers": "app"},
			"containers: [{name: app}]",
			[]string{`no container of the pod gets token "default"`},
		},
		"init containers are containers": {
			keys{"containers": "worker"},
			"initContainers: [{name: worker}]\ncontainers: [{name: app}]",
			nil,
		},
		"a profile may name containers that most pods lack": {
			keys{"profile": "vault"}, "containers: [{name: app}]", nil,
		},
		"inside a ConfigMap":          {nil, inside("configMap: {name: a}", ""), nil},
		"inside a Secret":             {nil, inside("secret: {secretName: a}", ", readOnly: true"), nil},
		"inside a projected volume":   {nil, inside("projected: {sources: []}", ""), nil},
		"inside a downwardAPI volume": {nil, inside("downwardAPI: {items: []}", ""), nil},
		"inside a writable volume":    {nil, inside("emptyDir: {}", ""), nil},
		"inside a part of a Secret":   {nil, inside("secret: {secretName: a}", ", subPath: b"), cannotStart},
		"inside a read-only mount":    {nil, inside("emptyDir: {}", ", readOnly: true"), cannotStart},
		"inside a hostPath":           {nil, inside("hostPath: {path: /a}", ", readOnly: true"), cannotStart},
		"inside a read-only claim":    {nil, inside("persistentVolumeClaim: {claimName: a, readOnly: true}", ""), cannotStart},
		"inside a writable claim":     {nil, inside("persistentVolumeClaim: {claimName: a}", ""), nil},
		"inside a read-only NFS":      {nil, inside("nfs: {server: a, path: /, readOnly: true}", ""), cannotStart},
		"inside a read-only CSI":      {nil, inside("csi: {driver: a, readOnly: true}", ""), cannotStart},
		"inside an image":             {nil, inside("image: {reference: a}", ""), cannotStart},
		"below a read-only root": {
			nil, "volumes: [{name: a, configMap: {name: a}}]\ncontainers: [{name: app, volumeMounts: [{name: a, mountPath: /}]}]", nil,
		},
		"inside a volume that is not there": {
			nil, "containers: [{name: app, volumeMounts: [{name: a, mountPath: /var/run/secrets, readOnly: true}]}]", nil,
		},
		"next to a read-only volume": {
			nil, "volumes: [{name: a, configMap: {name: a}}]\ncontainers: [{name: app, volumeMounts: [{name: a, " +
				"mountPath: /var/run/secrets/tok}]}]", nil,
		},
		"a hand-written volume that shuts the container out": {
			nil,
			"volumes: [{name: a, projected: {defaultMode: 0400, sources: [{serviceAccountToken: {audience: vault, " +
				"path: oidc-token}}]}}]\ncontainers: [{name: app, volumeMounts: [{name: a, mountPath: /var/run/secrets/tokens}]}]",
			[]string{`container "app" may not be able to read /var/run/secrets/tokens: it runs as the user of its image, ` +
				`and the file has mode 0400, user 0 and group 0; set fsGroup or oidc-injector.io/file-mode`},
		},
		"a hand-written volume of a name that we would make": {
			nil,
			"volumes: [{name: oidc-token, projected: {defaultMode: 0400, sources: [{serviceAccountToken: {audience: vault, " +
				"path: oidc-token}}]}}, {name: oidc-token--0644, projected: {defaultMode: 0440, " +
				"sources: [{serviceAccountToken: {audience: vault, path: oidc-token}}]}}]\ncontainers: [{name: app}]",
			[]string{`container "app" may not be able to read /var/run/secrets/tokens: it runs as the user of its image, ` +
				`and the file has mode 0440, user 0 and group 0; set fsGroup or oidc-injector.io/file-mode`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := keys{"audience": "vault"}.and(test.keys)
			got := create(t, k.pod(t, test.spec))
			expect(t, "warnings", test.warnings, got.Warnings)
			expect(t, "errors", nil, got.Errors)
		})
	}
}

// TestReinvoked has pods to which another webhook added the
// container "late" after our first call.
func TestReinvoked(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keys  keys
		first string
		late  string
		want  []string
		// warnings are about the container late.
		warnings []string
	}{
		"the same user": {
			first: "containers: [{name: app}]", late: "{name: late}",
			want: []string{"app: oidc-token (default)", "late: oidc-token (default)"},
		},
		// The volume of the first call is too narrow, and stays as it is.
		"a user who may not read": {
			first: "containers: [{name: app, securityContext: {runAsUser: 0}}, {name: root, securityContext: {runAsUser: 0}}, " +
				"{name: other}]",
			keys: keys{"skip-containers": "other"},
			late: "{name: late, securityContext: {runAsUser: 1000}}",
			want: []string{"app: oidc-token (0400)", "root: oidc-token (0400)", "late: oidc-token--0644 (default)"},
		},
		"the root group": {
			first: "containers: [{name: app, securityContext: {runAsUser: 0}}, {name: other}]",
			keys:  keys{"skip-containers": "other"},
			late:  "{name: late, securityContext: {runAsUser: 1000, runAsGroup: 0}}",
			want:  []string{"app: oidc-token (0400)", "late: oidc-token--0440 (0440)"},
		},
		"root, who may read": {
			first: "containers: [{name: app, securityContext: {runAsUser: 0}}, {name: other}]",
			keys:  keys{"skip-containers": "other"},
			late:  "{name: late, securityContext: {runAsUser: 0}}",
			want:  []string{"app: oidc-token (0400)", "late: oidc-token (0400)"},
		},
		"the kubelet no longer decides": {
			first: "securityContext: {runAsUser: 1000}\ncontainers: [{name: app}]",
			late:  "{name: late, securityContext: {runAsUser: 1001}}",
			want:  []string{"app: oidc-token (default)", "late: oidc-token (default)"},
		},
		"fewer tokens": {
			first: "containers: [{name: app}]",
			keys:  keys{"audience.b": "b", "containers.b": "app"},
			late:  "{name: late}",
			want:  []string{"app: oidc-token (default)", "app: oidc-token-b (default)", "late: oidc-token (default)"},
		},
		"out of scope": {
			first: "containers: [{name: app}]", keys: keys{"containers": "app"}, late: "{name: late}",
			want: []string{"app: oidc-token (default)"},
		},
		"an annotated mode": {
			first: "containers: [{name: app, securityContext: {runAsUser: 0}}, {name: other}]",
			keys:  keys{"file-mode": "0400", "skip-containers": "other"},
			late:  "{name: late, securityContext: {runAsUser: 1000}}",
			want:  []string{"app: oidc-token (0400)", "late: oidc-token (0400)"},
			warnings: []string{`container "late" may not be able to read /var/run/secrets/tokens: it runs as user 1000, ` +
				`and the file has mode 0400, user 0 and group 0; set fsGroup or oidc-injector.io/file-mode`},
		},
		"Windows, where modes mean nothing": {
			first: "os: {name: windows, future: 1}\nvolumes: [{name: oidc-token, projected: {defaultMode: 0400, " +
				"sources: [{serviceAccountToken: {audience: vault, path: oidc-token}}]}}]\ncontainers: [{name: app}]",
			late: "{name: late}",
			want: []string{"app: oidc-token (0400)", "late: oidc-token (0400)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := keys{"audience": "vault"}.and(test.keys)
			first := create(t, k.pod(t, test.first))
			added := apply(t, first.Pod, json.RawMessage(`[{"op":"add","path":"/spec/containers/-","value":`+yamlToJSON(t, test.late)+`}]`))
			second := create(t, added)
			expect(t, "errors", nil, second.Errors)
			expect(t, "warnings", test.warnings, second.Warnings)
			expect(t, "mounts", test.want, mounts(typed(t, second.Pod)))
			expectSettled(t, second)
		})
	}
}

// mounts tells of each mount in a pod, with the mode of its volume.
func mounts(pod *corev1.Pod) []string {
	var all []string
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		for _, m := range c.VolumeMounts {
			v := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
			mode := "default"
			if m := pod.Spec.Volumes[v].Projected.DefaultMode; m != nil {
				mode = fmt.Sprintf("%04o", *m)
			}
			all = append(all, fmt.Sprintf("%s: %s (%s)", c.Name, m.Name, mode))
		}
	}
	return all
}

func TestResult(t *testing.T) {
	t.Parallel()
	got := create(t, keys{
		"audience.b": "b", "containers.b": "app", "audience.c": "c", "containers.c": "missing", "audience": "a",
		"skip-containers": "app",
	}.
		pod(t, "initContainers: [{name: init}]\ncontainers: [{name: worker}, {name: app}]"))
	expect(t, "tokens", []string{"default", "b"}, got.result.Tokens)
	expect(t, "containers", []string{"init", "worker", "app"}, got.result.Containers)

	got = create(t, keys{"audience": "a", "containers": "missing"}.pod(t, "containers: [{name: app}]"))
	expect(t, "tokens of a pod that gets none", nil, got.result.Tokens)
	expect(t, "containers of a pod that gets none", nil, got.result.Containers)
	expect(t, "paths that change in a pod that gets none", []string{"/metadata/annotations/oidc-injector.io~1status"}, paths(got))
}

func TestMaxTokens(t *testing.T) {
	t.Parallel()
	k := keys{}
	for i := range annotations.MaxTokens {
		k[fmt.Sprintf("audience.t%02d", i)] = "vault"
	}
	got := create(t, k.pod(t, "containers: [{name: app}]"))
	pod := typed(t, got.Pod)
	if len(pod.Spec.Volumes) != annotations.MaxTokens || len(pod.Spec.Containers[0].VolumeMounts) != annotations.MaxTokens {
		t.Fatalf("got %d volumes and %d mounts", len(pod.Spec.Volumes), len(pod.Spec.Containers[0].VolumeMounts))
	}
	for i, m := range pod.Spec.Containers[0].VolumeMounts {
		name := fmt.Sprintf("t%02d", i)
		want := corev1.VolumeMount{Name: "oidc-token-" + name, MountPath: "/var/run/secrets/tokens-" + name}
		if !cmp.Equal(m, want) || pod.Spec.Volumes[i].Name != want.Name {
			t.Errorf("token %s is mounted as %v from %s", name, m, pod.Spec.Volumes[i].Name)
		}
	}
	expectSettled(t, got)
}

// TestNotAnnotated has tokens that come from elsewhere.
func TestNotAnnotated(t *testing.T) {
	t.Parallel()
	spec, _, _ := parser.Parse(annotations.Input{Annotations: annotations.FromMap(map[string]string{"oidc-injector.io/audience": "vault"})})
	for _, metadata := range []string{`{}`, `{"annotations":null}`, `{"annotations":{}}`} {
		raw := []byte(`{"metadata":` + metadata + `,"spec":{"containers":[{"name":"app"}]}}`)
		result, errs := mutate.Patch(parse(t, raw), spec, options)
		if len(errs) > 0 {
			t.Errorf("errors %v", errs)
		}
		patch, err := json.Marshal(operations(result))
		if err != nil {
			t.Fatal(err)
		}
		want := `{"version":"v0.0.0-test","tokens":["default"],"containers":["app"]}`
		if got := typed(t, apply(t, raw, patch)).Annotations["oidc-injector.io/status"]; got != want {
			t.Errorf("metadata %s: status %s, want %s", metadata, got, want)
		}
	}
}

func TestPathsAreEscaped(t *testing.T) {
	t.Parallel()
	pod := parse(t, keys{"audience": "vault"}.pod(t, "containers: [{name: app}]"))
	spec, _, _ := parser.Parse(annotations.Input{Annotations: pod.Annotations})
	result, _ := mutate.Patch(pod, spec, mutate.Options{Prefix: "a~b"})
	expect(t, "paths that change", []string{"/spec/volumes", "/spec/containers/0/volumeMounts", "/metadata/annotations/a~0b~1status"},
		paths(outcome{result: result}))
}

// TestListBounds has pods with one element more than is read of a list:
// they are denied, and those with one less are not.
func TestListBounds(t *testing.T) {
	t.Parallel()
	repeat := func(element string, n int) string { return strings.TrimSuffix(strings.Repeat(element+",", n), ",") }
	for name, test := range map[string]struct {
		most int
		spec func(n int) string
		want string
	}{
		"containers": {1000, func(n int) string {
			return `"initContainers":[{"name":"i"}],"ephemeralContainers":[{"name":"e"}],"containers":[` + repeat(`{"name":"a"}`, n-2) + `]`
		}, "spec.containers: Too many: 1001: must have at most 1000 items"},
		"mounts": {10_000, func(n int) string {
			return `"containers":[{"name":"a","volumeMounts":[` + repeat(`{"name":"v","mountPath":"/x"}`, n/2) + `],"volumeDevices":[` +
				repeat(`{}`, n-n/2) + `]}]`
		}, "spec.containers.volumeDevices: Too many: 10001: must have at most 10000 items"},
		"variables": {50_000, func(n int) string {
			return `"initContainers":[{"name":"a","env":[` + repeat(`{"name":"A"}`, n) + `]}]`
		}, "spec.initContainers.env: Too many: 50001: must have at most 50000 items"},
		"volumes": {5000, func(n int) string {
			return `"containers":[{"name":"a"}],"volumes":[` + repeat(`{"name":"v"}`, n) + `]`
		}, "spec.volumes: Too many: 5001: must have at most 5000 items"},
		"sources": {10_000, func(n int) string {
			return `"containers":[{"name":"a"}],"volumes":[{"projected":{"sources":[` + repeat(`{"serviceAccountToken":{}}`, n) + `]}}]`
		}, "spec.volumes.projected.sources: Too many: 10001: must have at most 10000 items"},
		"groups": {65_536, func(n int) string {
			return `"containers":[{"name":"a"}],"securityContext":{"supplementalGroups":[` + repeat("1", n) + `]}`
		}, "spec.securityContext.supplementalGroups: Too many: 65537: must have at most 65536 items"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := func(n int) []byte {
				return []byte(`{"metadata":{"annotations":{"oidc-injector.io/audience":"vault"}},"spec":{` + test.spec(n) + `}}`)
			}
			spec, _, _ := parser.Parse(annotations.Input{Annotations: annotations.List{{
				Name:  "oidc-injector.io/audience",
				Value: "vault",
			}}})
			if _, errs := mutate.Patch(parse(t, pod(test.most)), spec, options); len(errs) > 0 {
				t.Errorf("a list of %d is denied: %v", test.most, errs)
			}
			over := parse(t, pod(test.most+1))
			_, errs := mutate.Patch(over, spec, options)
			expect(t, "errors", []string{test.want}, texts(errs))
			_, errs = mutate.PatchEphemeral(over, over, spec, options)
			expect(t, "errors about debug containers", []string{test.want}, texts(errs))
		})
	}
}

func texts(errs field.ErrorList) []string {
	all := make([]string, 0, len(errs))
	for _, err := range errs {
		all = append(all, err.Error())
	}
	return all
}

func TestTooManyAnnotations(t *testing.T) {
	t.Parallel()
	spec, _, _ := parser.Parse(annotations.Input{Annotations: annotations.List{{Name: "oidc-injector.io/audience", Value: "vault"}}})
	pod := func(size int) *mutate.Pod {
		return parse(t, []byte(`{"metadata":{"annotations":{"a":"`+strings.Repeat("x", size-1)+
			`"}},"spec":{"containers":[{"name":"app"}]}}`))
	}
	if _, errs := mutate.Patch(pod(256<<10), spec, options); len(errs) > 0 {
		t.Errorf("as many as the API server takes are denied: %v", errs)
	}
	_, errs := mutate.Patch(pod(256<<10+1), spec, options)
	expect(t, "errors", []string{"metadata.annotations: Too long: may not be more than 262144 bytes"}, texts(errs))
}

func TestInputUnchanged(t *testing.T) {
	t.Parallel()
	raw := keys{"audience": "vault", "audience.b": "b", "containers.b": "b", "env": "TOKEN"}.pod(t, "containers: [{name: app}, {name: b}]")
	before := string(raw)
	pod := parse(t, raw)
	spec, _, _ := parser.Parse(annotations.Input{Annotations: pod.Annotations, OS: pod.OS})
	first, _ := mutate.Patch(pod, spec, options)
	second, _ := mutate.Patch(pod, spec, options)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("the second call with the same values (-first +second):\n%s", diff)
	}
	if string(raw) != before {
		t.Errorf("the pod was edited: %s", raw)
	}
}

// TestReadErrors shows what is said of them: where, but never what,
// as a pod's content is nobody's business in a log.
func TestReadErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ pod, err string }{
		{``, "could not read the Pod: the JSON document ends too early"},
		{`{"spec":{"containers":[{"name":"SECRET`, "could not read the Pod: the JSON document ends too early"},
		{`{"spec":SECRET}`, "could not read the Pod: invalid JSON near offset 8"},
		{`["SECRET"]`, "could not read the Pod: unexpected JSON value: unexpected [ before offset 10"},
		{`{"metadata":{"annotations":["SECRET"]}}`, "could not read the Pod: unexpected JSON value: unexpected [ before offset 37"},
		{`{"metadata":{"annotations":{"SECRET":1}}}`, "could not read the Pod: unexpected JSON value: unexpected number before offset 38"},
		{`{"spec":{"containers":{"SECRET":1}}}`, "could not read the Pod: unexpected JSON value: unexpected { before offset 34"},
		{
			`{"spec":{"securityContext":{"runAsUser":"SECRET"}}}`,
			"could not read the Pod: unexpected JSON value: unexpected string before offset 48",
		},
		{
			`{"spec":{"containers":[{"env":[{"name":"A","value":{"SECRET":1}}]}]}}`,
			"could not read the Pod: unexpected JSON value: unexpected { before offset 63",
		},
		{`{"spec":{}} "SECRET"`, "could not read the Pod: unexpected JSON value: trailing data"},
	} {
		_, err := mutate.ParsePod([]byte(test.pod))
		if err == nil || err.Error() != test.err {
			t.Errorf("%s:\ngot  %v\nwant %s", test.pod, err, test.err)
		}
	}
}

// TestSetTokenUser is about volumes that name the user who reads a token
// (Options.SetTokenUser).
func TestSetTokenUser(t *testing.T) {
	t.Parallel()
	named := options
	named.SetTokenUser = true
	const (
		a, b  = "{name: a, securityContext: {runAsUser: 1000}}", "{name: b, securityContext: {runAsUser: 2000}}"
		mount = "volumeMounts: [" + tokenMount + "]"
		owned = "volumes: [{name: oidc-token, projected: {sources: [{serviceAccountToken: {audience: vault, path: oidc-token, " +
			"user: 1000}}]}}]\n"
	)
	for name, test := range map[string]struct {
		keys     keys
		spec     string
		volumes  []string // name and user of each with a token, and its mode where it has one
		warnings int
	}{
		"one user": {spec: "containers: [" + a + "]", volumes: []string{"oidc-token 1000"}},
		"root": {
			spec:    "containers: [{name: a, securityContext: {runAsUser: 0}}]",
			volumes: []string{"oidc-token 0"},
		},
		"the user of the pod": {
			spec:    "securityContext: {runAsUser: 7}\ncontainers: [{name: a}]",
			volumes: []string{"oidc-token 7"},
		},
		"one reader of two": {
			keys: keys{"containers": "a"}, spec: "containers: [" + a + ", " + b + "]",
			volumes: []string{"oidc-token 1000"},
		},
		"root beside another": {
			spec:    "containers: [" + a + ", {name: b, securityContext: {runAsUser: 0}}]",
			volumes: []string{"oidc-token"},
		},
		"two users":            {spec: "containers: [" + a + ", " + b + "]", volumes: []string{"oidc-token"}},
		"the user of an image": {spec: "containers: [" + a + ", {name: b}]", volumes: []string{"oidc-token"}},
		"a mode that an author wants": {
			keys: keys{"file-mode": "0440"},
			spec: "containers: [{name: a, securityContext: {runAsUser: 1000, runAsGroup: 0}}, " +
				"{name: b, securityContext: {runAsUser: 0}}]",
			volumes: []string{"oidc-token 0440"},
		},
		"Windows": {
			keys: keys{"mount-path": `C:\tokens`}, spec: "os: {name: windows}\ncontainers: [" + a + "]",
			volumes: []string{"oidc-token"},
		},
		"another user came later": {
			spec:    owned + "containers: [{name: a, securityContext: {runAsUser: 1000}, " + mount + "}, " + b + "]",
			volumes: []string{"oidc-token 1000", "oidc-token--u2000 2000"},
		},
		"users came later": {spec: owned + "containers: [{name: a, securityContext: {runAsUser: 1000}, " + mount + "}, " + b +
			", {name: c}]", volumes: []string{"oidc-token 1000", "oidc-token--0644"}},
		"the same user came later": {spec: owned + "containers: [{name: a, securityContext: {runAsUser: 1000}, " + mount +
			"}, {name: b, securityContext: {runAsUser: 1000}}]", volumes: []string{"oidc-token 1000"}},
		"named by hand for another": {
			spec:    owned + "containers: [{name: b, securityContext: {runAsUser: 2000}, " + mount + "}]",
			volumes: []string{"oidc-token 1000"}, warnings: 1,
		},
		"the volume's user": {
			spec: "volumes: [{name: oidc-token, projected: {defaultUser: 1000, sources: [{serviceAccountToken: {audience: vault, " +
				"path: oidc-token}}]}}]\ncontainers: [{name: a, securityContext: {runAsUser: 1000}}, {name: b, " +
				"securityContext: {runAsUser: 0}, " + mount + "}]",
			volumes: []string{"oidc-token"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw := keys{"audience": "vault"}.and(test.keys).pod(t, test.spec)
			got := createWith(t, raw, named)
			expect(t, "errors", nil, got.Errors)
			if len(got.Warnings) != test.warnings {
				t.Errorf("warnings %q", got.Warnings)
			}
			var pod corev1.Pod
			if err := json.Unmarshal(got.Pod, &pod); err != nil {
				t.Fatal(err)
			}
			var volumes []string
			for _, v := range pod.Spec.Volumes {
				text := v.Name
				if user := v.Projected.Sources[0].ServiceAccountToken.User; user != nil {
					text += fmt.Sprintf(" %d", *user)
				}
				if mode := v.Projected.DefaultMode; mode != nil && *mode != 0o400 {
					text += fmt.Sprintf(" %04o", *mode)
				}
				volumes = append(volumes, text)
			}
			expect(t, "volumes", test.volumes, volumes)
			expect(t, "changes at reinvocation", nil, paths(createWith(t, got.Pod, named)))
			expect(t, "volumes without the option", nil, without(t, raw))
		})
	}
}

// without are the users that volumes get where nobody wants any.
func without(t *testing.T, raw []byte) []string {
	t.Helper()
	var users []string
	for _, operation := range create(t, raw).result.Operations {
		if text := fmt.Sprintf("%s", operation.Value); strings.Contains(text, `"user"`) {
			users = append(users, text)
		}
	}
	return users
}

// A debug container of another user changes nothing where each volume names its user.
func TestSetTokenUserDebug(t *testing.T) {
	t.Parallel()
	const spec = "volumes: [{name: oidc-token, projected: {sources: [{serviceAccountToken: {audience: vault, path: oidc-token, " +
		"user: 1000}}]}}, {name: kube-api-access-x, projected: {sources: [{serviceAccountToken: {path: token}}]}}]\n" +
		"containers: [{name: a, securityContext: {runAsUser: 1000}, volumeMounts: [" + tokenMount + "]}]\n"
	k := keys{"audience": "vault", "containers": "a"}
	got := debug(t, k.pod(t, spec+"ephemeralContainers: [{name: debugger, securityContext: {runAsUser: 2000}}]"), k.pod(t, spec))
	if slices.ContainsFunc(got.Warnings, func(w string) bool { return strings.Contains(w, "renewal") }) {
		t.Errorf("warnings %q", got.Warnings)
	}
}
