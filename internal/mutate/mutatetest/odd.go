package mutatetest

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// vault is an audience, a login and more.
const vault = "vault"

// oddValues are values of keys, right ones and wrong ones: at the edges of what is allowed,
// and what somebody may take for allowed.
var oddValues = map[string][]string{
	"audience": {
		vault, "", " ", " a", "a\nb", "https://ü.example/\"a\"", "https://kubernetes.default.svc",
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
	"profile":         {vault, "clouds", "amazon", "missing", "", "remote"},
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

// oddLogins are the same of logins.
var oddLogins = map[string][]string{
	"login": {vault, vault, "token-exchange", "jwt-bearer", "client-assertion", "http", "ldap", ""},
	"login-address": {
		"https://vault.example.com:8200", "https://vault.example.com", "http://vault.example.com",
		"https://Vault.Example.COM.:8200/", "vault:8200",
		"https://10.0.0.1", "https://127.1", "https://0x7f.1", "https://[::1]", "https://h/a/../b",
		"https://h/a//b", "https://h?q", "https://h#f",
		"https://u@h", "https://h:0443", "https://h:65536", "https://h/%2e", "https://h/$(X)", "",
		"https://h/a.b/..c/...", "https://h.0x", "https://h/ü",
	},
	"login-issuer": {"https://login.example.com", "https://login.example.com/a/", "x", "https://h?q"},
	"login-role":   {"demo", "", " a", "$(X)", "a\nb"},
	"login-mount":  {"jwt", "teams/jwt", "auth/jwt", "/jwt", "a/../b", "a//b", "a?b", ".a", "a/.b", ""},
	"login-mode":   {"init", "sidecar", "x", ""},
	"login-file":   {"t", ".t", "ca.crt", "a/b", "", strings.Repeat("f", 201), "a$b"},
	"login-mount-path": {
		"/login", "/var/run/secrets/login", "/run/secrets/tokens", "/var/run/secrets/tokens/x", "/", "/etc",
		"rel", "/denied", "/a/", "/a$b",
	},
	"login-env":          {"LOGIN", "VAULT_ADDR", "PATH", "1X", "", "TOKEN", "VAULT_TOKEN_FILE", "ACCESS_TOKEN_FILE"},
	"login-token":        {"default", "a", "b-2", "missing", "A", ""},
	"login-format":       {"raw", "json", "env", "x"},
	"login-ca-configmap": {"ca", "ca/root.pem", "CA", "ca/", "ca/a/b", "ca/..x", "a.b/c", ""},
	"login-ca-secret":    {"ca", "ca/k", "-a"},
	"login-ca-bundle": {
		"corporate-ca", "example.com/issuer/root", "example.com/issuer", "a:b:c", "a/b/c/d", "A", "a:B", "",
	},
	"login-client-certificate": {"tls", "tls/tls.crt", "tls/x", "T"},
	"login-client-secret":      {"client", "client/password", "x/", ""},
	"login-client-auth":        {"none", "basic", "post", "tls", "assertion", "x"},
	"login-client-id":          {"app", "", " "},
	"login-scope":              {"a b", "a\tb"},
	"login-resource":           {"https://api.example.com urn:x", "https://api.example.com#f", "x", "urn:a  urn:b"},
	"login-subject-token-type": {"jwt", "urn:x:y", "x", "saml1"},
	"login-http-method":        {"GET", "PUT", "get"},
	"login-jwt-field":          {"jwt", "/auth/jwt", "/a~", "a b", "a=b", "/"},
	"login-token-pointer":      {"/token", "body", "token", "/a~2"},
	"login-parameters": {
		"a=b", "a=b\nc=d", "a", "a=b\na=c", "scope=x", "/a/b=c\n/a=d", "/jwt=x", "jwt=x", "a b=c", "=x",
		" a = b ", "", "\n", "a=b=c", "a=\tb",
	},
	"login-lifetime":        {"15m", "9s", "10s", "x", "1h", ""},
	"login-jwt-use":         {"once", "many", "x"},
	"login-check-interval":  {"0", "0s", "5m", "-1s", "x"},
	"login-client-env":      {"true", "false", "F", "x"},
	"login-namespace":       {"team", "a$b", ""},
	"login-redirect-hosts":  {"h", "h:8200 g", "h/x", "[::1]", "h:0", "https://h", "127.1", ""},
	"login-tls-server-name": {"h", ""},
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

// OddLogin are annotations of a login, one or two of which are at the edges.
func (r Random) OddLogin(prefix string) map[string]string {
	method := Pick(r, vault, vault, "token-exchange", "jwt-bearer", "client-assertion", "http")
	all := map[string]string{prefix + "audience": vault, prefix + "login": method, prefix + "login-address": "https://vault.example.com"}
	if method == "token-exchange" && r.Chance(2) {
		all[prefix+"login-client-auth"], all[prefix+"login-client-id"] = "basic", "app"
		all[prefix+"login-client-secret"] = "client"
	}
	if r.Chance(3) {
		all[prefix+"audience.a"] = "a"
		all[prefix+"mount-path.a"] = Pick(r, oddLogins["login-mount-path"]...)
	}
	if r.Chance(4) {
		all[prefix+"login.a"], all[prefix+"login-address.a"] = vault, "https://vault.example.com:8200"
	}
	keys := slices.Sorted(maps.Keys(oddLogins))
	for range 1 + r.IntN(2) {
		key := Pick(r, keys...)
		all[prefix+key+Pick(r, "", "", "", ".a")] = Pick(r, oddLogins[key]...)
	}
	return all
}

// oddDirectories are where tokens of the names "" and aws are, and what is near it.
var oddDirectories = []string{
	"/var/run/secrets/tokens", "/run/secrets/tokens", "/var/run/secrets/tokens/", "/run/secrets/tokens/sub",
	"/var/run/secrets/tokens/oidc-token", "/var/run/secrets/tokens/oidc-token/x", "/var/run/secrets", "/run", "/var/run", "/", "/var",
	"/var/run/secrets/tokens-aws", "/var/run/secrets/tokensx", "/data/",
}

// MakeOdd gives a pod volumes, mounts and variables that are nearly those that its tokens
// would have.
func (r Random) MakeOdd(pod *corev1.Pod) {
	for _, name := range []string{"oidc-token", "mine", "oidc-token-aws", "oidc-token-a"} {
		if r.Chance(3) {
			pod.Spec.Volumes = append(pod.Spec.Volumes, r.oddVolume(name))
		}
	}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			r.makeOddContainer(&containers[i], pod.Spec.Volumes)
		}
	}
	set := func(key, value string) { pod.Annotations["oidc-injector.io/"+key] = value }
	if r.Chance(3) {
		set("audience", "vault")
		set("env", "TOKEN_0")
		delete(pod.Annotations, "oidc-injector.io/mount-path")
		delete(pod.Annotations, "oidc-injector.io/token-file")
	}
	if r.Chance(3) {
		set("aws-role-arn", "arn:aws:iam::123456789012:role/app")
	}
	if r.Chance(4) {
		set("file-mode", "0440")
	}
}

func (r Random) oddVolume(name string) corev1.Volume {
	seconds := Pick[int64](r, 3600, 7200, 600)
	p := &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
		Audience: Pick(r, vault, "sts.amazonaws.com", ""), ExpirationSeconds: &seconds, Path: Pick(r, "oidc-token", "token"),
	}}}}
	if r.Chance(4) {
		p.Sources = append(p.Sources, corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: "some"},
		}})
	}
	if r.Chance(2) {
		mode := Pick[int32](r, 0o400, 0o440, 0o644, 0o600)
		p.DefaultMode = &mode
	}
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: p}}
}

