package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/oidc-injector/oidc-injector/internal/config"
)

// certificate is a new certificate authority in PEM, and its private key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// bundle is a configuration with a caBundle.
func bundle(pem string) string {
	return header + "login:\n  caBundle: |\n    " + strings.ReplaceAll(strings.TrimSuffix(pem, "\n"), "\n", "\n    ") + "\n"
}

func TestLoginContainer(t *testing.T) {
	t.Parallel()
	cert, _ := certificate(t)
	requests := corev1.ResourceList{"cpu": resource.MustParse("5m"), "memory": resource.MustParse("16Mi")}
	limits := corev1.ResourceList{"memory": resource.MustParse("32Mi")}
	for _, tt := range []struct {
		name, text string
		want       config.LoginContainer
	}{
		{"nothing", header, config.LoginContainer{Resources: corev1.ResourceRequirements{Requests: requests, Limits: limits}}},
		{
			"everything", bundle(cert) + `
  image: images.example.com:5000/oidc-login@sha256:abc
  imagePullPolicy: Always
  resources:
    requests: {cpu: 10m, memory: 20Mi, ephemeral-storage: 1Mi}
    limits: {cpu: "1", memory: 20Mi, ephemeral-storage: 1Mi}
  env:
    OIDC_LOGIN_LOG_FORMAT: json
    HTTPS_PROXY: http://proxy.example.com:3128
    no_proxy: ""
`,
			config.LoginContainer{
				Image: "images.example.com:5000/oidc-login@sha256:abc", ImagePullPolicy: corev1.PullAlways, CABundle: cert,
				Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{
						"cpu": resource.MustParse("10m"), "memory": resource.MustParse("20Mi"),
						"ephemeral-storage": resource.MustParse("1Mi"),
					},
					Limits: corev1.ResourceList{
						"cpu": resource.MustParse("1"), "memory": resource.MustParse("20Mi"),
						"ephemeral-storage": resource.MustParse("1Mi"),
					},
				},
				Env: []corev1.EnvVar{
					{Name: "HTTPS_PROXY", Value: "http://proxy.example.com:3128"},
					{Name: "OIDC_LOGIN_LOG_FORMAT", Value: "json"},
					{Name: "no_proxy"},
				},
			},
		},
		{
			"each map of resources replaces the default one", header + "login: {resources: {limits: {}}}\n",
			config.LoginContainer{Resources: corev1.ResourceRequirements{Requests: requests, Limits: corev1.ResourceList{}}},
		},
		{
			"null means absent", header + "login: {resources: {limits: null, requests: {}}}\n",
			config.LoginContainer{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: limits}},
		},
		{
			"two certificates and what is written around them", bundle("# the old one\n" + cert + "# the new one\n" + cert),
			config.LoginContainer{
				CABundle:  "# the old one\n" + cert + "# the new one\n" + cert,
				Resources: corev1.ResourceRequirements{Requests: requests, Limits: limits},
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, mustParse(t, tt.text).Login); diff != "" {
				t.Errorf("login container (-want +got):\n%s", diff)
			}
		})
	}
	if diff := cmp.Diff(mustParse(t, header).Login, config.Default(environment()).Login); diff != "" {
		t.Errorf("login container without a file (-with +without):\n%s", diff)
	}
}

