// Package podtemplate knows which objects make pods, and where in them the
// template of their pods stands.
package podtemplate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Location says where the objects of a resource keep a core/v1 PodTemplateSpec.
type Location struct {
	// APIGroup and Resource are those of the API, such as argoproj.io and rollouts;
	// the group of core/v1 is empty.
	APIGroup string `json:"apiGroup"`
	Resource string `json:"resource"`
	// Path is that of the template, such as spec.template.
	Path string `json:"path"`
}

// Locations are those of several resources, at most one of each.
type Locations []Location

// BuiltIn are the workloads of Kubernetes itself.
var BuiltIn = Locations{
	{"", "replicationcontrollers", common},
	{"apps", "daemonsets", common},
	{"apps", "deployments", common},
	{"apps", "replicasets", common},
	{"apps", "statefulsets", common},
	{"batch", "cronjobs", "spec.jobTemplate.spec.template"},
	{"batch", "jobs", common},
}

// Known are workloads of others, which the plugin knows without being told: manifests have them
// wherever the webhook is configured to look at them.
var Known = Locations{
	{"apps.kruise.io", "clonesets", common},
	{"apps.kruise.io", "daemonsets", common},
	{"apps.kruise.io", "statefulsets", common},
	{"apps.openshift.io", "deploymentconfigs", common},
	{"argoproj.io", "rollouts", common},
	{"keda.sh", "scaledjobs", "spec.jobTargetRef.template"},
	{"serving.knative.dev", "configurations", common},
	{"serving.knative.dev", "services", common},
}

// common is where nearly all have it.
const common = "spec.template"

// Find returns the path of the template in objects of a resource; it is empty
// where they are not known to have one.
func (l Locations) Find(apiGroup, resource string) (path string) {
	for i := range l {
		if l[i].Resource == resource && l[i].APIGroup == apiGroup {
			return l[i].Path
		}
	}
	return ""
}

// FindKind is Find for a kind of Kubernetes itself, such as Deployment.
func FindKind(apiGroup, kind string) (path string) {
	return BuiltIn.Find(apiGroup, strings.ToLower(kind)+"s")
}

// maxPath is the longest path, in steps.
const maxPath = 16

var step = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

// Validate reports everything that is wrong with locations that are added to the
// built-in ones.
func (l Locations) Validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := slices.Clone(BuiltIn)
	for i, location := range l {
		at := path.Index(i)
		if problems := validation.IsDNS1123Subdomain(location.APIGroup); location.APIGroup != "" && len(problems) > 0 {
			errs = append(errs, field.Invalid(at.Child("apiGroup"), location.APIGroup, problems[0]))
		}
		if problems := validation.IsDNS1123Label(location.Resource); len(problems) > 0 {
			errs = append(errs, field.Invalid(at.Child("resource"), location.Resource,
				"must be the plural of a resource, such as rollouts: "+problems[0]))
		}
		steps := strings.Split(location.Path, ".")
		if len(steps) > maxPath || slices.ContainsFunc(steps, func(s string) bool { return !step.MatchString(s) }) {
			errs = append(errs, field.Invalid(at.Child("path"), location.Path,
				fmt.Sprintf("must be the path of the pod template, "+
					"such as spec.template: at most %d names of fields with dots between them", maxPath)))
		}
		if seen.Find(location.APIGroup, location.Resource) != "" {
			errs = append(errs, field.Duplicate(at, strings.Trim(location.Resource+"."+location.APIGroup, ".")))
		}
		seen = append(seen, location)
	}
	return errs
}
