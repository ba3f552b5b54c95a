package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/oidc-injector/oidc-injector/internal/certs/rotation"
)

// The simulation runs the real Managed of several replicas against a cluster in
// memory. Its time is that of a clock of its own, and between any two calls to
// the API server anything may happen: another replica's call, a crash, an answer
// that is lost, somebody who damages what is stored. What has to hold at every
// moment is that the certificate of each replica in service verifies against the
// bundle that each API server holds, which is the stored one, or an older one.

const (
	simNames  = "injector.security.svc"
	simMaxLag = 90 * time.Second // until an API server knows of a change; below Policy.Settling
	simSkew   = 10 * time.Second // of the clocks that replicas and API servers go by
)

var (
	simPolicy = rotation.Policy{CADuration: 100 * time.Minute, CertificateDuration: 20 * time.Minute}
	simStart  = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	errGone   = errors.New("the process is gone")
	errLost   = errors.New("the API server does not answer")
)

// faults say how likely each is at a step of a replica.
type faults struct {
	crash, outage, lost, away, deleteSecret, corrupt, restore, overwrite, recreate, request float64
}

// world is everything outside of the replicas.
type world struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	faults  faults
	now     time.Time
	version int

	secret  *corev1.Secret
	backup  *corev1.Secret
	config  *configuration
	servers []*simServer

	replicas []*simReplica
	away     time.Time // until when the API server is

	// excused is until when certificates may be refused, because somebody has
	// overwritten the bundle: until it is repaired, and known to be. young are CAs that replaced one that was lost:
	// nothing could make them known beforehand.
	excused time.Time
	damaged time.Time // since when something is
	young   map[rotation.ID]time.Time

	verified         map[verified]bool
	checked, rotated int
	trace            []string
}

// verified is what an API server has looked at.
type verified struct {
	certificate *tls.Certificate
	bundle      string
}

// simServer is an API server: what it knows of the configuration is what was
// stored a while ago.
type simServer struct {
	skew    time.Duration
	held    []byte // nil where it knows of no configuration
	pending []simChange
}

type simChange struct {
	at     time.Time
	bundle []byte
}

// simReplica is one process of the webhook, stopped between two calls.
type simReplica struct {
	w        *world
	name     string
	managed  *Managed
	skew     time.Duration
	yield    func(time.Duration) bool
	resume   func() (time.Duration, bool)
	stop     func()
	gone     bool
	sleeping bool
	service  bool // it gets requests
	due      time.Time
}

func newWorld(t *testing.T, seed uint64, f faults) *world {
	t.Helper()
	w := &world{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), faults: f, now: simStart, young: map[rotation.ID]time.Time{},
		secret: &corev1.Secret{}, damaged: simStart, verified: map[verified]bool{},
	}
	for range 3 {
		w.servers = append(w.servers, &simServer{skew: w.skew()})
	}
	w.setSecret(&corev1.Secret{})
	w.setBundle(nil)
	for i := range 3 {
		r := &simReplica{w: w, name: strconv.Itoa(i)}
		w.replicas = append(w.replicas, r)
		r.start(w.upTo(time.Minute))
	}
	return w
}

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d) + 1)) }

func (w *world) skew() time.Duration { return w.upTo(2*simSkew) - simSkew }

func (w *world) happens(probability float64) bool { return w.rng.Float64() < probability }

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, w.now.Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Errorf("seed %d, %s: %s", w.seed, w.now.Format("15:04:05.000"), fmt.Sprintf(format, args...))
	for _, line := range w.trace[max(0, len(w.trace)-40):] {
		w.t.Log(line)
	}
	w.t.FailNow()
}

// start runs a new process after a time.
func (r *simReplica) start(after time.Duration) {
	w := r.w
	r.skew, r.gone, r.service, r.sleeping, r.due = w.skew(), false, false, false, w.now.Add(after)
	r.managed = newManaged(ManagedOptions{
		Names: []string{simNames}, Namespace: "security", SecretName: "ca", ConfigurationName: "injector", Policy: simPolicy,
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	}, r, func() time.Time { return w.now.Add(r.skew) })
	r.resume, r.stop = iter.Pull(func(yield func(time.Duration) bool) {
		r.yield = yield
		for !r.gone {
			err := r.managed.sync(w.t.Context())
			wait := jitter(time.Minute)
			switch {
			case errors.Is(err, errAgain), errors.Is(err, errConflict):
				wait = w.upTo(50 * time.Millisecond)
			case err != nil && !r.gone:
				r.managed.failed(err)
				wait = w.upTo(15 * time.Second)
			}
			r.sleeping = true
			r.wait(wait)
			r.sleeping = false
		}
	})
}

