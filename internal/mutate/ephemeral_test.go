package mutate_test

import (
	"testing"
)

// TestDebugContainers has a running pod to which kubectl debug adds ephemeral
// containers. The old pod has none unless the test says so.
func TestDebugContainers(t *testing.T) {
	t.Parallel()
	const (
		running = "volumes: [" + tokenVolume + "]\ncontainers: [{name: app, volumeMounts: [" + tokenMount + "]}, {name: worker}]\n"
		noToken = `debug container "dbg" gets no token: the pod was created without a volume for it, and the volumes of a running pod ` +
			`cannot change`
		mountIt = "/spec/ephemeralContainers/0/volumeMounts"
		setIt   = "/spec/ephemeralContainers/0/env"
	)
	for name, test := range map[string]struct {
		keys keys
		// spec is the running pod, and added what kubectl debug adds.
		spec, added string
		old         string
		paths       []string
		warnings    []string
		errs        []string
	}{
		"gets the token": {spec: running, added: "[{name: dbg}]", paths: []string{mountIt, setIt}},
		"gets what its target gets": {
			keys: keys{"containers": "app"}, spec: running,
			added: "[{name: dbg, targetContainerName: app}]", paths: []string{mountIt, setIt},
		},
		"does not get what its target lacks": {
			keys: keys{"containers": "app"}, spec: running,
			added: "[{name: dbg, targetContainerName: worker}]",
		},
		"is skipped with its target": {
			keys: keys{"skip-containers": "worker"}, spec: running,
			added: "[{name: dbg, targetContainerName: worker}]",
		},
		"is out of scope without a target": {
			keys: keys{"containers": "app"}, spec: running, added: "[{name: dbg}]",
			warnings: []string{`debug container "dbg" gets no token: the annotations name other containers; kubectl debug ` +
				`--target=CONTAINER shows it what CONTAINER sees`},
		},
		"is newer than the configuration's lifetime": {
			spec: "volumes: [{name: oidc-token, projected: {sources: [{serviceAccountToken: {audience: vault, path: oidc-token, " +
				"expirationSeconds: 7200}}]}}]\ncontainers: [{name: app}]\n",
			added: "[{name: dbg}]", paths: []string{mountIt, setIt},
		},
		"is named itself": {
			keys: keys{"containers": "app,dbg"}, spec: running, added: "[{name: dbg, targetContainerName: worker}]",
			paths: []string{mountIt, setIt},
		},
		"is skipped itself": {keys: keys{"skip-containers": "dbg"}, spec: running, added: "[{name: dbg, targetContainerName: app}]"},
		"keeps what it has": {spec: running, added: "[{name: dbg, volumeMounts: [" + tokenMount +
			"], env: [{name: TOKEN, value: /var/run/secrets/tokens/oidc-token}]}]"},
		"keeps other things": {
			spec: running, added: "[{name: dbg, volumeMounts: [{name: a, mountPath: /a}], env: [{name: A}]}]",
			paths: []string{mountIt + "/-", setIt + "/-"},
		},
		"null means absent": {spec: running, added: "[{name: dbg, volumeMounts: null, env: null}]", paths: []string{mountIt, setIt}},
		"the older ones stay": {
			spec: running, old: "[{name: old}]", added: "[{name: old}, {name: dbg}]",
			paths: []string{"/spec/ephemeralContainers/1/volumeMounts", "/spec/ephemeralContainers/1/env"},
		},
		"nothing is added": {spec: running, old: "[{name: old}]", added: "[{name: old}]"},
		"the volume has another name": {
			spec: "volumes: [{name: a, emptyDir: {}}, {name: mine, projected: {sources: [{serviceAccountToken: {audience: vault, " +
				"path: oidc-token}}]}}]\ncontainers: [{name: app}]\n",
			added: "[{name: dbg}]",
			paths: []string{mountIt, setIt},
		},
		"the pod has no volume": {spec: "containers: [{name: app}]\n", added: "[{name: dbg}]", warnings: []string{noToken}},
		"the pod's volume holds another token": {
			spec: "volumes: [{name: oidc-token, projected: {sources: [{serviceAccountToken: {audience: bao, path: oidc-token}}]}}]\n" +
				"containers: [{name: app}]\n",
			added: "[{name: dbg}]", warnings: []string{noToken},
		},
		// A part would mislead whoever debugs.
		"the pod has one of two volumes": {
			keys: keys{"audience.b": "b", "mount-path.b": "/b", "env.b": "B"},
			spec: running, added: "[{name: dbg}]", warnings: []string{noToken},
		},
		"one of two has all it needs": {
			keys: keys{"audience.b": "b", "mount-path.b": "/b", "containers.b": "dbg"},
			spec: running, added: "[{name: dbg}, {name: other}]",
			paths:    []string{"/spec/ephemeralContainers/1/volumeMounts", "/spec/ephemeralContainers/1/env"},
			warnings: []string{noToken},
		},
		"a user who may not read": {
			spec: "volumes: [{name: oidc-token, projected: {defaultMode: 0400, sources: [{serviceAccountToken: {audience: vault, " +
				"path: oidc-token}}]}}]\ncontainers: [{name: app, securityContext: {runAsUser: 0}}, {name: b}]\n",
			added: "[{name: dbg, securityContext: {runAsUser: 1000}}]",
			paths: []string{mountIt, setIt},
			warnings: []string{`container "dbg" may not be able to read /var/run/secrets/tokens: it runs as user 1000, ` +
				`and the file has mode 0400, user 0 and group 0; set fsGroup or oidc-injector.io/file-mode`},
		},
		// The user of a debug container does not count for the file's owner.
		"another user than the pod's": {
			spec:  "securityContext: {runAsUser: 1000}\nvolumes: [" + tokenVolume + "]\ncontainers: [{name: app}]\n",
			added: "[{name: dbg, securityContext: {runAsUser: 1001}}]",
			paths: []string{mountIt, setIt},
			warnings: []string{
				`container "dbg" may not be able to read /var/run/secrets/tokens: it runs as user 1001, ` +
					`and the file has mode 0600, user 1000 and group 0; set fsGroup or oidc-injector.io/file-mode`,
				`debug container "dbg" does not run as the user of the pod's containers: from their next renewal on, ` +
					`token files belong to user 0 and have their volume's mode; with runAsUser in the pod's securityContext this does ` +
					`not happen`,
			},
		},
		"the path is mounted": {
			spec: running, added: "[{name: dbg, volumeMounts: [{name: oidc-token, mountPath: /var/run/secrets/tokens, subPath: x}]}]",
			errs: []string{`spec.ephemeralContainers[0].volumeMounts[0].mountPath: Invalid value: "/var/run/secrets/tokens": ` +
				`container "dbg" already mounts volume "oidc-token" here` + heldSuffix},
		},
		"the variable has another value": {
			spec: running, added: "[{name: dbg, env: [{name: TOKEN, value: x}]}]",
			errs: []string{`spec.ephemeralContainers[0].env[0].name: Invalid value: "TOKEN": container "dbg" sets this variable itself, ` +
				`and annotation oidc-injector.io/env wants it to be /var/run/secrets/tokens/oidc-token: remove one of them`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := keys{"audience": "vault", "env": "TOKEN"}.and(test.keys)
			old := "ephemeralContainers: []\n"
			if test.old != "" {
				old = "ephemeralContainers: " + test.old + "\n"
			}
			oldPod := k.pod(t, test.spec+old)
			got := debug(t, k.pod(t, test.spec+"ephemeralContainers: "+test.added+"\n"), oldPod)
			expect(t, "paths that change", test.paths, paths(got))
			expect(t, "warnings", test.warnings, got.Warnings)
			expect(t, "errors", test.errs, got.Errors)
			if len(test.errs) == 0 {
				again := debug(t, got.Pod, oldPod)
				expect(t, "paths that change by a second call", nil, paths(again))
			}
		})
	}
}

func TestResultNamesDebugContainers(t *testing.T) {
	t.Parallel()
	k := keys{"audience": "vault", "audience.b": "b", "mount-path.b": "/b", "containers.b": "dbg"}
	const spec = "volumes: [" + tokenVolume + "]\ncontainers: [{name: app}]\n"
	got := debug(t, k.pod(t, spec+"ephemeralContainers: [{name: dbg}, {name: other}]"), k.pod(t, spec))
	expect(t, "containers", []string{"other"}, got.result.Containers)
	expect(t, "tokens", []string{"default"}, got.result.Tokens)
}
