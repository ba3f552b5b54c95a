package caller

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const base = "https://injector.system.svc:443"

// cluster publishes keys.
type cluster struct {
	issuer string
	keys   []jose.JSONWebKey
	reads  int
	err    error
}

func (c *cluster) read(context.Context) (Keys, error) {
	c.reads++
	return Keys{Issuer: c.issuer, Set: jose.JSONWebKeySet{Keys: c.keys}}, c.err
}

// add makes a key that is published, and returns what signs by it.
func (c *cluster) add(t *testing.T, id string, algorithm jose.SignatureAlgorithm, private crypto.Signer) jose.Signer {
	t.Helper()
	c.keys = append(c.keys, jose.JSONWebKey{KeyID: id, Algorithm: string(algorithm), Key: private.Public()})
	return signer(t, id, algorithm, private)
}

func signer(t *testing.T, id string, algorithm jose.SignatureAlgorithm, key any) jose.Signer {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", id))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// good are the claims of a token that is accepted.
func good() map[string]any {
	now := time.Now()
	return map[string]any{
		"iss": "https://cluster.example.com", "aud": []string{base + "/mutate"}, "sub": "system:serviceaccount:kube-system:kube-apiserver",
		"exp": now.Add(10 * time.Minute).Unix(), "nbf": now.Unix(), "iat": now.Unix(),
		"kubernetes.io": map[string]any{
			"mutatingwebhookconfiguration": map[string]any{"name": "injector", "uid": "1"},
			"attestations":                 map[string]any{"admissionReviewAPIGroups": []string{"*"}},
		},
	}
}

func with(change func(claims, own map[string]any)) map[string]any {
	claims := good()
	change(claims, claims["kubernetes.io"].(map[string]any))
	return claims
}

func sign(t *testing.T, s jose.Signer, claims map[string]any) string {
	t.Helper()
	text, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

type hook struct {
	*Verifier
	log    strings.Builder
	served int
}

func newHook(c *cluster) *hook {
	h := &hook{}
	h.Verifier = New(Options{
		Keys: c.read, Audiences: []string{base + "/mutate", base + "/check-workload"}, ConfigurationName: "injector",
		Log: slog.New(slog.NewTextHandler(&h.log, nil)), Metrics: prometheus.NewRegistry(),
	})
	return h
}

func (h *hook) call(path, authorization string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, path, http.NoBody)
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	h.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { h.served++ })).ServeHTTP(w, request)
	return w
}