// wait lets others go on. It makes the process gone if it was to crash.
func (r *simReplica) wait(d time.Duration) {
	if !r.gone && !r.yield(d) {
		r.gone = true
	}
}

// call is one call to the API server: it takes time, and may be lost on its way
// there, or back.
func (r *simReplica) call(effect func() error) error {
	w := r.w
	r.wait(w.upTo(200 * time.Millisecond))
	switch {
	case r.gone:
		return errGone
	case w.now.Before(w.away), w.happens(w.faults.lost):
		return errLost
	}
	err := effect()
	lost := w.happens(w.faults.lost)
	r.wait(w.upTo(200 * time.Millisecond))
	if r.gone {
		return errGone
	}
	if lost {
		return errLost
	}
	return err
}

func (r *simReplica) getConfiguration(context.Context) (c *configuration, err error) {
	err = r.call(func() error {
		c = r.w.config
		return nil
	})
	return c, err
}

func (r *simReplica) getSecret(context.Context) (secret *corev1.Secret, err error) {
	err = r.call(func() error {
		secret = r.w.secret.DeepCopy()
		return nil
	})
	return secret, err
}

func (r *simReplica) createSecret(_ context.Context, secret *corev1.Secret) error {
	return r.call(func() error {
		if r.w.secret != nil {
			return errConflict
		}
		r.w.note("replica %s creates the Secret", r.name)
		r.w.setSecret(secret)
		return nil
	})
}

func (r *simReplica) updateSecret(_ context.Context, secret *corev1.Secret) error {
	return r.call(func() error {
		if r.w.secret == nil || r.w.secret.ResourceVersion != secret.ResourceVersion {
			return errConflict
		}
		r.w.note("replica %s writes the Secret: %s", r.name, summarise(secret))
		r.w.setSecret(secret)
		return nil
	})
}

func (r *simReplica) applyBundle(_ context.Context, to *configuration, bundle []byte) (c *configuration, err error) {
	err = r.call(func() error {
		if r.w.config == nil || r.w.config.resourceVersion != to.resourceVersion {
			return errConflict
		}
		r.w.note("replica %s writes a bundle of %d", r.name, bytes.Count(bundle, []byte("BEGIN")))
		r.w.setBundle(bundle)
		if r.w.now.Before(r.w.excused) {
			r.w.excused = r.w.now.Add(simMaxLag)
		}
		c = r.w.config
		return nil
	})
	return c, err
}

// setSecret stores the Secret and looks at who is to sign from now on.
func (w *world) setSecret(secret *corev1.Secret) {
	before := w.current()
	w.secret = nil
	if secret != nil {
		w.version++
		w.secret = secret.DeepCopy()
		w.secret.ResourceVersion = strconv.Itoa(w.version)
	}
	w.wake()
	after := w.current()
	if after == nil || before != nil && after.Equal(before) {
		return
	}
	w.rotated++
	trusted := !slices.ContainsFunc(w.servers, func(s *simServer) bool { return !bytes.Contains(s.held, encode(after)) })
	if trusted || w.now.Before(w.excused) {
		return
	}
	if w.damaged.IsZero() {
		w.fail("a CA signs that not every API server trusts, although nothing was damaged")
	}
	w.note("a CA has to sign at once")
	w.young[rotation.IDOf(after)] = w.now.Add(24 * time.Hour) // until it is published, see setBundle
}

// lasts reports whether the CA of a Secret has enough life left for its successor
// to become known, with the API server away for a while: nothing can be done for
// one that is restored in its last minutes.
func (w *world) lasts(secret *corev1.Secret) bool {
	current := rotation.Parse(secret.Data).Current
	return current != nil && current.Certificate.NotAfter.Sub(w.now) > 2*simPolicy.CertificateDuration
}

// summarise tells what is in a Secret.
func summarise(secret *corev1.Secret) string {
	c := rotation.Parse(secret.Data)
	var names []string
	for _, certificate := range c.Certificates() {
		names = append(names, certificate.Subject.CommonName[len("oidc-injector CA 2026-03-01T"):])
	}
	return fmt.Sprint(names, c.Next != nil)
}

func encode(c *x509.Certificate) []byte {
	return rotation.State{Current: &rotation.CA{Certificate: c}}.Bundle()
}

