package chart

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/policymode"
	"github.com/oidc-injector/oidc-injector/test/internal/helm"
)

// policies have the API server do what the webhook does otherwise.
const (
	policies     = "--set=mode=policy"
	withPolicies = "--kube-version=1.36.0" // the first one that can

	injecting = "MutatingAdmissionPolicy/oidc-injector"
	record    = `MutatingAdmissionPolicyBinding/oidc-injector {.metadata.annotations.oidc-injector\.io/config}`
)

// configurations are values of which policies can do everything.
var configurations = map[string]string{
	"nothing": "{}",
	"defaults": `
config:
  defaults: {expiration: "1200", token-file: token, mount-path: /mnt/tokens, file-mode: "0440", skip-containers: "a,b"}
  maxExpiration: 1h30m
  injectedContainers: [own-proxy, "own-*", "a?c", istio-proxy]
`,
	"short lifetimes": "config: {maxExpiration: 1800.5s500ms, injectedContainers: []}",
	"profiles": `
config:
  profiles:
    vault: {audience: "https://vault.example.com/<&>'\"\\ é", expiration: 2h, env: VAULT_TOKEN_FILE}
    both: {audience.a: a, audience.b: b, mount-path.b: /var/run/b}
    cloud: {aws-role-arn: "arn:aws:iam::123456789012:role/app", provider.x: corp}
  providers: {corp: {description: Corp, audience: corp}}
`,
	"bindings": `
config:
  profiles: {vault: {audience: vault}}
  bindings:
  - {name: exact, namespaces: [shop, a-b, shop], serviceAccounts: [x.y, app], annotations: {profile: vault}}
  - {name: pattern, namespaces: ["shop-*", "?b"], serviceAccounts: ["*"], podLabels: {y/z: "1", x: ""}, annotations: {audience.aws: b}}
`,
	"providers": `
config:
  maxExpiration: 12h
  providers:
    aws: {description: Ours, audience: aws.example.com}
    corp:
      description: Corp's <own> & other "identity"
      audience: "https://${tenant}.example.com"
      parameters:
      - {name: tenant, description: Tenant, required: true, pattern: '[a-z]{3}\d+'}
      - {name: role, description: Role, default: "${pod.namespace}.${pod.name}", maxLength: 64, address: host}
      env: [{name: CORP_TOKEN, value: "${token.path}"}, {name: CORP_ROLE, value: "${role}"}]
      file:
        name: corp.json
        json:
          b: {z: "<${role}>", a: [1, 2.5, 1234567, true, null, "x", {"q\"uote": "${token.path}"}, []], "": {}}
          a: "é  \\ \" ${tenant}"
      conflicts: [{env: CORP_KEY, reason: it wins}]
      minExpiration: 1h
      maxExpiration: 24h
    text:
      description: Text
      audience: text
      parameters: [{name: host, description: Host, pattern: '[a-z.]+'}]
      file: {name: text.ini, text: "[a]\nhost = ${host}\n\n  token = ${token.path}\nlast"}
      minExpiration: 20h
    ends: {description: Text, audience: text, file: {name: text.ini, text: "a\nb\n"}, maxExpiration: 660s}
`,
	"policy": `
config:
  policy:
    audiences: {allowed: ["https://*.example.com", 'back\slash?', "(a|b)"], denied: [vault]}
    env: {allowed: [my_path, "FOO_*"], denied: [ld_*]}
    mountPaths: {allowed: [/mnt/, "/data/*"], denied: [/mnt/secret]}
    namespaces:
    - {namespaces: [payments, "payments-*"], audiences: {allowed: [sts.amazonaws.com]}}
    - {namespaces: ["*"], env: {allowed: [a_b], denied: [x]}, mountPaths: {denied: [/opt/, /srv]}}
    apiServerAudiences: ["https://issuer.example.com", "*.internal"]
    unknownAnnotations: Deny
    workloads: Deny
  podTemplates: [{apiGroup: argoproj.io, resource: rollouts, path: spec.template}, {apiGroup: example.com, resource: jobs, path: spec.a.b}]
webhook: {namespaces: {mode: OptOut}}
`,
	"addresses":               "config: {policy: {loginAddresses: {denied: ['https://a.example.com']}}}",
	"addresses of namespaces": "config: {policy: {namespaces: [{namespaces: [a], loginAddresses: {allowed: ['*']}}]}}",
	"logins": `
config:
  defaults: {login-mode: init, login-ca-configmap: corp}
  profiles: {vault: {audience: vault, login: vault, login-address: "https://vault.example.com"}}
  policy:
    loginSecrets: {allowed: ["login-*"], denied: [x]}
    loginAddresses:
      allowed: ["https://*.example.com", "https://Vault.example.com.:8200/a/*/", "http://10.0.0.*", "https://?.example.com:82??", "*"]
      denied: ["https://evil.example.com/x", "http://127.0.0.1", "*"]
login:
  image: {registry: registry.example.com, digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
  resources: {limits: {cpu: 50m, memory: 64Mi}}
  env: {HTTPS_PROXY: "http://proxy"}
  metrics: {port: 9102}
`,
	"without logins":    "{login: {enabled: false, resources: {requests: {}}}, annotationPrefix: tokens.example.com}",
	"without workloads": "config: {policy: {workloads: Off, mountPaths: {denied: [/run]}}}",
	"another prefix":    "annotationPrefix: tokens.example.com",
	"a long prefix":     "annotationPrefix: a-prefix-of-nineteen--letters.example.com",
	"a short prefix":    "{annotationPrefix: tokens, webhook: {namespaces: {label: served, exclude: [a]}}}",
}

