package rotation

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// start is when all tests begin.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func mustCA(t testing.TB, now time.Time, duration time.Duration) *CA {
	t.Helper()
	ca, err := NewCA(now, duration)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func mustData(t testing.TB, s State, others map[string][]byte) map[string][]byte {
	t.Helper()
	data, err := s.Data(others)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// full is a state with everything in it.
func full(t testing.TB) State {
	t.Helper()
	retired := func(until time.Duration) Retired {
		return Retired{Certificate: mustCA(t, start, 24*time.Hour).Certificate, Until: start.Add(until)}
	}
	return State{
		Current: mustCA(t, start, 24*time.Hour), Next: mustCA(t, start, 48*time.Hour),
		Retired: []Retired{retired(time.Hour), retired(2 * time.Hour), retired(2 * time.Hour)},
	}
}

// same compares states by what is written of them.
func same(t testing.TB, a, b State) bool {
	t.Helper()
	return cmp.Equal(mustData(t, a, nil), mustData(t, b, nil))
}

func TestStateRoundTrip(t *testing.T) {
	t.Parallel()
	all := full(t)
	for name, s := range map[string]State{
		"everything": all, "the usual": {Current: all.Current}, "retired only": {Current: all.Current, Retired: all.Retired},
	} {
		got := Parse(mustData(t, s, nil))
		if len(got.Problems) > 0 || len(got.Strays) > 0 || !same(t, s, got.State) {
			t.Errorf("%s: problems %v, %d strays", name, got.Problems, len(got.Strays))
		}
	}
}

func TestParseEmpty(t *testing.T) {
	t.Parallel()
	for _, data := range []map[string][]byte{nil, {}, {"tls.crt": nil, "tls.key": {}}, {"somebody": []byte("else's")}} {
		if c := Parse(data); c.Current != nil || len(c.Problems) > 0 {
			t.Errorf("%v: %+v", data, c)
		}
	}
}

func TestDataKeepsForeignKeys(t *testing.T) {
	t.Parallel()
	all := full(t)
	data := mustData(t, all, map[string][]byte{
		"theirs": []byte("x"), "next.crt": []byte("ours"),
		"retired-until-20200101T000000Z.crt": []byte("ours"),
	})
	want := mustData(t, all, nil)
	want["theirs"] = []byte("x")
	if diff := cmp.Diff(want, data); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	data = mustData(t, State{Current: all.Current}, data)
	if len(data) != 4 { // two of the pair, the bundle and theirs
		t.Errorf("%d keys are left", len(data))
	}
}

func TestBundleOrder(t *testing.T) {
	t.Parallel()
	s := full(t)
	turned := s
	turned.Retired = []Retired{s.Retired[2], s.Retired[0], s.Retired[1]}
	if !bytes.Equal(s.Bundle(), turned.Bundle()) {
		t.Error("the order of the retired shows")
	}
	if got := s.Certificates(); !got[0].Equal(s.Current.Certificate) || !got[1].Equal(s.Next.Certificate) ||
		!got[4].Equal(s.Retired[0].Certificate) {
		t.Error("the order is another one: current, next, retired, the longest first")
	}
}

func otherKey(t testing.TB) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der})
}

