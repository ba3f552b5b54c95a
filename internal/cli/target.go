package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/podtemplate"
)

// targetFlags say which workload a verb is about: one of the cluster, or one of a file.
type targetFlags struct {
	webhookFlags
	filename string
}

func (f *targetFlags) add(c *cobra.Command) {
	c.Flags().StringVarP(&f.filename, "filename", "f", "",
		"File with the workload, - for the standard input; without it the cluster is asked")
	f.addConfigFlags(c.Flags())
}

// target is a workload: a pod, or what makes pods.
type target struct {
	// of is the object as kubectl names it, such as deployment/app.
	of string
	// pod is the pod, or that of the template, with the namespace and the ServiceAccount
	// that it will have.
	pod *corev1.Pod
	// live is true for a pod of the cluster.
	live bool
	// template is the path of a workload's template, and above are the annotations that stand
	// over it, by their paths: they do not reach the pods.
	template string
	above    []annotated
	// selector are the labels of a workload's pods in the cluster; nil where there are none.
	selector labels.Selector
	// cronJob is the UID of a CronJob of the cluster, whose pods are of its Jobs.
	cronJob types.UID
}

// annotated are annotations, and where they stand.
type annotated struct {
	path string
	all  map[string]string
}

// errNoTarget is for a call that names no workload.
var errNoTarget = errors.New("name a pod, or TYPE/NAME, or a file with -f")

// target finds the workload: args are POD or TYPE/NAME, which with a file chooses one of
// its objects.
func (g *globals) target(f *targetFlags, args []string) (*target, error) {
	if len(args) == 0 && f.filename == "" {
		return nil, errNoTarget
	}
	namespace, err := g.namespace()
	if err != nil {
		return nil, err
	}
	build := resource.NewBuilder(g.cluster).Unstructured().NamespaceParam(namespace).DefaultNamespace().ContinueOnError()
	switch {
	case f.filename == "-":
		build = build.Local().Stream(g.In, "standard input")
	case f.filename != "":
		build = build.Local().FilenameParam(false, &resource.FilenameOptions{Filenames: []string{f.filename}})
	case strings.Contains(args[0], "/"):
		build = build.ResourceTypeOrNameArgs(false, args[0])
	default:
		build = build.ResourceTypeOrNameArgs(false, "pods", args[0])
	}
	infos, err := build.Flatten().Do().Infos()
	if err != nil {
		return nil, f.hint(err, args)
	}
	found, err := f.among(infos, namespace, args)
	if err != nil {
		return nil, err
	}
	return only(found, f.filename)
}

// among are the workloads among objects; with a file, only the one that the argument names.
func (f *targetFlags) among(infos []*resource.Info, namespace string, args []string) ([]*target, error) {
	var found []*target
	for _, info := range infos {
		if u, ok := info.Object.(*unstructured.Unstructured); ok {
			t, err := readTarget(u, namespace, f.filename == "")
			if err != nil {
				return nil, err
			}
			if t != nil && (f.filename == "" || len(args) == 0 || t.named(args[0])) {
				found = append(found, t)
			}
		}
	}
	return found, nil
}

// hint adds to the error of a workload that could not be read what to write.
func (f *targetFlags) hint(err error, args []string) error {
	switch {
	case f.filename != "":
		return withHint(err, "-f takes a manifest in YAML or JSON, or - for the standard input")
	case apierrors.IsNotFound(err) && !strings.Contains(args[0], "/"):
		return withHint(err, "a name alone is that of a pod; others are TYPE/NAME, such as deploy/%s; -n says the namespace", args[0])
	default:
		return err
	}
}

// only is the one of several.
func only(found []*target, file string) (*target, error) {
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if file != "" {
			return nil, fmt.Errorf("%s: there is no pod, and nothing that makes pods", displayName(file))
		}
		return nil, errors.New("there is no pod, and nothing that makes pods")
	default:
		names := make([]string, 0, len(found))
		for _, t := range found {
			names = append(names, t.of)
		}
		return nil, fmt.Errorf("there are several workloads: name one of them: %s", strings.Join(names, ", "))
	}
}

// named reports whether TYPE/NAME, or a name alone, is the object's; types may be
// abbreviated.
func (t *target) named(name string) bool {
	kind, object, _ := strings.Cut(t.of, "/")
	wanted, rest, ok := strings.Cut(name, "/")
	return !ok && name == object || ok && rest == object && strings.HasPrefix(kind, strings.TrimSuffix(wanted, "s"))
}

