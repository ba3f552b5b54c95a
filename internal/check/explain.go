package check

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/mutate"
	"github.com/oidc-injector/oidc-injector/internal/podtemplate"
)

// explain says what becomes of the pods of a file. The error says what is wrong with
// which.
func explain(ctx context.Context, o Options, stdin io.Reader, w io.Writer) error {
	pods, err := o.readPods(stdin)
	if err != nil {
		return err
	}
	client, said, err := o.connect()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	var errs []error
	for _, p := range pods {
		if err := o.explainPod(ctx, client, said, w, p); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.of, err))
		}
	}
	return errors.Join(errs...)
}

// subject is a pod of a file.
type subject struct {
	// of is the object that the pod is, or is of, as kubectl names it.
	of  string
	pod *corev1.Pod
	// raw is the pod with all of its fields, known here or not.
	raw []byte
	// template is the path of the template that the pod is made of, if it is, and above
	// are the paths of annotations of ours that do not reach it.
	template string
	above    []string
	// err says why there is no pod.
	err error
}

// readPods reads the pods, and the pods of templates, of the file.
func (o *Options) readPods(stdin io.Reader) ([]subject, error) {
	file, err := open(o.Filename, stdin)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var pods []subject
	for documents := yaml.NewYAMLOrJSONDecoder(bufio.NewReader(file), 4096); ; {
		var u unstructured.Unstructured
		switch err := documents.Decode(&u.Object); {
		case errors.Is(err, io.EOF) && len(pods) == 0:
			return nil, fmt.Errorf("%s holds no Pod, and no workload of Kubernetes", o.Filename)
		case errors.Is(err, io.EOF):
			return pods, nil
		case err != nil:
			return nil, fmt.Errorf("could not read %s: %w", o.Filename, err)
		}
		pods = append(pods, o.podsOf(&u)...)
	}
}

// podsOf are the pods of an object: one, or those of a list, or none.
func (o *Options) podsOf(u *unstructured.Unstructured) []subject {
	if u.IsList() {
		var pods []subject
		_ = u.EachListItem(func(item runtime.Object) error {
			pods = append(pods, o.podsOf(item.(*unstructured.Unstructured))...) //nolint:forcetypeassert,errcheck // it has no others
			return nil
		})
		return pods
	}
	kind := u.GroupVersionKind()
	path := podtemplate.FindKind(kind.Group, kind.Kind)
	if path == "" && (kind.Group != "" || kind.Kind != "Pod") {
		return nil
	}
	name := cmp.Or(u.GetName(), u.GetGenerateName())
	s := subject{of: strings.ToLower(kind.Kind) + "/" + name, template: path, pod: &corev1.Pod{}}
	template, at := u.Object, ""
	for _, step := range slices.DeleteFunc(strings.Split(path, "."), func(s string) bool { return s == "" }) {
		list, _, _ := unstructured.NestedStringMap(template, "metadata", "annotations")
		if annotations.Prefix(o.AnnotationPrefix).AsksAny(list) {
			s.above = append(s.above, at+"metadata.annotations")
		}
		template, _ = template[step].(map[string]any)
		at += step + "."
	}
	if template == nil {
		s.err = fmt.Errorf("it has no pod template at %s", path)
		return []subject{s}
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(template, s.pod); err != nil {
		s.err = fmt.Errorf("could not read the pod: %w", err)
		return []subject{s}
	}
	s.pod.Namespace = cmp.Or(u.GetNamespace(), o.Namespace)
	raw := unstructured.Unstructured{Object: runtime.DeepCopyJSON(template)}
	raw.SetAPIVersion("v1")
	raw.SetKind("Pod")
	raw.SetNamespace(s.pod.Namespace)
	// A pod of that name may be there already.
	raw.SetName("")
	raw.SetGenerateName(strings.TrimSuffix(name, "-") + "-")
	raw.SetResourceVersion("")
	raw.SetUID("")
	s.raw, s.err = raw.MarshalJSON()
	return []subject{s}
}

// explainPod has the API server admit a pod, and says what it has become.
func (o *Options) explainPod(ctx context.Context, client coreclient.CoreV1Interface, said *warnings, w io.Writer, s subject) error {
	if s.err != nil {
		return s.err
	}
	said.texts = nil
	prefix := annotations.Prefix(o.AnnotationPrefix)
	after := &corev1.Pod{}
	err := client.RESTClient().Post().Namespace(s.pod.Namespace).Resource("pods").Param("dryRun", metav1.DryRunAll).
		SetHeader("Content-Type", runtime.ContentTypeJSON).Body(s.raw).Do(ctx).Into(after)
	fmt.Fprintf(w, "%s in namespace %s:\n", s.of, s.pod.Namespace)
	said.print(w)
	if err != nil {
		return fmt.Errorf("the API server does not admit the pod: %w", err)
	}
	key := prefix.Key(annotations.Status, "")
	text, ok := after.Annotations[key]
	ok = ok && text != s.pod.Annotations[key]
	if !ok && !prefix.AsksAny(s.pod.Annotations) { // nor does a binding ask for anything
		return s.asksForNothing(prefix)
	}
	parser := annotations.Parser{Prefix: prefix}
	if spec, _, _ := parser.Parse(annotations.Input{Annotations: annotations.FromMap(s.pod.Annotations)}); spec.OptedOut {
		fmt.Fprintf(w, "ok: the pod opts out with %s\n", prefix.Key(annotations.Inject, ""))
		return nil
	}
	if !ok {
		return o.notCalled(s.pod.Namespace)
	}
	var status mutate.Status
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		return fmt.Errorf("annotation %s is of another program: %w", key, err)
	}
	if len(status.Containers) == 0 {
		return errors.New("the webhook injects nothing: see its warnings")
	}
	describe(w, s.pod, after)
	fmt.Fprintf(w, "ok: tokens %s; logins %s; containers %s", names(status.Tokens), names(status.Logins), names(status.Containers))
	if len(status.Bindings) > 0 {
		fmt.Fprintf(w, "; bindings %s", names(status.Bindings))
	}
	fmt.Fprintln(w)
	return nil
}

