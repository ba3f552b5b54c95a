package vault_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/vault/api"

	"github.com/oidc-injector/oidc-injector/test/internal/pki"
	"github.com/oidc-injector/oidc-injector/test/vault"
	"github.com/oidc-injector/oidc-injector/test/vault/faults"
)

const issuer = "https://issuer.example.org"

// nodeIP is what a cluster with a node has.
var nodeIP = net.IPv4(10, 88, 0, 1)

func TestServer(t *testing.T) {
	s := vault.StartForTest(t, vault.Options{ExtraIPs: []net.IP{nodeIP}})
	ctx := t.Context()
	if err := s.EnableKV(ctx, "kv"); err != nil {
		t.Fatal(err)
	}
	if err := s.WriteSecret(ctx, "kv", "app/db", map[string]any{"password": "hunter2"}); err != nil {
		t.Fatal(err)
	}
	if err := s.WritePolicy(ctx, "app", `path "kv/data/app/*" { capabilities = ["read"] }`); err != nil {
		t.Fatal(err)
	}
	t.Run("health", func(t *testing.T) { testHealth(t, s) })
	t.Run("certificate", func(t *testing.T) { testCertificate(t, s) })
	t.Run("loopback", func(t *testing.T) { testLoopback(t, s) })
	t.Run("JWT", func(t *testing.T) { testJWT(t, s) })
	t.Run("faults", func(t *testing.T) { testFaults(t, s) })
	t.Run("pause", func(t *testing.T) { testPause(t, s) })
	t.Run("seal", func(t *testing.T) { testSeal(t, s) })
	t.Run("restart", func(t *testing.T) { testRestart(t, s) })
	t.Run("log", func(t *testing.T) {
		log, err := os.ReadFile(s.LogFile())
		if err != nil || !strings.Contains(string(log), "request_path=/v1/kv/data/app/db") {
			t.Errorf("the log does not mention a request, error %v", err)
		}
		if strings.Contains(string(log), s.Client().Token()) || strings.Contains(string(log), "hunter2") {
			t.Error("the log has a token or a secret")
		}
	})
}

func testHealth(t *testing.T, s *vault.Server) {
	health, err := s.Client().Sys().HealthWithContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !health.Initialized || health.Sealed || health.Standby || "v"+health.Version != vault.DefaultVersion {
		t.Errorf("health is %+v, want that of %s", health, vault.DefaultVersion)
	}
	checkSecret(t, s)
	if err := s.Start(t.Context()); err == nil {
		t.Error("a running server was started")
	}
}

// testCertificate shows that the certificate is valid where clients are.
func testCertificate(t *testing.T, s *vault.Server) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(s.CA()) {
		t.Fatal("the CA is no certificate")
	}
	leaf := s.Certificate().Leaf
	for _, host := range []string{"localhost", "127.0.0.1", nodeIP.String()} {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: pool}); err != nil {
			t.Error(err)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{DNSName: "10.88.0.2", Roots: pool}); err == nil {
		t.Error("the certificate is valid for a foreign address")
	}
	if file, err := os.ReadFile(s.CAFile()); err != nil || !bytes.Equal(file, s.CA()) {
		t.Errorf("the file of the CA differs from it, error %v", err)
	}
	if s.Address() != "https://"+(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: s.Port()}).String() {
		t.Errorf("address %s has another port than %d", s.Address(), s.Port())
	}
}

// testLoopback shows that nobody reaches the server from elsewhere.
func testLoopback(t *testing.T, s *vault.Server) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		ip := address.(*net.IPNet).IP
		if ip.IsLoopback() || ip.To4() == nil {
			continue
		}
		conn, err := net.DialTimeout("tcp", (&net.TCPAddr{IP: ip, Port: s.Port()}).String(), time.Second)
		if err == nil {
			conn.Close()
			t.Errorf("the server listens on %s", ip)
		}
	}
}

