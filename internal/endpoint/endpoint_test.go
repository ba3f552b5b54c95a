package endpoint_test

import (
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/endpoint"
)

// TestParse shows which addresses a token may be sent to, whatever the policy
// says.
func TestParse(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]error{
		"https://vault.example.com":       nil,
		"https://vault.example.com/":      nil,
		"https://vault.example.com.:8200": nil,
		"HTTPS://Vault.Example.COM:65535": nil,
		"http://vault":                    nil,
		"https://my_vault":                nil,
		"https://10.0.0.1:1":              nil,
		"https://[::1]":                   nil,
		"https://[2001:db8::1]:8200/a/b/": nil,
		"https://[::ffff:10.0.0.1]":       nil,
		"https://h/realms/a(b)~c;d,e=f+g": nil,

		// Hosts that end in a number are addresses to some and names to others.
		"https://127.0.0.1/a":           nil,
		"https://255.255.255.255":       nil,
		"https://127.1":                 endpoint.ErrNumeric,
		"https://2130706433":            endpoint.ErrNumeric,
		"https://0x7f.1":                endpoint.ErrNumeric,
		"https://0x7f000001":            endpoint.ErrNumeric,
		"https://0X7F.0.0.0X1":          endpoint.ErrNumeric,
		"https://0x":                    endpoint.ErrNumeric,
		"https://0177.0.0.1":            endpoint.ErrNumeric,
		"https://127.0.0.01":            endpoint.ErrNumeric,
		"https://127.0.0.1.":            endpoint.ErrNumeric,
		"https://127.0.0.256":           endpoint.ErrNumeric,
		"https://127.0.0.1.1":           endpoint.ErrNumeric,
		"https://vault.1:8200":          endpoint.ErrNumeric,
		"https://vault.0x1f":            endpoint.ErrNumeric,
		"https://1.vault.example.com":   nil,
		"https://10.0.0.1.example.com":  nil,
		"https://vault1":                nil,
		"https://vault.0xyz":            nil,
		"https://vault.1a":              nil,
		"https://xn--bcher-kva.example": nil,
		"https://[::127.0.0.1]":         nil,
		"https://[v1.a]":                endpoint.ErrURL,
		"https://[fe80::1%eth0]":        endpoint.ErrURL,
		"https://１２７.0.0.1":             endpoint.ErrURL,
		"https://h:0x1bb":               endpoint.ErrURL,
		"https://h:+443":                endpoint.ErrURL,
		"https://127.0.0.1:0443":        endpoint.ErrHost,
		"hTTps://127.0.0.1":             nil,

		"vault.example.com:8200":                 endpoint.ErrURL,
		"https:vault":                            endpoint.ErrURL,
		"https://h/a b":                          endpoint.ErrURL,
		"https://h\n":                            endpoint.ErrURL,
		"https://ü.example":                      endpoint.ErrURL,
		`https://h\@evil.example`:                endpoint.ErrURL,
		"https://h/$(HOME)":                      endpoint.ErrURL,
		`https://h/"`:                            endpoint.ErrURL,
		"https://h/{a}":                          endpoint.ErrURL,
		"https://h:80a":                          endpoint.ErrURL,
		"https://[::1":                           endpoint.ErrURL,
		"https://[fe80::1%25eth0]":               endpoint.ErrEscape,
		"https://[1.2.3.4]":                      endpoint.ErrURL,
		"https://[]":                             endpoint.ErrURL,
		"https://h/" + strings.Repeat("a", 1015): endpoint.ErrURL,

		"":                     endpoint.ErrScheme,
		"vault.example.com":    endpoint.ErrScheme,
		"//vault.example.com":  endpoint.ErrScheme,
		"ftp://vault":          endpoint.ErrScheme,
		"unix:///vault.sock":   endpoint.ErrScheme,
		"httpss://vault":       endpoint.ErrScheme,
		"https://":             endpoint.ErrHost,
		"https:///vault":       endpoint.ErrHost,
		"https:/vault":         endpoint.ErrHost,
		"https://:8200":        endpoint.ErrHost,
		"https://h:":           endpoint.ErrHost,
		"https://h:0":          endpoint.ErrHost,
		"https://h:0443":       endpoint.ErrHost,
		"https://h:65536":      endpoint.ErrHost,
		"https://*.example":    endpoint.ErrHost,
		"https://a,b":          endpoint.ErrHost,
		"https://.example":     endpoint.ErrHost,
		"https://a..b":         endpoint.ErrHost,
		"https://.":            endpoint.ErrHost,
		"https://a@b":          endpoint.ErrUser,
		"https://@b":           endpoint.ErrUser,
		"https://a:b@c":        endpoint.ErrUser,
		"https://a%40b@c":      endpoint.ErrUser,
		"https://h?":           endpoint.ErrQuery,
		"https://h/?a=b":       endpoint.ErrQuery,
		"https://h/#":          endpoint.ErrQuery,
		"https://h#a":          endpoint.ErrQuery,
		"https://h/%2e%2e/sys": endpoint.ErrEscape,
		"https://h/a%2fb":      endpoint.ErrEscape,
		"https://h%41":         endpoint.ErrURL,
		"https://h/..":         endpoint.ErrPath,
		"https://h/a/../b":     endpoint.ErrPath,
		"https://h/./a":        endpoint.ErrPath,
		"https://h//":          endpoint.ErrPath,
		"https://h//a":         endpoint.ErrPath,
		"https://h/a//":        endpoint.ErrPath,
	} {
		u, err := endpoint.Parse(address)
		if !errors.Is(err, want) {
			t.Errorf("%q:\ngot  %v\nwant %v", address, err, want)
		}
		if (u == nil) != (err != nil) {
			t.Errorf("%q: URL %v beside error %v", address, u, err)
		}
	}
}

