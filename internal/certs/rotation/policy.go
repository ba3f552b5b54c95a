package rotation

import (
	"bytes"
	"crypto/x509"
	"slices"
	"time"
)

// Policy says how long things last.
type Policy struct {
	CADuration          time.Duration
	CertificateDuration time.Duration // of serving certificates
}

// Settling is how long a certificate has to be in the webhook configuration
// until every API server is taken to know it. They watch it, so they know it
// after milliseconds; but a watch may break, and a rotation is in no hurry.
func (p Policy) Settling() time.Duration { return min(5*time.Minute, p.CertificateDuration/10) }

// grace is added to the time for which a CA that signs no more is trusted, for
// what a replica signed that had not heard of the change yet.
func (p Policy) grace() time.Duration { return min(time.Hour, p.CertificateDuration/10) }

// Issued is when a CA or a certificate of ours was made.
func Issued(c *x509.Certificate) time.Time { return c.NotBefore.Add(Backdate) }

// Due is when a CA or a certificate is to be renewed: at 2/3 of its life.
func Due(c *x509.Certificate, atMost time.Duration) time.Time {
	issued := Issued(c)
	return issued.Add(min(c.NotAfter.Sub(issued), atMost) * 2 / 3)
}

// Repair is a kind of damage that was repaired.
type Repair string

// The kinds of damage.
const (
	SecretMissing     Repair = "secret_missing"        // somebody deleted it
	SecretCorrupted   Repair = "secret_corrupted"      // something in it cannot be used
	CAExpired         Repair = "ca_expired"            // nobody was there in time
	CAForgotten       Repair = "ca_forgotten"          // the Secret did not have the CA that this replica serves by
	BundleOverwritten Repair = "ca_bundle_overwritten" // the configuration held another bundle than ours
)

// Repairs are all kinds.
var Repairs = []Repair{SecretMissing, SecretCorrupted, CAExpired, CAForgotten, BundleOverwritten}

// Step is what happens to the CA.
type Step string

// The steps of a rotation.
const (
	None     Step = ""
	Created  Step = "created"  // the first one, or one in place of one that is lost
	Started  Step = "started"  // the next one joins the bundle
	Finished Step = "finished" // the next one signs now
)

// Sightings say since when certificates have been in the configuration.
type Sightings map[ID]time.Time

// After returns the sightings after one more look at the bundles of all webhooks
// of the configuration. What is missing in one of them counts as missing.
func (s Sightings) After(bundles [][]byte, now time.Time) Sightings {
	next := Sightings{}
	for i, bundle := range bundles {
		certificates, _ := parseCertificates(bundle) // what can be read is what an API server trusts
		seen := Sightings{}
		for _, c := range certificates {
			id := IDOf(c)
			if _, before := next[id]; i > 0 && !before {
				continue
			}
			seen[id] = now
			if since, known := s[id]; known {
				seen[id] = since
			}
		}
		next = seen
	}
	return next
}

// lasting reports whether a certificate has been there for a time.
func (s Sightings) lasting(c *x509.Certificate, now time.Time, duration time.Duration) bool {
	since, seen := s[IDOf(c)]
	return seen && now.Sub(since) >= duration
}

// Serving is the certificate that a replica serves.
type Serving struct {
	Certificate *x509.Certificate
	Issuer      *x509.Certificate
	RenewAt     time.Time
}

// View is what a replica knows at one moment. The configuration has to be read
// before the Secret: what is applied to it, on the condition that it is still
// the one that was read, is then never older than what it holds.
type View struct {
	Now       time.Time
	Exists    bool // the Secret
	Stored    Content
	Requested bool // somebody asked for another CA
	// Memory is what the Secret held when this replica saw it last.
	Memory State
	// Bundles are the caBundles of the webhooks of the configuration; none where
	// there is no configuration.
	Bundles [][]byte
	// InPlace is the bundle that the configuration held when all was well last.
	InPlace []byte
	Seen    Sightings
	Serving *Serving // nil where there is none yet
}

// Plan is what to do, in this order.
type Plan struct {
	// Write is to be stored in the Secret, if it is still the one that was read.
	// Nothing else is to be done before it was.
	Write   *State
	Step    Step
	Repairs []Repair
	// Issue is the CA that is to sign a new serving certificate, or nil.
	Issue *CA
	// Bundle is to be applied to all webhooks of the configuration, if it is
	// still the one that was read; nil where it is right.
	Bundle []byte
}

// Decide says what a replica has to do.
func (p Policy) Decide(v View) (Plan, error) {
	d := draft{policy: p, view: v, state: v.Stored.State}
	if err := d.settle(); err != nil {
		return Plan{}, err
	}
	if d.changed {
		return Plan{Write: &d.state, Step: d.step, Repairs: d.repairs}, nil
	}
	plan := Plan{Issue: p.issuer(v)}
	want := d.state.Bundle()
	if slices.ContainsFunc(v.Bundles, func(b []byte) bool { return !bytes.Equal(b, want) }) {
		plan.Bundle = want
		if v.InPlace != nil && slices.ContainsFunc(v.Bundles, func(b []byte) bool { return !bytes.Equal(b, v.InPlace) }) {
			plan.Repairs = []Repair{BundleOverwritten}
		}
	}
	return plan, nil
}

// issuer is the CA that has to sign a new serving certificate now, or nil where
// the present one is good.
func (p Policy) issuer(v View) *CA {
	current := v.Stored.Current
	switch s := v.Serving; {
	case s == nil, !isValidAt(s.Certificate, v.Now):
		return current
	case s.Issuer.Equal(current.Certificate):
		if v.Now.Before(s.RenewAt) {
			return nil
		}
		return current
	case v.Seen.lasting(current.Certificate, v.Now, p.Settling()):
		return current
	case v.Seen.lasting(current.Certificate, v.Now, 0) && !v.Seen.lasting(s.Issuer, v.Now, 0):
		return current // the present one convinces nobody
	case p.ends(s.Certificate, v.Now):
		return current // the present one will convince nobody
	default:
		return nil // it is trusted; that of another CA might not be everywhere yet
	}
}

// ends reports whether a certificate is in the last moments of its life.
func (p Policy) ends(c *x509.Certificate, now time.Time) bool {
	return !now.Before(c.NotAfter.Add(-p.CertificateDuration / 10))
}

// LastResort is the CA to sign by while the Secret cannot be read, or nil. That
// is only for the last moment: by then this CA may be one that is trusted no
// more. The next one serves for it when every API server knows it, or when the
// present certificate has ended and there is nothing to lose.
func (p Policy) LastResort(v View) *CA {
	s := v.Serving
	if s == nil || !p.ends(s.Certificate, v.Now) {
		return nil
	}
	usable := func(ca *CA, known time.Duration) bool {
		return ca.validAt(v.Now) && !p.ends(ca.Certificate, v.Now) && v.Seen.lasting(ca.Certificate, v.Now, known)
	}
	settling := p.Settling()
	if !isValidAt(s.Certificate, v.Now) {
		settling = 0
	}
	switch {
	case usable(v.Memory.Current, 0):
		return v.Memory.Current
	case usable(v.Memory.Next, settling):
		return v.Memory.Next
	default:
		return nil
	}
}