func TestCallers(t *testing.T) {
	t.Parallel()
	c := &cluster{issuer: "https://cluster.example.com"}
	private := ecKey(t)
	ec := c.add(t, "ec", jose.ES256, private)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rs := c.add(t, "rsa", jose.RS256, rsaKey)
	secret, err := json.Marshal(jose.JSONWebKey{Key: private.Public()})
	if err != nil {
		t.Fatal(err)
	}
	h := newHook(c)
	for _, tt := range []struct {
		what, authorization string
		want                reason
	}{
		{"a token", "Bearer " + sign(t, ec, good()), ""},
		{"the same again", "Bearer " + sign(t, ec, good()), ""},
		{"a token of the other key", "Bearer " + sign(t, rs, good()), ""},
		{"one audience as a text", "Bearer " + sign(t, ec, with(func(c, _ map[string]any) { c["aud"] = base + "/mutate" })), ""},
		{"a clock that is a little ahead", "Bearer " +
			sign(t, ec, with(func(c, _ map[string]any) { c["nbf"] = time.Now().Add(5 * time.Second).Unix() })), ""},
		{"nothing", "", missing},
		{"a password", "Basic YTpi", missing},
		{"no JWT", "Bearer x", malformed},
		{"a long text", "Bearer " + strings.Repeat("x", maxToken+1), malformed},
		{"a secret for a key", "Bearer " + sign(t, signer(t, "ec", jose.HS256, secret), good()), malformed},
		{"no algorithm", "Bearer eyJhbGciOiJub25lIn0.e30.", malformed},
		{"a key of somebody else", "Bearer " + sign(t, signer(t, "ec", jose.ES256, ecKey(t)), good()), badSignature},
		{"the key of another name", "Bearer " + sign(t, signer(t, "rsa", jose.ES256, private), good()), badSignature},
		{"an unknown key", "Bearer " + sign(t, signer(t, "x", jose.ES256, ecKey(t)), good()), unknownKey},
		{"no key's name", "Bearer " + sign(t, signer(t, "", jose.ES256, private), good()), unknownKey},
		{"another issuer", "Bearer " + sign(t, ec, with(func(c, _ map[string]any) { c["iss"] = "https://other.example.com" })), issuer},
		{
			"the API server's audience", "Bearer " +
				sign(t, ec, with(func(c, _ map[string]any) { c["aud"] = "https://cluster.example.com" })),
			audience,
		},
		{
			"another webhook", "Bearer " + sign(t, ec,
				with(func(c, _ map[string]any) { c["aud"] = "https://other.system.svc:443/mutate" })),
			audience,
		},
		{"another path", "Bearer " + sign(t, ec, with(func(c, _ map[string]any) { c["aud"] = base + "/metrics" })), audience},
		{"no path", "Bearer " + sign(t, ec, with(func(c, _ map[string]any) { c["aud"] = base })), audience},
		{"past", "Bearer " + sign(t, ec, with(func(c, _ map[string]any) { c["exp"] = time.Now().Add(-time.Minute).Unix() })), expired},
		{"without an end", "Bearer " + sign(t, ec, with(func(c, _ map[string]any) { delete(c, "exp") })), expired},
		{"future", "Bearer " + sign(t, ec, with(func(c, _ map[string]any) { c["nbf"] = time.Now().Add(time.Minute).Unix() })), expired},
		{
			"a pod's token", "Bearer " + sign(t, ec, with(func(_, k map[string]any) { delete(k, "mutatingwebhookconfiguration") })),
			configuration,
		},
		{"another configuration", "Bearer " + sign(t, ec,
			with(func(_, k map[string]any) { k["mutatingwebhookconfiguration"] = map[string]any{"name": "x"} })), configuration},
		{"of the other kind", "Bearer " + sign(t, ec, with(func(_, k map[string]any) {
			k["validatingwebhookconfiguration"] = k["mutatingwebhookconfiguration"]
			delete(k, "mutatingwebhookconfiguration")
		})), configuration},
		{"one API group", "Bearer " + sign(t, ec, with(func(_, k map[string]any) {
			k["attestations"] = map[string]any{"admissionReviewAPIGroups": []string{"apps"}}
		})), attestation},
		{"nothing attested", "Bearer " + sign(t, ec, with(func(_, k map[string]any) { delete(k, "attestations") })), attestation},
	} {
		before := h.served
		var count float64
		if tt.want != "" {
			count = testutil.ToFloat64(h.refused.WithLabelValues(string(tt.want)))
		}
		w := h.call("/mutate", tt.authorization)
		if tt.want == "" {
			if h.served != before+1 || w.Code != http.StatusOK {
				t.Errorf("%s: %d %s", tt.what, w.Code, w.Body)
			}
			continue
		}
		if h.served != before || w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), reasons[tt.want]) {
			t.Errorf("%s: %d %s, want the reason %s", tt.what, w.Code, w.Body, tt.want)
		}
		if got := testutil.ToFloat64(h.refused.WithLabelValues(string(tt.want))); got != count+1 {
			t.Errorf("%s: counted %v times", tt.what, got-count)
		}
	}
	// A kubeconfig of the API server has one token for each server, whatever the path.
	if w := h.call("/check-workload", "Bearer "+sign(t, ec, good())); w.Code != http.StatusOK {
		t.Error("the token is not good for the other path")
	}
	if lines := strings.Count(h.log.String(), "caller refused"); lines == 0 || lines > 3 {
		t.Errorf("%d lines in the log", lines)
	}
	if strings.Contains(h.log.String(), "eyJ") {
		t.Error("the log has a token")
	}
}

// Keys are read when a token has one that is not known, but not for each such token.
func TestKeysChange(t *testing.T) {
	t.Parallel()
	c := &cluster{issuer: "https://cluster.example.com", err: errors.New("away")}
	old := c.add(t, "old", jose.ES256, ecKey(t))
	h := newHook(c)
	token := "Bearer " + sign(t, old, good())
	if w := h.call("/mutate", token); w.Code != http.StatusForbidden || h.Ready() == nil {
		t.Errorf("without keys: %d %v", w.Code, h.Ready())
	}
	c.err = nil
	h.reading.SetBurstAt(time.Now(), 1000)
	h.reading.SetLimit(1000)
	time.Sleep(20 * time.Millisecond)
	if w := h.call("/mutate", token); w.Code != http.StatusOK || h.Ready() != nil {
		t.Errorf("with keys: %d %v", w.Code, h.Ready())
	}
	c.issuer = "https://new.example.com"
	fresh := c.add(t, "new", jose.ES256, ecKey(t))
	renewed := "Bearer " + sign(t, fresh, with(func(c, _ map[string]any) { c["iss"] = "https://new.example.com" }))
	if w := h.call("/mutate", renewed); w.Code != http.StatusOK {
		t.Errorf("with a new key: %d %s", w.Code, w.Body)
	}
	if w := h.call("/mutate", token); w.Code != http.StatusForbidden {
		t.Errorf("a token of the issuer that was: %d", w.Code)
	}
	h.reading.SetLimit(0)
	h.reading.SetBurst(0)
	reads := c.reads
	for range 100 {
		h.call("/mutate", "Bearer "+sign(t, signer(t, "x", jose.ES256, ecKey(t)), good()))
	}
	if c.reads != reads {
		t.Errorf("keys were read %d times for tokens of nobody", c.reads-reads)
	}
}

