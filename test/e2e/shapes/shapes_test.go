package shapes

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// leastShapes is how many shapes the API server has to take for the corpus to say
// something.
const leastShapes = 300

// variants are the annotations with which each shape is created.
var variants = map[string]map[string]string{
	"token": podtest.Annotations("audience=vault", "env=JWT_FILE"),
	"login": podtest.Annotations("audience=vault", "env=JWT_FILE", "login=vault", "login-role=app",
		"login-address=https://vault.example.com", "login-ca-configmap=vault-ca"),
}

// TestShapes creates each shape without and with annotations. What the API server
// takes without them it takes with them, or the webhook says what is wrong; and what
// is stored differs by what we say we add.
func TestShapes(t *testing.T) {
	shapes := corpus(t)
	var all outcome
	t.Run("each", func(t *testing.T) {
		for _, s := range shapes {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				s.check(t, &all)
			})
		}
	})
	t.Logf("of %d shapes %d are accepted, %d of them under restricted, %d of them guaranteed; denied with a token or a login: %d",
		len(shapes), len(all.accepted), all.restricted, all.guaranteed, all.denied)
	t.Logf("policies refuse %d of them that the webhook does not", all.needsWebhook)
	for _, refusal := range all.refused {
		t.Log("refused without annotations:", refusal)
	}
	if len(all.accepted) < leastShapes {
		t.Errorf("the API server accepts %d shapes, want at least %d", len(all.accepted), leastShapes)
	}
	if all.restricted == 0 || all.guaranteed == 0 || all.denied == 0 {
		t.Error("no shape is restricted, or guaranteed, or denied: the corpus shows nothing about them")
	}
	checkCoverage(t, all.accepted)
}

// outcome is what became of all shapes.
type outcome struct {
	mu       sync.Mutex
	accepted []*corev1.Pod
	refused  []string

	restricted, guaranteed, denied, needsWebhook int
}

// stored is a pod as the API server would store it.
type stored struct {
	*corev1.Pod
	warnings []string
}

// restricted reports whether the pod passes the Pod Security Standard.
func (s stored) restricted() bool {
	return !slices.ContainsFunc(s.warnings, func(text string) bool { return strings.Contains(text, "would violate PodSecurity") })
}

func (s shape) check(t *testing.T, all *outcome) {
	t.Helper()
	without, err := dryRun(t.Context(), ns, s.spec, nil)
	if (err != nil) != s.refused && s.known {
		t.Fatalf("without annotations: error %v, want an error: %v", err, s.refused)
	}
	all.record(s, without, err)
	if err != nil {
		return
	}
	for variant, annotations := range variants {
		with, err := dryRun(t.Context(), ns, s.spec, annotations)
		if variant == "token" {
			s.checkPolicyMode(t, with, err, all)
		}
		switch denied := slices.Contains(s.denied, variant); {
		case denied:
			checkFinding(t, variant, err)
			all.countDenied()
		case err != nil:
			t.Errorf("%s: %v", variant, err)
		default:
			checkAdditions(t, variant, without, with)
			checkProperties(t, variant, without, with)
			checkMesh(t, s, with)
		}
	}
}

func (o *outcome) record(s shape, without stored, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.refused = append(o.refused, s.name+": "+err.Error())
		return
	}
	o.accepted = append(o.accepted, without.Pod)
	if without.restricted() {
		o.restricted++
	}
	if without.Status.QOSClass == corev1.PodQOSGuaranteed {
		o.guaranteed++
	}
}

func (o *outcome) countNeedsWebhook() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.needsWebhook++
}

func (o *outcome) countDenied() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.denied++
}

// checkFinding wants a denial that names an annotation in each of its causes.
func checkFinding(t *testing.T, variant string, err error) {
	t.Helper()
	var status *apierrors.StatusError
	if !errors.As(err, &status) || !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) {
		t.Errorf("%s: error %v, want a finding of the webhook", variant, err)
		return
	}
	if status.ErrStatus.Details == nil || len(status.ErrStatus.Details.Causes) == 0 {
		t.Errorf("%s: the denial has no causes: %v", variant, err)
		return
	}
	for _, cause := range status.ErrStatus.Details.Causes {
		if !strings.Contains(cause.Field+cause.Message, podtest.Prefix) {
			t.Errorf("%s: a cause names no annotation: %s: %s", variant, cause.Field, cause.Message)
		}
	}
}

// checkAdditions compares what is stored with annotations, but for what we add, with
// what is stored without them.
func checkAdditions(t *testing.T, variant string, without, with stored) {
	t.Helper()
	if with.Annotations[podtest.Prefix+"status"] == "" {
		t.Errorf("%s: the webhook did nothing", variant)
	}
	got, want := normalized(with.Pod), normalized(without.Pod)
	removeOurs(got, want)
	if diff := cmp.Diff(want, got, cmp.Comparer(equalQuantities), emptyIsNil()); diff != "" {
		t.Errorf("%s: what is stored differs by more than our additions (-without +with):\n%s", variant, diff)
	}
}

// checkProperties compares what follows from the whole pod.
func checkProperties(t *testing.T, variant string, without, with stored) {
	t.Helper()
	got, want := with.Status.QOSClass, without.Status.QOSClass
	// A login container has requests, so that there is room for it.
	if bestEffort := want == corev1.PodQOSBestEffort && variant == "login"; got != want && (!bestEffort || got != corev1.PodQOSBurstable) {
		t.Errorf("%s: the quality of service is %s, without annotations %s", variant, got, want)
	}
	if without.restricted() && !with.restricted() {
		t.Errorf("%s: the pod violates restricted, which it does not without annotations: %q", variant, with.warnings)
	}
}

// checkMesh wants containers of a mesh to be without anything of ours.
func checkMesh(t *testing.T, s shape, with stored) {
	t.Helper()
	if s.injected == "" {
		return
	}
	for _, c := range podtest.Containers(with.Pod) {
		if c.Name == s.injected && slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return ours(m.Name) }) {
			t.Errorf("container %s has a mount of ours", c.Name)
		}
	}
}

// dryRun creates a pod without storing it.
func dryRun(ctx context.Context, namespace string, spec corev1.PodSpec, annotations map[string]string) (stored, error) {
	ctx, warnings := withWarnings(ctx)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "shape", Annotations: annotations}, Spec: spec}
	created, err := client.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return stored{Pod: created, warnings: warnings.Texts()}, err
}

type warningsKey struct{}

func withWarnings(ctx context.Context) (context.Context, *podtest.Warnings) {
	w := &podtest.Warnings{}
	return context.WithValue(ctx, warningsKey{}, w), w
}

// collector gives a warning to whoever made the request.
type collector struct{}

func (collector) HandleWarningHeaderWithContext(ctx context.Context, code int, agent, text string) {
	if w, ok := ctx.Value(warningsKey{}).(*podtest.Warnings); ok {
		w.HandleWarningHeader(code, agent, text)
	}
}
