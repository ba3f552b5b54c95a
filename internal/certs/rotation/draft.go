package rotation

import (
	"crypto/x509"
	"slices"
	"time"
)

// maxRetired bounds the bundle, should somebody damage the Secret again and
// again.
const maxRetired = 16

// draft is the state that the Secret is to have.
type draft struct {
	policy  Policy
	view    View
	state   State
	changed bool
	step    Step
	repairs []Repair
}

// settle makes the state what it has to be.
func (d *draft) settle() error {
	d.state.Retired = slices.Clone(d.state.Retired)
	if err := d.haveCurrent(); err != nil {
		return err
	}
	d.keepStrays()
	d.keepOwnIssuer()
	d.keepTrusted()
	if err := d.rotate(); err != nil {
		return err
	}
	d.prune()
	return nil
}

// haveCurrent sees to a CA that can sign.
func (d *draft) haveCurrent() error {
	current, next, memory, now := d.state.Current, d.state.Next, d.view.Memory, d.view.Now
	if current.validAt(now) {
		return nil
	}
	d.changed = true
	switch {
	case current != nil:
		d.repairs = append(d.repairs, CAExpired)
	case !d.view.Exists && memory.Current != nil:
		d.repairs = append(d.repairs, SecretMissing)
	case memory.Current != nil && len(d.view.Stored.Problems) == 0:
		d.repairs = append(d.repairs, SecretCorrupted) // it was emptied
	}
	switch {
	case current == nil && memory.Current.validAt(now):
		d.remember()
	case next.validAt(now):
		d.state.Current, d.state.Next, d.step = next, nil, Finished
	default:
		created, err := NewCA(now, d.policy.CADuration)
		if err != nil {
			return err
		}
		d.state.Current, d.state.Next, d.step = created, nil, Created
	}
	return nil
}

// remember puts back what this replica knew. What else is in the Secret stays.
func (d *draft) remember() {
	memory := d.view.Memory
	d.state.Current = memory.Current
	if d.state.Next == nil {
		d.state.Next = memory.Next
	}
	d.state.Retired = append(d.state.Retired, memory.Retired...)
}

// keepTrusted goes on trusting what the configuration trusts, for as long as a
// certificate may last: other replicas may serve by a CA that is not in the
// Secret, which was lost or is an older one, or, after a change of modes, by one
// of somebody else. A replica that has been there for a time knows better, unless
// the Secret has forgotten what it knew: a rotation never does that, but an older
// Secret that somebody restores does.
func (d *draft) keepTrusted() {
	memory := d.view.Memory.Current
	remembered := memory != nil && contains(d.state.Certificates(), memory.Certificate)
	if remembered && d.step != Created && !slices.Contains(d.repairs, CAForgotten) {
		return
	}
	for _, bundle := range d.view.Bundles {
		certificates, _ := parseCertificates(bundle)
		for _, c := range certificates {
			if isValidAt(c, d.view.Now) && !contains(d.state.Certificates(), c) && len(d.state.Retired) < maxRetired {
				d.retire(c)
				d.changed = true
			}
		}
	}
}

// keepStrays goes on trusting what a damaged Secret still holds, and what it held
// before.
func (d *draft) keepStrays() {
	if len(d.view.Stored.Problems) == 0 {
		return
	}
	d.changed = true
	d.repairs = append(d.repairs, SecretCorrupted)
	for _, c := range d.view.Stored.Strays {
		d.retire(c)
	}
	memory := d.view.Memory
	d.state.Retired = append(d.state.Retired, memory.Retired...)
	if d.state.Next == nil && memory.Next != nil && memory.Current.Certificate.Equal(d.state.Current.Certificate) {
		d.state.Next = memory.Next
	}
}

// keepOwnIssuer makes known the CA that this replica's certificate is signed by.
// It may be missing after another replica, which did not know it, has repaired
// the Secret.
func (d *draft) keepOwnIssuer() {
	s := d.view.Serving
	if s == nil || !isValidAt(s.Certificate, d.view.Now) || !isValidAt(s.Issuer, d.view.Now) {
		return
	}
	if contains(d.state.Certificates(), s.Issuer) || len(d.state.Retired) >= maxRetired {
		return
	}
	d.changed = true
	d.repairs = append(d.repairs, CAForgotten)
	d.state.Retired = append(d.state.Retired, Retired{
		Certificate: s.Issuer, Until: s.Certificate.NotAfter.Add(d.policy.grace()).UTC().Truncate(time.Second),
	})
}

// rotate takes the step of a rotation that is due.
func (d *draft) rotate() error {
	now := d.view.Now
	if d.state.Next != nil && !d.state.Next.validAt(now) {
		d.state.Next, d.changed = nil, true
	}
	if d.view.Requested {
		d.changed = true // the request is to be taken off in any case
	}
	switch next := d.state.Next; {
	case d.step != None:
	case next == nil && (d.view.Requested || !now.Before(Due(d.state.Current.Certificate, d.policy.CADuration))):
		created, err := NewCA(now, d.policy.CADuration)
		if err != nil {
			return err
		}
		d.state.Next, d.step, d.changed = created, Started, true
	case next != nil && d.view.Seen.lasting(next.Certificate, now, d.settling()):
		d.retire(d.state.Current.Certificate)
		d.state.Current, d.state.Next, d.step, d.changed = next, nil, Finished, true
	}
	return nil
}

// settling is how long the next CA has to wait. Where the current one is at its
// very end, as after an outage, there is no time left.
func (d *draft) settling() time.Duration {
	if d.policy.ends(d.state.Current.Certificate, d.view.Now) {
		return 0
	}
	return d.policy.Settling()
}

// retire goes on trusting a CA until the last certificate that it may have
// signed until now has expired.
func (d *draft) retire(c *x509.Certificate) {
	until := d.view.Now.Add(d.policy.CertificateDuration + d.policy.grace()).UTC().Truncate(time.Second)
	d.state.Retired = append(d.state.Retired, Retired{Certificate: c, Until: until})
}

// prune drops what is trusted for no reason any more.
func (d *draft) prune() {
	signing := State{Current: d.state.Current, Next: d.state.Next}.Certificates()
	kept := make([]Retired, 0, len(d.state.Retired))
	for _, r := range d.state.sortedRetired() { // those that stay longest come first
		repeated := slices.ContainsFunc(kept, func(k Retired) bool { return k.Certificate.Equal(r.Certificate) })
		expired := !d.view.Now.Before(r.Until) || !d.view.Now.Before(r.Certificate.NotAfter)
		if repeated || expired || contains(signing, r.Certificate) || len(kept) == maxRetired {
			continue
		}
		kept = append(kept, r)
	}
	d.state.Retired = kept
	d.changed = d.changed || !slices.EqualFunc(kept, d.view.Stored.sortedRetired(), func(a, b Retired) bool {
		return a.Until.Equal(b.Until) && a.Certificate.Equal(b.Certificate)
	})
}
