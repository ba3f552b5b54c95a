package login

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/internal/pki"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
	"github.com/oidc-injector/oidc-injector/test/loginrun"
	"github.com/oidc-injector/oidc-injector/test/vault"
	"github.com/oidc-injector/oidc-injector/test/vault/faults"
)

// TestRenewal keeps one token alive for several leases. Whoever reads the file
// meanwhile finds it whole, each time.
func TestRenewal(t *testing.T) {
	t.Parallel()
	c := newClient(t, "renewal", setup{role: map[string]any{"token_ttl": "6s"}, args: []string{loginrun.Listen}})
	token := c.token()
	first := c.expiry(token)
	stop := readAllTheTime(t, c.Login)
	before := usage(t, c.Login)
	podtest.Eventually(t, "four renewals", func(context.Context) error {
		if n := logged(c.Login, "renewed"); n < 4 {
			return fmt.Errorf("%d renewals", n)
		}
		return nil
	})
	if n := stop(); n < 10 {
		t.Errorf("the file was read %d times", n)
	}
	if got := c.token(); got != token {
		t.Error("the token was replaced by another")
	}
	if last := c.expiry(token); !last.After(first.Add(6 * time.Second)) {
		t.Errorf("the token ends at %s, at first it was to end at %s", last, first)
	}
	after := usage(t, c.Login)
	t.Logf("resident: %d KiB after the login, %d KiB after four renewals, of which %d KiB are its own",
		before.Resident>>10, after.Resident>>10, after.Anonymous>>10)
	// The limit of the container, which counts no page that processes share, is
	// 32 MiB.
	if after.Anonymous > 16<<20 {
		t.Errorf("the program takes %d KiB", after.Anonymous>>10)
	}
	if after.Descriptors > before.Descriptors+2 || after.Threads > before.Threads+4 {
		t.Errorf("usage grew from %+v to %+v", before, after)
	}
	checkMetrics(t, c)
	if got := complaints(c.Login); len(got) > 0 {
		t.Errorf("the log complains: %s", got)
	}
	if n := c.proxy.Requests(loginPath); n != 1 {
		t.Errorf("%d logins, want one", n)
	}
	c.terminate()
	c.mustBeDead("after the end", token)
}

