package policy_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/endpoint"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	const (
		denied = `the injector's policy denies this address in namespace "prod"`
		http   = "the injector's policy allows http:// only for the addresses that it lists with it"
	)
	allows := func(patterns string) string { return `the injector's policy allows in namespace "prod": ` + patterns }
	allowed := func(pattern string) string { return fmt.Sprintf("{loginAddresses: {allowed: [%q]}}", pattern) }
	deniedBy := func(pattern string) string { return fmt.Sprintf("{loginAddresses: {denied: [%q]}}", pattern) }
	for _, tt := range []struct{ name, policy, address, want string }{
		{"no policy", `{}`, "https://anything:1/a", ""},
		{"no policy, but http", `{}`, "http://vault", http},
		{"empty lists", `{loginAddresses: {allowed: [], denied: []}}`, "https://anything", ""},

		{"allowed literally", allowed("https://vault.example.com:8200"), "https://vault.example.com:8200", ""},
		{
			"another port", allowed("https://vault.example.com:8200"), "https://vault.example.com:8201",
			allows("https://vault.example.com:8200"),
		},
		{
			"a port that begins alike", allowed("https://vault.example.com:820"), "https://vault.example.com:8200",
			allows("https://vault.example.com:820"),
		},
		{
			"the scheme's own port instead", allowed("https://vault.example.com:8200"), "https://vault.example.com",
			allows("https://vault.example.com:8200"),
		},
		{"the scheme's own port is understood", allowed("https://vault.example.com"), "https://vault.example.com:443", ""},
		{"the scheme's own port in the pattern", allowed("https://vault.example.com:443"), "https://vault.example.com", ""},
		{
			"a port where the pattern names none", allowed("https://vault.example.com"), "https://vault.example.com:8200",
			allows("https://vault.example.com"),
		},
		{"any port", allowed("https://vault.example.com:*"), "https://vault.example.com:8200", ""},
		{"any port, the scheme's own", allowed("https://vault.example.com:*"), "https://vault.example.com", ""},
		{"a port with wildcards", allowed("https://vault.example.com:82??"), "https://vault.example.com:8299", ""},
		{"the case of a host does not count", allowed("https://Vault.example.com"), "HTTPS://vault.EXAMPLE.com", ""},
		{"a dot behind a host does not count", allowed("https://vault.example.com"), "https://vault.example.com.:443", ""},
		{"nor in the pattern", allowed("https://vault.example.com."), "https://vault.example.com", ""},
		{
			"the ends of a host count", allowed("https://vault.example.com"), "https://vault.example.com.evil",
			allows("https://vault.example.com"),
		},
		{
			"so does its beginning", allowed("https://vault.example.com"), "https://evilvault.example.com",
			allows("https://vault.example.com"),
		},
		{"a dot is a dot", allowed("https://vault.example.com"), "https://vaultxexample.com", allows("https://vault.example.com")},

		{"a wildcard for a host", allowed("https://*.example.com"), "https://a.b.example.com", ""},
		{
			"a wildcard for a host is not met by a path", allowed("https://*.example.com"), "https://evil.net/.example.com",
			allows("https://*.example.com"),
		},
		{"nor by a port", allowed("https://*1"), "https://evil.net:1", allows("https://*1")},
		{"nor by nothing", allowed("https://*.example.com"), "https://example.com", allows("https://*.example.com")},
		{"a wildcard at a host's end", allowed("https://vault.*"), "https://vault.evil.net:443", ""},
		{"one character", allowed("https://vault-?.example.com"), "https://vault-1.example.com", ""},
		{"all hosts, by their own port", allowed("https://*"), "https://a:8200", allows("https://*")},
		{"all of https", allowed("*"), "https://a.b:8200/c", ""},
		{"all of https is not http", allowed("*"), "http://a", http},

		{"a path is any path", allowed("https://h"), "https://h/a/b", ""},
		{"a slash is no path", allowed("https://h/"), "https://h/a/b", ""},
		{"a path", allowed("https://h/a"), "https://h/a/", ""},
		{"a path with a slash", allowed("https://h/a/"), "https://h/a", ""},
		{"another path", allowed("https://h/a"), "https://h/ab", allows("https://h/a")},
		{"a path below", allowed("https://h/a"), "https://h/a/b", allows("https://h/a")},
		{"no path", allowed("https://h/a"), "https://h", allows("https://h/a")},
		{"the case of a path counts", allowed("https://h/a"), "https://h/A", allows("https://h/a")},
		{"a wildcard for a path", allowed("https://h/a/*"), "https://h/a/b/c", ""},
		{"a wildcard for a path is not the path above", allowed("https://h/a/*"), "https://h/a", allows("https://h/a/*")},

		{"an IPv6 address", allowed("https://[::1]:8200"), "https://[::1]:8200", ""},
		{"an IPv6 address in another way", allowed("https://[::1]"), "https://[0:0:0:0:0:0:0:1]:443", ""},
		{"an IPv6 address in another way in the pattern", allowed("https://[0::1]"), "https://[::1]", ""},
		{"IPv6 addresses", allowed("https://[fd00:*]"), "https://[FD00::1]", ""},
		{"all IPv6 addresses", allowed("https://[*]"), "https://[::2]", ""},
		{"a name is no IPv6 address", allowed("https://[*]"), "https://evil.net", allows("https://[*]")},
		{"an IPv4 address is no IPv6 address", allowed("https://[*]"), "https://10.0.0.1", allows("https://[*]")},
		{"an IPv4 address as one of IPv6", allowed("https://10.0.0.1"), "https://[::ffff:10.0.0.1]", ""},

		{"IPv4 addresses", allowed("https://10.*"), "https://10.1.2.3", ""},
		{"IPv4 addresses, with one number", allowed("https://10.0.0.*"), "https://10.0.0.255", ""},
		{"IPv4 addresses as those of IPv6", allowed("https://10.*"), "https://[::ffff:a01:203]", ""},
		{"a name that begins like an IPv4 address", allowed("https://10.*"), "https://10.evil.net", allows("https://10.*")},
		{"a name that looks like one", allowed("https://10.0.0.?"), "https://10.0.0.x", allows("https://10.0.0.?")},
		{"a name that ends like one", allowed("https://*.1"), "https://evil.net", allows("https://*.1")},
		{"a name in the code of other letters", allowed("https://xn--bcher-kva.example"), "https://XN--bcher-kva.example", ""},
		{"an IPv4 address is matched by all hosts", allowed("https://*"), "https://10.1.2.3", ""},
		{"a name of digits is no IPv4 address", allowed("https://10.example.com"), "https://10.example.com", ""},
		{"IPv4 addresses that are denied", deniedBy("https://10.*"), "https://10.1.2.3", denied},
		{"IPv4 addresses that are denied, in another way", deniedBy("https://10.*"), "https://[::ffff:10.1.2.3]:1", denied},
		{"names beside denied IPv4 addresses", deniedBy("https://10.*"), "https://10.example.com", ""},

		{"http where it is listed", allowed("http://vault:8200"), "http://vault:8200", ""},
		{"http with its own port", allowed("http://vault"), "http://vault:80", ""},
		{"http where https is listed", allowed("https://vault"), "http://vault", http},
		{"http where https and its port are listed", allowed("https://vault:80"), "http://vault", http},
		{"https where http is listed", allowed("http://vault"), "https://vault", allows("http://vault")},
		{"https where http and its port are listed", allowed("http://vault:443"), "https://vault", allows("http://vault:443")},

		{"denied", deniedBy("https://*.internal"), "https://a.internal", denied},
		{"others than the denied", deniedBy("https://*.internal"), "https://a.example", ""},
		// What is denied must not be there under another name.
		{"denied on all ports", deniedBy("https://a.internal"), "https://a.internal:8443", denied},
		{"denied on one port", deniedBy("https://a.internal:8443"), "https://a.internal", ""},
		{"denied with a dot behind", deniedBy("https://a.internal"), "https://a.internal.", denied},
		{"denied in capitals", deniedBy("https://a.internal"), "https://A.Internal", denied},
		{"denied wins over allowed", `{loginAddresses: {allowed: ["https://a"], denied: ["*"]}}`, "https://a", denied},
		{"everything is denied, http too", `{loginAddresses: {allowed: ["http://a"], denied: ["*"]}}`, "http://a", denied},

		{
			"the lists of namespaces add up", `{loginAddresses: {allowed: ["https://a"]}, namespaces: [` +
				`{namespaces: ["pro*"], loginAddresses: {allowed: ["https://b"]}}, {namespaces: [prod], loginAddresses: {allowed: ` +
				`["https://c:*"]}}]}`,
			"https://d", allows("https://a, https://b, https://c:*"),
		},
		{"what a namespace allows", `{loginAddresses: {allowed: ["https://a"]}, namespaces: [{namespaces: [prod], loginAddresses: ` +
			`{allowed: ["http://b"]}}]}`, "http://b", ""},
		{"what all namespaces may", `{loginAddresses: {allowed: ["https://a"]}, namespaces: [{namespaces: [prod], loginAddresses: ` +
			`{allowed: ["https://b"]}}]}`, "https://a", ""},
		{"what another namespace allows", `{loginAddresses: {allowed: ["https://a"]}, namespaces: [{namespaces: [test], loginAddresses: ` +
			`{allowed: ["https://b"]}}]}`, "https://b", allows("https://a")},
		{
			"a rule limits its namespace only", `{namespaces: [{namespaces: [test], loginAddresses: {allowed: ["https://a"]}}]}`,
			"https://b",
			"",
		},
		{"what a namespace denies", `{namespaces: [{namespaces: [prod], loginAddresses: {denied: ["https://a"]}}]}`, "https://a", denied},
		{
			"what all are denied, a namespace cannot allow",
			`{loginAddresses: {denied: ["https://a"]}, namespaces: [{namespaces: [prod], loginAddresses: {allowed: ["https://a"]}}]}`,
			"https://a", denied,
		},
		{
			"a rule about audiences says nothing of addresses", `{namespaces: [{namespaces: [prod], audiences: {allowed: [vault]}}]}`,
			"https://a", "",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			expect(t, tt.want, parse(t, tt.policy).For("prod").Address(mustAddress(t, tt.address), false))
		})
	}

	// What a pod names itself has to be listed somewhere.
	const unlisted = "the injector's policy lists no addresses that pods may name: it needs this one in policy.loginAddresses.allowed, " +
		"or in a profile"
	for _, tt := range []struct{ name, policy, address, want string }{
		{"no lists", `{}`, "https://a", unlisted},
		{"no lists, http", `{}`, "http://a", http},
		{"a list of what is denied", deniedBy("https://b"), "https://a", unlisted},
		{"denied", deniedBy("https://b"), "https://b", denied},
		{"open", allowed("*"), "https://a", ""},
		{"open, http", allowed("*"), "http://a", http},
		{"listed", allowed("https://a"), "https://a", ""},
		{"not listed", allowed("https://a"), "https://b", allows("https://a")},
		{"listed for the namespace", `{namespaces: [{namespaces: [prod], loginAddresses: {allowed: ["https://a"]}}]}`, "https://a", ""},
		{
			"listed for another namespace", `{namespaces: [{namespaces: [test], loginAddresses: {allowed: ["https://a"]}}]}`, "https://a",
			unlisted,
		},
	} {
		t.Run("by a pod: "+tt.name, func(t *testing.T) {
			t.Parallel()
			expect(t, tt.want, parse(t, tt.policy).For("prod").Address(mustAddress(t, tt.address), true))
		})
	}
}

func mustAddress(t testing.TB, address string) *url.URL {
	t.Helper()
	u, err := endpoint.Parse(address)
	if err != nil {
		t.Fatalf("%s: %s", address, err)
	}
	return u
}
