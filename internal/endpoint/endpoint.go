// Package endpoint says what the address of a relying party may be: a URL that
// everybody who reads it, the policy, the login program and the clients of the
// workload, takes for the same one.
package endpoint

import (
	"errors"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

const example = ", such as https://vault.example.com:8200"

// What can be wrong with an address, in words for its author.
var (
	ErrURL     = errors.New("must be a URL of at most 1024 bytes" + example)
	ErrScheme  = errors.New("must begin with https:// (or with http://, where the injector's policy allows that)" + example)
	ErrUser    = errors.New("must not hold a user or a password")
	ErrQuery   = errors.New("must not have a query or a fragment")
	ErrEscape  = errors.New("must not hold escapes (%)")
	ErrHost    = errors.New("must name a host, and no port but one from 1 to 65535" + example)
	ErrNumeric = errors.New("must write an IPv4 address as four decimal numbers, such as https://10.0.0.1: no name ends in a number")
	ErrPath    = errors.New("must have a clean path: no '.', '..' or doubled '/'")
)

const maxLength = 1024

// Parse reads the address of a relying party. The error is one of the above.
func Parse(value string) (*url.URL, error) {
	return parse(value, false)
}

// ParseWithQuery reads an address that may have a query, as that of an OAuth token
// endpoint may (RFC 6749 section 3.2).
func ParseWithQuery(value string) (*url.URL, error) { return parse(value, true) }

func parse(value string, query bool) (*url.URL, error) {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Opaque != "" || len(value) > maxLength || strings.ContainsFunc(value, notInURL):
		return nil, ErrURL
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, ErrScheme
	case u.User != nil:
		return nil, ErrUser
	case !query && (u.RawQuery != "" || u.ForceQuery), strings.Contains(value, "#"):
		return nil, ErrQuery
	case strings.Contains(strings.TrimSuffix(value, u.RawQuery), "%"): // which leaves no zone of an IPv6 address either
		return nil, ErrEscape
	case !isPath(u.Path):
		return nil, ErrPath
	}
	if err := checkHost(u); err != nil {
		return nil, err
	}
	return u, nil
}

func checkHost(u *url.URL) error {
	switch {
	case !isHost(u.Host):
		return ErrHost
	case endsInNumber(u.Hostname()) && !isIP(u.Hostname()):
		return ErrNumeric
	default:
		return nil
	}
}

// isHost reports whether this is a name or an IP address, and a port or none.
func isHost(hostport string) bool {
	host, port := hostport, "1"
	if at := strings.LastIndexByte(hostport, ':'); at > strings.LastIndexByte(hostport, ']') {
		host, port = hostport[:at], hostport[at+1:]
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
		return false
	}
	if inner, bracketed := strings.CutPrefix(host, "["); bracketed {
		ip, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return err == nil && ip.Is6()
	}
	return isHostName(host)
}

// isHostName is wider than DNS is, as there are names with underscores. A dot at
// the end makes it absolute.
func isHostName(host string) bool {
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || strings.Trim(label, "-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return false
		}
	}
	return true
}

// endsInNumber reports whether the last label of a host is a number, decimal or
// hexadecimal: inet_aton(3), and with it much that resolves names, takes such a
// host for an IPv4 address, 127.1 and 0x7f000001 among them, while others look
// for a name (https://url.spec.whatwg.org/#ends-in-a-number-checker).
func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	label := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	digits, allowed := label, "0123456789"
	if hex, found := strings.CutPrefix(label, "0x"); found {
		digits, allowed = hex, "0123456789abcdef"
	}
	return label != "" && strings.Trim(digits, allowed) == ""
}

// isIP reports whether this is an IP address in the form that nobody reads
// otherwise. With a dot behind it, it would be an address to some and a name to
// others.
func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

func isPath(value string) bool {
	return value == "" || value == "/" || path.Clean(value) == strings.TrimSuffix(value, "/") && value != "//"
}

// notInURL reports whether a character has no place in a URL (RFC 3986), or would
// be expanded by Kubernetes in the value of a variable.
func notInURL(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}$", r)
}