func usage(t *testing.T, l *loginrun.Login) loginrun.Usage {
	t.Helper()
	u, err := l.Usage()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func checkMetrics(t *testing.T, c *client) {
	t.Helper()
	for name, good := range map[string]func(float64) bool{
		"oidc_login_ready":                        func(v float64) bool { return v == 1 },
		"oidc_login_logins_total":                 func(v float64) bool { return v == 1 },
		"oidc_login_renewals_total":               func(v float64) bool { return v >= 4 },
		"oidc_login_failures_total":               func(v float64) bool { return v == 0 },
		"oidc_login_last_error":                   func(v float64) bool { return v == 0 },
		"oidc_login_token_ttl_seconds":            func(v float64) bool { return v > 0 && v <= 6 },
		"oidc_login_jwt_age_seconds":              func(v float64) bool { return v >= 0 && v < 300 },
		"oidc_login_jwt_expiry_timestamp_seconds": func(v float64) bool { return v > float64(time.Now().Unix()) },
	} {
		if value, err := c.Metric(t.Context(), name); err != nil || !good(value) {
			t.Errorf("%s is %v, error %v", name, value, err)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, body, err := c.Get(t.Context(), path); err != nil || status != http.StatusOK {
			t.Errorf("%s answers %d %q, error %v", path, status, body, err)
		}
	}
}

// wholeToken is a Vault token and nothing else.
var wholeToken = regexp.MustCompile(`^hv[sb]\.[A-Za-z0-9_-]{20,}$`)

// readAllTheTime reads a raw result until the returned function is called, which
// tells how often. Except for a file that is not there it has to be a token.
func readAllTheTime(t *testing.T, l *loginrun.Login) (stop func() int) {
	t.Helper()
	end, done := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { done <- n }()
		for {
			select {
			case <-end:
				return
			case <-time.After(5 * time.Millisecond):
			}
			content, err := os.ReadFile(l.OutputFile())
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil || !wholeToken.Match(content) {
				t.Errorf("a reader got %d bytes that are no token, error %v", len(content), err)
				return
			}
			n++
		}
	}()
	return func() int {
		close(end)
		return <-done
	}
}

// TestRenewalRefused answers no to renewals, as after a change of the tokens'
// rules: the login is repeated at once, while the old token is still good.
func TestRenewalRefused(t *testing.T) {
	t.Parallel()
	c := newClient(t, "renewal-refused", setup{role: map[string]any{"token_ttl": "9s"}})
	c.proxy.SetPath(renewPath, faults.Error(http.StatusForbidden, "permission denied"))
	old := c.token()
	fresh := c.otherToken(old)
	if a, b := c.lookup(old)["accessor"], c.lookup(fresh)["accessor"]; a == b {
		t.Error("the accessor is the same")
	}
	events := c.Events()
	if last := events[len(events)-1]; last.Because != "the renewal was refused" {
		t.Errorf("the log ends with %+v, want a login because of the refusal", last)
	}
	// The next refusal replaces that one, too. The first token is not needed by
	// anybody then.
	c.otherToken(fresh)
	if n := c.proxy.Requests(renewPath); n > 4 {
		t.Errorf("%d renewals were tried", n)
	}
	c.mustBeDead("after two more logins", old)
	c.well()
	c.terminate()
}

// TestMaxTTL renews until Vault gives no more, and logs in again before the end.
func TestMaxTTL(t *testing.T) {
	t.Parallel()
	c := newClient(t, "max-ttl", setup{role: map[string]any{"token_ttl": "6s", "token_max_ttl": "14s"}})
	old := c.token()
	stop := neverUnready(t, c.Login)
	fresh := c.otherToken(old)
	stop()
	if n := logged(c.Login, "renewed"); n == 0 {
		t.Error("the token was not renewed before")
	}
	found := false
	for _, e := range c.Events() {
		found = found || e.Because == "the lease stops growing"
	}
	if !found {
		t.Error("the log does not say that the lease stopped growing")
	}
	c.lookup(fresh)
	c.terminate()
	c.mustBeDead("after the end", fresh)
}

// neverUnready watches a login that is ready and has to stay so.
func neverUnready(t *testing.T, l *loginrun.Login) (stop func()) {
	t.Helper()
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-end:
				return
			case <-time.After(200 * time.Millisecond):
			}
			ok, line, err := l.Ready(context.WithoutCancel(t.Context()))
			if err != nil || !ok {
				t.Errorf("ready is %t meanwhile and says %q, error %v", ok, line, err)
				return
			}
		}
	}()
	return func() {
		close(end)
		<-done
	}
}

// TestRotation replaces the JWT twice. Each time the login is repeated with the
// new one; the tokens before, which have been replaced just now, are left to the
// app, and all are revoked at the end.
func TestRotation(t *testing.T) {
	t.Parallel()
	c := newClient(t, "rotation", setup{role: map[string]any{"claim_mappings": map[string]string{"jti": "jti"}}})
	checkJTI := func(token string) {
		t.Helper()
		jwts := c.Tokens()
		meta, _ := c.lookup(token)["meta"].(map[string]any)
		if want := claim(t, jwts[len(jwts)-1], "jti"); want == nil || meta["jti"] != want {
			t.Errorf("the login was done with the JWT %v, want %v", meta["jti"], want)
		}
	}
	first := c.token()
	checkJTI(first)
	stop := readAllTheTime(t, c.Login)
	rotate(t, c.Login)
	second := c.otherToken(first)
	checkJTI(second)
	c.lookup(first)
	rotate(t, c.Login)
	third := c.otherToken(second)
	checkJTI(third)
	c.lookup(first)
	c.lookup(second)
	stop()
	if got := complaints(c.Login); len(got) > 0 {
		t.Errorf("the log complains: %s", got)
	}
	c.terminate()
	c.mustBeDead("the first token after the end", first)
	c.mustBeDead("the second token after the end", second)
	c.mustBeDead("the third token after the end", third)
	noResult(t, c.Login)
	if ok, line := ready(t, c.Login); ok || !strings.Contains(line, "revoked") {
		t.Errorf("after the end ready is %t and says %q", ok, line)
	}
}

