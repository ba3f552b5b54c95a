package chart

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/podtemplate"
	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// rollouts is a kind of somebody else's, which has its template where it likes.
const rollouts = `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: rollouts.example.com}, spec: {
group: example.com, scope: Namespaced, names: {plural: rollouts, singular: rollout, kind: Rollout, listKind: RolloutList}, versions: [
{name: v1beta1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}`

const rolloutsValue = "podTemplates: [{apiGroup: example.com, resource: rollouts, path: spec.run.template}]"

// templated is a kind of workload. Its manifest has places for the annotations of the
// object and of its pods.
type templated struct{ resource, path, manifest string }

// newTemplated has a spec with the pod template somewhere in it.
func newTemplated(apiVersion, kind, path, spec string) templated {
	const pod = `{metadata: {labels: {a: b}, annotations: {%s}}, spec: {restartPolicy: RESTART, containers: [{name: app, image: app}]}}`
	restart := "Always"
	if apiVersion == "batch/v1" {
		restart = "Never"
	}
	spec = strings.ReplaceAll(spec, "POD", strings.ReplaceAll(pod, "RESTART", restart))
	return templated{
		strings.ToLower(kind) + "s", path,
		`{apiVersion: ` + apiVersion + `, kind: ` + kind + `, metadata: {name: app, annotations: {%s}}, spec: ` + spec + `}`,
	}
}

var templatedKinds = []templated{
	newTemplated("apps/v1", "Deployment", "spec.template", "{selector: {matchLabels: {a: b}}, template: POD}"),
	newTemplated("apps/v1", "ReplicaSet", "spec.template", "{selector: {matchLabels: {a: b}}, template: POD}"),
	newTemplated("apps/v1", "StatefulSet", "spec.template", "{selector: {matchLabels: {a: b}}, serviceName: app, template: POD}"),
	newTemplated("apps/v1", "DaemonSet", "spec.template", "{selector: {matchLabels: {a: b}}, template: POD}"),
	newTemplated("v1", "ReplicationController", "spec.template", "{selector: {a: b}, template: POD}"),
	newTemplated("batch/v1", "Job", "spec.template", "{template: POD}"),
	newTemplated("batch/v1", "CronJob", "spec.jobTemplate.spec.template", `{schedule: "@daily", jobTemplate: {spec: {template: POD}}}`),
	newTemplated("example.com/v1beta1", "Rollout", "spec.run.template", "{run: {template: POD}}"),
}

// mistakes are annotations of the object and of its pods, and what kubectl says of them;
// PATH is that of the template.
var mistakes = []struct{ what, own, pods, said string }{
	{"nothing wrong", "a/b: c", "oidc-injector.io/audience: vault", ""},
	{
		"a mistyped key", "", "oidc-injector.io/audiense: vault",
		`Warning: PATH: unknown annotation "oidc-injector.io/audiense": did you mean oidc-injector.io/audience?` + "\n",
	},
	{
		"a mistyped key beside another", "", "oidc-injector.io/audience: vault, oidc-injector.io/expiraton: 2h",
		`Warning: PATH: unknown annotation "oidc-injector.io/expiraton": did you mean oidc-injector.io/expiration?` + "\n",
	},
	{
		"a mistyped container", "", "oidc-injector.io/audience: vault, oidc-injector.io/containers: ap",
		`Warning: PATH: no container of the pod gets token "default"` + "\n" +
			`Warning: PATH: oidc-injector.io/containers: the pod has no container "ap"` + "\n",
	},
	{
		"what the webhook denies", "", "oidc-injector.io/audience: vault, oidc-injector.io/expiration: 5m",
		`Warning: pods of this KIND will be denied: PATH.metadata.annotations[oidc-injector.io/expiration]: Invalid value: "5m": ` +
			"must be whole seconds (7200) or a Go duration (2h), from 600 to 86400 seconds\n",
	},
	{
		"the wrong level", "oidc-injector.io/audience: vault", "",
		"Warning: metadata.annotations[oidc-injector.io/audience] has no effect: annotations of pods belong into " +
			"PATH.metadata.annotations\n",
	},
}

