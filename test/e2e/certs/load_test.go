package certs

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// load creates annotated pods without end, and counts what becomes of them. It
// looks at the replicas' certificates as well: an API server keeps connections,
// so that few of its calls verify one.
type load struct {
	mu         sync.Mutex
	created    int
	uninjected int
	failures   []failure
	handshakes int
	refused    []failure // certificates that an API server would not accept

	stop func()
}

type failure struct {
	at   time.Time
	text string
}

func startLoad(t *testing.T, in *installation) *load {
	t.Helper()
	config := kube.RESTConfig()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	l := &load{}
	var workers sync.WaitGroup
	l.stop = sync.OnceFunc(func() {
		cancel()
		workers.Wait()
	})
	t.Cleanup(l.stop)
	for range 4 {
		workers.Go(func() {
			for ctx.Err() == nil {
				l.create(ctx, client, in)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	workers.Go(func() {
		for ctx.Err() == nil {
			l.shake(ctx, client, in)
			time.Sleep(20 * time.Millisecond)
		}
	})
	return l
}

func (l *load) create(ctx context.Context, client kubernetes.Interface, in *installation) {
	pod, err := client.CoreV1().Pods(in.pods).Create(ctx, newPod(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case err != nil:
		l.failures = append(l.failures, failure{time.Now(), err.Error()})
	default:
		l.created++
		if !injected(pod) {
			l.uninjected++
		}
	}
}

// shake verifies the certificate of each replica that is ready against what is
// in the configuration at that time.
func (l *load) shake(ctx context.Context, client kubernetes.Interface, in *installation) {
	c, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, in.namespace, metav1.GetOptions{})
	if err != nil {
		return // it is not there, or the API server is not
	}
	for _, r := range in.replicas {
		if r.readiness(ctx) != "" {
			continue
		}
		err := in.verify(ctx, r, c.Webhooks[0].ClientConfig.CABundle)
		l.mu.Lock()
		l.handshakes++
		if err != nil && ctx.Err() == nil {
			l.refused = append(l.refused, failure{time.Now(), err.Error()})
		}
		l.mu.Unlock()
	}
}

// report ends the load and says what came of it.
func (l *load) report(t *testing.T) {
	t.Helper()
	l.stop()
	t.Logf("%d pods created, %d not injected, %d failed; %d handshakes, %d refused",
		l.created, l.uninjected, len(l.failures), l.handshakes, len(l.refused))
	for _, text := range distinct(l.failures, l.refused) {
		t.Logf("failure: %s", text)
	}
	if l.created == 0 {
		t.Error("no pod was created at all")
	}
	if l.uninjected > 0 {
		t.Errorf("%d pods were created without their token", l.uninjected)
	}
}

// expectNoFailure ends the load, and fails if anything failed.
func (l *load) expectNoFailure(t *testing.T) {
	t.Helper()
	l.report(t)
	if len(l.failures) > 0 || len(l.refused) > 0 {
		t.Errorf("%d pods failed, %d handshakes were refused", len(l.failures), len(l.refused))
	}
}

func distinct(lists ...[]failure) []string {
	var texts []string
	for _, f := range slices.Concat(lists...) {
		text := f.text
		if i := strings.Index(text, "failed calling webhook"); i >= 0 {
			text = text[i:]
		}
		if !slices.Contains(texts, text) && len(texts) < 10 {
			texts = append(texts, text)
		}
	}
	return texts
}
