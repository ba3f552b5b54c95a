package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/oidc-injector/oidc-injector/internal/certs"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	m.Run()
}

// pair is a certificate and its key in PEM.
type pair struct{ cert, key []byte }

// validity is that of all certificates here.
var validity = struct{ from, to time.Time }{
	time.Now().Add(-time.Hour).Truncate(time.Second),
	time.Now().Add(time.Hour).Truncate(time.Second),
}

func newPair(t *testing.T, name string) pair {
	t.Helper()
	cert, key := testutil.IssueCertificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: validity.from, NotAfter: validity.to,
	}, nil, nil)
	return pair{cert: cert, key: key}
}

// files is a Files that runs, with its surroundings.
type files struct {
	*certs.Files
	dir     string
	log     *testutil.Log
	metrics *prometheus.Registry
}

func run(t *testing.T, dir string) *files {
	t.Helper()
	f := &files{dir: dir, log: &testutil.Log{}, metrics: prometheus.NewRegistry()}
	f.Files = certs.NewFiles(dir, slog.New(slog.NewTextHandler(f.log, nil)), f.metrics)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return f
}

// serves is the name in the certificate that is served now, or the error.
func (f *files) serves() string {
	cert, err := f.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		return err.Error()
	}
	return cert.Leaf.Subject.CommonName
}

func (f *files) eventuallyServes(t *testing.T, name string) {
	t.Helper()
	testutil.Eventually(t, "it serves "+name, func() bool { return f.serves() == name })
}

// life is when the served certificate begins and ends, as the metrics say, or
// nothing where they do not: a value of 0 would mean 1970.
func (f *files) life(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := f.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	life := map[string]float64{}
	for _, family := range families {
		m := family.GetMetric()[0]
		if label := m.GetLabel()[0]; label.GetName() != "certificate" || label.GetValue() != "serving" {
			t.Errorf("label %v", label)
		}
		life[family.GetName()] = m.GetGauge().GetValue()
	}
	return life
}

// write replaces a file at once.
func write(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	next := filepath.Join(dir, ".next")
	if err := os.WriteFile(next, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func TestFilesLate(t *testing.T) {
	t.Parallel()
	dir, one, two := t.TempDir(), newPair(t, "one"), newPair(t, "two")
	f := run(t, dir)
	if _, err := f.GetCertificate(&tls.ClientHelloInfo{}); !errors.Is(err, certs.ErrNotLoaded) {
		t.Errorf("error %v", err)
	}
	if life := f.life(t); len(life) != 0 {
		t.Errorf("life %v before there is a certificate", life)
	}
	testutil.Eventually(t, "the log says what is missing", func() bool { return f.log.Has("tls.crt: no such file or directory") })

	// Files that do not belong together are no pair, and the log says that, too.
	write(t, dir, certs.CertFile, one.cert)
	write(t, dir, certs.KeyFile, two.key)
	testutil.Eventually(t, "the log says what is wrong", func() bool { return f.log.Has("private key does not match public key") })
	if f.serves() != certs.ErrNotLoaded.Error() {
		t.Errorf("it serves %s", f.serves())
	}

	write(t, dir, certs.KeyFile, one.key)
	f.eventuallyServes(t, "one")
	life := map[string]float64{
		"oidc_injector_certificate_issued_timestamp_seconds":     float64(validity.from.Unix()),
		"oidc_injector_certificate_expiration_timestamp_seconds": float64(validity.to.Unix()),
	}
	testutil.Eventually(t, "the metrics tell of it", func() bool { return maps.Equal(f.life(t), life) })
	testutil.Eventually(t, "the log says so", func() bool {
		return f.log.Has(`msg="serving certificate loaded"`) &&
			f.log.Has("dnsNames=[one]")
	})
	if f.log.Has("PRIVATE KEY") {
		t.Error("the log has the key")
	}
}

// TestFilesRotated: the new pair is served, half of one is not.
func TestFilesRotated(t *testing.T) {
	t.Parallel()
	dir, one, two := t.TempDir(), newPair(t, "one"), newPair(t, "two")
	write(t, dir, certs.CertFile, one.cert)
	write(t, dir, certs.KeyFile, one.key)
	f := run(t, dir)
	f.eventuallyServes(t, "one")

	for _, half := range [][]byte{two.cert, two.cert[:len(two.cert)/2], {}} {
		write(t, dir, certs.CertFile, half)
		for range 20 {
			time.Sleep(5 * time.Millisecond)
			if f.serves() != "one" {
				t.Fatalf("it serves %s with the key of one", f.serves())
			}
		}
	}
	write(t, dir, certs.CertFile, two.cert)
	write(t, dir, certs.KeyFile, two.key)
	f.eventuallyServes(t, "two")
}

// TestFilesRemoved: the certificate stays.
func TestFilesRemoved(t *testing.T) {
	t.Parallel()
	dir, one := t.TempDir(), newPair(t, "one")
	write(t, dir, certs.CertFile, one.cert)
	write(t, dir, certs.KeyFile, one.key)
	f := run(t, dir)
	f.eventuallyServes(t, "one")
	for _, name := range []string{certs.CertFile, certs.KeyFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		time.Sleep(5 * time.Millisecond)
		if f.serves() != "one" {
			t.Fatalf("it serves %s", f.serves())
		}
	}
}

// The kubelet writes a new directory and points the link ..data to it.
func TestFilesSwappedByKubelet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	publish := func(version string, p pair) {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version), certs.CertFile, p.cert)
		write(t, filepath.Join(dir, version), certs.KeyFile, p.key)
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	publish("..1", newPair(t, "one"))
	for _, name := range []string{certs.CertFile, certs.KeyFile} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	f := run(t, dir)
	f.eventuallyServes(t, "one")
	publish("..2", newPair(t, "two"))
	if err := os.RemoveAll(filepath.Join(dir, "..1")); err != nil {
		t.Fatal(err)
	}
	f.eventuallyServes(t, "two")
	publish("..3", newPair(t, "three"))
	f.eventuallyServes(t, "three")
}