func rotate(t *testing.T, l *loginrun.Login) {
	t.Helper()
	if err := l.RotateTokens(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestServiceAccountDeleted deletes the identity: there are no new JWTs, and the
// last one ends. From then on nothing is granted any more, and renewals do not
// prolong it beyond the role's maximum.
func TestServiceAccountDeleted(t *testing.T) {
	t.Parallel()
	key, public := newKey(t)
	if err := server.EnableJWT(t.Context(), "own-key", vault.JWTConfig{Issuer: kube.Issuer(), PublicKeys: []string{public}}); err != nil {
		t.Fatal(err)
	}
	const ns = "deleted"
	c := newClient(t, ns, setup{
		keys: []string{"login-mount=own-key"}, idle: true, noRole: true,
		pod: func(pod *corev1.Pod) {
			accounts := kube.Client().CoreV1().ServiceAccounts(ns)
			account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "short"}}
			if _, err := accounts.Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			pod.Spec.ServiceAccountName = "short"
		},
	})
	role := usualRole(ns)
	// Vault adds two minutes to the life of a JWT where it is not told otherwise.
	role["expiration_leeway"], role["clock_skew_leeway"] = -1, -1
	role["bound_subject"], role["token_ttl"], role["token_max_ttl"] = "system:serviceaccount:"+ns+":short", "4s", "12s"
	if err := server.WriteRole(t.Context(), "own-key", ns, role); err != nil {
		t.Fatal(err)
	}
	// An API server issues for ten minutes at least, which a test cannot wait for:
	// this is such a JWT shortly before its end.
	if err := c.WriteToken(sign(t, key, c.Tokens()[0], 8*time.Second)); err != nil {
		t.Fatal(err)
	}
	c.start()
	token := c.token()
	if err := kube.Client().CoreV1().ServiceAccounts(ns).Delete(t.Context(), "short", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.RotateTokens(t.Context()); !apierrors.IsNotFound(err) {
		t.Fatalf("got error %v for a new JWT, want that there is no such ServiceAccount", err)
	}
	podtest.Eventually(t, "the end of the access", func(context.Context) error {
		if ok, line := ready(t, c.Login); ok || !strings.Contains(line, "not logged in any more") || !strings.Contains(line, "expired") {
			return errors.New(line)
		}
		return nil
	})
	noResult(t, c.Login)
	c.mustEnd(token)
	if n := logged(c.Login, "renewed"); n == 0 {
		t.Error("the token was not renewed as long as that was possible")
	}
	c.terminate()
}

// newKey is what signs JWTs, and its public half in PEM.
func newKey(t *testing.T) (private crypto.Signer, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pki.EncodePEM("PUBLIC KEY", der))
}

