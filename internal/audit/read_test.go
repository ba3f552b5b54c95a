package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/oidc-injector/oidc-injector/internal/audit/audittest"
)

// meter is a transport that notes how much is read of the largest answer.
type meter struct {
	next http.RoundTripper

	mu      sync.Mutex
	largest int
}

func (m *meter) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := m.next.RoundTrip(request)
	if err == nil {
		response.Body = &meteredBody{ReadCloser: response.Body, meter: m}
	}
	return response, err
}

type meteredBody struct {
	io.ReadCloser

	meter *meter
	read  int
}

func (b *meteredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += n
	b.meter.mu.Lock()
	b.meter.largest = max(b.meter.largest, b.read)
	b.meter.mu.Unlock()
	return n, err
}

func metered(t *testing.T, s *audittest.Server) (rest.Interface, *meter) {
	t.Helper()
	m := &meter{}
	core, err := coreclient.NewForConfig(&rest.Config{Host: s.URL, QPS: -1, WrapTransport: func(next http.RoundTripper) http.RoundTripper {
		m.next = next
		return m
	}})
	if err != nil {
		t.Fatal(err)
	}
	return core.RESTClient(), m
}

// annotated are pods with an annotation of this size.
func annotated(size int) func(int) *corev1.Pod {
	value := strings.Repeat("x", size)
	return func(i int) *corev1.Pod {
		pod := newPod(fmt.Sprintf("web-%d", i), "audience=vault")
		pod.Annotations["example.com/large"] = value
		return pod
	}
}

// all reads all pages.
func (p *pager) all(t *testing.T) (objects int, sizes []int, err error) {
	t.Helper()
	var options metav1.ListOptions
	for {
		list, err := p.page(t.Context(), "", options, &bytes.Buffer{})
		if err != nil {
			return objects, sizes, err
		}
		objects += len(list.Items)
		sizes = append(sizes, len(list.Items))
		if options.Continue = list.Continue; options.Continue == "" {
			return objects, sizes, nil
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		pods int
		of   func(int) *corev1.Pod
		want error
		most int // bytes of an answer
	}{
		"none":          {0, annotated(0), nil, maxPage},
		"small":         {1_000, annotated(0), nil, maxPage},
		"60 kB":         {100, annotated(60_000), nil, maxPage + 1},
		"250 kB":        {30, annotated(250_000), nil, maxPage + 1},
		"over a page":   {6, annotated(maxPage + 1), nil, maxObject},
		"over anything": {3, annotated(maxObject), errTooLarge, maxObject + 1},
		"large ones after small ones": {600, func(i int) *corev1.Pod {
			if i < 550 {
				return annotated(0)(i)
			}
			return annotated(250_000)(i)
		}, nil, maxPage + 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server(t)
			s.Bulk(tt.pods, tt.of)
			client, m := metered(t, s)
			objects, sizes, err := newPager(client, "pods").all(t)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if tt.want == nil && objects != tt.pods {
				t.Errorf("%d of %d objects", objects, tt.pods)
			}
			if m.largest > tt.most {
				t.Errorf("%d bytes of an answer were read, of at most %d; pages: %v", m.largest, tt.most, sizes)
			}
		})
	}
}

// A page is as large as it may be: many small objects do not take many calls.
func TestPagesGrow(t *testing.T) {
	t.Parallel()
	p := newPager(nil, "pods")
	for _, tt := range []struct{ objects, size, want int }{
		{100, 100 << 10, 200},
		{200, 200 << 10, 400},
		{400, 400 << 10, mostObjects},
		{0, 100, mostObjects},
		{mostObjects, 2 * fullPage, mostObjects / 2},
		{250, 250 * fullPage, 1},
		{1, 1 << 10, 2},
	} {
		p.learn(tt.objects, tt.size)
		if p.objects != tt.want {
			t.Errorf("%d objects of %d bytes: the next page has %d, want %d", tt.objects, tt.size, p.objects, tt.want)
		}
	}
}

// A pod that is larger than what is read is not read again and again.
func TestHugePodUnverified(t *testing.T) {
	t.Parallel()
	s := server(t)
	s.Pod(with(newPod("huge", "audience=vault"), func(p *corev1.Pod) {
		p.Spec.Containers[0].Args = []string{strings.Repeat("x", maxObject)}
	}))
	r := start(t, s, "a", 100)
	r.await("oidc_injector_audit_checks_total", counts{"failure": 1})
	s.Pod(newPod("web", "audience=vault"))
	r.awaitMissed(counts{"unverified": 1, "not_injected": 1})
	if gets := s.Calls("get pod"); gets != 2 {
		t.Errorf("%d pods were read", gets)
	}
}
