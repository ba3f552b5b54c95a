package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/oidc-injector/oidc-injector/internal/cli/preview"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

// Objects of a cluster, each with an annotation that is mistyped.
const (
	mistyped   = `"annotations":{"oidc-injector.io/audience":"vault","oidc-injector.io/audiense":"x"}`
	containers = `"spec":{"containers":[{"name":"app","image":"app"}]}`
)

// typo is what is said between the name of an object and the next one.
const typo = `: unknown annotation "oidc-injector.io/audiense": did you mean oidc-injector.io/audience? ` +
	"[unknown-annotation]\nshop: warning: "

func deploymentNamed(name string) string {
	return `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"` + name + `","namespace":"shop"},` +
		`"spec":{"template":{"metadata":{` + mistyped + `},` + containers + `}}}`
}

// podOwned is a pod that was injected, and is controlled by something.
func podOwned(name, owner string) string {
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"` + name + `","namespace":"shop",` +
		strings.TrimSuffix(mistyped, "}") + `,"oidc-injector.io/status":"{\"version\":\"v1\",\"tokens\":[\"default\"],` +
		`\"containers\":[\"app\"]}"},"ownerReferences":[` + owner + `]},"spec":{"containers":[{"name":"app","image":"app",` +
		`"volumeMounts":[{"name":"oidc-token","mountPath":"/var/run/secrets/tokens"}]}],"volumes":[{"name":"oidc-token",` +
		`"projected":{"sources":[{"serviceAccountToken":{"audience":"vault","expirationSeconds":3600,"path":"oidc-token"}}]}}]}}`
}

// pages answers lists in pages, and once that the state of the first page is gone.
func pages(t *testing.T, lists map[string][][]string) *dynamic.DynamicClient {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list, known := lists[r.URL.Path]
		if !known || r.URL.Query().Get("limit") != strconv.Itoa(pageSize) {
			t.Errorf("request %s", r.URL)
		}
		w.Header().Set("Content-Type", "application/json")
		page, next := 0, ""
		if _, err := fmt.Sscanf(r.URL.Query().Get("continue"), "page-%d", &page); err == nil && page == 1 &&
			!strings.HasSuffix(r.URL.Query().Get("continue"), "-inconsistent") {
			w.WriteHeader(http.StatusGone)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,`+
				`"metadata":{"continue":"page-1-inconsistent"}}`)
			return
		}
		if page+1 < len(list) {
			next = fmt.Sprintf("page-%d", page+1)
		}
		fmt.Fprintf(w, `{"kind":"List","apiVersion":"v1","metadata":{"continue":%q},"items":[%s]}`, next, strings.Join(list[page], ","))
	}))
	t.Cleanup(server.Close)
	client, err := dynamic.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// podMissed is a pod that asks for a token, and was not injected.
func podMissed(name, owner, phase string) string {
	return `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"` + name + `","namespace":"shop",` +
		`"annotations":{"oidc-injector.io/audience":"vault"},"ownerReferences":[` + owner + `]},` + containers +
		`,"status":{"phase":"` + phase + `"}}`
}

func TestLintCluster(t *testing.T) {
	t.Parallel()
	replicaSet := `{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-1","uid":"r","controller":true}`
	foreign := `{"apiVersion":"tekton.dev/v1","kind":"TaskRun","name":"build","uid":"t","controller":true}`
	client := pages(t, map[string][][]string{
		"/apis/apps/v1/namespaces/shop/deployments": {
			{deploymentNamed("a"), deploymentNamed("b")}, {deploymentNamed("c")}, {deploymentNamed("d")},
		},
		"/api/v1/namespaces/shop/pods": {{
			podOwned("web-1-x", replicaSet), podOwned("alone", ""), podOwned("build-1", foreign), podOwned("build-2", foreign),
			podMissed("done", "", "Succeeded"), podMissed("old-1", replicaSet, "Running"), podMissed("old-2", replicaSet, "Running"),
		}},
	})
	for format, want := range map[string]string{
		"text": strings.Join([]string{
			"deployment.apps/a", "deployment.apps/b", "deployment.apps/c", "deployment.apps/d", "pod/alone", "pod/build-1",
			"pod/old-1: the pod asks for tokens and was not injected: create it again [not-injected]",
		}, typo) + "\nshop: warning: ",
		"github": "::warning title=unknown-annotation::shop: deployment.apps/a: ",
		"json": `{"severity":"warning","rule":"unknown-annotation","object":{"apiVersion":"apps/v1","kind":"Deployment",` +
			`"namespace":"shop","name":"a"},`,
		"sarif": `"locations":[{"logicalLocations":[{"fullyQualifiedName":"shop/deployment.apps/a/spec.template.metadata.annotations[`,
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			g := &globals{Environment: Environment{IOStreams: genericiooptions.IOStreams{Out: &out}}}
			c := &clusterLinter{
				linter: &linter{
					globals: g, webhook: &preview.Webhook{Config: config.Default(config.Environment{Prefix: "oidc-injector.io"})},
				},
				client: client, known: map[types.UID]bool{}, missed: map[types.UID]bool{},
				kinds: []schema.GroupKind{{Group: "apps", Kind: "Deployment"}, {Group: "apps", Kind: "ReplicaSet"}, {Kind: "Pod"}},
			}
			for _, f := range lintFormats {
				if f.name == format {
					c.report = f.new(g)
				}
			}
			for _, m := range []meta.RESTMapping{
				{
					Resource:         schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"},
					GroupVersionKind: schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"},
				},
				{
					Resource:         schema.GroupVersionResource{Version: "v1", Resource: "pods"},
					GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "Pod"},
				},
			} {
				if err := c.list(t.Context(), &m, "shop"); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.report.end(); err != nil {
				t.Fatal(err)
			}
			if format == "text" {
				findings, _, _ := strings.Cut(out.String(), "\n\n")
				if diff := cmp.Diff("shop: warning: "+want, findings+"\nshop: warning: "); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				return
			}
			got := out.Bytes()
			if format != "github" {
				var compact bytes.Buffer
				if err := json.Compact(&compact, got); err != nil {
					t.Fatal(err)
				}
				got = compact.Bytes()
			}
			if !bytes.Contains(got, []byte(want)) {
				t.Errorf("no %s in:\n%s", want, got)
			}
		})
	}
}

func TestLintClusterOrFiles(t *testing.T) {
	t.Parallel()
	code, _, errOut := call(t, "", "lint", "--all-namespaces", "-f", "x.yaml")
	if code != ExitError || !strings.Contains(errOut, "give one of them") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
}

func TestSARIFURI(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"-": "stdin", "./a/b.yaml": "a/b.yaml", "a b#c%.yaml": "a%20b%23c%25.yaml", "é.yaml": "%C3%A9.yaml", "/x/y.yaml": "/x/y.yaml",
		"a:b.yaml": "./a:b.yaml",
	} {
		if got := sarifURI(file); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
}
