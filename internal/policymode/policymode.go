// Package policymode says in CEL what package mutate does, for API servers that apply it
// themselves (admissionregistration.k8s.io/v1 MutatingAdmissionPolicy): nothing runs then.
// The text is in the folder text, and is the chart's, too; the configuration goes in
// before it as literals. docs/design/policy-mode.md has the reasons.
package policymode

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/binding"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/policy"
)

//go:embed text/*.yaml
var files embed.FS

// text is what all installations have in common.
type text struct {
	// reading are the variables that say what a pod asks for, and checking those that say
	// what is wrong with it.
	reading, checking []Variable
	// injecting is the expression of the patch.
	injecting string
	warnings  []warning
}

// warning is an expression of a list of texts.
type warning struct {
	Variable

	// Of is what the texts are about: annotations alone, the whole pod, or debug containers.
	Of about `json:"of"`
}

type about string

const (
	ofAnnotations     about = "annotations"
	ofPod             about = "pod"
	ofDebugContainers about = "debug containers"
)

var theText = sync.OnceValue(func() text {
	var t text
	read("reading", &t.reading)
	read("checking", &t.checking)
	read("warning", &t.warnings)
	var injecting struct {
		Expression string `json:"expression"`
	}
	read("injecting", &injecting)
	t.injecting = injecting.Expression
	return t
})

func read(name string, into any) {
	data, err := files.ReadFile("text/" + name + ".yaml")
	if err == nil {
		err = yaml.UnmarshalStrict(data, into)
	}
	if err != nil {
		panic(err) //nolint:forbidigo // it is a part of the program
	}
}

// Options say what is made.
type Options struct {
	// Name is that of the policies, or the beginning of it.
	Name string
	// Version is the program's, recorded in the status annotation.
	Version string
	// NamespaceSelector selects the namespaces (metav1.LabelSelector).
	NamespaceSelector *metav1.LabelSelector
	// Static is true for the API server's own disk, where names end in .static.k8s.io
	// (manifest-based admission).
	Static bool
}

type object = map[string]any

// maker makes the policies of a configuration.
type maker struct {
	Options

	cfg *config.Config
	// common are the variables before those of the pod itself.
	common []Variable
}

// Policies are the policies and their bindings that do what a webhook would with the
// configuration: the first one injects, the second refuses what is wrong, or what policies
// cannot do, the third warns, and the others tell whoever debugs, and authors of workloads.
func Policies(cfg *config.Config, o Options) []map[string]any {
	m := maker{Options: o, cfg: cfg, common: slices.Concat(constants(), settings(cfg, o.Version), theText().reading)}
	all := append(m.injecting(), m.denying()...)
	all = append(all, m.warning()...)
	all = append(all, m.debugging()...)
	if cfg.Workloads != policy.Off {
		all = append(all, m.workloads()...)
	}
	return all
}

// record is a configuration as its file has it.
func record(file *config.InjectorConfig) string {
	written := *file
	written.TypeMeta = metav1.TypeMeta{APIVersion: config.APIVersion, Kind: config.Kind} // the built-in one has none
	text, err := yaml.Marshal(written)
	if err != nil {
		panic(fmt.Sprintf("a configuration that came from YAML: %v", err)) //nolint:forbidigo // it came from YAML
	}
	return string(text)
}

// Unsupported says what of a configuration policies cannot do: nobody may be told less than
// the webhook would do.
func Unsupported(cfg *config.Config) []string {
	var all []string
	if cfg.SetTokenUser {
		all = append(all, "setTokenUser needs webhook mode")
	}
	return all
}

func (m maker) variables(pod string, more ...[]Variable) []Variable {
	return slices.Concat([]Variable{{"pod", pod}}, m.common, slices.Concat(more...))
}

// matches select the creation of pods, and that of debug containers.
func (m maker) matches(rules ...object) object {
	return object{
		"matchPolicy": "Equivalent", "namespaceSelector": m.NamespaceSelector, "objectSelector": object{}, "resourceRules": rules,
	}
}

// rule is one of resources (admissionregistration.k8s.io/v1 NamedRuleWithOperations).
func rule(group, version, resource string, operations ...string) object {
	return object{
		"operations": operations, "apiGroups": []string{group}, "apiVersions": []string{version}, "resources": []string{resource},
		"scope": "Namespaced",
	}
}

var (
	creation = rule("", "v1", "pods", "CREATE")
	debug    = rule("", "v1", "pods/ephemeralcontainers", "UPDATE")
)

// conditions are those of pods that ask for something or are bound. A static pod cannot
// have ServiceAccount tokens.
func (m maker) conditions() []object {
	return []object{
		{"name": binding.ConditionName, "expression": m.cfg.Bindings.MatchCondition(m.cfg.Parser.Prefix)},
		{
			"name":       "not-static",
			"expression": `!has(object.metadata.annotations) || !("kubernetes.io/config.mirror" in object.metadata.annotations)`,
		},
	}
}

