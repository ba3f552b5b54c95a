package rotation

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var policy = Policy{CADuration: 8760 * time.Hour, CertificateDuration: 168 * time.Hour}

// serving is a certificate of a CA that was made at a time.
func serving(t *testing.T, ca *CA, at time.Time) *Serving {
	t.Helper()
	c, err := ca.Issue([]string{"a"}, at, policy.CertificateDuration)
	if err != nil {
		t.Fatal(err)
	}
	return &Serving{Certificate: c.Leaf, Issuer: ca.Certificate, RenewAt: Due(c.Leaf, policy.CertificateDuration)}
}

// seen says that the CAs have been in the configuration since a time.
func seen(since time.Time, cas ...*CA) Sightings {
	s := Sightings{}
	for _, ca := range cas {
		s[IDOf(ca.Certificate)] = since
	}
	return s
}

// outline is what a plan does, in words.
type outline struct {
	Step    Step
	Repairs []Repair
	// Stored is what the Secret is to hold, "" where it stays: current, next and
	// retired by the names of the test, "new" for those made just now.
	Stored string
	Issue  string
	Bundle bool
}

func outlineOf(p Plan, names map[*CA]string) outline {
	name := func(c *x509.Certificate) string {
		for ca, n := range names {
			if ca.Certificate.Equal(c) {
				return n
			}
		}
		return "new"
	}
	o := outline{Step: p.Step, Repairs: p.Repairs, Bundle: p.Bundle != nil}
	if p.Issue != nil {
		o.Issue = name(p.Issue.Certificate)
	}
	if p.Write == nil {
		return o
	}
	o.Stored = name(p.Write.Current.Certificate) + "/"
	if p.Write.Next != nil {
		o.Stored += name(p.Write.Next.Certificate)
	}
	o.Stored += "/"
	retired := make([]string, 0, len(p.Write.Retired))
	for _, r := range p.Write.Retired {
		retired = append(retired, name(r.Certificate))
	}
	slices.Sort(retired)
	for _, r := range retired {
		o.Stored += r
	}
	return o
}

