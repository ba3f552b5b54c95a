package chart

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/util/jsonpath"

	"github.com/oidc-injector/oidc-injector/test/internal/helm"
)

// registry is the one value that the chart has no default for.
const registry = "--set=global.imageRegistry=registry.invalid"

// template renders the chart with values in YAML.
func template(t *testing.T, h helm.Helm, values string, args ...string) (string, error) {
	t.Helper()
	return h.RunWithInput(t.Context(), values, append([]string{
		"template", "oidc-injector", chartDir, "--namespace=oidc-injector", "--kube-version=1.30.0", "--values=-", registry,
	}, args...)...)
}

// TestLint has both Helms look at the chart, with the values of each variant.
func TestLint(t *testing.T) {
	for name, values := range variants {
		for _, h := range helms {
			if out, err := h.RunWithInput(t.Context(), values, "lint", "--strict", chartDir, "--kube-version=1.30.0", "--values=-",
				registry); err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
	}
}

// objects are manifests by kind and name, such as "Service/oidc-injector".
type objects map[string]*unstructured.Unstructured

// configHash is the end of the name of the configuration's ConfigMap.
var configHash = regexp.MustCompile(`-config-[0-9a-z]{10}$`)

func parse(t *testing.T, manifests string) objects {
	t.Helper()
	all := objects{}
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests), 4096)
	for {
		var object map[string]any
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("could not decode the manifests: %v\n%s", err, manifests)
		}
		if len(object) == 0 {
			continue
		}
		u := &unstructured.Unstructured{Object: object}
		key := u.GetKind() + "/" + configHash.ReplaceAllString(u.GetName(), "-config")
		if all[key] != nil {
			t.Errorf("%s is there twice", key)
		}
		all[key] = u
	}
}

// render renders the chart by both Helms, whose results have to be the same.
func render(t *testing.T, values string, args ...string) objects {
	t.Helper()
	var all []objects
	for _, h := range helms {
		manifests, err := template(t, h, values, args...)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, parse(t, manifests))
	}
	if diff := cmp.Diff(all[0], all[1]); diff != "" {
		t.Errorf("%s and %s differ (-%[1]s +%[2]s):\n%[3]s", helms[0].Name, helms[1].Name, diff)
	}
	return all[0]
}

// at evaluates a path such as "Deployment/oidc-injector {.spec.replicas}". Without a
// path it reports whether the object is there; what is absent is "".
func (o objects) at(t *testing.T, path string) string {
	t.Helper()
	key, expression, found := strings.Cut(path, " ")
	object := o[key]
	if !found {
		return strconv.FormatBool(object != nil)
	}
	if object == nil {
		t.Errorf("there is no %s", key)
		return ""
	}
	j := jsonpath.New(path).AllowMissingKeys(true)
	if err := j.Parse(expression); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := j.Execute(&out, object.Object); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return out.String()
}

// flag is the value of a flag of the webhook, "true" where it has none and "" where it
// is absent.
func (o objects) flag(t *testing.T, name string) string {
	t.Helper()
	pod, _, err := unstructured.NestedSlice(o["Deployment/oidc-injector"].Object, "spec", "template", "spec", "containers")
	if err != nil {
		t.Fatal(err)
	}
	args, _, err := unstructured.NestedStringSlice(pod[0].(map[string]any), "args")
	if err != nil {
		t.Fatal(err)
	}
	for _, arg := range args {
		if flag, value, found := strings.Cut(arg, "="); flag == name {
			if !found {
				return "true"
			}
			return value
		}
	}
	return ""
}

// indent puts a prefix before every line.
func indent(text, prefix string) string {
	return prefix + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+prefix) + "\n"
}
