package install

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Of the load: so much that something is always in flight, and so little that the machine
// is not busy with it alone.
const (
	workers = 4
	pause   = 10 * time.Millisecond
	// calm is how long it goes on before and after what is done to the webhook.
	calm = 1500 * time.Millisecond
)

// load creates annotated pods, as a dry-run, until it is stopped, and counts what becomes
// of them: of those in the webhook's namespace, and beside them of as many that policies
// inject.
type load struct {
	mu sync.Mutex
	outcome
	byPolicies outcome
	// An API server keeps its connections, so that few of its calls verify a certificate:
	// there are handshakes beside them, and those that it would have refused.
	handshakes int
	refused    []failure

	stop func()
}

// outcome is what has become of pods.
type outcome struct {
	created    int
	uninjected int
	// failed are refused because the webhook did not answer.
	failed []failure
	// away are those that the API server itself did not answer.
	away []failure
}

type failure struct {
	at   time.Time
	text string
}

func (n *node) startLoad(t *testing.T) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	l := &load{}
	var group sync.WaitGroup
	l.stop = sync.OnceFunc(func() {
		cancel()
		group.Wait()
	})
	t.Cleanup(l.stop)
	config := n.kube.RESTConfig()
	// The chart tells whose namespace the webhook does not serve.
	config.WarningHandler = rest.NoWarnings{}
	for range workers {
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			for ctx.Err() == nil {
				l.create(ctx, client, apps, &l.outcome)
				if n.policies {
					l.create(ctx, client, policyApps, &l.byPolicies)
				}
				time.Sleep(pause)
			}
		})
	}
	group.Go(func() {
		for ctx.Err() == nil {
			n.shake(ctx, l)
			time.Sleep(2 * pause)
		}
	})
	return l
}

// shake verifies the certificate of each webhook that is ready against what is in the
// configuration at that time.
func (n *node) shake(ctx context.Context, l *load) {
	configuration, err := n.kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, release, metav1.GetOptions{})
	if err != nil {
		return // the API server is away
	}
	pods, err := n.kube.Client().CoreV1().Pods(namespace).List(ctx, webhookPods)
	if err != nil {
		return
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.DeletionTimestamp != nil || readyAfter(pod) < 0 {
			continue
		}
		_, err := n.handshake(ctx, pod, configuration.Webhooks[0].ClientConfig.CABundle)
		var unverified *tls.CertificateVerificationError
		if err != nil && !errors.As(err, &unverified) {
			continue // it has ended meanwhile
		}
		l.mu.Lock()
		l.handshakes++
		if err != nil {
			l.refused = append(l.refused, failure{time.Now(), err.Error()})
		}
		l.mu.Unlock()
	}
}

// handshake connects to one webhook as the API server does, and returns its certificate.
func (n *node) handshake(ctx context.Context, pod *corev1.Pod, bundle []byte) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	connection, err := n.kube.Dial(ctx, net.JoinHostPort(pod.Status.PodIP, "9443"))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	client := tls.Client(connection, &tls.Config{
		RootCAs: roots, ServerName: release + "." + namespace + ".svc",
		MinVersion: tls.VersionTLS12,
	})
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return client.ConnectionState().PeerCertificates[0], nil
}

func (l *load) create(ctx context.Context, client kubernetes.Interface, namespace string, o *outcome) {
	pod, err := client.CoreV1().Pods(namespace).Create(ctx, newPod("load", "audience=vault"),
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if ctx.Err() == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		o.count(pod, err)
	}
}

func (o *outcome) count(pod *corev1.Pod, err error) {
	switch {
	case err == nil:
		o.created++
		if !injected(pod) {
			o.uninjected++
		}
	case strings.Contains(err.Error(), "webhook"):
		o.failed = append(o.failed, failure{time.Now(), err.Error()})
	default:
		o.away = append(o.away, failure{time.Now(), err.Error()})
	}
}

// tolerance says what may go wrong while something is done to the webhook.
type tolerance struct {
	// denied pods, because the webhook they were sent to is gone.
	denied bool
	// away is the API server itself.
	away bool
}

// underLoad does something to the webhook while pods are created, and tells what became of
// them. A pod without its token is never tolerated.
func (n *node) underLoad(t *testing.T, tolerated tolerance, disrupt func()) {
	t.Helper()
	n.tellIfFailed(t)
	l := n.startLoad(t)
	time.Sleep(calm)
	began := time.Now()
	disrupt()
	ended := time.Now()
	time.Sleep(calm)
	l.stop()
	t.Logf("in %v: %d pods admitted, %d un-injected, %d failed, %d while the API server was away; %d handshakes, %d refused",
		ended.Sub(began).Round(100*time.Millisecond), l.created, l.uninjected, len(l.failed), len(l.away), l.handshakes, len(l.refused))
	logFailures(t, began, "failed", l.failed)
	logFailures(t, began, "away", l.away)
	logFailures(t, began, "refused", l.refused)
	for _, f := range slices.Concat(l.failed, l.away, l.refused) {
		if f.at.Before(began) || f.at.After(ended.Add(calm/3)) {
			t.Errorf("at another time: %s", f.text)
		}
	}
	if l.created == 0 {
		t.Error("no pod was created at all")
	}
	if l.uninjected > 0 {
		t.Errorf("%d pods were admitted without their token", l.uninjected)
	}
	if !tolerated.denied && len(l.failed)+len(l.refused) > 0 {
		t.Errorf("%d pods failed and %d handshakes were refused, want none", len(l.failed), len(l.refused))
	}
	if !tolerated.away && len(l.away) > 0 {
		t.Errorf("%d pods got no answer of the API server, want none", len(l.away))
	}
	if n.policies {
		l.byPolicies.expectAll(t, began, tolerated.away)
	}
}

// expectAll wants policies to have injected every pod, whatever was done to the webhook.
func (o *outcome) expectAll(t *testing.T, began time.Time, away bool) {
	t.Helper()
	t.Logf("by policies: %d pods admitted, %d un-injected, %d failed, %d while the API server was away",
		o.created, o.uninjected, len(o.failed), len(o.away))
	logFailures(t, began, "by policies, failed", o.failed)
	logFailures(t, began, "by policies, away", o.away)
	if o.created == 0 || o.uninjected > 0 || len(o.failed) > 0 || !away && len(o.away) > 0 {
		t.Error("by policies: want all pods admitted with their token")
	}
}

func logFailures(t *testing.T, began time.Time, what string, failures []failure) {
	t.Helper()
	if len(failures) == 0 {
		return
	}
	t.Logf("%s from %v to %v after the beginning", what, failures[0].at.Sub(began).Round(time.Millisecond),
		failures[len(failures)-1].at.Sub(began).Round(time.Millisecond))
	counts := map[string]int{}
	for _, f := range failures {
		text := f.text
		if i := strings.Index(text, "failed calling webhook"); i >= 0 {
			text = text[i:]
		}
		counts[connections.ReplaceAllString(text, "$1:PORT")]++
	}
	for _, text := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%s %d times: %s", what, counts[text], text)
	}
}

// connections are the API server's, and the load's: each has another port.
var connections = regexp.MustCompile(`\b((?:10\.88|127\.0)\.\d+\.\d+):\d+`)