// current is the CA that the Secret says signs.
func (w *world) current() *x509.Certificate {
	if w.secret == nil {
		return nil
	}
	if c := rotation.Parse(w.secret.Data).Current; c != nil {
		return c.Certificate
	}
	return nil
}

// setBundle stores the configuration. The API servers hear of it one by one.
func (w *world) setBundle(bundle []byte) {
	w.version++
	w.config = &configuration{
		uid: types.UID("uid"), resourceVersion: strconv.Itoa(w.version),
		hooks: []hook{{name: "pods", host: simNames, bundle: bundle}},
	}
	w.publish(append([]byte{}, bundle...))
	if c := w.current(); c != nil && bytes.Contains(bundle, encode(c)) {
		if until, young := w.young[rotation.IDOf(c)]; young && until.After(w.now.Add(simMaxLag)) {
			w.young[rotation.IDOf(c)] = w.now.Add(simMaxLag)
		}
	}
}

func (w *world) publish(bundle []byte) {
	for _, s := range w.servers {
		at := w.now.Add(w.upTo(simMaxLag))
		if n := len(s.pending); n > 0 && at.Before(s.pending[n-1].at) {
			at = s.pending[n-1].at // never back in time
		}
		s.pending = append(s.pending, simChange{at: at, bundle: bundle})
	}
	w.wake()
}

// wake is the watch of those that sleep. Now and then one misses an event.
func (w *world) wake() {
	for _, r := range w.replicas {
		if at := w.now.Add(w.upTo(time.Second)); r.sleeping && at.Before(r.due) && !w.happens(0.1) {
			r.due = at
		}
	}
}

