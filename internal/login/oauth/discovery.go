package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// endpoint is the token endpoint, discovered where it was not given. What was
// discovered is used until an exchange fails.
func (s *Server) endpoint(ctx context.Context) (*url.URL, error) {
	if endpoint := s.options.URL(loginspec.Address); endpoint != nil {
		return endpoint, nil
	}
	if s.discovered != nil {
		return s.discovered, nil
	}
	endpoint, err := s.discover(ctx)
	s.discovered = endpoint
	return endpoint, err
}

// discover asks for the metadata of OpenID Connect Discovery, and, where the
// server has none, for those of RFC 8414. Not all that have none say 404: some
// have a page for every path.
func (s *Server) discover(ctx context.Context) (*url.URL, error) {
	issuer := s.options.URL(loginspec.Issuer)
	openID, rfc8414 := metadataURLs(issuer)
	endpoint, err := s.metadata(ctx, issuer, openID)
	class := failure.Of(err).Class
	if err == nil || !class.Final() {
		return endpoint, err
	}
	endpoint, err8414 := s.metadata(ctx, issuer, rfc8414)
	if err8414 == nil {
		return endpoint, nil
	}
	last := failure.Of(err8414)
	if last.Class != failure.Denied {
		class = last.Class
	}
	return nil, &failure.Error{
		Class: class, RetryAfter: last.RetryAfter,
		Doing: "find the token endpoint of the issuer " + issuer.String(), Cause: fmt.Errorf("%w; %w", err, err8414),
	}
}

// metadataURLs are where metadata are published: OpenID Connect Discovery 1.0
// section 4 appends to the issuer, RFC 8414 section 3.1 inserts before its path.
func metadataURLs(issuer *url.URL) (openID, rfc8414 *url.URL) {
	path := strings.TrimRight(issuer.Path, "/")
	first, second := *issuer, *issuer
	first.RawPath, second.RawPath = "", ""
	first.Path = path + "/.well-known/openid-configuration"
	second.Path = "/.well-known/oauth-authorization-server" + path
	return &first, &second
}

// metadata fetches one document and returns the token endpoint in it.
func (s *Server) metadata(ctx context.Context, issuer, source *url.URL) (*url.URL, error) {
	request := exchange.Request{
		Doing: "read the metadata of the issuer at " + source.String(), Method: http.MethodGet, URL: source, Header: http.Header{},
	}
	response, err := s.client.Do(ctx, request)
	if err != nil {
		return nil, err
	}
	return readMetadata(request, issuer, response, s.options[loginspec.ClientAuth] == loginspec.ClientAuthTLS)
}

// readMetadata returns the token endpoint, for a client with or without a
// certificate.
func readMetadata(request exchange.Request, issuer *url.URL, response exchange.Response, certified bool) (*url.URL, error) {
	if response.Status != http.StatusOK {
		return nil, request.Refused(response, exchange.ClassOf(response.Status))
	}
	fields, err := request.Fields(response)
	if err != nil {
		return nil, err
	}
	// RFC 8414 section 3.3: identical, character by character.
	if got, want := fields.Text("issuer"), issuer.String(); got != want {
		return nil, request.Fail(failure.Protocol, fmt.Errorf("it names the issuer %s, which has to be exactly %q",
			secret.Quote(got), want))
	}
	text := fields.Text("token_endpoint")
	// RFC 8705 section 5: who has a certificate may be expected elsewhere.
	if aliases, _ := fields.Object("mtls_endpoint_aliases"); certified && aliases.Has("token_endpoint") {
		text = aliases.Text("token_endpoint")
	}
	endpoint, err := tokenEndpoint(issuer, text)
	if err != nil {
		return nil, request.Fail(failure.Protocol, err)
	}
	return endpoint, nil
}

// tokenEndpoint reads the URL of a token endpoint. A fragment is forbidden by
// RFC 6749 section 3.2, and the JWT must not go out less safely than it could.
func tokenEndpoint(issuer *url.URL, text string) (*url.URL, error) {
	endpoint, err := url.Parse(text)
	switch {
	case text == "":
		return nil, errors.New("it has no token_endpoint")
	case err != nil || endpoint.Host == "" || endpoint.User != nil || endpoint.Fragment != "",
		endpoint.Scheme != "https" && endpoint.Scheme != "http":
		return nil, fmt.Errorf("its token_endpoint %s is not a URL of an endpoint", secret.Quote(text))
	case endpoint.Scheme != "https" && issuer.Scheme == "https":
		return nil, fmt.Errorf("its token_endpoint %s is not https, while the issuer is", secret.Quote(text))
	}
	return endpoint, nil
}
