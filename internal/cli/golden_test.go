package cli

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/version"
)

// goldenConfig has what the pods of the golden files ask for.
const goldenConfig = `apiVersion: config.oidc-injector.io/v1alpha1
kind: InjectorConfig
login:
  image: oidc-login:test
policy:
  loginAddresses: {allowed: ['https://*', 'https://*:*']}
  loginSecrets: {allowed: ['*']}
profiles:
  vault: {audience: vault, expiration: 2h, env: VAULT_JWT_FILE, skip-containers: istio-proxy}
  vault-login:
    {audience: vault, login: vault, login-address: 'https://vault.example.com:8200', login-role: demo, login-ca-configmap: vault-ca}
  clouds:
    audience.aws: sts.amazonaws.com
    env.aws: AWS_WEB_IDENTITY_TOKEN_FILE
    audience.azure: api://AzureADTokenExchange
    env.azure: AZURE_FEDERATED_TOKEN_FILE
`

// call runs the plugin.
func call(t testing.TB, in string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = Run(t.Context(), append(args, "--namespace=default"), Environment{
		IOStreams: genericiooptions.IOStreams{In: strings.NewReader(in), Out: &stdout, ErrOut: &stderr},
	})
	return code, stdout.String(), stderr.String()
}

// goldenPod is a pod of the webhook's golden files.
type goldenPod struct {
	name string
	raw  []byte
	// denied is true where the webhook denies it. Otherwise patch is its answer, and
	// patched what the API server makes of that.
	denied         bool
	patch, patched []byte
}

func goldenPods(t testing.TB) []goldenPod {
	t.Helper()
	cfg, err := config.Parse([]byte(goldenConfig), config.Environment{Prefix: annotations.DefaultPrefix})
	if err != nil {
		t.Fatal(err)
	}
	hook := admission.NewHandler(admission.Options{
		Config: func() *config.Config { return cfg }, Version: version.Version(), Log: slog.New(slog.DiscardHandler),
		Metrics: prometheus.NewRegistry(),
	})
	files, err := filepath.Glob("../mutate/testdata/*.pod.json")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d golden files: %v", len(files), err)
	}
	var pods []goldenPod
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p := goldenPod{name: strings.TrimSuffix(filepath.Base(file), ".pod.json"), raw: raw}
		answer := review(t, hook, raw)
		if p.denied = !answer.Allowed; !p.denied {
			p.patch, p.patched = answer.Patch, raw
			if len(p.patch) > 0 {
				patch, err := jsonpatch.DecodePatch(p.patch)
				if err != nil {
					t.Fatal(err)
				}
				if p.patched, err = patch.Apply(raw); err != nil {
					t.Fatalf("%s: %v", p.name, err)
				}
			}
		}
		pods = append(pods, p)
	}
	return pods
}