// All API servers come with a new key at once, and somebody with a key of nobody, who does
// not wait for the answer.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	c := &cluster{issuer: "https://cluster.example.com"}
	c.add(t, "old", jose.ES256, ecKey(t))
	h := newHook(c)
	if err := h.read(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := "Bearer " + sign(t, c.add(t, "new", jose.ES256, ecKey(t)), good())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	impatient := httptest.NewRequestWithContext(ctx, http.MethodPost, "/mutate", http.NoBody)
	impatient.Header.Set("Authorization", "Bearer "+sign(t, signer(t, "x", jose.ES256, ecKey(t)), good()))
	h.Wrap(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), impatient)
	var all sync.WaitGroup
	var refused atomic.Int32
	for range 20 {
		all.Go(func() {
			request := httptest.NewRequest(http.MethodPost, "/mutate", http.NoBody)
			request.Header.Set("Authorization", token)
			if why := h.verify(t.Context(), request); why != "" {
				refused.Add(1)
			}
		})
	}
	all.Wait()
	if n := refused.Load(); n > 0 || c.reads != 2 {
		t.Errorf("%d were refused, keys were read %d times", n, c.reads)
	}
}

// TestVerifiedTokenCache: a token is verified once, until its end.
func TestVerifiedTokenCache(t *testing.T) {
	t.Parallel()
	c := &cluster{issuer: "https://cluster.example.com"}
	s := c.add(t, "a", jose.ES256, ecKey(t))
	h := newHook(c)
	token := "Bearer " + sign(t, s, good())
	for range 2 {
		if w := h.call("/mutate", token); w.Code != http.StatusOK {
			t.Fatal(w.Body)
		}
	}
	if len(h.verified) != 1 {
		t.Errorf("%d tokens are remembered", len(h.verified))
	}
	h.now = func() time.Time { return time.Now().Add(11 * time.Minute) }
	if w := h.call("/mutate", token); w.Code != http.StatusForbidden {
		t.Error("a token is good after its end")
	}
	h.now = time.Now
	for i := range maxVerified + 10 {
		h.call("/mutate", "Bearer "+sign(t, s, with(func(c, _ map[string]any) { c["jti"] = i })))
	}
	if len(h.verified) > maxVerified {
		t.Errorf("%d tokens are remembered", len(h.verified))
	}
}

func TestPublishedKeys(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"/.well-known/openid-configuration": `{"issuer":"https://cluster.example.com","jwks_uri":"https://elsewhere"}`,
		"/openid/v1/jwks": `{"keys":[{"use":"sig","kty":"EC","kid":"a","crv":"P-256","alg":"ES256",` +
			`"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`,
	}
	read := Discover(func(_ context.Context, path string) ([]byte, error) {
		if answers[path] == "" {
			return nil, errors.New("not found")
		}
		return []byte(answers[path]), nil
	})
	keys, err := read(t.Context())
	if err != nil || keys.Issuer != "https://cluster.example.com" || len(keys.Set.Key("a")) != 1 {
		t.Errorf("keys %+v, %v", keys, err)
	}
	for _, text := range []string{`{"keys":[]}`, `{}`, `{"keys":[{"kty":"AKP","kid":"b","alg":"ML-DSA-44","pub":"AA"}]}`} {
		good := answers["/openid/v1/jwks"]
		answers["/openid/v1/jwks"] = text
		if _, err := read(t.Context()); err == nil {
			t.Errorf("%s is taken for keys", text)
		}
		answers["/openid/v1/jwks"] = good
	}
	answers["/openid/v1/jwks"] = strings.Replace(answers["/openid/v1/jwks"], `{"keys":[`, `{"keys":[{"kty":"AKP","kid":"b"},`, 1)
	if keys, err := read(t.Context()); err != nil || len(keys.Set.Keys) != 1 {
		t.Errorf("beside a key of another kind: %v, %v", keys, err)
	}
	answers["/openid/v1/jwks"] = "no JSON"
	if _, err := read(t.Context()); err == nil || !strings.Contains(err.Error(), "could not decode /openid/v1/jwks of the API server") {
		t.Error(err)
	}
	delete(answers, "/.well-known/openid-configuration")
	if _, err := read(t.Context()); err == nil || !strings.Contains(err.Error(),
		"could not read /.well-known/openid-configuration of the API server") {
		t.Error(err)
	}
}