// run goes on for a time.
func (w *world) run(duration time.Duration) {
	defer func() {
		for _, r := range w.replicas {
			r.stop()
		}
	}()
	for end := w.now.Add(duration); w.now.Before(end); {
		r := slices.MinFunc(w.replicas, func(a, b *simReplica) int { return a.due.Compare(b.due) })
		if s := w.nextChange(); s != nil && s.pending[0].at.Before(r.due) {
			w.now = later(w.now, s.pending[0].at)
			s.held, s.pending = s.pending[0].bundle, s.pending[1:]
		} else {
			w.now = later(w.now, r.due)
			w.step(r)
		}
		w.check()
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (w *world) nextChange() *simServer {
	var next *simServer
	for _, s := range w.servers {
		if len(s.pending) > 0 && (next == nil || s.pending[0].at.Before(next.pending[0].at)) {
			next = s
		}
	}
	return next
}

// step lets one replica go on to its next call, unless something happens.
func (w *world) step(r *simReplica) {
	w.disturb(r)
	if w.happens(w.faults.crash) {
		w.note("replica %s crashes", r.name)
		r.stop()
		r.gone = true
		r.start(w.upTo(5 * time.Minute))
		return
	}
	wait, running := r.resume()
	if !running {
		w.fail("a replica has ended")
	}
	r.due = w.now.Add(wait)
	if r.sleeping { // as often as that, a kubelet asks
		r.service = r.managed.Ready() == nil
	}
	w.settleDamage()
}

// settleDamage notes when all is well again, also where the API server was away.
func (w *world) settleDamage() {
	if c := w.current(); c != nil && !w.damaged.IsZero() && w.config != nil && w.now.Sub(w.damaged) > 30*time.Minute {
		w.damaged = time.Time{}
	}
}

// disturb does what people and machines do.
func (w *world) disturb(*simReplica) {
	f := w.faults
	switch {
	case w.happens(f.away):
		w.away = w.now.Add(w.upTo(15 * time.Minute))
		w.note("the API server is away until %s", w.away.Format(time.TimeOnly))
	case w.happens(f.outage):
		w.note("all replicas crash")
		for _, r := range w.replicas {
			r.stop()
			r.gone = true
			r.start(w.upTo(4 * time.Hour))
		}
		w.damaged = w.now.Add(4 * time.Hour) // nobody rotates
	case w.happens(f.deleteSecret):
		w.note("the Secret is deleted")
		w.damage()
		w.setSecret(nil)
	case w.happens(f.corrupt):
		w.corrupt()
	case w.happens(f.restore) && w.backup != nil && w.secret != nil && w.lasts(w.backup):
		w.note("an older Secret is restored: %s", summarise(w.backup))
		w.damage()
		w.setSecret(w.backup)
	case w.happens(f.overwrite) && w.config != nil:
		w.note("the bundle is overwritten")
		w.setBundle([]byte("overwritten"))
		w.excused = w.now.Add(24 * time.Hour)
	case w.happens(f.recreate):
		w.note("the configuration is recreated")
		w.publish(nil)
		w.setBundle(nil)
		w.excused = w.now.Add(24 * time.Hour)
	case w.happens(f.request) && w.secret != nil:
		w.note("another CA is asked for")
		secret := w.secret.DeepCopy()
		secret.Annotations = map[string]string{RotateAnnotation: "now"}
		w.setSecret(secret)
	case w.happens(0.001) && w.secret != nil:
		w.backup = w.secret.DeepCopy()
	}
}

func (w *world) damage() {
	if w.damaged.Before(w.now) {
		w.damaged = w.now
	}
}

func (w *world) corrupt() {
	if w.secret == nil || len(w.secret.Data) == 0 {
		return
	}
	keys := slices.Sorted(maps.Keys(w.secret.Data))
	key, other := keys[w.rng.IntN(len(keys))], keys[w.rng.IntN(len(keys))]
	secret := w.secret.DeepCopy()
	switch w.rng.IntN(4) {
	case 0:
		delete(secret.Data, key)
	case 1:
		secret.Data[key] = secret.Data[key][:len(secret.Data[key])/2]
	case 2:
		secret.Data[key] = secret.Data[other]
	default:
		clear(secret.Data)
	}
	w.note("the Secret is corrupted: %s, %s", key, other)
	w.damage()
	w.setSecret(secret)
}

// check is what has to hold at every moment.
func (w *world) check() {
	if w.now.Before(w.excused) {
		return
	}
	for _, r := range w.replicas {
		certificate := r.managed.served.Load()
		if !r.service || certificate == nil {
			continue
		}
		if until, young := w.young[rotation.IDOf(r.managed.serving.Issuer)]; young && w.now.Before(until) {
			continue
		}
		for i, s := range w.servers {
			if s.held == nil {
				continue // it does not call
			}
			w.checked++
			if err := w.verify(s, certificate); err != nil {
				w.fail("API server %d, which holds %d certificates, refuses that of replica %s by %s: %v",
					i, bytes.Count(s.held, []byte("BEGIN")), r.name, certificate.Leaf.Issuer.CommonName, err)
			}
		}
	}
}

// verify does what an API server does. That it has done so before is remembered
// until the certificate ends, which is before its CA does.
func (w *world) verify(s *simServer, certificate *tls.Certificate) error {
	now := w.now.Add(s.skew)
	key := verified{certificate, string(s.held)}
	if w.verified[key] && now.Before(certificate.Leaf.NotAfter) && now.After(certificate.Leaf.NotBefore) {
		return nil
	}
	err := hook{host: simNames, bundle: s.held}.verify(certificate, now)
	w.verified[key] = err == nil
	return err
}

// TestSimulation tries many orders of events. Each seed is one, and repeats it.
func TestSimulation(t *testing.T) {
	t.Parallel()
	calm := faults{crash: 0.005, lost: 0.02}
	rough := calm
	rough.away, rough.request = 0.001, 0.002
	for _, tt := range []struct {
		name   string
		faults faults
	}{
		{"two and more replicas start, rotate and crash", calm},
		{"the API server goes away, rotations are asked for", rough},
		{"the Secret is deleted and corrupted", with(rough, func(f *faults) { f.deleteSecret, f.corrupt = 0.002, 0.004 })},
		{"older Secrets are restored", with(rough, func(f *faults) { f.restore = 0.004 })},
		{"bundles are overwritten, configurations recreated", with(rough, func(f *faults) { f.overwrite, f.recreate = 0.002, 0.001 })},
		{"long outages", with(calm, func(f *faults) { f.outage = 0.0005 })},
		{"everything", with(rough, func(f *faults) {
			f.deleteSecret, f.corrupt, f.restore, f.overwrite, f.recreate, f.outage = 0.001, 0.002, 0.001, 0.001, 0.001, 0.0002
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checked, rotated := 0, 0
			for seed := range *simSeeds {
				w := newWorld(t, seed, tt.faults)
				w.run(6 * time.Hour)
				checked, rotated = checked+w.checked, rotated+w.rotated
			}
			t.Logf("%d CAs signed, %d certificates checked", rotated, checked)
			if rotated == 0 || checked == 0 {
				t.Error("the simulation does nothing")
			}
		})
	}
}

func with(f faults, change func(*faults)) faults {
	change(&f)
	return f
}

// simSeeds is how many seeds to try; by default few.
var simSeeds = flag.Uint64("simulation.seeds", 2, "how many seeds the simulation tries")
