package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/test/injector"
)

// pod is one with a container "app" and annotations, as keys and values in turn.
func pod(name string, pairs ...string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		p.Annotations[annotations.DefaultPrefix+"/"+pairs[i]] = pairs[i+1]
	}
	return p
}

// stream is pods or Deployments that somebody creates, by dry-run, which admission does not
// tell from others.
type stream struct {
	namespace string // or that of any team
	workloads bool
	rate      func(second float64) float64 // how many a second
	pod       func() *corev1.Pod
}

func annotated(pairs ...string) func() *corev1.Pod {
	return func() *corev1.Pod { return pod("app", pairs...) }
}

// clashing has something else where the token would be.
func clashing() *corev1.Pod {
	p := pod("app", "audience", "vault", "containers", "app")
	p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/var/run/secrets/tokens"}}
	return p
}

// during is a rate from one second to another.
func during(from, to, rate float64) func(float64) float64 {
	return func(second float64) float64 {
		if second < from || second >= to {
			return 0
		}
		return rate
	}
}

var streams = []stream{
	{rate: func(s float64) float64 { return 14 + 8*math.Sin(s/9) + during(62, 76, 22)(s) }, pod: annotated("audience", "vault")},
	{rate: func(float64) float64 { return 2 }, pod: annotated("audience", "vault", "inject", "false")},
	{rate: func(float64) float64 { return 0.6 }, pod: annotated("audience", "vault", "expiraton", "2h")},
	{namespace: "billing", rate: during(26, 44, 1.6), pod: annotated("audience", "sts.example.com")},
	{namespace: "shop", rate: during(60, 80, 1.1), pod: annotated("audience", "vault", "expiration", "5m")},
	{namespace: "search", rate: during(12, 108, 0.2), pod: clashing},
	{workloads: true, rate: func(s float64) float64 { return 1.2 + 0.5*math.Sin(s/7) }, pod: annotated("audience", "vault")},
	{workloads: true, rate: during(0, 90, 0.25), pod: annotated("audience", "vault", "expiraton", "2h")},
	{workloads: true, namespace: "shop", rate: during(54, 72, 0.5), pod: annotated("audience", "vault", "expiration", "5m")},
}

// flow creates what comes of a stream, at random times as people do, until the context is over.
func (w *world) flow(ctx context.Context, s *stream, start time.Time) {
	for ctx.Err() == nil {
		rate := s.rate(time.Since(start).Seconds())
		if rate <= 0 {
			sleep(ctx, 100*time.Millisecond)
			continue
		}
		sleep(ctx, time.Duration(rand.ExpFloat64()/rate*float64(time.Second)))
		namespace := s.namespace
		if namespace == "" {
			namespace = teams[rand.N(len(teams))].namespace
		}
		w.create(ctx, namespace, s)
	}
}

// create ignores errors: denials are wanted, and so is an outage.
func (w *world) create(ctx context.Context, namespace string, s *stream) {
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	p := s.pod()
	if !s.workloads {
		_, _ = w.client.CoreV1().Pods(namespace).Create(ctx, p, dryRun)
		return
	}
	app := map[string]string{"app": p.Name}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: app, Annotations: p.Annotations}, Spec: p.Spec}
	_, _ = w.client.AppsV1().Deployments(namespace).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: p.Name},
		Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: app}, Template: template},
	}, dryRun)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// event is what happens once, in a second of the picture.
type event struct {
	second int
	what   string
	do     func(context.Context) error
}

// unlabelled is a namespace whose pods the webhook does not see until it has the label.
const unlabelled = "legacy"

