package policy

import (
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/endpoint"
	"github.com/oidc-injector/oidc-injector/internal/glob"
)

// address is a URL in parts, which are compared one by one: no wildcard for a
// host can be met by something in a port or in a path.
type address struct {
	scheme, host, port, path string
	// ipv4 is true where the host is an IPv4 address rather than a name.
	ipv4 bool
}

// schemePorts are the ports that a URL means which names none.
var schemePorts = map[string]string{"https": "443", "http": "80"}

// newAddress takes a URL apart that [endpoint.Parse] has accepted. Hosts that
// mean the same come out the same.
func newAddress(u *url.URL) address {
	a := address{scheme: u.Scheme, port: u.Port(), path: strings.TrimSuffix(u.Path, "/")}
	a.host, a.ipv4 = canonicalHost(u.Hostname())
	if a.port == "" {
		a.port = schemePorts[a.scheme]
	}
	return a
}

// canonicalHost is the same for the ways to write a host: the case, the dot behind
// an absolute name, the zeros of an IPv6 address, which keeps its brackets, and an
// IPv4 address by its IPv6 name.
func canonicalHost(host string) (canonical string, ipv4 bool) {
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	switch ip = ip.Unmap(); {
	case err != nil:
		return strings.TrimSuffix(strings.ToLower(host), "."), false
	case ip.Is4():
		return ip.String(), true
	default:
		return "[" + ip.String() + "]", false
	}
}

// addressPattern is a glob of addresses.
type addressPattern struct {
	text string
	// Each part is nil where anything will do.
	scheme, host, port, path *glob.Pattern
	// ipv4 is true where the pattern is one of IPv4 addresses: what is made of
	// digits must not be met by the beginning of a name.
	ipv4 bool
}

func (p addressPattern) String() string { return p.text }

// Matches reports whether the pattern stands for an address.
func (p addressPattern) Matches(a address) bool {
	return (a.ipv4 || !p.ipv4) &&
		matchesPart(p.scheme, a.scheme) && matchesPart(p.host, a.host) && matchesPart(p.port, a.port) && matchesPart(p.path, a.path)
}

func matchesPart(p *glob.Pattern, part string) bool { return p == nil || p.Matches(part) }

// anyAddress is the pattern of all addresses; in a list of what is allowed, of
// those with https.
const anyAddress = "*"

// addressSyntax is the form of all other patterns: scheme, host in brackets or
// not, port, path.
var addressSyntax = regexp.MustCompile(`^(https?)://(?:(\[[0-9A-Fa-f:.*?]+\])|([-_0-9A-Za-z.*?]+))(?::([0-9*?]+))?(/.*)?$`)

// newAllowedAddresses compiles patterns of what is allowed: one that names no
// port means the scheme's own.
func newAllowedAddresses(texts []string) []addressPattern {
	patterns := newAddressPatterns(texts)
	for i := range patterns {
		p := &patterns[i]
		switch {
		case p.scheme == nil:
			p.scheme = newPart("https")
		case p.port == nil:
			p.port = newPart(schemePorts[p.scheme.String()])
		}
	}
	return patterns
}

// newAddressPatterns compiles patterns, of which those that name no port mean
// every port.
func newAddressPatterns(texts []string) []addressPattern {
	patterns := make([]addressPattern, 0, len(texts))
	for _, text := range texts {
		p := addressPattern{text: text}
		if parts := AddressParts(text); parts != nil {
			p.scheme, p.host, p.ipv4 = newPart(parts.Scheme), newPart(parts.Host), parts.IPv4
			p.port, p.path = newPart(parts.Port), newPart(parts.Path)
		}
		patterns = append(patterns, p)
	}
	return patterns
}

// Parts are those of a pattern of addresses, each a glob or empty, where anything will do.
type Parts struct {
	Scheme, Host, Port, Path string
	// IPv4 is true where the host stands for IPv4 addresses only.
	IPv4 bool
}

// AddressParts takes a pattern of addresses apart that [Spec.Validate] has accepted; nil
// stands for the pattern of all.
func AddressParts(pattern string) *Parts {
	parts := addressSyntax.FindStringSubmatch(pattern)
	if parts == nil {
		return nil
	}
	host, _ := canonicalHost(parts[2] + parts[3])
	return &Parts{Scheme: parts[1], Host: host, Port: parts[4], Path: strings.TrimSuffix(parts[5], "/"), IPv4: looksLikeIPv4(host)}
}

// newPart compiles a part of a pattern, of which nothing stands for anything.
func newPart(text string) *glob.Pattern {
	if text == "" {
		return nil
	}
	g := glob.New(text)
	return &g
}

// looksLikeIPv4 reports whether a host is made of digits, dots and wildcards, and
// of a digit at least.
func looksLikeIPv4(host string) bool {
	return strings.Trim(host, "0123456789.*?") == "" && strings.ContainsAny(host, "0123456789")
}

func addresses(r *ruleset) *rule[addressPattern, address] { return &r.addresses }

// Address returns why tokens may not be sent to an address that [endpoint.Parse] has
// returned, or nil. One that a pod names itself has to be listed: the token would be
// there for whoever writes annotations. That of a profile or a default is the choice of
// the configuration's author, which lists may limit.
func (r Rules) Address(u *url.URL, byPod bool) error {
	a := newAddress(u)
	v := judge(r, addresses, a)
	switch {
	case v.denied:
		return r.denied("address")
	case v.allowed:
		return nil
	case a.scheme != "https":
		// The token, and what it is exchanged for, would be there for all to read.
		return refuse(ErrReserved, "the injector's policy allows http:// only for the addresses that it lists with it")
	case v.limited:
		return notListed(r, addresses)
	case byPod:
		return refuse(ErrNotListed, "the injector's policy lists no addresses that pods may name: "+
			"it needs this one in policy.loginAddresses.allowed, or in a profile")
	default:
		return nil
	}
}

// couldBeAddress reports whether a pattern matches any address at all.
func couldBeAddress(pattern string) bool {
	return pattern == anyAddress || canMatch(addressSyntax.FindStringSubmatch(pattern))
}

// canMatch reports whether a pattern in parts is an address once its wildcards
// are filled in. There is no such easy answer for IP addresses: any will do,
// where the pattern has the form of one.
func canMatch(parts []string) bool {
	if parts == nil {
		return false
	}
	text, digits := strings.NewReplacer("*", "a", "?", "a"), strings.NewReplacer("*", "1", "?", "1")
	host := text.Replace(parts[3])
	switch {
	case host == "":
		host = "[::1]"
	case looksLikeIPv4(parts[3]):
		if !canBeIPv4(parts[3]) {
			return false
		}
		host = "127.0.0.1"
	}
	if parts[4] != "" {
		host += ":" + digits.Replace(parts[4])
	}
	_, err := endpoint.Parse(parts[1] + "://" + host + text.Replace(parts[5]))
	return err == nil
}

// canBeIPv4 reports whether a pattern of digits, dots and wildcards has room for
// the four numbers of an IPv4 address.
func canBeIPv4(pattern string) bool {
	numbers := strings.Split(pattern, ".")
	if len(numbers) > 4 || len(numbers) < 4 && !strings.Contains(pattern, "*") {
		return false
	}
	for _, number := range numbers {
		if strings.Contains(number, "*") {
			continue // and whatever stands beside the star
		}
		n, err := strconv.ParseUint(strings.ReplaceAll(number, "?", "1"), 10, 8)
		if err != nil || len(number) > 1 && number[0] == '0' || n > 255 {
			return false
		}
	}
	return true
}
