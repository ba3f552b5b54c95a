package cli

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/unicode"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/oidc-injector/oidc-injector/internal/issuer"
	"github.com/oidc-injector/oidc-injector/internal/issuer/issuertest"
)

// testNow is the time of these tests.
var testNow = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// testIssuer is an issuer on loopback, and a Vault that has a role.
type testIssuer struct {
	url, caFile string
	key         *ecdsa.PrivateKey
	// asked are the tokens and namespaces of Vault that requests had.
	mu    sync.Mutex
	asked []string
}

func newTestIssuer(t *testing.T) *testIssuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &testIssuer{key: key}
	mux := http.NewServeMux()
	answer := func(path string, value func() any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.asked = append(i.asked, r.Header.Get("X-Vault-Token")+" "+r.Header.Get("X-Vault-Namespace"))
			_ = json.NewEncoder(w).Encode(value())
		})
	}
	answer("/.well-known/openid-configuration", func() any { return map[string]string{"issuer": i.url, "jwks_uri": i.url + "/keys"} })
	answer("/keys", func() any {
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256"}}}
	})
	answer("/v1/auth/jwt/role/demo", func() any {
		return map[string]any{"data": map[string]any{
			"role_type": "jwt", "bound_audiences": []string{"vault"}, "user_claim": "sub",
			"bound_subject": "system:serviceaccount:demo:app",
		}}
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	i.url, i.caFile = server.URL, filepath.Join(t.TempDir(), "ca.crt")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(i.caFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return i
}

// requests are those since the last call.
func (i *testIssuer) requests() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	asked := slices.Clone(i.asked)
	i.asked = nil
	return asked
}

// token is one of the issuer, with changes.
func (i *testIssuer) token(t *testing.T, changes map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": i.url, "sub": "system:serviceaccount:demo:app", "aud": []string{"vault"}, "jti": "j",
		"iat": testNow.Unix() - 600, "nbf": testNow.Unix() - 600, "exp": testNow.Unix() + 3000, "team": map[string]any{"a": 1},
		"kubernetes.io": map[string]any{
			"namespace": "demo", "serviceaccount": map[string]any{"name": "app", "uid": "a1"},
			"pod":       map[string]any{"name": "app-0", "uid": "b2"},
			"warnafter": testNow.Unix() + 60,
		},
	}
	maps.Copy(claims, changes)
	return i.sign(t, claims)
}

func (i *testIssuer) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	data, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := issuertest.Sign(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: "k"}}, data)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// at runs the plugin at the time of the tests, with what the environment says of Vault.
func at(t *testing.T, vault VaultEnvironment, in string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = Run(t.Context(), args, Environment{
		IOStreams: genericiooptions.IOStreams{In: strings.NewReader(in), Out: &stdout, ErrOut: &stderr},
		Now:       func() time.Time { return testNow }, Vault: vault,
	})
	return code, stdout.String(), stderr.String()
}

func TestTokenInspect(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	token := i.token(t, nil)
	code, out, errOut := at(t, VaultEnvironment{}, token, "token", "inspect")
	want := `Header
  alg  ES256
  kid  k
Claims
  iss   ` + i.url + `
  sub   system:serviceaccount:demo:app
  aud   vault
  iat   2026-11-27T11:50:00Z, 10m ago
  nbf   2026-11-27T11:50:00Z, 10m ago
  exp   2026-11-27T12:50:00Z, in 50m
  jti   j
  team  {"a":1}
Kubernetes
  namespace        demo
  service account  app, uid a1
  pod              app-0, uid b2
  warnafter        2026-11-27T12:01:00Z: made to last for clients that read it once; should have been replaced by then
Signature
  length  64 bytes, not verified
`
	if code != ExitOK || errOut != "" || out != want {
		t.Errorf("exit code %d, %s, (-want +got):\n%s", code, errOut, cmp.Diff(want, out))
	}
	// What programs of Windows make of it.
	windows, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(token + "\r\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{windows, "\xef\xbb\xbf" + token + "\r\n"} {
		if code, out, errOut := at(t, VaultEnvironment{}, text, "token", "inspect"); code != ExitOK || errOut != "" || out != want {
			t.Errorf("of Windows: exit code %d, %s, (-want +got):\n%s", code, errOut, cmp.Diff(want, out))
		}
	}
}

