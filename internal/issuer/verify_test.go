package issuer

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/oidc-injector/oidc-injector/internal/report"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	key, other, curve := newRSA(t, "k1"), newRSA(t, "k2"), newECDSA(t, "k3")
	keys := mustKeys(t, key.public(), curve.public())
	nameless := newRSA(t, "")
	good := key.sign(t, claims(nil))
	for name, test := range map[string]struct {
		token string
		keys  *Keys
		// failing is the rule that fails, and says a part of what it says.
		failing, says string
		change        func(*Expected)
	}{
		"an RSA key":             {token: good},
		"an ECDSA key":           {token: curve.sign(t, claims(nil))},
		"a token without a kid":  {token: signer{key.key, "", key.algorithm}.sign(t, claims(nil))},
		"a key without a kid":    {token: nameless.sign(t, claims(nil)), keys: new(mustKeys(t, nameless.public()))},
		"an audience as a text":  {token: key.sign(t, claims(map[string]any{"aud": "vault"}))},
		"one of several":         {token: key.sign(t, claims(map[string]any{"aud": []string{"a", "vault"}}))},
		"no limit of audiences":  {token: key.sign(t, claims(map[string]any{"aud": "x"})), change: func(e *Expected) { e.Audiences = nil }},
		"a clock that is behind": {token: good, change: func(e *Expected) { e.Now = now.Add(-10*time.Minute - e.Leeway) }},
		"a clock that is ahead":  {token: good, change: func(e *Expected) { e.Now = now.Add(50*time.Minute + e.Leeway) }},

		"a key of nobody":     {token: other.sign(t, claims(nil)), failing: "signature", says: `publishes no key "k2"`},
		"another's kid":       {token: signer{other.key, "k1", other.algorithm}.sign(t, claims(nil)), failing: "signature"},
		"another key, no kid": {token: signer{other.key, "", other.algorithm}.sign(t, claims(nil)), failing: "signature", says: "none of"},
		"a key for another algorithm": {
			token: signer{key.key, "k1", jose.PS256}.sign(t, claims(nil)), failing: "signature", says: "none of the issuer's keys",
		},
		"an algorithm that is not allowed": {
			token: good, failing: "signature", says: "not among the allowed", change: func(e *Expected) {
				e.Algorithms = []jose.SignatureAlgorithm{jose.ES256}
			},
		},
		"unsigned": {token: unsigned(t, map[string]any{"alg": "none"}, claims(nil), ""), failing: "signature", says: "not signed"},
		"signed by none": {
			token: unsigned(t, map[string]any{"alg": "nOnE"}, claims(nil), "x"), failing: "signature", says: "not signed",
		},
		"without its signature": {token: good[:strings.LastIndex(good, ".")+1], failing: "signature", says: "not signed"},
		"a secret, not a key":   {token: symmetric(t, key), failing: "signature", says: `by "HS256"`},
		"a critical extension": {
			token:   unsigned(t, map[string]any{"alg": "RS256", "kid": "k1", "crit": []string{"x"}, "x": 1}, claims(nil), "x"),
			failing: "signature",
		},
		"other claims": {token: withClaims(t, good, claims(map[string]any{"sub": "x"})), failing: "signature"},
		"issuer":       {token: key.sign(t, claims(map[string]any{"iss": "https://x"})), failing: "iss", says: `"https://x"`},
		"a slash more": {
			token: key.sign(t, claims(map[string]any{"iss": testIssuer + "/"})), failing: "iss", says: "last slash",
		},
		"no issuer":        {token: key.sign(t, claims(map[string]any{"iss": nil})), failing: "iss"},
		"audience":         {token: key.sign(t, claims(map[string]any{"aud": "vaults"})), failing: "aud", says: `"vaults"`},
		"no audience":      {token: key.sign(t, claims(map[string]any{"aud": nil})), failing: "aud", says: "no audience"},
		"an odd audience":  {token: key.sign(t, claims(map[string]any{"aud": 7})), failing: "aud"},
		"ended":            {token: good, failing: "exp", says: "1h10m ago", change: func(e *Expected) { e.Now = now.Add(2 * time.Hour) }},
		"endless":          {token: key.sign(t, claims(map[string]any{"exp": nil})), failing: "exp", says: "never ends"},
		"an odd end":       {token: key.sign(t, claims(map[string]any{"exp": "soon"})), failing: "exp", says: "not a number"},
		"not yet":          {token: key.sign(t, claims(map[string]any{"nbf": now.Unix() + 90})), failing: "nbf", says: "in 1m30s"},
		"of the future":    {token: key.sign(t, claims(map[string]any{"iat": now.Unix() + 90})), failing: "iat"},
		"within no leeway": {token: good, failing: "exp", change: func(e *Expected) { e.Now, e.Leeway = now.Add(50*time.Minute+1), 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expected := Expected{Issuer: testIssuer, Audiences: []string{"vault"}, Now: now, Leeway: DefaultLeeway}
			if test.change != nil {
				test.change(&expected)
			}
			with := keys
			if test.keys != nil {
				with = *test.keys
			}
			failed := ""
			for _, c := range Verify(mustParse(t, test.token), with, expected) {
				if c.Status != report.Fail {
					continue
				}
				failed += c.Rule
				if c.Rule == test.failing && !strings.Contains(c.Detail+c.Fix, test.says) {
					t.Errorf("%s says %q, %q", c.Rule, c.Detail, c.Fix)
				}
				if c.Fix == "" {
					t.Errorf("%s says nothing about what to do", c.Rule)
				}
			}
			if failed != test.failing {
				t.Errorf("failed: %q, want %q", failed, test.failing)
			}
		})
	}
}

