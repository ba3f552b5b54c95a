package audit

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// verdict is what both looks say of a pod.
type verdict struct{ Suspicion, Reason Reason }

func TestVerdicts(t *testing.T) {
	t.Parallel()
	cfg := configured(t)
	asking := newPod("web", "audience=vault")
	injected := inject(t, cfg, "v1", asking)
	loggedIn := inject(t, cfg, "v1", newPod("web", "audience=vault", "login=vault", "login-address=https://vault:8200", "login-role=web"))
	copied := newPod("web", "audience=vault", `status={"version":"v1","tokens":["default"],"containers":["app"]}`)
	for name, tt := range map[string]struct {
		pod  *corev1.Pod
		want verdict
	}{
		"says nothing":                  {newPod("web"), verdict{}},
		"has a status and nothing else": {newPod("web", "status={}"), verdict{}},
		"an unknown key":                {newPod("web", "audiense=vault"), verdict{}},
		"a key of somebody else's": {with(newPod("web"),
			func(p *corev1.Pod) { p.Annotations["oidc-injector.iox/audience"] = "x" }), verdict{}},
		"opted out":                   {newPod("web", "audience=vault", "inject=false"), verdict{}},
		"opted out, and nonsense":     {newPod("web", "audience=", "expiration=x", "inject=false"), verdict{}},
		"all tokens opted out":        {newPod("web", "audience.a=vault", "inject.a=false"), verdict{}},
		"not injected":                {asking, verdict{NotInjected, NotInjected}},
		"not injected, by a profile":  {newPod("web", "profile=both"), verdict{NotInjected, NotInjected}},
		"injected":                    {injected, verdict{}},
		"injected, with a login":      {loggedIn, verdict{}},
		"injected, by a profile":      {inject(t, cfg, "v1", newPod("web", "profile=both")), verdict{}},
		"injected by another version": {inject(t, cfg, "v2", asking), verdict{}},
		"being deleted": {
			with(asking, func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: time.Now()} }),
			verdict{},
		},
		"a static pod": {
			with(asking, func(p *corev1.Pod) { p.Annotations[corev1.MirrorPodAnnotationKey] = "x" }),
			verdict{},
		},
		"for no container": {newPod("web", "audience=vault", "containers=none"), verdict{NotInjected, ""}},
		"equipped by hand": {
			with(injected, func(p *corev1.Pod) { delete(p.Annotations, statusKey) }),
			verdict{NotInjected, ""},
		},
		"half equipped by hand": {
			with(asking, func(p *corev1.Pod) { p.Spec.Volumes = injected.Spec.Volumes }),
			verdict{NotInjected, NotInjected},
		},
		"a copied status":                   {copied, verdict{ForeignStatus, ForeignStatus}},
		"a copied status, injected":         {inject(t, cfg, "v1", copied), verdict{ForeignStatus, ""}},
		"a copied status, managers unknown": {with(copied, func(p *corev1.Pod) { p.ManagedFields = nil }), verdict{}},
		"a status that is none": {
			with(asking, func(p *corev1.Pod) { p.Annotations[statusKey] = "done" }),
			verdict{ForeignStatus, ForeignStatus},
		},
		"a token was added": {
			with(injected, func(p *corev1.Pod) { p.Annotations[prefix+"audience.aws"] = "sts" }),
			verdict{Incomplete, Incomplete},
		},
		"a token was taken away": {with(loggedIn, func(p *corev1.Pod) { delete(p.Annotations, prefix+"login") }), verdict{}},
		"a forbidden token was added": {
			with(injected, func(p *corev1.Pod) { p.Annotations[prefix+"audience.aws"] = "forbidden" }),
			verdict{Incomplete, ""},
		},
		"annotations became wrong": {with(injected, func(p *corev1.Pod) { p.Annotations[prefix+"expiration"] = "x" }), verdict{}},
		"a token for no container was added": {with(injected, func(p *corev1.Pod) {
			p.Annotations[prefix+"audience.b"] = "b"
			p.Annotations[prefix+"containers.b"] = "none"
		}), verdict{Incomplete, ""}},
		"a provider's token, not injected": {
			newPod("web", "aws-role-arn=arn:aws:iam::123456789012:role/a"),
			verdict{NotInjected, NotInjected},
		},
		"a provider's token": {inject(t, cfg, "v1", newPod("web", "aws-role-arn=arn:aws:iam::123456789012:role/a")), verdict{}},
		"a provider's file, named later": {with(inject(t, cfg, "v1",
			newPod("", "gcp-provider=projects/123456/locations/global/workloadIdentityPools/pool/providers/cluster")),
			func(p *corev1.Pod) { p.Name = "web" }), verdict{}},
		"wrong annotations":    {newPod("web", "audience=vault", "expiration=1s"), verdict{NotInjected, Denied}},
		"a forbidden audience": {newPod("web", "audience=forbidden"), verdict{NotInjected, Denied}},
		"wrong annotations, a copied status": {
			newPod("web", "audience=vault", "expiration=1s", `status={"tokens":["default"]}`),
			verdict{ForeignStatus, Denied},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := verdict{}
			got.Suspicion, _ = suspect(cfg, &tt.pod.ObjectMeta)
			reason, keys := confirm(cfg, "v1", tt.pod.Namespace, parsed(t, tt.pod), got.Suspicion)
			if got.Suspicion != "" {
				got.Reason = reason
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
			if (got.Reason == Denied) != (len(keys) > 0 && got.Suspicion != "") {
				t.Errorf("reason %q with the keys %q", got.Reason, keys)
			}
		})
	}
}

