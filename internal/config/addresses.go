package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// address is a URL in parts, which are compared one by one: no wildcard for a
// host can be met by something in a port or in a path.
type address struct{ scheme, host, port, path string }

// schemePorts are the ports that a URL means which names none.
var schemePorts = map[string]string{"https": "443", "http": "80"}

// newAddress takes a URL apart that [annotations.ParseEndpoint] has accepted.
// Hosts that mean the same come out the same.
func newAddress(u *url.URL) address {
	a := address{scheme: u.Scheme, host: canonicalHost(u.Hostname()), port: u.Port(), path: strings.TrimSuffix(u.Path, "/")}
	if a.port == "" {
		a.port = schemePorts[a.scheme]
	}
	return a
}

// canonicalHost is the same for the ways to write a host: the case, the dot behind
// an absolute name, the zeros of an IPv6 address, which keeps its brackets, and an
// IPv4 address by its IPv6 name.
func canonicalHost(host string) string {
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	switch ip = ip.Unmap(); {
	case err != nil:
		return strings.TrimSuffix(strings.ToLower(host), ".")
	case ip.Is4():
		return ip.String()
	default:
		return "[" + ip.String() + "]"
	}
}

// addressPattern is a glob of addresses.
type addressPattern struct {
	text string
	// Each part is nil where anything will do.
	scheme, host, port, path *pattern
}

func (p *addressPattern) matches(a address) bool {
	return matchesPart(p.scheme, a.scheme) && matchesPart(p.host, a.host) && matchesPart(p.port, a.port) && matchesPart(p.path, a.path)
}

func matchesPart(p *pattern, part string) bool { return p == nil || p.re.MatchString(part) }

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
			p.port = newPart(schemePorts[p.scheme.text])
		}
	}
	return patterns
}

// newAddressPatterns compiles patterns, of which those that name no port mean
// every port. The file has been validated.
func newAddressPatterns(texts []string) []addressPattern {
	patterns := make([]addressPattern, 0, len(texts))
	for _, text := range texts {
		p := addressPattern{text: text}
		if parts := addressSyntax.FindStringSubmatch(text); parts != nil {
			p.scheme, p.port = newPart(parts[1]), newPart(parts[4])
			p.host, p.path = newPart(canonicalHost(parts[2]+parts[3])), newPart(strings.TrimSuffix(parts[5], "/"))
		}
		patterns = append(patterns, p)
	}
	return patterns
}

// newPart compiles a part of a pattern, of which nothing stands for anything.
func newPart(text string) *pattern {
	if text == "" {
		return nil
	}
	return &newPatterns([]string{text})[0]
}

// CheckLogin returns why pods of the namespace may not send tokens to an
// address, in a sentence for the pod's author, or nothing where they may. The
// address is one from [annotations.ParseEndpoint].
func (p *Policy) CheckLogin(namespace string, endpoint *url.URL) string {
	allowed, denied := p.addresses.allowed, p.addresses.denied
	for _, ns := range p.namespaces {
		if matches(ns.names, namespace) {
			allowed = slices.Concat(allowed, ns.addresses.allowed)
			denied = slices.Concat(denied, ns.addresses.denied)
		}
	}
	a := newAddress(endpoint)
	match := func(p addressPattern) bool { return p.matches(a) }
	switch {
	case slices.ContainsFunc(denied, match):
		return fmt.Sprintf("the injector's policy denies this address in namespace %q", namespace)
	case slices.ContainsFunc(allowed, match):
		return ""
	case a.scheme != "https":
		// The token, and what it is exchanged for, would be there for all to read.
		return "the injector's policy allows http:// only for the addresses that it lists with it"
	case len(allowed) > 0:
		return fmt.Sprintf("the injector's policy allows in namespace %q: %s", namespace, addressTexts(allowed))
	default:
		return ""
	}
}

func addressTexts(patterns []addressPattern) string {
	all := make([]string, 0, len(patterns))
	for _, p := range patterns {
		all = append(all, p.text)
	}
	return strings.Join(all, ", ")
}

// addressRule is what a Rule says of addresses.
type addressRule struct{ allowed, denied []addressPattern }

func newAddressRule(spec Rule) addressRule {
	return addressRule{allowed: newAllowedAddresses(spec.Allowed), denied: newAddressPatterns(spec.Denied)}
}

func (r *Rule) validateAddresses(path *field.Path) field.ErrorList {
	return append(validateAddressPatterns(r.Allowed, path.Child("allowed")), validateAddressPatterns(r.Denied, path.Child("denied"))...)
}

func validateAddressPatterns(patterns []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, p := range patterns {
		if p == anyAddress || canMatch(addressSyntax.FindStringSubmatch(p)) {
			continue
		}
		errs = append(errs, field.Invalid(path.Index(i), p,
			"must be '*', or a URL with wildcards such as https://*.example.com:8200: it could match no address"))
	}
	return errs
}

// canMatch tells whether a pattern in parts is an address once its wildcards are
// filled in. There is no such easy answer for IPv6 addresses: any will do.
func canMatch(parts []string) bool {
	if parts == nil {
		return false
	}
	text, digits := strings.NewReplacer("*", "a", "?", "a"), strings.NewReplacer("*", "1", "?", "1")
	host := text.Replace(parts[3])
	if host == "" {
		host = "[::1]"
	}
	if parts[4] != "" {
		host += ":" + digits.Replace(parts[4])
	}
	_, problem := annotations.ParseEndpoint(parts[1] + "://" + host + text.Replace(parts[5]))
	return problem == ""
}