func TestOddities(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	for says, changes := range map[string]map[string]any{
		"the token has ended":                        {"exp": testNow.Unix() - 1},
		"the token never ends":                       {"exp": nil},
		"the token lasts 24h10m":                     {"exp": testNow.Unix() + 24*3600},
		"the token has not begun":                    {"nbf": testNow.Unix() + 61},
		"there is no audience":                       {"aud": nil},
		"there are several audiences":                {"aud": []string{"a", "b"}},
		"aud is neither":                             {"aud": 7},
		"exp is not a number":                        {"exp": "soon"},
		"sub is not the ServiceAccount":              {"sub": "system:serviceaccount:other:app"},
		"the token is bound to a Secret":             {"kubernetes.io": map[string]any{"secret": map[string]any{"name": "s"}}},
		"the token is bound to no object":            {"kubernetes.io": map[string]any{"namespace": "demo"}},
		"made to last for clients that read it once": {},
	} {
		for name, value := range changes {
			if value == nil {
				changes[name] = json.RawMessage("null")
			}
		}
		code, out, _ := at(t, VaultEnvironment{}, withoutNulls(t, i, changes), "token", "inspect")
		if code != ExitOK || !strings.Contains(out, says) {
			t.Errorf("%s: exit code %d: %s", says, code, out)
		}
	}
}

// withoutNulls is a token without the claims whose value is null.
func withoutNulls(t *testing.T, i *testIssuer, changes map[string]any) string {
	t.Helper()
	parsed, err := issuer.Parse(i.token(t, changes))
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(parsed.Claims, func(_ string, value any) bool { return value == nil })
	return i.sign(t, parsed.Claims)
}

func TestTokenVerify(t *testing.T) {
	t.Parallel()
	i := newTestIssuer(t)
	role := i.url + "/v1/auth/jwt/role/demo"
	ca := "--ca-file=" + i.caFile
	root := VaultEnvironment{Token: "root", Namespace: "team-a"}
	for name, test := range map[string]struct {
		token map[string]any
		vault VaultEnvironment
		args  []string
		code  int
		says  string
	}{
		"by discovery": {
			args: []string{"--issuer=" + i.url, "--audience=vault", ca}, says: `✓ signature: made with key "k": ECDSA P-256, ES256`,
		},
		"by a URL of keys": {args: []string{"--jwks=" + i.url + "/keys", "--issuer=" + i.url, ca}, says: "✓ iss"},
		"another audience": {args: []string{"--issuer=" + i.url, "--audience=x", ca}, code: ExitFinding, says: `wanted "x"`},
		"ended": {
			token: map[string]any{"exp": testNow.Unix() - 90}, args: []string{"--issuer=" + i.url, ca}, code: ExitFinding,
			says: "1m30s ago",
		},
		"ended, with leeway": {
			token: map[string]any{"exp": testNow.Unix() - 90}, args: []string{"--issuer=" + i.url, "--leeway=2m", ca},
		},
		"an unknown certificate": {args: []string{"--issuer=" + i.url}, code: ExitError, says: "--ca-file"},
		"another issuer":         {args: []string{"--issuer=" + i.url + "/x", ca}, code: ExitError, says: "answers 404"},
		"a role of Vault":        {vault: root, args: []string{"--against=vault-role", ca, role}, says: "✓ bound_subject"},
		"one that refuses": {
			token: map[string]any{"sub": "x"}, vault: root, args: []string{"--against=vault-role", ca, role}, code: ExitFinding,
			says: "✗ bound_subject",
		},
		"no role":           {vault: root, args: []string{"--against=vault-role", ca, role + "x"}, code: ExitError, says: "404"},
		"no token of Vault": {args: []string{"--against=vault-role", ca, role}, code: ExitError, says: "VAULT_TOKEN"},
		"a URL of AWS": {
			vault: root, args: []string{"--against=aws-trust", ca, role}, code: ExitError, says: "the rule of aws-trust is a file",
		},
		"not a certificate": {
			args: []string{"--issuer=" + i.url, "--ca-file=token_test.go"}, code: ExitError, says: "contains no PEM certificates",
		},
	} {
		i.requests()
		code, out, errOut := at(t, test.vault, i.token(t, test.token), append([]string{"token", "verify", "-"}, test.args...)...)
		if code != test.code || !strings.Contains(out+errOut, test.says) {
			t.Errorf("%s: exit code %d: %s%s", name, code, out, errOut)
		}
		for _, asked := range i.requests() {
			if want := test.vault.Token + " " + test.vault.Namespace; asked != want {
				t.Errorf("%s: asked with %q, want %q", name, asked, want)
			}
		}
	}
}

// TestNamed chooses an object of a file as kubectl would name it.
func TestNamed(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"app": true, "deployment/app": true, "deploy/app": true, "deployments/app": true, "pod/app": false, "deploy/other": false,
		"other": false,
	} {
		if got := (&target{of: "deployment/app"}).named(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
