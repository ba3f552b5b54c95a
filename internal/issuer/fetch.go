package issuer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// maxBody is the largest document that is read, in bytes.
	maxBody = 1 << 20
	// requestTimeout bounds a request from its beginning to the last byte.
	requestTimeout = 15 * time.Second
	maxRedirects   = 3
)

// NewHTTPClient returns a client for what issuers publish: it bounds requests in time,
// keeps no connections, and follows no redirect to http. Without roots those of the system
// count.
func NewHTTPClient(roots *x509.CertPool, allowHTTP bool) *http.Client {
	return &http.Client{
		Timeout: requestTimeout,
		Transport: &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true, DisableKeepAlives: true,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			return CheckURL(r.URL.String(), allowHTTP)
		},
	}
}

// Source fetches from an issuer.
type Source struct {
	// Client makes the requests, as one of [NewHTTPClient] does.
	Client *http.Client
	// AllowHTTP allows URLs without TLS.
	AllowHTTP bool
}

// StatusError is an answer that is not 200.
type StatusError struct {
	URL    string
	Status int
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s answers %d %s", e.URL, e.Status, http.StatusText(e.Status))
	if e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden {
		return text + ": an API server lets nobody read it without credentials unless the ClusterRole " +
			"system:service-account-issuer-discovery is bound to the group system:unauthenticated"
	}
	return text
}

// Discover fetches the discovery document of an issuer, and checks that it is that.
func (s Source) Discover(ctx context.Context, issuer string) (Document, error) {
	data, err := s.Get(ctx, DiscoveryURL(issuer), nil)
	if err != nil {
		return Document{}, fmt.Errorf("could not fetch the discovery document: %w", err)
	}
	d, err := ParseDocument(data)
	if err != nil {
		return Document{}, fmt.Errorf("%s: %w", DiscoveryURL(issuer), err)
	}
	return d, d.Check(issuer, s.AllowHTTP)
}

// Keys fetches a JWK set.
func (s Source) Keys(ctx context.Context, url string) (Keys, error) {
	data, err := s.Get(ctx, url, nil)
	if err != nil {
		return Keys{}, fmt.Errorf("could not fetch the keys: %w", err)
	}
	keys, err := ParseKeys(data)
	if err != nil {
		return keys, fmt.Errorf("%s: %w", url, err)
	}
	return keys, nil
}

var errTooLarge = fmt.Errorf("the answer is larger than %d bytes", maxBody)

// accepted are the types of the documents. API servers have the keys as a type of their own
// alone (RFC 7517 section 8.5), and answer 406 to those who do not name it.
const accepted = "application/json, application/jwk-set+json"

// Get fetches a document of at most 1 MiB. With headers no redirect is followed: net/http
// would send all but the usual ones on to the other host, and they may hold a secret.
func (s Source) Get(ctx context.Context, url string, header http.Header) ([]byte, error) {
	if err := CheckURL(url, s.AllowHTTP); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("%q is not a URL", url)
	}
	client := *s.Client
	if header != nil {
		request.Header = header.Clone()
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	request.Header.Set("Accept", accepted)
	response, err := client.Do(request)
	if err != nil {
		return nil, withHint(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, &StatusError{URL: url, Status: response.StatusCode}
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	if len(data) > maxBody {
		return nil, fmt.Errorf("%s: %w", url, errTooLarge)
	}
	return data, nil
}

// withHint says what to do about a certificate that is not trusted.
func withHint(err error) error {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("%w: name its CA with --ca-file, such as the ca.crt of the ConfigMap kube-root-ca.crt", err)
	}
	return err
}
