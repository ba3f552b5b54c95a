package admission_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

var discard = slog.New(slog.DiscardHandler)

func defaultConfig() *config.Config {
	return config.Default(config.Environment{Prefix: annotations.DefaultPrefix})
}

// configured is the Config option for one configuration.
func configured(cfg *config.Config) func() *config.Config {
	return func() *config.Config { return cfg }
}

// withPolicy is a configuration that has a policy, in YAML.
func withPolicy(t *testing.T, policy string) *config.Config {
	t.Helper()
	cfg, err := config.Parse([]byte("apiVersion: config.oidc-injector.io/v1alpha1\nkind: InjectorConfig\npolicy: "+policy+"\n"),
		config.Environment{Prefix: annotations.DefaultPrefix})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// loginConfig is a configuration with which pods can log in.
func loginConfig(t testing.TB) *config.Config {
	t.Helper()
	cfg, err := config.Parse([]byte("apiVersion: config.oidc-injector.io/v1alpha1\nkind: InjectorConfig\n"+
		"login: {image: 'oidc-login:1', imagePullPolicy: IfNotPresent}\n"+
		"policy: {loginAddresses: {allowed: ['https://*.example.com:8200', 'https://login.example.com']}}\n"),
		config.Environment{Prefix: annotations.DefaultPrefix})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

const uid = "7f0a6c2e-3d5b-4f0e-9a51-0c6f6f0e7a11"

// review is an AdmissionReview as the API server writes it.
func review(operation, subResource, object, oldObject string) []byte {
	return ask{operation: operation, subResource: subResource, object: object, oldObject: oldObject}.review()
}

// ask is an admission request. Where it does not say, it is about a pod in the
// namespace default.
type ask struct {
	operation, group, resource, kind, subResource, namespace, object, oldObject string
	dryRun                                                                      bool
}

func (a ask) review() []byte {
	or := func(value, otherwise string) string {
		if value == "" {
			return otherwise
		}
		return value
	}
	resource := `{"group":"` + a.group + `","version":"v1","resource":"` + or(a.resource, "pods") + `"}`
	kind := `{"group":"` + a.group + `","version":"v1","kind":"` + or(a.kind, "Pod") + `"}`
	return []byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"` + uid + `",` +
		`"kind":` + kind + `,"resource":` + resource + `,"subResource":"` + a.subResource + `",` +
		`"requestKind":` + kind + `,"requestResource":` + resource + `,` +
		`"name":"app","namespace":"` + or(a.namespace, "default") + `","operation":"` + or(a.operation, "CREATE") +
		`","userInfo":{"username":"alice","groups":["system:authenticated"]},` +
		`"object":` + or(a.object, "null") + `,"oldObject":` + or(a.oldObject, "null") + `,"dryRun":` + strconv.FormatBool(a.dryRun) +
		`,"options":{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1"}}}`)
}

// pod is a Pod with annotations ("key=value", without the prefix) and the rest
// of a spec.
func pod(spec string, annotated ...string) string {
	all := make(map[string]string, len(annotated))
	for _, a := range annotated {
		key, value, _ := strings.Cut(a, "=")
		if !strings.Contains(key, "/") {
			key = "oidc-injector.io/" + key
		}
		all[key] = value
	}
	encoded, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	if spec == "" {
		spec = `"containers":[{"name":"app","image":"example/app"}]`
	}
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"app","annotations":` + string(encoded) + `},"spec":{` + spec + `}}`
}

// hook is a handler with its surroundings.
type hook struct {
	*admission.Handler
	log     *testutil.Log
	metrics *prometheus.Registry
}

func newHook(cfg func() *config.Config) *hook {
	h := &hook{log: &testutil.Log{}, metrics: prometheus.NewRegistry()}
	h.Handler = admission.NewHandler(admission.Options{Config: cfg, Version: "v1.2.3", Log: h.log.Logger("duration"), Metrics: h.metrics})
	return h
}

// post sends a review as the API server does.
func (h *hook) post(body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/mutate?timeout=10s", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// admit expects a review for an answer.
func (h *hook) admit(t *testing.T, body []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	w := h.post(body)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("HTTP %d, %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	var answer admissionv1.AdmissionReview
	decode(t, w.Body.Bytes(), &answer)
	want := metav1.TypeMeta{Kind: "AdmissionReview", APIVersion: "admission.k8s.io/v1"}
	if answer.TypeMeta != want || answer.Request != nil || answer.Response == nil {
		t.Fatalf("not an answer to a review: %s", w.Body)
	}
	if answer.Response.UID != uid {
		t.Errorf("uid %q", answer.Response.UID)
	}
	return answer.Response
}

// expectStatus reads the answer to what is no review.
func expectStatus(t *testing.T, w *httptest.ResponseRecorder) metav1.Status {
	t.Helper()
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	var status metav1.Status
	decode(t, w.Body.Bytes(), &status)
	return status
}

// decode reads JSON that has no fields beside those of the type.
func decode(t *testing.T, body []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
}

// counters are the values of oidc_injector_admissions_total that are not zero,
// by "outcome/reason".
func (h *hook) counters(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	for name, value := range h.allCounters(t) {
		if value != 0 {
			all[name] = value
		}
	}
	return all
}

func (h *hook) allCounters(t *testing.T) map[string]int {
	t.Helper()
	return h.counts(t, "oidc_injector_admissions_total")
}

// counts are the values of a counter by the values of its labels.
func (h *hook) counts(t *testing.T, name string) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, m := range h.family(t, name).GetMetric() {
		labels := make([]string, 0, 2)
		for _, label := range m.GetLabel() {
			labels = append(labels, label.GetValue())
		}
		all[strings.Join(labels, "/")] = int(m.GetCounter().GetValue())
	}
	return all
}

// family is all that there is of a metric, nil where there is nothing.
func (h *hook) family(t *testing.T, name string) *dto.MetricFamily {
	t.Helper()
	families, err := h.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family
		}
	}
	return nil
}