// readTarget reads an object, and returns nil where it makes no pods.
func readTarget(u *unstructured.Unstructured, namespace string, live bool) (*target, error) {
	kind := u.GroupVersionKind()
	t := &target{of: strings.ToLower(kind.Kind) + "/" + cmp.Or(u.GetName(), u.GetGenerateName()), pod: &corev1.Pod{}}
	template := u.Object
	if kind.Group == "" && kind.Kind == "Pod" {
		t.live = live
	} else {
		// Kinds of other APIs mostly have the template where those of Kubernetes do.
		path := cmp.Or(podtemplate.FindKind(kind.Group, kind.Kind), "spec.template")
		steps := strings.Split(path, ".")
		template, t.template = member(u.Object, steps...), path
		for i := range steps {
			at := append(slices.Clone(steps[:i]), "metadata", "annotations")
			if all, _, _ := unstructured.NestedStringMap(u.Object, at...); all != nil {
				t.above = append(t.above, annotated{strings.Join(at, "."), all})
			}
		}
		if live {
			t.selector = podSelector(u)
		}
		if live && kind.Group == "batch" && kind.Kind == "CronJob" {
			t.cronJob = u.GetUID()
		}
	}
	if member(template, "spec") == nil {
		return nil, nil //nolint:nilnil // no workload, and no error: files hold other objects, too
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(template, t.pod); err != nil {
		return nil, fmt.Errorf("could not read the pod of %s: %w", t.of, err)
	}
	t.pod.Namespace = cmp.Or(u.GetNamespace(), namespace)
	t.pod.Spec.ServiceAccountName = cmp.Or(t.pod.Spec.ServiceAccountName, "default")
	if len(t.pod.Spec.Containers) == 0 {
		return nil, nil //nolint:nilnil // as above: something else has a template, too
	}
	return t, nil
}

// member is an object inside an object, or nil.
func member(o map[string]any, names ...string) map[string]any {
	for _, name := range names {
		o, _ = o[name].(map[string]any)
	}
	return o
}

// asked returns the workload that the arguments name, and what it asks for.
func (f *targetFlags) asked(ctx context.Context, g *globals, args []string) (*target, annotations.Spec, error) {
	t, err := g.target(f, args)
	if err != nil {
		return nil, annotations.Spec{}, err
	}
	spec, err := f.spec(ctx, g, t)
	return t, spec, err
}

// spec is what the pod's annotations ask for, read as the webhook reads them.
func (f *targetFlags) spec(ctx context.Context, g *globals, t *target) (annotations.Spec, error) {
	webhook, err := f.webhook(ctx, g)
	if err != nil {
		return annotations.Spec{}, err
	}
	parser := &webhook.Config.Parser
	raw, err := json.Marshal(t.pod)
	if err != nil {
		return annotations.Spec{}, fmt.Errorf("%s: %w", t.of, err)
	}
	request, err := admission.ReadObject(raw, admission.Object{
		Resource: "pods", Kind: "Pod", Namespace: t.pod.Namespace, Name: cmp.Or(t.pod.Name, t.pod.GenerateName),
	}, nil)
	if err != nil {
		return annotations.Spec{}, fmt.Errorf("%s: %w", t.of, err)
	}
	spec, errs := admission.Asked(webhook.Config, request)
	switch {
	case len(errs) > 0 && len(parser.Profiles) == 0 && t.pod.Annotations[parser.Prefix.Key(annotations.Profile, "")] != "":
		return spec, withHint(fmt.Errorf("%s: %w", t.of, errs.ToAggregate()),
			"profiles are in the webhook's configuration: --config FILE, or --from-cluster")
	case len(errs) > 0:
		return spec, fmt.Errorf("%s: %w", t.of, errs.ToAggregate())
	case spec.OptedOut:
		return spec, fmt.Errorf("%s opts out with %s", t.of, parser.Prefix.Key(annotations.Inject, ""))
	case len(spec.Tokens) == 0:
		return spec, withHint(fmt.Errorf("%s asks for no token", t.of), "annotate the pod, or the pod's template, with %s",
			parser.Prefix.Key(annotations.Audience, ""))
	}
	return spec, nil
}

// token is the token of a name, or the only one.
func onlyToken(spec annotations.Spec, name string) (*annotations.Token, error) {
	names := make([]string, 0, len(spec.Tokens))
	for i := range spec.Tokens {
		if spec.Tokens[i].DisplayName() == name {
			return &spec.Tokens[i], nil
		}
		names = append(names, spec.Tokens[i].DisplayName())
	}
	if name == "" && len(names) == 1 {
		return &spec.Tokens[0], nil
	}
	slices.Sort(names)
	if name == "" {
		return nil, fmt.Errorf("the pod has the tokens %s: say which with --token", strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("the pod has no token %q; it has %s", name, strings.Join(names, ", "))
}

// readBounded reads at most so many bytes.
func readBounded(from io.Reader, most int64, name string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(from, most+1))
	if err != nil {
		return nil, fmt.Errorf("could not read %s: %w", name, err)
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, most)
	}
	return data, nil
}