// TestWorkloadsAreChecked tries each mistake in each kind with kubectl.
func TestWorkloadsAreChecked(t *testing.T) {
	const ns = served
	webhook := startBeside(t, rolloutsValue)
	for _, ours := range podtemplate.BuiltIn {
		if !containsKind(ours) {
			t.Errorf("%s %s is not tried", ours.APIGroup, ours.Resource)
		}
	}
	for _, kind := range templatedKinds {
		t.Run(kind.resource, func(t *testing.T) {
			for _, m := range mistakes {
				_, said, err := kube.KubectlSaying(t.Context(), strings.NewReader(fmt.Sprintf(kind.manifest, m.own, m.pods)),
					"apply", "--dry-run=server", "--namespace="+ns, "--filename=-")
				if err != nil {
					t.Fatal(err)
				}
				want := strings.NewReplacer("PATH", kind.path, "KIND", kindOf(kind)).Replace(m.said)
				if diff := cmp.Diff(want, said); diff != "" {
					t.Errorf("%s: kubectl says (-want +got):\n%s", m.what, diff)
				}
			}
		})
	}
	t.Run("what costs nothing", func(t *testing.T) { checkUpdates(t, webhook, ns) })
	t.Run("what it costs", func(t *testing.T) { measureCost(t, ns) })
	t.Run("denials", func(t *testing.T) { checkDenials(t, webhook, ns) })
	t.Run("without the webhook", func(t *testing.T) {
		if err := webhook.Terminate(); err != nil {
			t.Fatal(err)
		}
		if _, err := applyDeployment(t.Context(), ns, "oidc-injector.io/audience: ''"); err != nil {
			t.Errorf("a workload depends on the webhook: %v", err)
		}
	})
}

func kindOf(k templated) string {
	_, rest, _ := strings.Cut(k.manifest, "kind: ")
	kind, _, _ := strings.Cut(rest, ",")
	return kind
}

func containsKind(l podtemplate.Location) bool {
	for _, kind := range templatedKinds {
		if kind.resource == l.Resource && kind.path == l.Path {
			return true
		}
	}
	return false
}

// startBeside installs the chart with a configuration, and runs the webhook beside the
// cluster with the same.
func startBeside(t *testing.T, text string) *injector.Injector {
	t.Helper()
	webhook, err := injector.Start(t.Context(), nil, injector.Options{Dir: t.TempDir(), Config: configHead + text})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := webhook.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := kube.Namespace(t.Context(), served, map[string]string{injector.EnabledLabel: "true"}); err != nil {
		t.Fatal(err)
	}
	withNamespace(t)
	if err := kube.Apply(t.Context(), rollouts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := kube.Kubectl(context.WithoutCancel(t.Context()), "delete", "customresourcedefinition",
			"rollouts.example.com"); err != nil {
			t.Error(err)
		}
	})
	install(t, helms[0], "--set=config.podTemplates[0].apiGroup=example.com,config.podTemplates[0].resource=rollouts,"+
		"config.podTemplates[0].path=spec.run.template")
	sendTo(t, webhook)
	podtest.Eventually(t, "the API server to know the other kind", func(ctx context.Context) error {
		_, err := kube.Kubectl(ctx, "get", "rollouts.example.com")
		return err
	})
	return webhook
}

