package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// readiness reports whether admissions sent here are answered.
type readiness struct {
	address  string
	source   certificateSource
	probe    selfProbe // nil where nothing is known of the configuration
	callers  callers
	stopping atomic.Bool
}

// selfProbe reports whether an API server accepts the loaded certificate.
type selfProbe interface{ Ready() error }

func newReadiness(o *Options, source certificateSource, probe selfProbe, callers callers) *readiness {
	host := o.BindAddress
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return &readiness{address: net.JoinHostPort(host, strconv.Itoa(o.Port)), source: source, probe: probe, callers: callers}
}

var errStopping = errors.New("shutting down")

// check does what the API server does first: it connects, and looks at the
// certificate that comes back.
func (r *readiness) check(ctx context.Context) error {
	if r.stopping.Load() {
		return errStopping
	}
	if err := r.callers.ready(); err != nil {
		return err
	}
	err := r.checkCertificate(ctx)
	if errors.Is(err, errOtherCertificate) {
		err = r.checkCertificate(ctx) // it was renewed between the two looks
	}
	return err
}

var errOtherCertificate = errors.New("the webhook's own port serves another certificate than the loaded one")

// checkCertificate compares the loaded certificate with the served one.
func (r *readiness) checkCertificate(ctx context.Context) error {
	want, err := r.source.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		return err
	}
	if err := r.checkAcceptance(want.Leaf); err != nil {
		return err
	}
	got, err := r.servedCertificate(ctx)
	if err != nil {
		return fmt.Errorf("could not connect to the webhook's own port: %w", err)
	}
	if !bytes.Equal(got, want.Leaf.Raw) {
		return errOtherCertificate
	}
	return nil
}

// checkAcceptance reports whether an API server would accept the loaded certificate,
// as far as that is known.
func (r *readiness) checkAcceptance(leaf *x509.Certificate) error {
	if r.probe != nil {
		return r.probe.Ready()
	}
	if now := time.Now(); now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		return fmt.Errorf("the serving certificate is valid from %s to %s only", leaf.NotBefore, leaf.NotAfter)
	}
	return nil
}

// servedCertificate returns the certificate that the port serves. It comes
// before the server asks for the client's, so it is seen even where this client
// would be refused.
func (r *readiness) servedCertificate(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var served []byte
	dialer := tls.Dialer{Config: &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // the certificate is compared with the very one that is expected
		VerifyConnection: func(state tls.ConnectionState) error {
			served = state.PeerCertificates[0].Raw
			return nil
		},
	}}
	conn, err := dialer.DialContext(ctx, "tcp", r.address)
	if err == nil {
		err = conn.Close()
	}
	if served != nil {
		return served, nil
	}
	return nil, err
}

// closeOnShutdown makes clients connect anew while the program ends: an API server keeps
// its connections, and would send the next admission here as long as they last.
func (r *readiness) closeOnShutdown(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r.stopping.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, req)
	})
}

// probes returns the handler of /healthz and /readyz. The reason of a failure is
// in the answer: it is what people look for, and it holds no secret.
func (r *readiness) probes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { writeProbe(w, nil) })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, req *http.Request) { writeProbe(w, r.check(req.Context())) })
	return mux
}

func writeProbe(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n")) // a prober that went away asks again
}
