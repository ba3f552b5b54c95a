package issuer

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// world is an issuer on loopback.
func world(t *testing.T, answer func(base, path string) (status int, location, body string)) (string, Source, *[]string) {
	t.Helper()
	requests := new([]string)
	var server *httptest.Server
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" && !strings.Contains(r.Header.Get("Accept"), "application/jwk-set+json") {
			w.WriteHeader(http.StatusNotAcceptable) // as API servers do
			return
		}
		*requests = append(*requests, r.Host+r.URL.Path+" "+r.Header.Get("X-Vault-Token"))
		status, location, body := answer(server.URL, r.URL.Path)
		if location != "" {
			w.Header().Set("Location", location)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server.URL, Source{Client: NewHTTPClient(roots, false)}, requests
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	key := newRSA(t, "k1")
	set := string(keySet(t, key.public()))
	url, source, _ := world(t, func(base, path string) (int, string, string) {
		if path == "/keys" {
			return http.StatusOK, "", set
		}
		return http.StatusOK, "", `{"issuer":"` + base + `","jwks_uri":"` + base + `/keys"}`
	})
	document, err := source.Discover(t.Context(), url)
	if err != nil || document.JWKSURI != url+"/keys" {
		t.Fatalf("got %+v, error %v", document, err)
	}
	keys, err := source.Keys(t.Context(), document.JWKSURI)
	if err != nil || len(keys.IDs()) != 1 {
		t.Fatalf("got %+v, error %v", keys, err)
	}
	// Of another issuer: what it was asked for with a slash more is not its name.
	_, err = source.Discover(t.Context(), url+"/")
	if _, ok := errors.AsType[*OtherIssuerError](err); !ok {
		t.Errorf("with a slash more: %v", err)
	}
}

func status(code int, location string) func(string, string) (int, string, string) {
	return func(string, string) (int, string, string) { return code, location, "" }
}

func TestDiscoverErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer func(base, path string) (int, string, string)
		says   string
	}{
		"forbidden": {status(http.StatusForbidden, ""), "system:service-account-issuer-discovery"},
		"not there": {status(http.StatusNotFound, ""), "answers 404 Not Found"},
		"a page":    {func(string, string) (int, string, string) { return http.StatusOK, "", "<html>" }, errNoDocument.Error()},
		"too large": {func(string, string) (int, string, string) {
			return http.StatusOK, "", `{"issuer":"` + strings.Repeat("a", maxBody) + `"}`
		}, errTooLarge.Error()},
		"keys without TLS": {func(base, _ string) (int, string, string) {
			return http.StatusOK, "", `{"issuer":"` + base + `","jwks_uri":"http://keys.example.com"}`
		}, "https is needed"},
		"a redirect without TLS":   {status(http.StatusFound, "http://127.0.0.1:1/"), "https is needed"},
		"redirects without an end": {status(http.StatusFound, "/again"), "more than 3 redirects"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, source, _ := world(t, test.answer)
			_, err := source.Discover(t.Context(), url)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got error %v", err)
			}
		})
	}
	t.Run("an unknown certificate", func(t *testing.T) {
		t.Parallel()
		url, _, _ := world(t, func(string, string) (int, string, string) { return http.StatusOK, "", "{}" })
		_, err := Source{Client: NewHTTPClient(x509.NewCertPool(), false)}.Discover(t.Context(), url)
		if err == nil || !strings.Contains(err.Error(), "--ca-file") {
			t.Errorf("got error %v", err)
		}
	})
}

// TestHeadersStay has a server that sends requests on to another host, which must not get
// the token of the first.
func TestHeadersStay(t *testing.T) {
	t.Parallel()
	url, source, requests := world(t, status(http.StatusTemporaryRedirect, "/elsewhere"))
	_, err := source.Get(t.Context(), url+"/v1/auth/jwt/role/demo", http.Header{"X-Vault-Token": {"secret"}})
	answered, ok := errors.AsType[*StatusError](err)
	if !ok || answered.Status != http.StatusTemporaryRedirect || len(*requests) != 1 {
		t.Errorf("got error %v after the requests %q", err, *requests)
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]bool{
		"https://a.example.com/x": true, "http://a.example.com": false, "ftp://a.example.com": false, "a.example.com": false, "": false,
		"https://user:password@a.example.com": false, "https://": false, "file:///etc/passwd": false,
	} {
		if err := CheckURL(url, false); (err == nil) != want {
			t.Errorf("%s: %v", url, err)
		} else if err != nil && strings.Contains(err.Error(), "password@") {
			t.Errorf("the error quotes a password: %v", err)
		}
	}
	if err := CheckURL("http://127.0.0.1:8080", true); err != nil {
		t.Errorf("http that is allowed: %v", err)
	}
}