func (w *world) events() []event {
	return []event{
		{-9, "pods without the webhook", w.createMissed},
		{-8, "login of billing", func(ctx context.Context) error { return w.startLogin(ctx, "billing", "invoices") }},
		{-6, "login of search", func(ctx context.Context) error { return w.startLogin(ctx, "search", "indexer") }},
		{-4, "login of shop", func(ctx context.Context) error { return w.startLogin(ctx, "shop", "web") }},
		{10, "login of reports, whose role is missing", func(ctx context.Context) error { return w.startLogin(ctx, late, "monthly") }},
		{14, "the label of their namespace", func(ctx context.Context) error {
			return w.kube.Namespace(ctx, unlabelled, map[string]string{injector.EnabledLabel: "true"})
		}},
		{22, "new configuration", func(context.Context) error { return w.writeConfig(w.config() + "maxExpiration: 12h\n") }},
		{32, "the role of reports", func(ctx context.Context) error { return w.writeRole(ctx, late, "60s") }},
		{46, "somebody writes the caBundle", w.overwriteBundle},
		{52, "broken configuration", func(context.Context) error { return w.writeConfig(w.config() + "maxExpiration: soon\n") }},
		{58, "Vault is sealed", w.sealVault},
		{72, "good configuration", func(context.Context) error { return w.writeConfig(w.config()) }},
		{78, "one pod is created again", func(ctx context.Context) error { return w.deleteMissed(ctx, "old-1") }},
		{84, "the Service has no endpoints", w.outage},
		{92, "a replica is replaced", w.replace},
		{100, "the other pods are created again", func(ctx context.Context) error {
			return errors.Join(w.deleteMissed(ctx, "old-2"), w.deleteMissed(ctx, "old-3"))
		}},
		{106, "the Secret is lost", func(ctx context.Context) error {
			return w.client.CoreV1().Secrets(release).Delete(ctx, release+"-ca", metav1.DeleteOptions{})
		}},
	}
}

func (w *world) createMissed(ctx context.Context) error {
	if err := w.kube.Namespace(ctx, unlabelled, nil); err != nil {
		return err
	}
	for _, name := range []string{"old-1", "old-2", "old-3"} {
		if _, err := w.client.CoreV1().Pods(unlabelled).Create(ctx, pod(name, "audience", "vault"), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) deleteMissed(ctx context.Context, name string) error {
	return w.client.CoreV1().Pods(unlabelled).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
}

func (w *world) overwriteBundle(ctx context.Context) error {
	patch := fmt.Appendf(nil, `[{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": %q}]`, "bm9ib2R5J3M=")
	_, err := w.client.AdmissionregistrationV1().MutatingWebhookConfigurations().
		Patch(ctx, release, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: "somebody"})
	return err
}

// outage takes the webhook away, and lets somebody debug a pod meanwhile.
func (w *world) outage(ctx context.Context) error {
	w.door.set(true)
	defer w.door.set(false)
	for i := range 3 {
		p, err := w.client.CoreV1().Pods("shop").Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, corev1.EphemeralContainer{
			EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: fmt.Sprintf("debug-%d", i), Image: "debug"},
		})
		if _, err := w.client.CoreV1().Pods("shop").UpdateEphemeralContainers(ctx, p.Name, p, metav1.UpdateOptions{}); err != nil {
			return err
		}
		sleep(ctx, time.Second)
	}
	return nil
}

// live lets everything happen while the scraper looks on, and returns when the picture begins.
func (w *world) live(ctx context.Context, s *scraper) (start time.Time, err error) {
	start = time.Now().Add(lead)
	ctx, cancel := context.WithDeadline(ctx, start.Add(length+interval))
	defer cancel()
	var all sync.WaitGroup
	for i := range streams {
		all.Go(func() { w.flow(ctx, &streams[i], start) })
	}
	events := w.events()
	failures := make([]error, len(events))
	for i, e := range events {
		all.Go(func() {
			sleep(ctx, time.Until(start.Add(time.Duration(e.second)*time.Second)))
			if err := e.do(ctx); err != nil {
				failures[i] = fmt.Errorf("%s: %w", e.what, err)
				fmt.Fprintln(os.Stderr, failures[i])
			}
		})
	}
	for at := start.Add(-lead); err == nil && !at.After(start.Add(length)); at = at.Add(interval) {
		sleep(ctx, time.Until(at))
		err = errors.Join(s.scrape(ctx, w.targets()), ctx.Err())
	}
	cancel()
	all.Wait()
	return start, errors.Join(err, errors.Join(failures...))
}