// symmetric is a token that is "signed" with the public key as a shared secret, which
// fools those who let a token choose the algorithm (RFC 8725 section 2.1).
func symmetric(t *testing.T, key signer) string {
	t.Helper()
	public, err := x509.MarshalPKIXPublicKey(key.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	payload, err := base64.RawURLEncoding.DecodeString(encode(t, claims(nil)))
	if err != nil {
		t.Fatal(err)
	}
	return signed(t, jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: secret, KeyID: key.kid}}, payload)
}

func withClaims(t *testing.T, token string, claims map[string]any) string {
	t.Helper()
	parts := strings.Split(token, ".")
	return parts[0] + "." + encode(t, claims) + "." + parts[2]
}

func TestKeys(t *testing.T) {
	t.Parallel()
	key, curve := newRSA(t, "k1"), newECDSA(t, "k2")
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	encryption := key.public()
	encryption.Use = "enc"
	for name, test := range map[string]struct {
		set  []byte
		ids  string
		says string // of a problem, or of the error where there are no ids
	}{
		"two":                {keySet(t, key.public(), curve.public()), "k1 k2", ""},
		"of an unknown kind": {keySet(t, map[string]string{"kty": "new", "kid": "x"}, key.public()), "k1", "it is not used"},
		"for encryption":     {keySet(t, encryption, curve.public()), "k2", `its use is "enc"`},
		"a short one":        {keySet(t, jose.JSONWebKey{Key: short.Public(), KeyID: "s"}), "s", "1024 bits"},
		"the same kid":       {keySet(t, key.public(), key.public()), "k1 k1", "the same kid"},
		"no kid":             {keySet(t, jose.JSONWebKey{Key: key.key.Public()}), "", "no kid"},
		"a private key":      {keySet(t, jose.JSONWebKey{Key: key.key, KeyID: "p"}), "", errPrivateKey.Error()},
		"a shared secret":    {keySet(t, map[string]string{"kty": "oct", "k": "c2VjcmV0"}), "", errPrivateKey.Error()},
		"none":               {keySet(t), "", errNoKeySet.Error()},
		"none of use":        {keySet(t, encryption), "", errNoKeys.Error()},
		"a list":             {[]byte("[]"), "", errNoKeySet.Error()},
		"no JSON":            {[]byte("<html>"), "", errNoKeySet.Error()},
		"too many":           {[]byte(`{"keys":[` + strings.Repeat("{},", maxKeys) + `{}]}`), "", "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := ParseKeys(test.set)
			said := strings.Join(keys.Problems, "\n")
			if err != nil {
				said += err.Error()
			}
			if ids := strings.TrimSpace(strings.Join(keys.IDs(), " ")); err == nil && ids != test.ids {
				t.Errorf("the keys are %q", ids)
			}
			if !strings.Contains(said, test.says) || test.says == "" && said != "" {
				t.Errorf("said %q", said)
			}
		})
	}
}