func (m maker) injecting() []object {
	all := m.bound("MutatingAdmissionPolicy", "", object{
		"failurePolicy": "Fail", "reinvocationPolicy": "IfNeeded", "matchConstraints": m.matches(creation, debug),
		"matchConditions": m.conditions(),
		"variables":       m.variables("dyn(object)", theText().checking),
		"mutations":       []object{{"patchType": "JSONPatch", "jsonPatch": object{"expression": theText().injecting}}},
	})
	if !m.Static && m.cfg.File != nil { // where nobody could read it
		binding := all[1]
		binding["metadata"] = object{"name": m.Name, "annotations": object{config.Annotation: record(m.cfg.File)}}
	}
	return all
}

func (m maker) denying() []object {
	return m.bound("ValidatingAdmissionPolicy", "", object{
		"failurePolicy": "Fail", "matchConstraints": m.matches(creation, debug), "matchConditions": m.conditions(),
		"variables": m.variables("dyn(object)", theText().checking),
		"validations": []object{{
			"expression":        "size(variables.refusals) == 0",
			"messageExpression": joined("variables.refusals"),
			// For a pod so large that the text itself is over the API server's limits.
			"message": "the pod cannot have what its annotations ask for", "reason": "Invalid",
		}},
	}, "Deny")
}

// warning is advice, which must not keep anything from being admitted.
func (m maker) warning() []object {
	more, validations := advice(ofAnnotations, ofPod)
	return m.bound("ValidatingAdmissionPolicy", "-warnings", object{
		"failurePolicy": "Ignore", "matchConstraints": m.matches(creation), "matchConditions": m.conditions(),
		"variables": m.variables("dyn(object)", theText().checking, more), "validations": validations,
	}, "Warn")
}

// debugging tells whoever debugs why a container gets no token.
func (m maker) debugging() []object {
	more, validations := advice(ofDebugContainers)
	return m.bound("ValidatingAdmissionPolicy", "-debug-containers", object{
		"failurePolicy": "Ignore", "matchConstraints": m.matches(debug), "matchConditions": m.conditions(),
		"variables": m.variables("dyn(object)", theText().checking, more), "validations": validations,
	}, "Warn")
}

// advice are the variables and the validations of warnings.
func advice(of ...about) (more []Variable, validations []object) {
	for _, w := range theText().warnings {
		if slices.Contains(of, w.Of) {
			list := "variables." + w.Name + "Warnings"
			more = append(more, Variable{w.Name + "Warnings", w.Expression})
			validations = append(validations, object{"expression": "size(" + list + ") == 0", "messageExpression": joined(list)})
		}
	}
	return more, validations
}

// workloads tell authors of Deployments and the like what their pods will be told.
func (m maker) workloads() []object {
	more, validations := advice(ofAnnotations)
	validations = append([]object{{
		"expression": "size(variables.errors) == 0", "messageExpression": `"its pods will be denied: " + ` + joined("variables.errors"),
	}}, validations...)
	template := func(of string) string {
		var all []string
		for _, l := range m.cfg.PodTemplates {
			if path := "dyn(" + of + ").?" + strings.ReplaceAll(l.Path, ".", ".?"); !slices.Contains(all, path) {
				all = append(all, path)
			}
		}
		return "[" + strings.Join(all, ", ") + "].filter(template, template.hasValue()).map(template, template.value())"
	}
	rules := make([]object, 0, len(m.cfg.PodTemplates))
	for _, l := range m.cfg.PodTemplates {
		rules = append(rules, rule(l.APIGroup, "*", l.Resource, "CREATE", "UPDATE"))
	}
	return m.bound("ValidatingAdmissionPolicy", "-workloads", object{
		"failurePolicy":    "Ignore",
		"matchConstraints": m.matches(rules...),
		"matchConditions": []object{
			{
				"name": binding.ConditionName, "expression": template("object") +
					`.exists(template, template.?metadata.?annotations.orValue({}).exists(key, key.startsWith(` +
					literal(string(m.cfg.Parser.Prefix)+"/") + `)))`,
			},
			// Nobody reads what a controller is told: its own object was checked.
			{
				"name":       "not-controlled",
				"expression": "!object.?metadata.?ownerReferences.orValue([]).exists(owner, owner.?controller.orValue(false))",
			},
			// A change of scale does not change what was said already.
			{"name": "changed", "expression": `request.operation == "CREATE" || ` + template("object") + " != " + template("oldObject")},
		},
		"variables":   m.variables(template("object")+"[0]", theText().checking, more),
		"validations": validations,
	}, string(m.cfg.Workloads))
}

// bound is a policy and its binding.
func (m maker) bound(kind, suffix string, spec object, actions ...string) []object {
	name := m.Name + suffix
	if m.Static {
		name += ".static.k8s.io"
	}
	to := object{"policyName": name}
	if len(actions) > 0 {
		to["validationActions"] = actions
	}
	return []object{
		{"apiVersion": apiVersion, "kind": kind, "metadata": object{"name": name}, "spec": spec},
		{"apiVersion": apiVersion, "kind": kind + "Binding", "metadata": object{"name": name}, "spec": to},
	}
}

// joined is one text of a list of them, as far as the API server takes it: 5 KiB.
func joined(list string) string {
	return `[(` + list + `).map(text, string(text)).join("; ")]` +
		`.map(text, size(text) > 2000 ? text.substring(0, 2000) + "…" : text)[0]`
}

const apiVersion = "admissionregistration.k8s.io/v1"
