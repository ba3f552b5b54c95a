package check

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/admission/admissiontest"
	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

// injecting answers as an API server that calls the webhook for namespace shop.
func injecting(t *testing.T) Options {
	t.Helper()
	cfg := config.Default(config.Environment{Prefix: annotations.Prefix(options.AnnotationPrefix)})
	return apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		var pod corev1.Pod
		if err := json.NewDecoder(r.Body).Decode(&pod); err != nil || r.URL.Query().Get("dryRun") != "All" || pod.Name != "" ||
			pod.GenerateName == "-" || strings.HasSuffix(pod.GenerateName, "--") {
			t.Errorf("request %s with pod %q, %v", r.URL, pod.Name, err)
		}
		after := &pod
		if strings.Contains(r.URL.Path, "/namespaces/shop/") {
			var err error
			if after, err = admissiontest.Inject(cfg, "v1", &pod); err != nil {
				refuse(w)
				return
			}
		}
		w.Header().Set("Content-Type", "application/json")
		after.APIVersion, after.Kind = "v1", "Pod"
		if err := json.NewEncoder(w).Encode(after); err != nil {
			t.Error(err)
		}
	})
}

const explained = `
apiVersion: v1
kind: Pod
metadata: {name: a, annotations: {tokens.example.com/audience: vault, tokens.example.com/env: TOKEN}}
spec: {containers: [{name: app}], initContainers: [{name: init}]}
---
apiVersion: v1
kind: Service
metadata: {name: b}
---
apiVersion: v1
kind: List
items:
- apiVersion: batch/v1
  kind: CronJob
  metadata: {name: c, namespace: shop}
  spec:
    jobTemplate:
      spec:
        template:
          metadata: {annotations: {tokens.example.com/audience: vault, tokens.example.com/inject: "false"}}
          spec: {containers: [{name: app}]}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: d, annotations: {tokens.example.com/audience: vault}}
  spec: {template: {spec: {containers: [{name: app}]}}}
- apiVersion: apps/v1
  kind: StatefulSet
  metadata: {name: e}
  spec: {template: {spec: {containers: [{name: app}]}}}
- apiVersion: apps/v1
  kind: DaemonSet
  metadata: {name: f, namespace: other}
  spec: {template: {metadata: {annotations: {tokens.example.com/audience: vault}}, spec: {containers: [{name: app}]}}}
- apiVersion: apps/v1
  kind: ReplicaSet
  metadata: {name: g}
  spec: {template: {metadata: {annotations: {tokens.example.com/audiense: vault}}, spec: {containers: [{name: app}]}}}
- apiVersion: batch/v1
  kind: Job
  metadata: {name: h}
  spec: {template: {metadata: {annotations: {tokens.example.com/audience: ""}}, spec: {containers: [{name: app}]}}}
- apiVersion: batch/v1
  kind: CronJob
  metadata: {name: i}
  spec:
    jobTemplate:
      metadata: {annotations: {tokens.example.com/audience: vault}}
      spec: {template: {spec: {containers: [{name: app}]}}}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: j}
  spec: {template: null}
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: k}
  spec: {template: {spec: {containers: app}}}
- apiVersion: v1
  kind: Pod
  metadata: {generateName: l-, annotations: {tokens.example.com/status: copied}}
  spec: {containers: [{name: app}]}
`

func TestExplain(t *testing.T) {
	t.Parallel()
	o := injecting(t)
	o.Filename = "-"
	var out bytes.Buffer
	err := Run(t.Context(), o, strings.NewReader(explained), &out)
	wantOut := `pod/a in namespace shop:
  container init gets /var/run/secrets/tokens.example.com/tokens/oidc-token: a token for audience "vault", valid for 3600 s
  container init gets variable TOKEN
  container app gets /var/run/secrets/tokens.example.com/tokens/oidc-token: a token for audience "vault", valid for 3600 s
  container app gets variable TOKEN
ok: tokens default; logins none; containers init, app
cronjob/c in namespace shop:
ok: the pod opts out with tokens.example.com/inject
deployment/d in namespace shop:
statefulset/e in namespace shop:
daemonset/f in namespace other:
replicaset/g in namespace shop:
job/h in namespace shop:
warning: the label is missing
cronjob/i in namespace shop:
pod/l- in namespace shop:
`
	if diff := cmp.Diff(wantOut, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	wantErr := `deployment/d: metadata.annotations have no effect: annotations of pods belong into spec.template.metadata.annotations
statefulset/e: the pod has no annotation tokens.example.com/…, and no binding: it asks for nothing
daemonset/f: the webhook was not called: an annotated pod of namespace "other" came back without annotation tokens.example.com/status. ` +
		`Either the MutatingWebhookConfiguration leaves out that namespace or the pod, or no webhook could be ` +
		`reached and its failurePolicy is Ignore
replicaset/g: the webhook injects nothing: see its warnings
job/h: the API server does not admit the pod: no
cronjob/i: spec.jobTemplate.metadata.annotations have no effect: ` +
		`annotations of pods belong into spec.jobTemplate.spec.template.metadata.annotations
deployment/j: it has no pod template at spec.template
deployment/k: could not read the pod: cannot restore slice from string
pod/l-: the pod has no annotation tokens.example.com/…, and no binding: it asks for nothing`
	if err == nil {
		t.Fatal("no error")
	}
	if diff := cmp.Diff(wantErr, err.Error()); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestExplainWithoutPods(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                "holds no Pod",
		"{apiVersion: v1, kind: Service}": "holds no Pod",
		"{apiVersion: example.com/v1, kind: Pod}": "holds no Pod",
		"a: [": "could not read -: ",
	} {
		o := options
		o.Filename = "-"
		if err := Run(t.Context(), o, strings.NewReader(text), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", text, err)
		}
	}
	o := options
	o.Filename = t.TempDir()
	if err := Run(t.Context(), o, nil, &bytes.Buffer{}); err == nil {
		t.Error("a directory was read")
	}
}
