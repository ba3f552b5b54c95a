package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// TestSchemaRefusesTypos shows some of them to both Helms; TestEveryLevelIsStrict knows of
// all.
func TestSchemaRefusesTypos(t *testing.T) {
	for set, want := range map[string]string{
		"replica=3":                                 "'replica'",
		"image.tga=x":                               "'tga'",
		"certificates.managed.caDurtion=1h":         "'caDurtion'",
		"mode=policies":                             "'policy'",
		"certificates.mode=cert_manager":            "'cert-manager'",
		"config.profiles.vault.audince=x":           "config.profiles.vault.audince: is neither",
		"config.policy.audience.allowed={x}":        "'audience'",
		"webhook.failurePolicy=fail":                "'Fail'",
		"webhook.timeoutSeconds=31":                 "maximum",
		"affinity.nodeAfinity=x":                    "'nodeAfinity'",
		"tolerations[0].kee=x":                      "'kee'",
		"securityContext.readonlyRootFilesystem=no": "'readonlyRootFilesystem'",
		"resources.limit.memory=1Gi":                "'limit'",
		"login.resources.requests.memori=1Gi":       "memori",
		"image.digest=sha256:abc":                   "digest",
		"shutdownDelay=5":                           "shutdownDelay",
		"extraArgs={oops}":                          "extraArgs",
		"fullnameOverride=a.b":                      "fullnameOverride",
		"webhook.namespaces.label=My Label":         "label",
		"webhook.objectSelector.matchExpressions[0].key=a,webhook.objectSelector.matchExpressions[0].operator=In": "'values'",
		"certificates.certManager.issuerRef.kind=ClusterIssuer":                                                   "'name'",
		"metrics.prometheusRule.disabled={OIDCInjectorDenial}":                                                    "'OIDCInjectorDenials'",
	} {
		for _, h := range helms {
			if _, err := template(t, h, "", "--set="+set); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s --set %s: %v", h.Name, set, err)
			}
		}
	}
}

// TestEmptiedValues: Helm removes what is set to null before it looks at the schema.
// What has a default that matters has to be there; lists and maps may go.
func TestEmptiedValues(t *testing.T) {
	for _, key := range []string{
		"mode", "webhook.namespaces.mode", "webhook.failurePolicy", "certificates.mode", "networkPolicy.apiServerPorts",
		"policies.tokenVolumes.actions",
		"image.repository", "ports.webhook", "test", "certificates.managed.caDuration",
	} {
		section, last := cutLast(key)
		for _, h := range helms {
			_, err := template(t, h, "", "--set="+key+"=null")
			if want := "missing property '" + last + "'"; err == nil || !strings.Contains(err.Error(), want) ||
				!strings.Contains(err.Error(), strings.ReplaceAll(section, ".", "/")) {
				t.Errorf("%s --set %s=null: %v", h.Name, key, err)
			}
		}
	}
	const all = "--set=audit.enabled=true,policies.tokenVolumes.enabled=true,metrics.dashboard.enabled=true,networkPolicy.enabled=true"
	for _, key := range []string{
		"webhook.objectSelector", "webhook.namespaces.exclude", "imagePullSecrets", "global.imagePullSecrets", "image.registry",
		"nodeSelector", "resources",
		"podSecurityContext", "tolerations", "commonLabels", "podLabels", "extraArgs", "login.resources", "config.profiles",
		"config.policy.apiServerAudiences", "policies.tokenVolumes.namespaceSelector", "metrics.dashboard.labels", "image.tag",
		"startupProbe", "commonAnnotations", "extraObjects", "service.ipFamilies", "service.ipFamilyPolicy", "namespaceOverride",
		"runtimeClassName",
	} {
		if all := render(t, "", all, "--set="+key+"=null"); all[deployment] == nil {
			t.Errorf("without %s there is no Deployment", key)
		}
	}
}

// cutLast cuts a path before its last element.
func cutLast(path string) (before, last string) {
	i := strings.LastIndexByte(path, '.')
	return path[:max(i, 0)], path[i+1:]
}

// TestSubchartValues: what Helm gives to a part of another chart is no typo.
func TestSubchartValues(t *testing.T) {
	for _, h := range helms {
		if _, err := template(t, h, "", "--set=global.storageClass=fast,enabled=true"); err != nil {
			t.Error(err)
		}
	}
}

func readSchema(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chartDir, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestEveryLevelIsStrict(t *testing.T) {
	walkSchema(readSchema(t), "", func(path string, schema map[string]any) {
		properties, isObject := schema["properties"]
		additional, isBool := schema["additionalProperties"].(bool)
		switch {
		case path == "/properties/global":
			return // it belongs to the whole of which this chart is a part
		case strings.HasSuffix(path, "/file/properties/json"):
			return // the file of a provider is what its SDK says
		case strings.HasSuffix(path, "/if"), strings.HasSuffix(path, "/then"):
			return // of what is strict already
		case isObject && (!isBool || additional):
			t.Errorf("%s lets unknown members through: %v", path, properties)
		case schema["type"] == "object" && schema["additionalProperties"] == nil, additional:
			t.Errorf("%s lets anything through", path)
		case schema["type"] == "array" && schema["items"] == nil:
			t.Errorf("%s lets any element through", path)
		}
	})
}

// walkSchema visits every schema in a schema.
func walkSchema(node any, path string, visit func(string, map[string]any)) {
	switch node := node.(type) {
	case map[string]any:
		if _, isName := node["type"].(map[string]any); !isName { // a property may be called "type"
			visit(path, node)
		}
		for key, child := range node {
			walkSchema(child, path+"/"+key, visit)
		}
	case []any:
		for i, child := range node {
			walkSchema(child, path+"/"+strconv.Itoa(i), visit)
		}
	}
}

// TestSchemaKnowsEveryValue, and values.yaml has what the schema knows.
func TestSchemaKnowsEveryValue(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chartDir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	compareKeys(t, "", values, readSchema(t))
}

func compareKeys(t *testing.T, path string, values, schema map[string]any) {
	t.Helper()
	properties, _ := schema["properties"].(map[string]any)
	for key, property := range properties {
		value, found := values[key]
		at := path + "." + key
		if !found {
			if at != ".enabled" {
				t.Errorf("values.yaml lacks %s", at)
			}
			continue
		}
		if child, ok := value.(map[string]any); ok && len(child) > 0 {
			compareKeys(t, at, child, property.(map[string]any))
		}
	}
}

// TestSchemaKnowsAnnotations: profiles take the keys that package annotations takes,
// with and without a name, and the parameters of providers.
func TestSchemaKnowsAnnotations(t *testing.T) {
	profiles := func(key string) string {
		return "config: {providers: {corp: {audience: x, description: x}}, profiles: {p: {" + key + ": \"10m\"}}}"
	}
	for _, key := range append(annotations.PresetKeys(), annotations.Provider, "aws-role-arn", "corp-tenant") {
		for _, name := range []string{"", ".name"} {
			if _, err := template(t, helms[0], profiles(key+name)); err != nil {
				t.Errorf("the chart refuses %s%s: %v", key, name, err)
			}
		}
	}
	for _, key := range []string{
		annotations.Profile, annotations.Inject, annotations.Status, "audience.", "login-", "audience.A",
		"mount-paht", "nimbus-role",
	} {
		if _, err := template(t, helms[0], profiles(key)); err == nil {
			t.Errorf("the chart takes %q", key)
		}
	}
}