// TestPoliciesAreThoseOfTheProgram: for the configuration that the chart would write for
// the webhook, package policymode makes the policies that the chart has.
func TestPoliciesAreThoseOfTheProgram(t *testing.T) {
	t.Parallel()
	for name, values := range configurations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			webhook := render(t, values)
			got := render(t, values, policies, withPolicies)
			if diff := cmp.Diff(strings.TrimSpace(webhook.at(t, configMap)), strings.TrimSpace(got.at(t, record))); diff != "" {
				t.Errorf("what is recorded of the configuration (-webhook's +policies'):\n%s", diff)
			}
			prefix := annotations.Prefix(strings.TrimPrefix(webhook.at(t, hooks+"[0].name}"), "pods."))
			cfg, err := config.Parse([]byte(webhook.at(t, configMap)), config.Environment{Prefix: prefix})
			if err != nil {
				t.Fatal(err)
			}
			if unsupported := policymode.Unsupported(cfg); len(unsupported) > 0 {
				t.Fatal(unsupported)
			}
			var namespaces metav1.LabelSelector
			if err := json.Unmarshal([]byte(webhook.at(t, hooks+"[0].namespaceSelector}")), &namespaces); err != nil {
				t.Fatal(err)
			}
			made := policymode.Policies(cfg, policymode.Options{
				Name: "oidc-injector", NamespaceSelector: &namespaces,
				Version: webhook.at(t, deployment+` {.metadata.labels.app\.kubernetes\.io/version}`),
			})
			want := objects{}
			for _, object := range made {
				text, err := json.Marshal(object)
				if err != nil {
					t.Fatal(err)
				}
				maps.Copy(want, parse(t, string(text)))
			}
			for key, object := range want {
				if got[key] == nil {
					t.Errorf("the chart lacks %s", key)
					continue
				}
				if diff := cmp.Diff(object.Object["spec"], got[key].Object["spec"]); diff != "" {
					t.Errorf("%s (-program's +chart's):\n%s", key, diff)
				}
				delete(got, key)
			}
			for key := range got {
				if webhook[key] == nil {
					t.Errorf("the program lacks %s", key)
				}
			}
		})
	}
}