func testJWT(t *testing.T, s *vault.Server) {
	ctx := t.Context()
	key, public := newKey(t)
	if err := s.EnableJWT(ctx, "kubernetes", vault.JWTConfig{
		Issuer: issuer, PublicKeys: []string{public},
		DefaultRole: "app",
	}); err != nil {
		t.Fatal(err)
	}
	role := map[string]any{
		"bound_audiences": "vault",
		"user_claim":      "sub",
		"bound_subject":   "system:serviceaccount:default:app",
		"token_policies":  "app",
		"token_ttl":       "20m",
	}
	writeRole(t, s, "app", role, nil)
	writeRole(t, s, "batch", role, map[string]any{"token_type": "batch"})
	writeRole(t, s, "short", role, map[string]any{"token_ttl": "1s", "token_max_ttl": "1s"})
	good := sign(t, key, "system:serviceaccount:default:app", "vault")

	t.Run("service token", func(t *testing.T) { testLogin(t, s, "app", good, "service") })
	t.Run("default role", func(t *testing.T) { testLogin(t, s, "", good, "service") })
	t.Run("batch token", func(t *testing.T) { testLogin(t, s, "batch", good, "batch") })
	t.Run("short lease", func(t *testing.T) {
		auth, err := s.Login(ctx, "kubernetes", "short", good)
		if err != nil || auth.LeaseDuration != 1 {
			t.Fatalf("got %+v, %v", auth, err)
		}
		eventually(t, func() error {
			_, err := s.LookupSelf(ctx, auth.ClientToken)
			return wantStatus(err, http.StatusForbidden)
		})
	})
	for name, test := range map[string]struct {
		role, token string
		status      int
	}{
		"no such role":     {"other", good, http.StatusBadRequest},
		"another audience": {"app", sign(t, key, "system:serviceaccount:default:app", "api"), http.StatusBadRequest},
		"another subject":  {"app", sign(t, key, "system:serviceaccount:default:other", "vault"), http.StatusBadRequest},
		"another key":      {"app", sign(t, otherKey(t), "system:serviceaccount:default:app", "vault"), http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Login(ctx, "kubernetes", test.role, test.token)
			if err := wantStatus(err, test.status); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("deleted role", func(t *testing.T) {
		if err := s.DeleteRole(ctx, "kubernetes", "batch"); err != nil {
			t.Fatal(err)
		}
		_, err := s.Login(ctx, "kubernetes", "batch", good)
		if err := wantStatus(err, http.StatusBadRequest); err != nil {
			t.Error(err)
		}
	})
	t.Run("issuer that is not there", func(t *testing.T) {
		config := vault.JWTConfig{Issuer: "https://127.0.0.1:1", DiscoveryCA: s.CA()}
		if err := s.ConfigureJWT(ctx, "kubernetes", config); err == nil {
			t.Error("Vault did not ask the issuer")
		}
	})
}

func testLogin(t *testing.T, s *vault.Server, role, token, kind string) {
	ctx := t.Context()
	auth, err := s.Login(ctx, "kubernetes", role, token)
	if err != nil {
		t.Fatal(err)
	}
	if auth.LeaseDuration != 1200 || auth.Renewable != (kind == "service") {
		t.Errorf("lease is %ds, renewable %t", auth.LeaseDuration, auth.Renewable)
	}
	data, err := s.LookupSelf(ctx, auth.ClientToken)
	if err != nil {
		t.Fatal(err)
	}
	if data["type"] != kind || !cmp.Equal(data["policies"], []any{"app", "default"}) {
		t.Errorf("token is %v, want one of type %s with policies app and default", data, kind)
	}
	client, err := s.NewClient(s.Address(), auth.ClientToken)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := client.KVv2("kv").Get(ctx, "app/db")
	if err != nil || secret.Data["password"] != "hunter2" {
		t.Errorf("secret is %+v, error %v", secret, err)
	}
}

// testFaults shows that the client of Vault takes the proxy for Vault, and a
// fault for what it is.
func testFaults(t *testing.T, s *vault.Server) {
	proxy := faults.StartForTest(t, s)
	client, err := s.NewClient(proxy.Address(), s.Client().Token())
	if err != nil {
		t.Fatal(err)
	}
	const path = "/v1/auth/token/lookup-self"
	proxy.SetPath(path, faults.First(1, faults.TooManyRequests(time.Second)))
	_, err = client.Auth().Token().LookupSelfWithContext(t.Context())
	if err := wantStatus(err, http.StatusTooManyRequests); err != nil {
		t.Error(err)
	}
	if n := proxy.Requests(path); n != 1 {
		t.Errorf("the client asked %d times, want once: it is not to retry", n)
	}
	if _, err := client.Auth().Token().LookupSelfWithContext(t.Context()); err != nil {
		t.Error(err)
	}
}

func testPause(t *testing.T, s *vault.Server) {
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Client().Auth().Token().LookupSelfWithContext(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v of a server that hangs, want %v", err, context.DeadlineExceeded)
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	checkSecret(t, s)
}

func testSeal(t *testing.T, s *vault.Server) {
	if err := s.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := s.Client().Auth().Token().LookupSelfWithContext(t.Context())
	if err := wantStatus(err, http.StatusServiceUnavailable); err != nil {
		t.Error(err)
	}
	if err := s.Unseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkSecret(t, s)
}

func testRestart(t *testing.T, s *vault.Server) {
	ctx := t.Context()
	address := s.Address()
	if err := s.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	checkSecret(t, s)
	// The crash of a server that hangs, and an operator who comes later.
	if err := errors.Join(s.Pause(), s.Kill(), s.Kill()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Client().Sys().HealthWithContext(ctx); err == nil {
		t.Error("a killed server has answered")
	}
	if err := s.Unseal(ctx); err == nil {
		t.Error("a killed server was unsealed")
	}
	if err := s.Pause(); err == nil {
		t.Error("a killed server was paused")
	}
	if err := s.StartSealed(ctx); err != nil {
		t.Fatal(err)
	}
	if status, err := s.Client().Sys().SealStatusWithContext(ctx); err != nil || !status.Sealed {
		t.Errorf("status is %+v, error %v, want sealed", status, err)
	}
	if err := s.Unseal(ctx); err != nil {
		t.Fatal(err)
	}
	checkSecret(t, s)
	if s.Address() != address {
		t.Errorf("the address became %s, want %s as before", s.Address(), address)
	}
}

func checkSecret(t *testing.T, s *vault.Server) {
	t.Helper()
	secret, err := s.Client().KVv2("kv").Get(t.Context(), "app/db")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"password": "hunter2"}, secret.Data); diff != "" {
		t.Errorf("the secret differs (-want +got):\n%s", diff)
	}
}

func wantStatus(err error, want int) error {
	var response *api.ResponseError
	if errors.As(err, &response) && response.StatusCode == want {
		return nil
	}
	return errors.Join(errors.New("want status "+http.StatusText(want)), err)
}

func writeRole(t *testing.T, s *vault.Server, name string, parameters, more map[string]any) {
	t.Helper()
	all := maps.Clone(parameters)
	maps.Copy(all, more)
	if err := s.WriteRole(t.Context(), "kubernetes", name, all); err != nil {
		t.Fatal(err)
	}
}

// newKey is what signs tokens, and its public half in PEM.
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

func otherKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, _ := newKey(t)
	return key
}

func sign(t *testing.T, key crypto.Signer, subject, audience string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	token, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer:   issuer,
		Subject:  subject,
		Audience: jwt.Audience{audience},
		IssuedAt: jwt.NewNumericDate(now),
		Expiry:   jwt.NewNumericDate(now.Add(10 * time.Minute)),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// eventually waits for what others do in their own time.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