// checked is how many workloads the webhook was asked about.
func checked(t *testing.T, webhook *injector.Injector) (total float64) {
	t.Helper()
	for _, result := range []string{"ok", "warned", "denied"} {
		n, err := webhook.Counter(t.Context(), "oidc_injector_workload_checks_total", "result", result)
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	return total
}

func applyDeployment(ctx context.Context, ns, annotations string) (said string, err error) {
	_, said, err = kube.KubectlSaying(ctx, strings.NewReader(fmt.Sprintf(templatedKinds[0].manifest, "", annotations)),
		"apply", "--namespace="+ns, "--filename=-")
	return said, err
}

// checkUpdates counts which requests reach the webhook.
func checkUpdates(t *testing.T, webhook *injector.Injector, ns string) {
	t.Helper()
	t.Cleanup(func() { deleteDeployment(t, ns) })
	kubectl := func(args ...string) func() error {
		return func() error { _, err := kube.Kubectl(t.Context(), append(args, "--namespace="+ns)...); return err }
	}
	for _, tt := range []struct {
		what  string
		do    func() error
		calls float64
	}{
		{"a workload without our annotations", func() error { _, err := applyDeployment(t.Context(), ns, "a/b: c"); return err }, 0},
		{
			"the first annotation", func() error { _, err := applyDeployment(t.Context(), ns, "oidc-injector.io/audiense: x"); return err },
			1,
		},
		{"a scale", kubectl("scale", "deployment", "app", "--replicas=0"), 0},
		{"a change beside the template", kubectl("patch", "deployment", "app", "--patch={\"spec\":{\"paused\":true}}"), 0},
		{"a label", kubectl("label", "deployment", "app", "x=y"), 0},
		{"a status", kubectl("patch", "deployment", "app", "--subresource=status", "--patch={\"status\":{\"replicas\":1}}"), 0},
		{"an image", kubectl("set", "image", "deployment/app", "app=other"), 1},
		{"an annotation", kubectl("annotate", "deployment", "app", "oidc-injector.io/audience=x"), 1},
		{"an object of a controller", func() error {
			manifest := strings.Replace(fmt.Sprintf(templatedKinds[1].manifest, "", "oidc-injector.io/audiense: x"),
				"metadata: {name: app,",
				"metadata: {name: app, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: app, uid: x, controller: true}],", 1)
			_, err := kube.KubectlWithInput(t.Context(), strings.NewReader(manifest), "create", "--dry-run=server", "--namespace="+ns,
				"--filename=-")
			return err
		}, 0},
		{"a deletion", kubectl("delete", "deployment", "app"), 0},
	} {
		before := checked(t, webhook)
		if err := tt.do(); err != nil {
			t.Errorf("%s: %v", tt.what, err)
		}
		if calls := checked(t, webhook) - before; calls != tt.calls {
			t.Errorf("%s: %v calls of the webhook, want %v", tt.what, calls, tt.calls)
		}
	}
}

// measureCost measures how much later a Deployment is admitted that is checked, and logs
// it: docs/design/measurements.md has the figures.
func measureCost(t *testing.T, ns string) {
	t.Helper()
	const rounds = 100
	kinds := []struct{ name, annotations string }{
		{"not checked", "a/b: c"},
		{"checked, nothing to say", "oidc-injector.io/audience: x"},
		{"checked, a warning", "oidc-injector.io/audiense: x"},
	}
	took := make([][]time.Duration, len(kinds))
	for range rounds {
		for i, kind := range kinds {
			start := time.Now()
			said, err := warnings(t.Context(), ns, fmt.Sprintf(templatedKinds[0].manifest, "", kind.annotations))
			if err != nil || (len(said) > 0) != (i == 2) {
				t.Fatalf("%s: %q, %v", kind.name, said, err)
			}
			took[i] = append(took[i], time.Since(start))
		}
	}
	for i, kind := range kinds {
		slices.Sort(took[i])
		t.Logf("%-24s median %v, quartiles %v to %v", kind.name, took[i][rounds/2], took[i][rounds/4], took[i][rounds*3/4])
	}
}

func deleteDeployment(t *testing.T, ns string) {
	t.Helper()
	if _, err := kube.Kubectl(context.WithoutCancel(t.Context()), "delete", "deployment", "app", "--namespace="+ns,
		"--ignore-not-found"); err != nil {
		t.Error(err)
	}
}

// checkDenials has the policy deny workloads.
func checkDenials(t *testing.T, webhook *injector.Injector, ns string) {
	t.Helper()
	t.Cleanup(func() { deleteDeployment(t, ns) })
	const bad = "oidc-injector.io/audience: ''"
	if said, err := applyDeployment(t.Context(), ns, bad); err != nil || !strings.Contains(said, "will be denied") {
		t.Errorf("before: %v, %s", err, said)
	}
	if err := webhook.SetConfig(configHead + rolloutsValue + "\npolicy: {workloads: Deny}"); err != nil {
		t.Fatal(err)
	}
	podtest.Eventually(t, "a denial", func(ctx context.Context) error {
		manifest := strings.Replace(fmt.Sprintf(templatedKinds[0].manifest, "", bad), "name: app", "name: other", 1)
		_, err := kube.KubectlWithInput(ctx, strings.NewReader(manifest), "apply", "--dry-run=server", "--namespace="+ns, "--filename=-")
		if err == nil {
			return errors.New("not denied")
		}
		if !strings.Contains(err.Error(), `The Deployment "other" is invalid: `+
			`spec.template.metadata.annotations[oidc-injector.io/audience]: Invalid value: "": the audience must not be empty`) {
			t.Errorf("error %v", err)
		}
		return nil
	})
	// What was wrong before does not stand in the way of other changes, nor of the cure.
	for _, args := range [][]string{
		{"set", "image", "deployment/app", "app=other"},
		{"annotate", "deployment", "app", "a/b=c"},
		{"scale", "deployment", "app", "--replicas=0"},
	} {
		if _, err := kube.Kubectl(t.Context(), append(args, "--namespace="+ns)...); err != nil {
			t.Error(err)
		}
	}
	if _, err := applyDeployment(t.Context(), ns, "oidc-injector.io/audience: '', oidc-injector.io/expiration: '1'"); err == nil {
		t.Error("a second mistake is allowed")
	}
	if said, err := applyDeployment(t.Context(), ns, "oidc-injector.io/audience: vault"); err != nil || said != "" {
		t.Errorf("the cure: %v, %s", err, said)
	}
}