// TestGoldenPolicies has what values make of policies, and what the API server says of it.
func TestGoldenPolicies(t *testing.T) {
	const values = `
mode: policy
config:
  defaults: {expiration: 30m}
  profiles: {vault: {audience: vault}}
  providers: {corp: {description: Corp, audience: corp, file: {name: corp.json, json: {token: "${token.path}"}}}}
  bindings: [{name: shop, namespaces: ["shop-*"], serviceAccounts: [app], annotations: {profile: vault}}]
  policy: {namespaces: [{namespaces: [payments], audiences: {allowed: [bank]}}]}
policies: {unlabelledNamespaces: {enabled: false}}
test: {enabled: false}
`
	for _, h := range helms {
		if out, err := h.RunWithInput(t.Context(), values, "lint", "--strict", chartDir, withPolicies, "--values=-"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	all := render(t, values, withPolicies)
	dryRun(t, all)
	for key, object := range all {
		// The text is that of files/policymode.yaml, and the settings are the same in all of them;
		// the built-in providers are long.
		variables, _, err := unstructured.NestedSlice(object.Object, "spec", "variables")
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"variables", "mutations", "validations"} {
			unstructured.RemoveNestedField(object.Object, "spec", field)
		}
		if key != injecting {
			continue
		}
		named := func(name string) func(any) bool {
			return func(v any) bool { return v.(map[string]any)["name"] == name }
		}
		first, last := slices.IndexFunc(variables, named("prefix")), slices.IndexFunc(variables, named("policies"))
		settings := slices.DeleteFunc(slices.DeleteFunc(variables[first:last+1], named("parameters")), named("providers"))
		if err := unstructured.SetNestedSlice(object.Object, settings, "spec", "variables"); err != nil {
			t.Fatal(err)
		}
	}
	compareGolden(t, "policy", all)
}

// TestNothingRunsInPolicyMode: there are policies, and what has nothing to do with how
// tokens are injected.
func TestNothingRunsInPolicyMode(t *testing.T) {
	t.Parallel()
	all := render(t, `
global: {imageRegistry: ""}
extraObjects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: extra}}]
issuerDiscovery: {anonymous: true}
policies: {tokenVolumes: {enabled: true}}
certificates: {mode: cert-manager}
webhook:
  objectSelector: {matchLabels: {team: a}}
  matchConditions: [{name: not-jobs, expression: "!has(object.metadata.ownerReferences)"}]
  reinvocationPolicy: Never
  debugContainers: {enabled: false}
commonLabels: {example.com/team: a}
commonAnnotations: {example.com/owner: b}
fullnameOverride: oidc
`, policies, withPolicies, "--set=global.imageRegistry=")
	want := []string{"ClusterRoleBinding/oidc-issuer-discovery", "ConfigMap/extra"}
	for kind, suffixes := range map[string][]string{
		"MutatingAdmissionPolicy":   {""},
		"ValidatingAdmissionPolicy": {"", "-warnings", "-workloads", "-token-volumes", "-unlabelled-namespaces", "-namespace-label"},
	} {
		for _, suffix := range suffixes {
			want = append(want, kind+"/oidc"+suffix, kind+"Binding/oidc"+suffix)
		}
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(maps.Keys(all))); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	for path, want := range (expectations{
		"MutatingAdmissionPolicy/oidc {.spec.reinvocationPolicy}":                                     "Never",
		"MutatingAdmissionPolicy/oidc {.spec.matchConstraints.objectSelector}":                        `{"matchLabels":{"team":"a"}}`,
		"MutatingAdmissionPolicy/oidc {.spec.matchConstraints.resourceRules[*].resources[*]}":         "pods",
		"MutatingAdmissionPolicy/oidc {.spec.matchConditions[*].name}":                                "annotated not-static not-jobs",
		"ValidatingAdmissionPolicy/oidc {.spec.matchConstraints.objectSelector}":                      `{"matchLabels":{"team":"a"}}`,
		"ValidatingAdmissionPolicy/oidc-warnings {.spec.matchConditions[*].name}":                     "annotated not-static not-jobs",
		"ValidatingAdmissionPolicy/oidc-workloads {.spec.matchConstraints.objectSelector}":            "{}",
		"ValidatingAdmissionPolicy/oidc-workloads {.spec.matchConditions[*].name}":                    "annotated not-controlled changed",
		"MutatingAdmissionPolicyBinding/oidc {.spec.policyName}":                                      "oidc",
		`MutatingAdmissionPolicy/oidc {.metadata.labels.app\.kubernetes\.io/component}`:               "policy",
		`ValidatingAdmissionPolicyBinding/oidc-workloads {.metadata.labels.example\.com/team}`:        "a",
		`ValidatingAdmissionPolicyBinding/oidc-workloads {.metadata.annotations.example\.com/owner}`:  "b",
		`ValidatingAdmissionPolicyBinding/oidc-warnings {.spec.policyName}{.spec.validationActions}`:  `oidc-warnings["Warn"]`,
		`ValidatingAdmissionPolicyBinding/oidc-workloads {.spec.policyName}{.spec.validationActions}`: `oidc-workloads["Warn"]`,
	}) {
		if got := all.at(t, path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

// TestWhatPoliciesCannotDo is refused, with the value's name and the way out.
func TestWhatPoliciesCannotDo(t *testing.T) {
	t.Parallel()
	provider := func(rest string) string {
		return "config: {providers: {p: {description: p, audience: p, " + rest + "}}}"
	}
	for values, want := range map[string]string{
		"config: {setTokenUser: true}":                      "config.setTokenUser: ",
		"config: {maxExpiration: 3600.5s}":                  "config.maxExpiration: 3600.5s ",
		provider("minExpiration: 5m"):                       "config.providers.p.minExpiration: 5m ",
		provider("maxExpiration: 1h1ms"):                    "config.providers.p.maxExpiration: 1h1ms ",
		"webhook: {allPods: true}":                          "webhook.allPods: ",
		"webhook: {failurePolicy: Ignore}":                  "webhook.failurePolicy: Ignore ",
		"webhook: {callerTokens: true}":                     "webhook.callerTokens: ",
		"webhook: {clientCertificates: {configMapName: a}}": "webhook.clientCertificates.configMapName: ",
		"audit: {enabled: true}":                            "audit.enabled: ",
		"networkPolicy: {enabled: true}":                    "networkPolicy.enabled: ",
		"metrics: {serviceMonitor: {enabled: true}}":        "metrics.serviceMonitor.enabled: ",
		"metrics: {prometheusRule: {enabled: true}}":        "metrics.prometheusRule.enabled: ",
		"metrics: {dashboard: {enabled: true}}":             "metrics.dashboard.enabled: ",

		provider("file: {name: f, text: \"a\\x01\"}"):              "config.providers.p.file.text: ",
		provider("file: {name: f, json: {'a${token.path}': [b]}}"): "config.providers.p.file.json: ",
		provider("file: {name: f, json: {a: ['${nobody}']}}"):      "config.providers.p: ${nobody} ",
		provider("file: {name: f, text: '${nobody}'}"):             "config.providers.p: ${nobody} ",
		provider("env: [{name: A, value: '${token.path'}]"):        "config.providers.p: ${token.path",
	} {
		for _, h := range helms {
			if _, err := template(t, h, values, policies, withPolicies); err == nil || !strings.Contains(err.Error(), "\n"+want) {
				t.Errorf("%s, %s: %v", h.Name, values, err)
			}
			// And the webhook can, or has its own program to say so.
			if _, err := template(t, h, values); err != nil {
				t.Errorf("%s, %s, with the webhook: %v", h.Name, values, err)
			}
		}
	}
}

// TestPoliciesNeedANewCluster: older ones would take the rest, and inject nothing.
func TestPoliciesNeedANewCluster(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"1.30.0": false, "1.35.9": false, "1.36.0-rc.0": true, "1.36.1-gke.100": true, "1.37.2": true,
	} {
		for _, h := range helms {
			_, err := template(t, h, "", policies, "--kube-version="+version)
			if (err == nil) != want || err != nil && !strings.Contains(err.Error(), "policy needs Kubernetes 1.36 or newer") {
				t.Errorf("%s for Kubernetes %s: %v", h.Name, version, err)
			}
		}
	}
}

// TestSwitchingModes has each Helm refuse to go from one mode to the other within a release.
func TestSwitchingModes(t *testing.T) {
	for _, h := range helms {
		for from, to := range map[string]string{"webhook": "policy", "policy": "webhook"} {
			t.Run(h.Name+" from "+from, func(t *testing.T) {
				withNamespace(t)
				gone := helm.NothingIsLeft(t, kube)
				install(t, h, "--set=mode="+from)
				_, err := h.Run(t.Context(), "upgrade", release, chartDir, noHooks, registry, "--set=mode="+to)
				if err == nil || !strings.Contains(err.Error(), "mode: an upgrade cannot change it to "+to) {
					t.Errorf("an upgrade to %s: %v", to, err)
				}
				h.MustRun(t, "upgrade", release, chartDir, noHooks, registry, "--set=mode="+from)
				h.MustRun(t, "uninstall", release, "--wait", "--timeout=60s")
				gone()
			})
		}
	}
}
