package check

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
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
	// are the annotations of its object.
	template string
	above    map[string]string
}

// readPods reads the pods, and the pods of templates, of the file.
func (o *Options) readPods(stdin io.Reader) ([]subject, error) {
	if o.Filename != "-" {
		file, err := os.Open(o.Filename)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		stdin = file
	}
	var pods []subject
	for documents := yaml.NewYAMLOrJSONDecoder(bufio.NewReader(stdin), 4096); ; {
		var u unstructured.Unstructured
		switch err := documents.Decode(&u.Object); {
		case errors.Is(err, io.EOF) && len(pods) == 0:
			return nil, fmt.Errorf("%s holds no Pod, and no workload of Kubernetes", o.Filename)
		case errors.Is(err, io.EOF):
			return pods, nil
		case err != nil:
			return nil, fmt.Errorf("could not read %s: %w", o.Filename, err)
		}
		more, err := o.podsOf(&u)
		if err != nil {
			return nil, err
		}
		pods = append(pods, more...)
	}
}

// podsOf are the pods of an object: one, or those of a list, or none.
func (o *Options) podsOf(u *unstructured.Unstructured) ([]subject, error) {
	if u.IsList() {
		var pods []subject
		err := u.EachListItem(func(item runtime.Object) error {
			more, err := o.podsOf(item.(*unstructured.Unstructured)) //nolint:forcetypeassert,errcheck // it has no others
			pods = append(pods, more...)
			return err
		})
		return pods, err
	}
	kind := u.GroupVersionKind()
	template, found := u.Object, kind.Group == "" && kind.Kind == "Pod"
	path := podtemplate.FindKind(kind.Group, kind.Kind)
	if path != "" {
		template, found, _ = unstructured.NestedMap(u.Object, strings.Split(path, ".")...)
	}
	if !found {
		return nil, nil
	}
	of := strings.ToLower(kind.Kind) + "/" + u.GetName()
	var pod corev1.Pod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(template, &pod); err != nil {
		return nil, fmt.Errorf("%s: %w", of, err)
	}
	pod.Namespace = cmp.Or(u.GetNamespace(), o.Namespace)
	raw := unstructured.Unstructured{Object: runtime.DeepCopyJSON(template)}
	raw.SetAPIVersion("v1")
	raw.SetKind("Pod")
	raw.SetNamespace(pod.Namespace)
	// A pod of that name may be there already.
	raw.SetName("")
	raw.SetGenerateName(u.GetName() + "-")
	raw.SetResourceVersion("")
	raw.SetUID("")
	text, err := raw.MarshalJSON()
	return []subject{{of: of, pod: &pod, raw: text, template: path, above: u.GetAnnotations()}}, err
}

// explainPod has the API server admit a pod, and says what it has become.
func (o *Options) explainPod(ctx context.Context, client coreclient.CoreV1Interface, said *warnings, w io.Writer, s subject) error {
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
	if !anyOf(prefix, s.pod.Annotations) {
		if anyOf(prefix, s.above) {
			return fmt.Errorf("metadata.annotations have no effect: annotations of pods belong into %s.metadata.annotations", s.template)
		}
		return fmt.Errorf("the pod has no annotation %s: it asks for nothing", prefix.Key("…", ""))
	}
	parser := annotations.Parser{Prefix: prefix}
	if spec, _, _ := parser.Parse(annotations.Input{Annotations: annotations.FromMap(s.pod.Annotations)}); spec.OptedOut {
		fmt.Fprintf(w, "ok: the pod opts out with %s\n", prefix.Key(annotations.Inject, ""))
		return nil
	}
	key := prefix.Key(annotations.Status, "")
	var status mutate.Status
	if text, ok := after.Annotations[key]; !ok || text == s.pod.Annotations[key] {
		return o.notCalled(s.pod.Namespace)
	} else if err := json.Unmarshal([]byte(text), &status); err != nil {
		return fmt.Errorf("annotation %s is of another program: %w", key, err)
	}
	if len(status.Containers) == 0 {
		return errors.New("the webhook injects nothing: see its warnings")
	}
	describe(w, s.pod, after)
	fmt.Fprintf(w, "ok: tokens %s; logins %s; containers %s\n", names(status.Tokens), names(status.Logins), names(status.Containers))
	return nil
}

func anyOf(prefix annotations.Prefix, all map[string]string) bool {
	for name := range all {
		if prefix.Owns(name) {
			return true
		}
	}
	return false
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
				fmt.Fprintf(w, "  container %s gets %s%s\n", c.Name, m.MountPath, tokensIn(after, m.Name))
			}
		}
		for _, e := range c.Env {
			if !slices.ContainsFunc(old[i].Env, func(o corev1.EnvVar) bool { return o.Name == e.Name }) {
				fmt.Fprintf(w, "  container %s gets variable %s\n", c.Name, e.Name)
			}
		}
	}
}

// tokensIn describes the tokens of a volume.
func tokensIn(pod *corev1.Pod, volume string) string {
	var b strings.Builder
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.Name != volume || v.Projected == nil {
			continue
		}
		for _, source := range v.Projected.Sources {
			if t := source.ServiceAccountToken; t != nil && t.Audience != "" && t.ExpirationSeconds != nil {
				fmt.Fprintf(&b, "/%s: a token for audience %q, valid for %d s", t.Path, t.Audience, *t.ExpirationSeconds)
			}
		}
	}
	return b.String()
}