// sign makes a JWT that says what another says, but for its end.
func sign(t *testing.T, key crypto.Signer, like string, life time.Duration) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{}
	for _, name := range []string{"iss", "sub", "aud", "iat", "nbf", "jti", "kubernetes.io"} {
		claims[name] = claim(t, like, name)
	}
	claims["exp"] = time.Now().Add(life).Unix()
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestExit ends the program in the ways in which containers end.
func TestExit(t *testing.T) {
	t.Parallel()
	t.Run("revoke", func(t *testing.T) {
		t.Parallel()
		c := newClient(t, "exit-revoke", setup{})
		token := c.token()
		c.terminate()
		c.mustBeDead("after the end", token)
		noResult(t, c.Login)
	})
	t.Run("keep", func(t *testing.T) {
		t.Parallel()
		c := newClient(t, "exit-keep", setup{args: []string{"--revoke-on-exit=false"}})
		token := c.token()
		c.terminate()
		c.lookup(token)
		if got := result(t, c.Login); got != token {
			t.Error("the result is another one after the end")
		}
		if ok, line := ready(t, c.Login); !ok {
			t.Errorf("the token is good, but ready says %q", line)
		}
	})
	t.Run("Vault is away", func(t *testing.T) {
		t.Parallel()
		c := newClient(t, "exit-away", setup{})
		token := c.token()
		c.proxy.Set(faults.Hang())
		start := time.Now()
		c.terminate()
		// It gives Vault two seconds, of the 30 that a pod has.
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("the end took %s", took)
		}
		c.lookup(token)
	})
	t.Run("kill", func(t *testing.T) {
		t.Parallel()
		c := newClient(t, "exit-kill", setup{})
		token := c.token()
		if err := c.Kill(); err != nil {
			t.Fatal(err)
		}
		if got := result(t, c.Login); got != token {
			t.Error("the result is another one after a kill")
		}
		// What is good is good, also while the container is started anew.
		if ok, line := ready(t, c.Login); !ok {
			t.Errorf("ready says %q after a kill", line)
		}
		stop := neverUnready(t, c.Login)
		c.start()
		fresh := c.otherToken(token)
		stop()
		c.lookup(token)
		c.terminate()
		c.mustBeDead("the token of the first run", token)
		c.mustBeDead("the token of the second run", fresh)
	})
}

// TestKilledRepeatedly kills the program at any moment. A reader always finds
// a whole file, and nothing is left behind.
func TestKilledRepeatedly(t *testing.T) {
	t.Parallel()
	c := newClient(t, "killed", setup{})
	c.token()
	stop := readAllTheTime(t, c.Login)
	for i := range 20 {
		if err := c.Kill(); err != nil {
			t.Fatal(err)
		}
		c.start()
		time.Sleep(time.Duration(i*7) * time.Millisecond)
	}
	if n := stop(); n == 0 {
		t.Error("there was nothing to read")
	}
	podtest.Eventually(t, "the last login", func(context.Context) error {
		events := c.Events()
		if last := events[len(events)-1]; last.Message != "logged in" {
			return fmt.Errorf("the log ends with %q", last.Message)
		}
		return nil
	})
	c.well()
	c.lookup(result(t, c.Login))
	c.terminate()
	entries, err := os.ReadDir(strings.TrimSuffix(c.OutputFile(), "/token"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".tmp") {
			t.Errorf("%s was left behind", entry.Name())
		}
	}
}

// TestBatchToken has tokens that can be neither renewed nor revoked: there is a
// login before each of them ends, and no attempt at anything else.
func TestBatchToken(t *testing.T) {
	t.Parallel()
	c := newClient(t, "batch", setup{role: map[string]any{"token_ttl": "6s", "token_type": "batch"}})
	first := c.token()
	if data := c.lookup(first); data["type"] != "batch" {
		t.Errorf("the token is of type %v", data["type"])
	}
	stop := neverUnready(t, c.Login)
	second := c.otherToken(first)
	c.lookup(second)
	c.otherToken(second)
	stop()
	c.terminate()
	if n := c.proxy.Requests(renewPath) + c.proxy.Requests(revokePath); n > 0 {
		t.Errorf("%d attempts to renew or to revoke", n)
	}
	if got := complaints(c.Login); len(got) > 0 {
		t.Errorf("the log complains: %s", got)
	}
}

// TestCountedUses has tokens for so many requests, all of which are for the app.
func TestCountedUses(t *testing.T) {
	t.Parallel()
	c := newClient(t, "counted", setup{role: map[string]any{"token_ttl": "4s", "token_num_uses": 3}})
	first := c.token()
	if data := c.lookup(first); fmt.Sprint(data["num_uses"]) != "2" {
		t.Errorf("after the first use of three there are %v left", data["num_uses"])
	}
	second := c.otherToken(first)
	if data := c.lookup(second); fmt.Sprint(data["num_uses"]) != "2" {
		t.Errorf("after the first use of three there are %v left", data["num_uses"])
	}
	if n := c.proxy.Requests(renewPath); n > 0 {
		t.Errorf("%d uses went to renewals", n)
	}
	c.terminate()
	c.mustBeDead("after the end", second)
}