// Whatever the annotations: a pod that was injected is not missed, one that was
// not and would be is, and so is one that would be denied.
func TestInjectionDecides(t *testing.T) {
	t.Parallel()
	cfg := configured(t)
	pairs := []string{
		"audience=vault", "audience.aws=sts", "audience.bad=forbidden", "profile=both", "profile=none", "expiration=2h", "expiration.aws=x",
		"inject=false", "inject.aws=false", "containers=app", "containers.aws=none", "env=TOKEN", "login=vault",
		"login-address=https://vault:8200",
		"login-role=web", "login.aws=vault", "login-address.aws=https://vault:8200", "login-role.aws=web", "unknown=x",
		"token-file.aws=aws",
	}
	random := rand.New(rand.NewPCG(1, 2))
	missed := map[Reason]int{}
	for range 20_000 {
		var some []string
		for _, pair := range pairs {
			if random.IntN(4) == 0 {
				some = append(some, pair)
			}
		}
		pod := newPod("web", some...)
		suspicion, _ := suspect(cfg, &pod.ObjectMeta)
		reason, _ := confirm(cfg, "v1", "shop", parsed(t, pod), suspicion)
		if suspicion == "" {
			reason = ""
		}
		missed[reason]++
		if reason == Denied {
			continue
		}
		injected := inject(t, cfg, "v1", pod)
		if changed := len(injected.Spec.Volumes) > 0; changed != (reason == NotInjected) {
			t.Fatalf("%q: injection changes it: %t, reason %q", some, changed, reason)
		}
		suspicion, _ = suspect(cfg, &injected.ObjectMeta)
		if suspicion != "" {
			if reason, _ = confirm(cfg, "v1", "shop", parsed(t, injected), suspicion); reason != "" {
				t.Fatalf("%q: injected and %s", some, reason)
			}
		}
	}
	for _, reason := range []Reason{"", NotInjected, Denied} {
		if missed[reason] < 100 {
			t.Errorf("only %d pods are %q", missed[reason], reason)
		}
	}
}