// asksForNothing says why a pod got nothing that has no annotation of ours.
func (s *subject) asksForNothing(prefix annotations.Prefix) error {
	if len(s.above) > 0 {
		return fmt.Errorf("%s have no effect: annotations of pods belong into %s.metadata.annotations", strings.Join(s.above, " and "),
			s.template)
	}
	return fmt.Errorf("the pod has no annotation %s, and no binding: it asks for nothing", prefix.Key("…", ""))
}

func names(all []string) string {
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// describe says what containers have that they did not have before, whoever added it.
func describe(w io.Writer, before, after *corev1.Pod) {
	old := slices.Concat(before.Spec.InitContainers, before.Spec.Containers)
	for _, c := range slices.Concat(after.Spec.InitContainers, after.Spec.Containers) {
		i := slices.IndexFunc(old, func(o corev1.Container) bool { return o.Name == c.Name })
		if i < 0 {
			fmt.Fprintf(w, "  container %s is added\n", c.Name)
			continue
		}
		for _, m := range c.VolumeMounts {
			if !slices.ContainsFunc(old[i].VolumeMounts, func(o corev1.VolumeMount) bool { return o.MountPath == m.MountPath }) {
				fmt.Fprintf(w, "  container %s gets %s%s\n", c.Name, m.MountPath, tokensIn(after, &c, m.MountPath))
			}
		}
		for _, e := range c.Env {
			if !slices.ContainsFunc(old[i].Env, func(o corev1.EnvVar) bool { return o.Name == e.Name }) {
				fmt.Fprintf(w, "  container %s gets variable %s\n", c.Name, e.Name)
			}
		}
	}
}

// tokensIn describes the tokens of the volume that a container mounts at a directory.
func tokensIn(pod *corev1.Pod, c *corev1.Container, directory string) string {
	volume := volumeAt(pod, c, directory)
	if volume == nil || volume.Projected == nil {
		return ""
	}
	var b strings.Builder
	for _, source := range volume.Projected.Sources {
		if t := source.ServiceAccountToken; t != nil && t.Audience != "" && t.ExpirationSeconds != nil {
			fmt.Fprintf(&b, "/%s: a token for audience %q, valid for %d s", t.Path, t.Audience, *t.ExpirationSeconds)
		}
	}
	return b.String()
}
