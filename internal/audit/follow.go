package audit

import (
	"context"
	"fmt"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/config"
)

// namespaces is the sink that knows which namespaces are served.
type namespaces struct {
	tracker *tracker
	pods    *pods
	// ready is closed when all are known for the first time.
	ready chan struct{}
	once  sync.Once

	seen map[string]bool // by the list at hand
}

func (n *namespaces) begin() { n.seen = map[string]bool{} }

func (n *namespaces) changed(m *metav1.ObjectMeta) {
	n.seen[m.Name] = true
	if n.tracker.serve(m.Name) {
		n.pods.adopt(m.Name)
	}
}

func (n *namespaces) gone(m *metav1.ObjectMeta) { n.tracker.leave(m.Name) }

func (n *namespaces) end() {
	for _, name := range n.tracker.served() {
		if !n.seen[name] {
			n.tracker.leave(name)
		}
	}
	n.seen = map[string]bool{}
	n.once.Do(func() { close(n.ready) })
}

// after keeps nothing: only a list has to know what it has seen.
func (n *namespaces) after(context.Context) error {
	clear(n.seen)
	return nil
}

// manyNamespaces is how many new ones are worth a list of everything.
const manyNamespaces = 20

// pods is the sink that judges pods, and forgets them at once. There is one
// watch for all namespaces: see docs/audit.md.
type pods struct {
	*source

	tracker *tracker
	config  func() *config.Config
	metrics *metrics
	woken   chan struct{}

	mu  sync.Mutex
	new []string // namespaces whose pods have not been listed
}

// adopt has the pods of a namespace listed that is served from now on: their
// earlier events were ignored.
func (p *pods) adopt(namespace string) {
	p.mu.Lock()
	p.new = append(p.new, namespace)
	p.mu.Unlock()
	select {
	case p.woken <- struct{}{}:
	default: // it is awake already
	}
}

func (p *pods) adopted() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.new
	p.new = nil
	return all
}

func (p *pods) begin() {
	p.adopted() // the list of everything has their pods
	p.tracker.begin(p.config())
}

func (p *pods) end() { p.tracker.end() }

func (p *pods) changed(m *metav1.ObjectMeta) {
	p.metrics.contact()
	p.tracker.observe(m)
}

func (p *pods) gone(m *metav1.ObjectMeta) { p.tracker.forget(m.UID) }

// after lists the pods of new namespaces. Meanwhile no event is taken, so that
// those which the list includes already are passed on again, in their order: what is
// known then is what holds after the last of them.
func (p *pods) after(ctx context.Context) error {
	p.metrics.contact()
	if p.tracker.outdated(p.config()) {
		return errRelist
	}
	all := p.adopted()
	if len(all) > manyNamespaces {
		return errRelist
	}
	for namespace := range slices.Values(all) {
		if _, err := p.list(ctx, namespace, p); err != nil {
			return fmt.Errorf("%w: %w", errRelist, err)
		}
	}
	return nil
}