func TestDeniedKeys(t *testing.T) {
	t.Parallel()
	at := func(key string) *field.Path { return field.NewPath("metadata", "annotations").Key(key) }
	errs := field.ErrorList{
		field.Invalid(at(prefix+"expiration"), "s3cret", "s3cret"),
		field.Invalid(at(prefix+"expiration.aws"), "s3cret", "s3cret"),
		field.Invalid(at(prefix+"audience."+strings.Repeat("x", 200_000)), "s3cret", "s3cret"),
		field.Invalid(at(prefix+"s3cret"), "s3cret", "s3cret"),
		field.Invalid(at("example.com/audience"), "s3cret", "s3cret"),
		field.Invalid(field.NewPath("spec", "containers").Index(0), "s3cret", "s3cret"),
		field.Invalid(field.NewPath("metadata", "annotations["+prefix+"audience"), "s3cret", "s3cret"),
	}
	if diff := cmp.Diff([]string{prefix + "expiration", prefix + "audience"},
		deniedKeys(&annotations.Parser{Prefix: annotations.DefaultPrefix}, errs)); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	a := &announcer{prefix: annotations.DefaultPrefix}
	c := &check{tracked: tracked{name: strings.Repeat("p", 253), owner: owner{controller: &controllers[0]}}}
	for _, reason := range reasons {
		// As many keys as there can be.
		if note := a.note(c, reason, slices.Repeat([]string{prefix + "login-target-audience"}, 40)); len(note) > maxNote {
			t.Errorf("%s: %d bytes", reason, len(note))
		}
	}
	if got := camelCase(ForeignStatus); got != "ForeignStatus" {
		t.Errorf("reason %q", got)
	}
}

// bindings are about pods of namespace shop.
const bindings = `bindings:
- {name: reports, namespaces: ["sh*"], serviceAccounts: [reports], podLabels: {app: web}, annotations: {audience: vault}}
- {name: other, namespaces: [other], serviceAccounts: ["*"], annotations: {audience: vault}}
`

func TestVerdictsOfBindings(t *testing.T) {
	t.Parallel()
	cfg := configured(t, bindings)
	bound := with(newPod("web"), func(p *corev1.Pod) { p.Spec.ServiceAccountName = "reports" })
	for name, tt := range map[string]struct {
		pod   *corev1.Pod
		want  verdict
		bound bool
	}{
		"not injected":           {bound, verdict{NotInjected, NotInjected}, true},
		"another ServiceAccount": {newPod("web"), verdict{NotInjected, ""}, true},
		"another label":          {with(bound, func(p *corev1.Pod) { p.Labels["app"] = "db" }), verdict{}, false},
		"another namespace":      {with(bound, func(p *corev1.Pod) { p.Namespace = "none" }), verdict{}, false},
		"injected":               {inject(t, cfg, "v1", bound), verdict{}, false},
		"opted out": {
			with(newPod("web", "inject=false"), func(p *corev1.Pod) { p.Spec.ServiceAccountName = "reports" }), verdict{}, false,
		},
		"injected before there was the binding": {
			inject(t, configured(t), "v1", with(newPod("web", "audience.x=y"),
				func(p *corev1.Pod) { p.Spec.ServiceAccountName = "reports" })), verdict{Incomplete, Incomplete}, true,
		},
		"injected, of another ServiceAccount": {inject(t, cfg, "v1", newPod("web", "audience.x=y")), verdict{Incomplete, ""}, true},
		"asks for more itself":                {newPod("web", "audience.x=y"), verdict{NotInjected, NotInjected}, false},
		"a copied status": {
			with(newPod("web", `status={"tokens":["default"],"bindings":["reports"]}`),
				func(p *corev1.Pod) { p.Spec.ServiceAccountName = "reports" }), verdict{ForeignStatus, ForeignStatus}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got verdict
			var bound bool
			got.Suspicion, bound = suspect(cfg, &tt.pod.ObjectMeta)
			if got.Suspicion != "" {
				got.Reason, _ = confirm(cfg, "v1", tt.pod.Namespace, parsed(t, tt.pod), got.Suspicion)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || bound != tt.bound {
				t.Errorf("bound %t, verdict (-want +got):\n%s", bound, diff)
			}
		})
	}
}
