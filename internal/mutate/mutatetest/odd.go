package mutatetest

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
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
		Audience: Pick(r, "vault", "sts.amazonaws.com", ""), ExpirationSeconds: &seconds, Path: Pick(r, "oidc-token", "token"),
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