func (r Random) makeOddContainer(c *corev1.Container, volumes []corev1.Volume) {
	for range r.IntN(3) {
		m := corev1.VolumeMount{Name: Pick(r, volumes...).Name, MountPath: Pick(r, oddDirectories...), ReadOnly: r.Chance(2)}
		switch {
		case r.Chance(4):
			m.SubPath = "x"
		case r.Chance(8):
			m.SubPathExpr = "$(VAR_0)"
		}
		taken := func(o corev1.VolumeMount) bool { return o.MountPath == m.MountPath }
		if !slices.ContainsFunc(c.VolumeMounts, taken) { // which the API server would refuse
			c.VolumeMounts = append(c.VolumeMounts, m)
		}
	}
	if r.Chance(5) {
		c.TerminationMessagePath = Pick(r, "/var/run/secrets/tokens/log", "/run/secrets/tokens", "/var/run/secrets", "/tmp/x")
	}
	if r.Chance(3) {
		v := corev1.EnvVar{Name: Pick(r, "TOKEN_0", "AWS_ROLE_ARN", "VAULT_JWT_FILE"), Value: Pick(r, "", "x", oddDirectories[4])}
		if r.Chance(3) {
			itself := &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}
			v = corev1.EnvVar{Name: v.Name, ValueFrom: &corev1.EnvVarSource{FieldRef: itself}}
		}
		c.Env = append(c.Env, v)
		if r.Chance(3) { // of variables with one name the last one counts
			c.Env = append(c.Env, corev1.EnvVar{Name: v.Name, Value: oddDirectories[4]})
		}
	}
}
