package exchange

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

// maxRedirects is how many redirects in a row are followed: one standby of Vault may
// know no better than to name another one.
const maxRedirects = 5

var (
	errNowhere = errors.New("a redirect without a valid Location")
	errLoop    = fmt.Errorf("more than %d redirects in a row", maxRedirects)
)

// redirection is where a response sends a request, if it does. What the request
// carries goes to its own host, on any port, and to hosts that are allowed. Nothing
// but a GET goes where a browser would go with a GET.
func (c *Client) redirection(own *url.URL, r Request, response Response) (*url.URL, error) {
	if response.Status < 300 || response.Status > 399 {
		return nil, nil //nolint:nilnil // no redirect is no error
	}
	location := response.Header.Get("Location")
	target, err := r.URL.Parse(location)
	if err != nil || location == "" || target.Host == "" {
		return nil, errNowhere
	}
	// A user or a query may be secret.
	shown := url.URL{Scheme: target.Scheme, Host: target.Host, Path: target.Path}
	quoted := secret.Quote(shown.String(), r.Secrets...)
	switch {
	case !repeats(response.Status, r.Method):
		return nil, fmt.Errorf("a redirect to %s, which is not for a program: is the address right?", quoted)
	case target.Scheme != "https" && target.Scheme != r.URL.Scheme:
		return nil, fmt.Errorf("a redirect from %s to %s, which is not safe", r.URL.Scheme, quoted)
	case target.User != nil:
		return nil, fmt.Errorf("a redirect to %s with a user, which is not safe", quoted)
	case !strings.EqualFold(target.Hostname(), own.Hostname()) && !c.mayRedirectTo(target):
		return nil, fmt.Errorf("a redirect to %s, which is not followed: is the address right? If so, "+
			"--redirect-hosts (annotation login-redirect-hosts) allows the host %s", quoted, secret.Quote(target.Host, r.Secrets...))
	}
	return target, nil
}

// repeats reports whether a redirect means the same request once more.
func repeats(status int, method string) bool {
	switch status {
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
		return method == http.MethodGet
	default:
		return false
	}
}

func (c *Client) mayRedirectTo(target *url.URL) bool {
	return slices.ContainsFunc(c.RedirectHosts, func(host string) bool {
		allowed, err := url.Parse(target.Scheme + "://" + host)
		return err == nil && authority(allowed) == authority(target)
	})
}

// authority is the host and the port of a URL.
func authority(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
