// Package certs supplies the webhook's serving certificate.
package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"

	"github.com/oidc-injector/oidc-injector/internal/repeat"
)

// The names of the files in a certificate directory, which are the keys of a
// Secret of type kubernetes.io/tls.
const (
	CertFile = "tls.crt"
	KeyFile  = "tls.key"
)

// ErrNotLoaded means that there is no certificate to serve yet.
var ErrNotLoaded = errors.New("no serving certificate is loaded yet")

// retryInterval is how often files are looked for that are not there yet.
const retryInterval = time.Second

// Files serves the certificate of a directory and follows its rotation. The
// files need not be there at the start: a Secret is often filled after the pod
// that mounts it has started.
type Files struct {
	dir      string
	log      *slog.Logger
	watcher  atomic.Pointer[certwatcher.CertWatcher]
	validity validity
}

// NewFiles returns the source for a directory; Run makes it load.
func NewFiles(dir string, log *slog.Logger, metrics prometheus.Registerer) *Files {
	return &Files{dir: dir, log: log, validity: newValidity(metrics)}
}

// Run loads the certificate, as soon as there is one, and follows it until the
// context ends. A broken or half-written pair leaves the previous one serving.
func (f *Files) Run(ctx context.Context) error {
	var failing repeat.Failing
	for ctx.Err() == nil {
		// Said again only where the reason changes: files that come, but do not
		// belong together, are another trouble than files that are not there.
		if err := f.follow(ctx); err != nil && failing.With(err) {
			f.log.Warn("serving certificate not loaded, retrying", "dir", f.dir, "error", err)
		}
		repeat.Sleep(ctx, retryInterval)
	}
	return nil
}

// follow loads the certificate and follows it until the context ends. It returns
// at once where there is none.
func (f *Files) follow(ctx context.Context) error {
	watcher, err := certwatcher.New(filepath.Join(f.dir, CertFile), filepath.Join(f.dir, KeyFile))
	if err != nil {
		return fmt.Errorf("could not load the serving certificate: %w", err)
	}
	watcher.RegisterCallback(f.observe)
	f.watcher.Store(watcher)
	return watcher.Start(ctx)
}

func (f *Files) observe(cert tls.Certificate) {
	f.validity.set(servingCertificate, cert.Leaf.NotBefore, cert.Leaf)
	f.log.Info("serving certificate loaded", "notAfter", cert.Leaf.NotAfter, "dnsNames", cert.Leaf.DNSNames)
}

// GetCertificate returns the current certificate, for a [tls.Config].
func (f *Files) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	watcher := f.watcher.Load()
	if watcher == nil {
		return nil, ErrNotLoaded
	}
	return watcher.GetCertificate(hello)
}