func TestDecide(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	a, b, c := mustCA(t, start, policy.CADuration), mustCA(t, start, policy.CADuration), mustCA(t, start, policy.CADuration)
	old := mustCA(t, start.Add(-400*day), policy.CADuration) // expired
	due := mustCA(t, start.Add(-244*day), policy.CADuration) // past 2/3
	names := map[*CA]string{a: "a", b: "b", c: "c", old: "old", due: "due"}
	now := start.Add(time.Hour)
	long := now.Add(-policy.Settling())
	retired := func(ca *CA, until time.Duration) Retired {
		return Retired{Certificate: ca.Certificate, Until: now.Add(until).Truncate(time.Second)}
	}
	bundle := func(s State) [][]byte { return [][]byte{s.Bundle()} }
	only := func(ca *CA) State { return State{Current: ca} }
	broken := func(strays ...*CA) Content {
		content := Content{Problems: []error{errNoCA}}
		for _, ca := range strays {
			content.Strays = append(content.Strays, ca.Certificate)
		}
		return content
	}
	stored := func(s State) Content { return Content{State: s} }
	rotating := State{Current: a, Next: b}
	for _, tt := range []struct {
		name string
		view View
		want outline
	}{
		{"a fresh install", View{}, outline{Step: Created, Stored: "new//"}},
		{"a fresh install into an empty Secret", View{Exists: true, Bundles: [][]byte{nil}}, outline{Step: Created, Stored: "new//"}},
		{
			"a fresh install where something else made certificates before",
			View{Exists: true, Bundles: bundle(only(c))},
			outline{Step: Created, Stored: "new//c"},
		},
		{
			"the CA is there, the rest is not",
			View{Exists: true, Stored: stored(only(a)), Bundles: [][]byte{nil}},
			outline{Issue: "a", Bundle: true},
		},
		{
			"no configuration",
			View{Exists: true, Stored: stored(only(a)), Memory: only(a), Serving: serving(t, a, now)},
			outline{},
		},
		{
			"all is well",
			View{Exists: true, Stored: stored(only(a)), Memory: only(a), Bundles: bundle(only(a)), Serving: serving(t, a, now)},
			outline{},
		},
		{
			"the serving certificate is due",
			View{
				Exists: true, Stored: stored(only(a)), Memory: only(a), Bundles: bundle(only(a)),
				Serving: serving(t, a, now.Add(-113*time.Hour)),
			},
			outline{Issue: "a"},
		},
		{
			"the CA is due",
			View{Exists: true, Stored: stored(only(due)), Memory: only(due), Bundles: bundle(only(due)), Serving: serving(t, due, now)},
			outline{Step: Started, Stored: "due/new/"},
		},
		{
			"another CA is asked for",
			View{
				Exists: true, Requested: true, Stored: stored(only(a)), Memory: only(a), Bundles: bundle(only(a)),
				Serving: serving(t, a, now),
			},
			outline{Step: Started, Stored: "a/new/"},
		},
		{
			"another CA is asked for while one is on its way",
			View{
				Exists: true, Requested: true, Stored: stored(rotating), Memory: rotating, Bundles: bundle(rotating),
				Serving: serving(t, a, now),
			},
			outline{Stored: "a/b/"},
		},
		{
			"the next CA is not published",
			View{
				Exists: true, Stored: stored(rotating), Memory: rotating, Bundles: bundle(only(a)), InPlace: only(a).Bundle(),
				Serving: serving(t, a, now),
			},
			outline{Bundle: true},
		},
		{
			"the next CA is not known everywhere",
			View{
				Exists: true, Stored: stored(rotating), Memory: rotating, Bundles: bundle(rotating),
				Seen: seen(long.Add(time.Second), a, b), Serving: serving(t, a, now),
			},
			outline{},
		},
		{
			"the next CA is known everywhere",
			View{
				Exists: true, Stored: stored(rotating), Memory: rotating, Bundles: bundle(rotating), Seen: seen(long, a, b),
				Serving: serving(t, a, now),
			},
			outline{Step: Finished, Stored: "b//a"},
		},
		{
			"the new CA signs", View{
				Exists: true, Stored: stored(State{Current: b, Retired: []Retired{retired(a, day)}}), Memory: rotating,
				Bundles: bundle(State{Current: b, Retired: []Retired{retired(a, day)}}), Seen: seen(long, a, b),
				Serving: serving(t, a, now),
			}, outline{Issue: "b"},
		},
		{
			"another replica has seen it everywhere, this one not for long", View{
				Exists: true, Stored: stored(State{Current: b, Retired: []Retired{retired(a, day)}}), Memory: rotating,
				Bundles: bundle(State{Current: b, Retired: []Retired{retired(a, day)}}), Seen: seen(now, a, b), Serving: serving(t, a, now),
			}, outline{},
		},
		{
			"the same, but the certificate is about to end", View{
				Exists: true, Stored: stored(State{Current: b, Retired: []Retired{retired(a, day)}}), Memory: rotating,
				Bundles: bundle(State{Current: b, Retired: []Retired{retired(a, day)}}), Seen: seen(now, a, b),
				Serving: serving(t, a, now.Add(-160*time.Hour)),
			}, outline{Issue: "b"},
		},
		{
			"the old CA leaves", View{
				Exists: true, Stored: stored(State{Current: b, Retired: []Retired{retired(a, 0)}}), Memory: only(b),
				Bundles: bundle(only(b)),
				Serving: serving(t, b, now),
			}, outline{Stored: "b//"},
		},
		{
			"the Secret was deleted",
			View{Memory: rotating, Bundles: bundle(rotating), Serving: serving(t, a, now)},
			outline{Repairs: []Repair{SecretMissing}, Stored: "a/b/"},
		},
		{
			"the Secret was emptied",
			View{Exists: true, Memory: only(a), Bundles: bundle(only(a)), Serving: serving(t, a, now)},
			outline{Repairs: []Repair{SecretCorrupted}, Stored: "a//"},
		},
		{
			"the Secret was corrupted",
			View{Exists: true, Stored: broken(a), Memory: only(a), Bundles: bundle(only(a)), Serving: serving(t, a, now)},
			outline{Repairs: []Repair{SecretCorrupted}, Stored: "a//"},
		},
		{
			"the Secret was corrupted when nobody was there",
			View{Exists: true, Stored: broken(a), Bundles: bundle(only(a))},
			outline{Step: Created, Repairs: []Repair{SecretCorrupted}, Stored: "new//a"},
		},
		{
			"the same, with the next one intact",
			View{
				Exists: true, Stored: Content{State: State{Next: b}, Strays: broken(a).Strays, Problems: broken().Problems},
				Bundles: bundle(rotating),
			},
			outline{Step: Finished, Repairs: []Repair{SecretCorrupted}, Stored: "b//a"},
		},
		{
			"the next one was corrupted", View{
				Exists: true, Stored: Content{State: only(a), Strays: broken(b).Strays, Problems: broken().Problems}, Memory: rotating,
				Bundles: bundle(rotating), Serving: serving(t, a, now),
			}, outline{Repairs: []Repair{SecretCorrupted}, Stored: "a/b/"},
		},
		{
			"another replica has made a CA, as it knew none", View{
				Exists: true, Stored: stored(only(b)), Memory: only(a), Bundles: bundle(only(b)), Serving: serving(t, a, now),
			}, outline{Repairs: []Repair{CAForgotten}, Stored: "b//a"},
		},
		{
			"an older Secret was restored, and the bundle has more than it", View{
				Exists: true, Stored: stored(only(c)), Memory: only(a),
				Bundles: bundle(State{Current: a, Retired: []Retired{retired(b, day)}}), Serving: serving(t, a, now),
			}, outline{Repairs: []Repair{CAForgotten}, Stored: "c//ab"},
		},
		{
			"the same, for a replica that starts",
			View{Exists: true, Stored: stored(only(c)), Bundles: bundle(only(a))},
			outline{Stored: "c//a"},
		},
		{
			"the CA has expired",
			View{Exists: true, Stored: stored(only(old)), Bundles: bundle(only(old))},
			outline{Step: Created, Repairs: []Repair{CAExpired}, Stored: "new//"},
		},
		{
			"the bundle was overwritten", View{
				Exists: true, Stored: stored(only(a)), Memory: only(a), Bundles: bundle(only(c)), InPlace: only(a).Bundle(),
				Serving: serving(t, a, now),
			}, outline{Repairs: []Repair{BundleOverwritten}, Bundle: true},
		},
		{
			"one of two bundles was emptied", View{
				Exists: true, Stored: stored(only(a)), Memory: only(a), Bundles: [][]byte{only(a).Bundle(), nil}, InPlace: only(a).Bundle(),
				Serving: serving(t, a, now),
			}, outline{Repairs: []Repair{BundleOverwritten}, Bundle: true},
		},
	} {
		tt.view.Now = now
		plan, err := policy.Decide(tt.view)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, outlineOf(plan, names)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestRetiredCATrust: a retired CA is trusted for longer than what it signed.
func TestRetiredCATrust(t *testing.T) {
	t.Parallel()
	a, b := mustCA(t, start, policy.CADuration), mustCA(t, start, policy.CADuration)
	now := start.Add(time.Hour)
	plan, err := policy.Decide(View{
		Now: now, Exists: true, Stored: Content{State: State{Current: a, Next: b}}, Seen: seen(start, a, b),
		Bundles: [][]byte{State{Current: a, Next: b}.Bundle()},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := plan.Write.Retired[0].Until, now.Add(169*time.Hour); !got.Equal(want) {
		t.Errorf("until %v, want %v", got, want)
	}
}

func TestBundleBound(t *testing.T) {
	t.Parallel()
	s := State{Current: mustCA(t, start, policy.CADuration)}
	for i := range 40 {
		s.Retired = append(s.Retired, Retired{
			Certificate: mustCA(t, start, policy.CADuration).Certificate,
			Until:       start.Add(time.Duration(i+1) * time.Hour),
		})
	}
	view := View{Now: start, Exists: true, Stored: Content{State: s}, Memory: s}
	plan, err := policy.Decide(view)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(plan.Write.Retired); n != maxRetired || !plan.Write.Retired[0].Until.Equal(start.Add(40*time.Hour)) {
		t.Errorf("%d are left, the first until %v", n, plan.Write.Retired[0].Until)
	}
	// A replica whose own CA had no place does not insist.
	view.Stored.State = *plan.Write
	view.Serving = serving(t, mustCA(t, start, policy.CADuration), start)
	if plan, err := policy.Decide(view); err != nil || plan.Write != nil {
		t.Errorf("it is written again: %+v, error %v", plan, err)
	}
}

// TestSightings: what has been in every bundle for long enough counts as seen.
func TestSightings(t *testing.T) {
	t.Parallel()
	a, b := mustCA(t, start, time.Hour), mustCA(t, start, time.Hour)
	both, one := State{Current: a, Next: b}.Bundle(), State{Current: a}.Bundle()
	var s Sightings
	for i, tt := range []struct {
		bundles [][]byte
		want    Sightings
	}{
		{nil, Sightings{}},
		{[][]byte{both, one}, seen(start.Add(time.Second), a)},
		{[][]byte{both, both}, Sightings{IDOf(a.Certificate): start.Add(time.Second), IDOf(b.Certificate): start.Add(2 * time.Second)}},
		{
			[][]byte{append([]byte("garbage\n"), both...)},
			Sightings{IDOf(a.Certificate): start.Add(time.Second), IDOf(b.Certificate): start.Add(2 * time.Second)},
		},
		{[][]byte{one, []byte("garbage")}, Sightings{}},
		{[][]byte{one}, seen(start.Add(5*time.Second), a)},
	} {
		s = s.After(tt.bundles, start.Add(time.Duration(i)*time.Second))
		if diff := cmp.Diff(tt.want, s); diff != "" {
			t.Errorf("look %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestLastResort(t *testing.T) {
	t.Parallel()
	a, b := mustCA(t, start, 40*time.Hour), mustCA(t, start, policy.CADuration)
	s := serving(t, b, start)
	end := s.Certificate.NotAfter
	for _, tt := range []struct {
		name    string
		serving *Serving
		memory  State
		now     time.Time
		want    *CA
	}{
		{"nothing yet", nil, State{}, start, nil},
		{"time enough", s, State{Current: b}, end.Add(-17 * time.Hour), nil},
		{"about to end", s, State{Current: b}, end.Add(-16 * time.Hour), b},
		{"over", s, State{Current: b}, end.Add(time.Hour), b},
		{"the CA is over, too", s, State{Current: a}, end, nil},
		{"the CA is over, the next is not", s, State{Current: a, Next: b}, end, b},
	} {
		v := View{Now: tt.now, Serving: tt.serving, Memory: tt.memory, Seen: seen(start, a, b)}
		if got := policy.LastResort(v); got != tt.want {
			t.Errorf("%s: another CA", tt.name)
		}
		v.Seen = nil
		if got := policy.LastResort(v); got != nil {
			t.Errorf("%s: a CA that was never published", tt.name)
		}
	}
}

// TestIssue: a certificate is for its names, and ends with its CA at the latest.
func TestIssue(t *testing.T) {
	t.Parallel()
	ca := mustCA(t, start, 2*time.Hour)
	for _, tt := range []struct{ duration, want time.Duration }{{time.Hour, time.Hour}, {3 * time.Hour, 2 * time.Hour}} {
		c, err := ca.Issue([]string{"a.b.svc", "192.0.2.1", "2001:db8::1"}, start, tt.duration)
		if err != nil {
			t.Fatal(err)
		}
		if !c.Leaf.NotAfter.Equal(start.Add(tt.want)) || !c.Leaf.NotBefore.Equal(start.Add(-time.Hour)) {
			t.Errorf("valid from %v to %v", c.Leaf.NotBefore, c.Leaf.NotAfter)
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca.Certificate)
		for _, name := range []string{"a.b.svc", "192.0.2.1", "2001:db8::1"} {
			if _, err := c.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: start}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