// review is the webhook's answer to the creation of a pod, over HTTP.
func review(t testing.TB, hook http.Handler, pod []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	var meta struct {
		Metadata struct{ Name, Namespace string }
	}
	if err := json.Unmarshal(pod, &meta); err != nil {
		t.Fatal(err)
	}
	if meta.Metadata.Namespace == "" {
		meta.Metadata.Namespace = "default"
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": map[string]any{
			"uid": "1", "kind": map[string]string{"version": "v1", "kind": "Pod"}, "resource": map[string]string{
				"version":  "v1",
				"resource": "pods",
			},
			"name": meta.Metadata.Name, "namespace": meta.Metadata.Namespace, "operation": "CREATE", "object": json.RawMessage(pod),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/mutate", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	hook.ServeHTTP(w, r)
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Response == nil {
		t.Fatalf("%s: %v", w.Body, err)
	}
	return answer.Response
}

// TestRenderIsWhatTheWebhookMakes holds render against the webhook, for every golden pod
// and in every form in which the pod can be given.
func TestRenderIsWhatTheWebhookMakes(t *testing.T) {
	t.Parallel()
	cfg := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(cfg, []byte(goldenConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	mutated := 0
	for _, p := range goldenPods(t) {
		if len(p.patch) > 0 {
			mutated++
		}
		for form, text := range forms(t, p.raw) {
			t.Run(p.name+"/"+form, func(t *testing.T) {
				t.Parallel()
				code, out, errOut := call(t, text, "render", "--config", cfg)
				switch {
				case p.denied:
					if code != ExitFinding || out != text || !strings.Contains(errOut, "error: pod/") {
						t.Errorf("exit code %d, output\n%s%s", code, out, errOut)
					}
					return
				case code != ExitOK:
					t.Fatalf("exit code %d: %s", code, errOut)
				case strings.Contains(errOut, "could not be kept"):
					t.Error(errOut)
				}
				expectSame(t, toJSON(t, out), p.patched)
				if len(p.patch) == 0 && out != text {
					t.Errorf("nothing is to change, and this did:\n%s", cmp.Diff(text, out))
				}
				expectOnlyMore(t, text, out)
				if _, asJSON, _ := call(t, text, "render", "--config", cfg, "-o", "json"); len(p.patch) > 0 {
					expectSame(t, []byte(asJSON), p.patched)
				}
				want := string(p.patch)
				if want == "" {
					want = "[]"
				}
				if _, patch, _ := call(t, text, "render", "--config", cfg, "-o", "patch"); patch != want+"\n" {
					t.Errorf("patch:\n%s\nwant:\n%s", patch, want)
				}
				again := strings.ReplaceAll(out, "\r\n", "\n")
				if code, more, errOut := call(t, again, "render", "--config", cfg); code != ExitOK || more != again {
					t.Errorf("what is injected changes again: exit code %d\n%s\n%s", code, errOut, cmp.Diff(again, more))
				}
			})
		}
	}
	if mutated < 30 {
		t.Errorf("only %d pods are injected", mutated)
	}
}

// TestTemplatesGetWhatTheirPodsGet holds that the template of a workload becomes what the
// webhook makes of its pod.
func TestTemplatesGetWhatTheirPodsGet(t *testing.T) {
	t.Parallel()
	cfg := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(cfg, []byte(goldenConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range goldenPods(t) {
		for kind, wrap := range map[string]string{
			"Deployment": `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"app"},"spec":{"template":POD}}`,
			"CronJob": `{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"app"},` +
				`"spec":{"jobTemplate":{"spec":{"template":POD}}}}`,
		} {
			t.Run(p.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				code, out, errOut := call(t, strings.Replace(wrap, "POD", string(p.raw), 1), "render", "--config", cfg)
				switch {
				case p.denied && code != ExitFinding:
					t.Errorf("exit code %d", code)
				case p.denied:
				case code != ExitOK:
					t.Errorf("exit code %d: %s", code, errOut)
				default:
					expectSame(t, []byte(out), []byte(strings.Replace(wrap, "POD", string(p.patched), 1)))
				}
			})
		}
	}
}

// forms are ways to write an object.
func forms(t testing.TB, raw []byte) map[string]string {
	t.Helper()
	kubectl, err := sigsyaml.JSONToYAML(raw)
	if err != nil {
		t.Fatal(err)
	}
	var node yaml.Node
	if err := yaml.Unmarshal(raw, &node); err != nil {
		t.Fatal(err)
	}
	block(&node)
	var wide, narrow bytes.Buffer
	for to, compact := range map[*bytes.Buffer]bool{&wide: false, &narrow: true} {
		encoder := yaml.NewEncoder(to)
		encoder.SetIndent(4)
		if compact {
			encoder.SetIndent(2)
			encoder.CompactSeqIndent()
		}
		if err := encoder.Encode(&node); err != nil {
			t.Fatal(err)
		}
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"JSON": string(raw), "JSON in a line": compact.String(), "as kubectl writes it": string(kubectl), "indented": wide.String(),
		"in its own order": narrow.String(), "for Windows": strings.ReplaceAll(narrow.String(), "\n", "\r\n"),
		"with a head": "# of the shop\n---\n" + narrow.String() + "...\n",
	}
}

// block has nodes be printed in lines of their own.
func block(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		block(child)
	}
}

func toJSON(t testing.TB, text string) []byte {
	t.Helper()
	if json.Valid([]byte(text)) {
		return []byte(text)
	}
	raw, err := sigsyaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return raw
}

func expectSame(t testing.TB, got, want []byte) {
	t.Helper()
	read := func(raw []byte) (v any) {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		if err := decoder.Decode(&v); err != nil {
			t.Fatalf("%v:\n%s", err, raw)
		}
		return v
	}
	// YAML writes 1e3 as 1000.
	number := cmp.Comparer(func(a, b json.Number) bool {
		x, errX := a.Float64()
		y, errY := b.Float64()
		return a == b || errX == nil && errY == nil && x == y && strings.ContainsAny(string(a+b), "eE")
	})
	if diff := cmp.Diff(read(want), read(got), number); diff != "" {
		t.Errorf("the object (-want +got):\n%s", diff)
	}
}

// expectOnlyMore holds that all characters of the text are there yet, in their order. Empty
// lists and what stands in place of another value are left out.
func expectOnlyMore(t testing.TB, before, after string) {
	t.Helper()
	if strings.Contains(before, "null") || strings.Contains(before, annotations.DefaultPrefix+"/status") {
		return
	}
	rest := after
	for i, c := range strings.ReplaceAll(before, " []", "") {
		_, behind, found := strings.Cut(rest, string(c))
		if !found {
			t.Fatalf("from %.40q on something is gone from\n%s", before[i:], after)
		}
		rest = behind
	}
}