func TestLoginContainerErrors(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	const (
		quantity  = "must be a quantity, such as 5m of CPU or 16Mi of memory"
		resources = `supported values: "cpu", "memory", "ephemeral-storage"`
		image     = "must be the reference of an image, without white space and control characters"
		pattern   = "must be '*', or a URL with wildcards such as https://*.example.com:8200: it could match no address"
		allowed   = "policy.loginAddresses.allowed[0]: Invalid value: "
	)
	for _, tt := range []struct{ name, text, want string }{
		{"unknown field", "login: {command: [sh]}\n", "login.command: unknown field"},
		{
			"a number", "login: {resources: {requests: {cpu: 1}}}\n",
			"login.resources.requests.cpu: must be a string: put it in quotes if it is one",
		},
		{"an image with a blank", "login: {image: 'a b'}\n", `login.image: Invalid value: "a b": ` + image},
		{"an image with a line feed", "login: {image: \"a\\n\"}\n", `login.image: Invalid value: "a\n": ` + image},
		{"an image with a control character", "login: {image: \"a\\a\"}\n", `login.image: Invalid value: "a\a": ` + image},
		{
			"a pull policy", "login: {imagePullPolicy: always}\n",
			`login.imagePullPolicy: Unsupported value: "always": supported values: "Always", "IfNotPresent", "Never"`,
		},

		{
			"no quantity", "login: {resources: {requests: {cpu: much}}}\n",
			`login.resources.requests[cpu]: Invalid value: "much": ` + quantity,
		},
		{
			"an empty quantity", "login: {resources: {limits: {memory: ''}}}\n",
			`login.resources.limits[memory]: Invalid value: "": ` + quantity,
		},
		{
			"less than nothing", "login: {resources: {limits: {memory: -32Mi}}}\n",
			`login.resources.limits[memory]: Invalid value: "-32Mi": ` + quantity,
		},
		{
			"an unknown resource", "login: {resources: {limits: {nvidia.com/gpu: '1'}}}\n",
			`login.resources.limits[nvidia.com/gpu]: Unsupported value: "nvidia.com/gpu": ` + resources,
		},
		{
			"an unknown resource requested", "login: {resources: {requests: {CPU: '1'}}}\n",
			`login.resources.requests[CPU]: Unsupported value: "CPU": ` + resources,
		},
		{
			"limits below the requests", "login: {resources: {requests: {cpu: '2', memory: 64Mi, ephemeral-storage: '2'}, " +
				"limits: {cpu: '1', memory: 63Mi, ephemeral-storage: '1'}}}\n",
			`[login.resources.limits[cpu]: Invalid value: "1": must not be less than the request, which is 2, ` +
				`login.resources.limits[ephemeral-storage]: Invalid value: "1": must not be less than the request, which is 2, ` +
				`login.resources.limits[memory]: Invalid value: "63Mi": must not be less than the request, which is 64Mi]`,
		},
		{
			"a limit below the default request", "login: {resources: {limits: {memory: 15Mi}}}\n",
			`login.resources.limits[memory]: Invalid value: "15Mi": must not be less than the request, which is 16Mi`,
		},
		{
			"a request over the default limit", "login: {resources: {requests: {memory: 33Mi}}}\n",
			`login.resources.limits[memory]: Invalid value: "32Mi": must not be less than the request, which is 33Mi`,
		},

		{
			"a variable that is none", "login: {env: {A=B: c}}\n",
			`login.env[A=B]: Invalid value: "A=B": a valid environment variable name must consist of alphabetic characters, digits, '_', ` +
				`'-', or '.', and must not start with a digit ` +
				`(e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')`,
		},
		{
			"a variable of the contract", "login: {env: {OIDC_LOGIN_ADDRESS: x}}\n",
			"login.env[OIDC_LOGIN_ADDRESS]: Forbidden: the webhook sets this variable itself, by the pod's annotations",
		},
		{
			"another variable of the contract", "login: {env: {OIDC_LOGIN_CA_BUNDLE: x}}\n",
			"login.env[OIDC_LOGIN_CA_BUNDLE]: Forbidden: the webhook sets this variable itself, by the pod's annotations",
		},

		{"no PEM", "login: {caBundle: x}\n", `login.caBundle: Invalid value: "…": must be certificates in PEM: 0 of 0 can be read`},
		{
			"a private key", bundle(cert + key)[len(header):],
			`login.caBundle: Invalid value: "…": must hold certificates only, and has a PRIVATE KEY`,
		},
		{
			"a private key first", bundle(key + cert)[len(header):],
			`login.caBundle: Invalid value: "…": must hold certificates only, and has a PRIVATE KEY`,
		},
		{
			"a broken private key", bundle(strings.Replace(key, "\nMI", "\n?", 1) + cert)[len(header):],
			`login.caBundle: Invalid value: "…": must be certificates in PEM: 1 of 2 can be read`,
		},
		{
			"a private key that is cut off", bundle(cert + key[:60])[len(header):],
			`login.caBundle: Invalid value: "…": must be certificates in PEM: 1 of 2 can be read`,
		},
		{
			"a certificate that is indented", "login: {caBundle: \" " + strings.ReplaceAll(cert, "\n", "\\n") + "\"}\n",
			`login.caBundle: Invalid value: "…": must be certificates in PEM: 0 of 1 can be read`,
		},
		{
			"no certificate, but in PEM", bundle(cert + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")[len(header):],
			`login.caBundle: Invalid value: "…": certificate 2 cannot be read: x509: malformed certificate`,
		},
		{
			"a large bundle", "login: {caBundle: '" + strings.Repeat("a", 64<<10+1) + "'}\n",
			`login.caBundle: Invalid value: "…": must be at most 65536 bytes`,
		},

		{
			"an address without a scheme", "policy: {loginAddresses: {allowed: [vault.example.com]}}\n",
			allowed + `"vault.example.com": ` + pattern,
		},
		{
			"an address with a wildcard for a scheme", "policy: {loginAddresses: {allowed: ['*://vault']}}\n",
			allowed + `"*://vault": ` + pattern,
		},
		{"an empty address", "policy: {loginAddresses: {allowed: ['']}}\n", allowed + `"": ` + pattern},
		{"another scheme", "policy: {loginAddresses: {allowed: ['ftp://*']}}\n", allowed + `"ftp://*": ` + pattern},
		{"two stars", "policy: {loginAddresses: {allowed: ['**']}}\n", allowed + `"**": ` + pattern},
		{"a user", "policy: {loginAddresses: {allowed: ['https://a@b']}}\n", allowed + `"https://a@b": ` + pattern},
		{"a port that is none", "policy: {loginAddresses: {allowed: ['https://a:b']}}\n", allowed + `"https://a:b": ` + pattern},
		{
			"a port that is too high", "policy: {loginAddresses: {allowed: ['https://a:70000']}}\n",
			allowed + `"https://a:70000": ` + pattern,
		},
		{"no host", "policy: {loginAddresses: {allowed: ['https://:8200']}}\n", allowed + `"https://:8200": ` + pattern},
		{
			"digits that are no IPv4 address", "policy: {loginAddresses: {allowed: ['https://10.0.1']}}\n",
			allowed + `"https://10.0.1": ` + pattern,
		},
		{
			"a number that is too high for an IPv4 address", "policy: {loginAddresses: {allowed: ['https://10.256.*']}}\n",
			allowed + `"https://10.256.*": ` + pattern,
		},
		{
			"a host that is none", "policy: {loginAddresses: {allowed: ['https://.example.com']}}\n",
			allowed + `"https://.example.com": ` + pattern,
		},
		{"a query", "policy: {loginAddresses: {allowed: ['https://a/b#c']}}\n", allowed + `"https://a/b#c": ` + pattern},
		{"a path that is not clean", "policy: {loginAddresses: {allowed: ['https://a/../b']}}\n", allowed + `"https://a/../b": ` + pattern},
		{"an escape", "policy: {loginAddresses: {allowed: ['https://a/%2a']}}\n", allowed + `"https://a/%2a": ` + pattern},
		{"a blank", "policy: {loginAddresses: {allowed: [' https://a']}}\n", allowed + `" https://a": ` + pattern},
		{
			"what is denied, and by namespace", "policy: {loginAddresses: {denied: [a]}, namespaces: [{namespaces: [b], " +
				"loginAddresses: {allowed: ['*', c], denied: [d]}}]}\n",
			`[policy.loginAddresses.denied[0]: Invalid value: "a": ` + pattern +
				`, policy.namespaces[0].loginAddresses.allowed[1]: Invalid value: "c": ` + pattern +
				`, policy.namespaces[0].loginAddresses.denied[0]: Invalid value: "d": ` + pattern + "]",
		},
		{
			"a profile", "profiles: {vault: {audience: vault, login: vault, login-address: 'vault:8200'}}\n",
			`profiles[vault][login-address]: Invalid value: "vault:8200": must be a URL of at most 1024 bytes, such as ` +
				`https://vault.example.com:8200`,
		},
		{
			"a default", "defaults: {login-mode: once}\n",
			`defaults[login-mode]: Unsupported value: "once": supported values: "sidecar", "init"`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Parse([]byte(header+tt.text), environment())
			if err == nil {
				t.Fatal("accepted")
			}
			want := tt.want
			if !strings.HasPrefix(want, "could not decode") {
				want = "invalid configuration: " + want
			}
			if diff := cmp.Diff(want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if secret := strings.Split(key, "\n")[1]; strings.Contains(err.Error(), secret) {
				t.Error("the error shows the private key")
			}
		})
	}
}

func TestLargestCABundle(t *testing.T) {
	t.Parallel()
	cert, _ := certificate(t)
	filler := strings.Repeat("#", 64<<10-len(cert)-1) + "\n"
	if got := mustParse(t, bundle(filler+cert)).Login.CABundle; len(got) != 64<<10 {
		t.Errorf("%d bytes", len(got))
	}
}