// TestParseWithQuery shows that a query belongs to the address and never to the host
// or the path, which the policy judges.
func TestParseWithQuery(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://sts.example.com/token?tenant=a%20b":                 "sts.example.com /token",
		"https://sts.example.com/token?x=https://evil.example/":      "sts.example.com /token",
		"https://sts.example.com/token?":                             "sts.example.com /token",
		"https://evil.example?@sts.example.com/token":                "evil.example ",
		"https://evil.example/?https://sts.example.com/token":        "evil.example /",
		"https://sts.example.com/token":                              "sts.example.com /token",
		"https://sts.example.com/a%2fb?x":                            endpoint.ErrEscape.Error(),
		"https://sts.example.com/a%2fb?%2fb":                         endpoint.ErrEscape.Error(),
		"https://sts.example.com/../token?x":                         endpoint.ErrPath.Error(),
		"https://sts.example.com/token?x#y":                          endpoint.ErrQuery.Error(),
		"https://user@sts.example.com/token?x":                       endpoint.ErrUser.Error(),
		"https://127.1/token?x":                                      endpoint.ErrNumeric.Error(),
		"https://sts.example.com/token?x=$(HOME)":                    endpoint.ErrURL.Error(),
		"https://sts.example.com/token?" + strings.Repeat("x", 1024): endpoint.ErrURL.Error(),
	} {
		u, err := endpoint.ParseWithQuery(address)
		var got string
		if err != nil {
			got = err.Error()
		} else {
			got = u.Host + " " + u.Path
		}
		if got != want {
			t.Errorf("%.60q:\ngot  %s\nwant %s", address, got, want)
		}
	}
}

// FuzzParse: what is accepted reads the same once more, and its host is either a
// name that nobody takes for an address, or an address that nobody takes for
// another.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"https://vault.example.com:8200/a", "http://[::ffff:10.0.0.1]:1", "https://127.1", "https://0x7f.0x1.", "https://h:0443",
		"HTTPS://A.:443/",
		"https://a@b", "https://h/%2e", "https://xn--bcher-kva", "https://[fe80::1%25eth0]", "https://１.1", "https://h?#",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		u, err := endpoint.Parse(address)
		if err != nil {
			if u != nil || err.Error() == "" {
				t.Errorf("URL %v beside error %q", u, err)
			}
			return
		}
		again, err := endpoint.Parse(u.String())
		if err != nil || *again != *u {
			t.Errorf("%q is %v, and %v once more: %v", address, u, again, err)
		}
		host := u.Hostname()
		if host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" || len(address) > 1024 {
			t.Errorf("%q is accepted", address)
		}
		if _, err := netip.ParseAddr(host); err != nil && numeric.MatchString(host) {
			t.Errorf("%q ends in a number", address)
		}
	})
}

// numeric is what some programs take for an IPv4 address.
var numeric = regexp.MustCompile(`^(.*\.)?([0-9]+|0[xX][0-9a-fA-F]*)\.?$`)