func leaf(t testing.TB, ca *CA) []byte {
	t.Helper()
	certificate, err := ca.Issue([]string{"a"}, start, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return encodeCertificate(certificate.Leaf)
}

// TestParseBroken: what is broken is reported, the rest is used.
func TestParseBroken(t *testing.T) {
	t.Parallel()
	all := full(t)
	other := mustCA(t, start, time.Hour)
	otherPEM := encodeCertificate(other.Certificate)
	for _, tt := range []struct {
		name    string
		damage  func(data map[string][]byte)
		problem string
		strays  int
		change  func(s *State) // what is left
	}{
		{
			"no key", func(d map[string][]byte) { delete(d, "tls.key") },
			"tls.key: contains no PEM key", 1, func(s *State) { s.Current = nil },
		},
		{
			"half a certificate", func(d map[string][]byte) { d["tls.crt"] = d["tls.crt"][:99] },
			"tls.crt: contains non-PEM data", 1, func(s *State) { s.Current = nil },
		},
		{
			"the key of another", func(d map[string][]byte) { d["tls.key"] = d["next.key"] },
			"tls.crt: the key belongs to another certificate", 1, func(s *State) { s.Current = nil },
		},
		{
			"an RSA key", func(d map[string][]byte) { d["next.key"] = otherKey(t) },
			"next.key: the private key is not an ECDSA one", 1, func(s *State) { s.Next = nil },
		},
		{
			"a broken key", func(d map[string][]byte) {
				d["next.key"] = pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: []byte("secret")})
			}, "next.key: could not read the private key", 1, func(s *State) { s.Next = nil },
		},
		{
			"no CA", func(d map[string][]byte) { d["tls.crt"] = leaf(t, all.Current) },
			"tls.crt: not an ECDSA CA certificate", 1, func(s *State) { s.Current = nil },
		},
		{
			"two certificates", func(d map[string][]byte) { d["tls.crt"] = append(d["tls.crt"], otherPEM...) },
			"tls.crt: 2 certificates, not one", 2, func(s *State) { s.Current = nil },
		},
		{
			"nothing but a key", func(d map[string][]byte) { clear(d); d["tls.key"] = otherKey(t) },
			"tls.crt: 0 certificates, not one", 0, func(s *State) { *s = State{} },
		},
		{
			"a key among the certificates", func(d map[string][]byte) { d["ca.crt"] = append(d["ca.crt"], d["tls.key"]...) },
			"ca.crt: contains PEM data that is no certificate", 0, func(*State) {},
		},
		{
			"a foreign certificate in the bundle", func(d map[string][]byte) { d["ca.crt"] = append(d["ca.crt"], otherPEM...) },
			"ca.crt: not a list of certificates", 1, func(*State) {},
		},
		{
			"no bundle", func(d map[string][]byte) { delete(d, "ca.crt") },
			"ca.crt: not a list of certificates", 0, func(*State) {},
		},
		{
			"a date that is none", func(d map[string][]byte) {
				d["retired-until-soon.crt"] = otherPEM
				d["ca.crt"] = append(d["ca.crt"], otherPEM...)
			}, "retired-until-soon.crt: parsing time", 1, func(*State) {},
		},
		{
			"a broken certificate among the retired", func(d map[string][]byte) {
				d["retired-until-20260301T130000Z.crt"] = pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: []byte("x")})
			}, "retired-until-20260301T130000Z.crt: could not read a certificate: ", 1, func(s *State) { s.Retired = s.Retired[1:] },
		},
		{
			"the same twice", func(d map[string][]byte) { d["next.crt"], d["next.key"] = d["tls.crt"], d["tls.key"] },
			"next.crt: it is the signing certificate already", 1, func(s *State) { s.Next = nil },
		},
	} {
		data := mustData(t, all, nil)
		tt.damage(data)
		got := Parse(data)
		texts := make([]string, 0, len(got.Problems))
		for _, p := range got.Problems {
			texts = append(texts, p.Error())
		}
		text := strings.Join(texts, "\n")
		if !strings.HasPrefix(text, tt.problem) {
			t.Errorf("%s: problems %q", tt.name, text)
		}
		if len(got.Strays) != tt.strays {
			t.Errorf("%s: %d strays, want %d", tt.name, len(got.Strays), tt.strays)
		}
		want := all
		tt.change(&want)
		if !same(t, want, got.State) {
			t.Errorf("%s: another state is left", tt.name)
		}
	}
}

// FuzzParse reads what anybody may have written into the Secret. What was read
// has to survive being written.
func FuzzParse(f *testing.F) {
	data := mustData(f, full(f), nil)
	f.Add(data["tls.crt"], data["tls.key"], data["next.crt"], data["next.key"], data["ca.crt"], "20260301T130000Z")
	f.Add(data["tls.crt"], data["next.key"], data["ca.crt"], []byte(nil), data["tls.key"][:40], "soon")
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"), []byte{}, []byte{}, []byte{}, []byte{}, "")
	f.Fuzz(func(t *testing.T, crt, key, nextCrt, nextKey, bundle []byte, until string) {
		in := map[string][]byte{
			"tls.crt": crt, "tls.key": key, "next.crt": nextCrt, "next.key": nextKey, "ca.crt": bundle,
			"retired-until-" + until + ".crt": bundle,
		}
		before := maps.Clone(in)
		c := Parse(in)
		if !cmp.Equal(before, in) {
			t.Fatal("the input was changed")
		}
		for _, p := range c.Problems {
			if strings.Contains(p.Error(), "PRIVATE KEY") {
				t.Fatalf("a problem tells too much: %v", p)
			}
		}
		policy := Policy{CADuration: time.Hour * 24, CertificateDuration: time.Hour}
		plan, err := policy.Decide(View{Now: start, Exists: true, Stored: c})
		if err != nil {
			t.Fatal(err)
		}
		state := c.State
		if plan.Write != nil {
			state = *plan.Write
		}
		again := Parse(mustData(t, state, nil))
		if len(again.Problems) > 0 || again.Current == nil {
			t.Fatalf("what was decided is broken: %v", again.Problems)
		}
		if plan, err := policy.Decide(View{Now: start, Exists: true, Stored: again}); err != nil || plan.Write != nil {
			t.Fatalf("what was decided does not last: %+v, error %v", plan, err)
		}
	})
}

// P-384 is as good, should somebody bring a CA of their own.
func TestParseOtherCurve(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := *mustCA(t, start, time.Hour).Certificate
	template.PublicKey = key.Public()
	certificate, err := sign(&template, &template, key, key)
	if err != nil {
		t.Fatal(err)
	}
	c := Parse(mustData(t, State{Current: &CA{Certificate: certificate, Key: key}}, nil))
	if len(c.Problems) > 0 || c.Current == nil {
		t.Errorf("problems %v", c.Problems)
	}
}
