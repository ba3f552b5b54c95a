package mutatetest

import (
	"maps"
	"slices"
	"strings"
)

// oddValues are values of keys, right ones and wrong ones: at the edges of what is allowed,
// and what somebody may take for allowed.
var oddValues = map[string][]string{
	"audience": {
		"vault", "", " ", " a", "a\nb", "https://ü.example/\"a\"", "https://kubernetes.default.svc",
		"https://kubernetes.default.svc.cluster.local", "denied-x", "not-here", strings.Repeat("x", 300), "a\u2028b",
		"<&>",
	},
	"expiration": {
		"600", "599", "86400", "86401", "2h", "1h30m", "1.5h", "90m0s", "+7200", "+2h", "-1", "0", "", "1d", "1e3s",
		"0x10", "00007200", "7200s", "7200000ms", "7200000000us", "7200.5s", ".5h", "24h1s", "1h1h", "9999999h",
		"99999999999999999999", " 7200", "7200000000µs", "h", "1h ", "１",
	},
	"token-file": {
		"t", "a b.jwt", "", ".", "..", "a..b", "a/b", "a:b", "a$b", "a\\b", "ü", "a\tb", strings.Repeat("f", 255),
		strings.Repeat("f", 256), ".hidden", "oidc-token/",
	},
	"mount-path": {
		"/var/run/secrets/t", "/run/secrets/t", "/", "/etc", "/etc/x", "/etc/hosts", "/etc/hosts/x", "/proc/x", "/dev/shm",
		"/sys", "/tmp", "/tmp/x", "relative", "/a/", "/a//b", "/a/../b", "/a/./b", "/a/..", "/a:b", "/a$b",
		"/var/run/secrets/kubernetes.io/serviceaccount", "/var/run/secrets/kubernetes.io",
		"/run/secrets/kubernetes.io/serviceaccount/x", "/var/run", "/run", "/var/run/x", "/a b", "/ü", "", "/denied",
		"/denied/x", "/deniedx", "/mnt/x/...", "/a/.b", "/" + strings.Repeat("d", 1023), "/" + strings.Repeat("d", 1024),
		"C:\\x", "/data/0", "/data",
	},
	"file-mode": {
		"0400", "0440", "444", "0o440", "00440", "0000", "0200", "0777", "01777", "888", "", "rw", "0o", "4", "0x1", "-1",
		"00000000000000000444",
	},
	"env": {
		"TOKEN", "A_TOKEN_FILE", "1X", "", "A=B", "A-B", "a.b", "PATH", "LD_PRELOAD", "ld_preload", "HTTP_PROXY",
		"VAULT_ADDR", "VAULT_TOKEN", "VAR_0", "ü", "X Y", "AWS_ROLE_ARN", "_",
	},
	"containers": {
		"c0", "c0,c1", " c0 , c1 ", "", ",", "C0", "c0,,c1", "c0,c0", "missing", "istio-proxy", "c_0",
		strings.Repeat("a", 64),
	},
	"skip-containers": {"c0", "c1", "", "c0,c1,c2,c3", "x", "c0 c1"},
	"inject":          {"true", "false", "0", "F", "no", "", "FALSE", "1", "fAlse"},
	"profile":         {"vault", "clouds", "amazon", "missing", "", "remote"},
	"provider":        {"aws", "gcp", "missing", "", "default", "AWS"},
	"aws-role-arn": {
		"arn:aws:iam::123456789012:role/app", "", "x", "arn:aws:iam::123456789012:role/app ",
		"arn:aws:iam::123456789012:role/a\nb",
	},
	"aws-region":   {"eu-central-1", "", "EU"},
	"gcp-provider": {"projects/123456/locations/global/workloadIdentityPools/pool/providers/cluster", "x"},
	"gcp-project":  {"my-project1", "<&>"},
	"unknown":      {"x"},
	"audiense":     {"x"},
	"file":         {"x"},
	"status":       {"{}", ""},
}

// oddSuffixes are names of tokens, most of which are none.
var oddSuffixes = []string{
	"", "", "", ".a", ".b-2", ".aws", ".default", ".X", ".", ".a.b", "." + strings.Repeat("n", 40), "." + strings.Repeat("n", 41),
}

// OddAnnotations are up to eight annotations with the prefix, most of which are wrong.
func (r Random) OddAnnotations(prefix string) map[string]string {
	keys := slices.Sorted(maps.Keys(oddValues))
	all := map[string]string{}
	for range 1 + r.IntN(6) {
		key := Pick(r, keys...)
		all[prefix+key+Pick(r, oddSuffixes...)] = Pick(r, oddValues[key]...)
	}
	if r.Chance(2) {
		all[prefix+"audience"] = "vault"
	}
	if r.Chance(3) {
		all[prefix+"audience.a"] = "a"
	}
	return all
}
