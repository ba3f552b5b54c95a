package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
	"github.com/oidc-injector/oidc-injector/test/loginrun"
	"github.com/oidc-injector/oidc-injector/test/vault"
	"github.com/oidc-injector/oidc-injector/test/vault/faults"
)

// ownVault starts a Vault for a test that takes it away.
func ownVault(t *testing.T) *vault.Server {
	t.Helper()
	s := vault.StartForTest(t, vault.Options{})
	if err := prepareVault(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return s
}

// outageLease leaves, after the first attempt to renew, three seconds or so
// before the token ends, in which a test has to look.
const outageLease = "10s"

// TestVaultAway takes Vault away in every way that its operators know. The token
// stays in place as long as it is good, whoever asks is told why nothing better
// is there, and all is well again some time after Vault is back.
func TestVaultAway(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		away, back func(context.Context, *vault.Server) error
		args       []string
		text       string
	}{
		"sealed": {
			away: func(ctx context.Context, s *vault.Server) error { return s.Seal(ctx) },
			back: func(ctx context.Context, s *vault.Server) error { return s.Unseal(ctx) },
			text: "Vault is sealed",
		},
		"stopped": {
			away: func(_ context.Context, s *vault.Server) error { return s.Shutdown() },
			back: func(ctx context.Context, s *vault.Server) error { return s.Start(ctx) },
			text: "connection refused",
		},
		"hanging": {
			away: func(_ context.Context, s *vault.Server) error { return s.Pause() },
			back: func(_ context.Context, s *vault.Server) error { return s.Resume() },
			args: []string{"--request-timeout=1s"},
			text: "no answer within 1s",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, "away-"+name, setup{
				server: ownVault(t), role: map[string]any{"token_ttl": outageLease}, args: test.args,
				direct: true,
			})
			token := c.token()
			if err := test.away(t.Context(), c.server); err != nil {
				t.Fatal(err)
			}
			c.failing(true, test.text)
			if got := result(t, c.Login); got != token {
				t.Error("the token was replaced while it was good")
			}
			if err := test.back(t.Context(), c.server); err != nil {
				t.Fatal(err)
			}
			c.well()
			c.lookup(c.token())
			c.terminate()
		})
	}
}

// TestVaultGoneForLong kills Vault until the token has ended: it is removed, as
// an app that finds no token knows what to say. It comes back with a Vault that
// is sealed at first.
func TestVaultGoneForLong(t *testing.T) {
	t.Parallel()
	c := newClient(t, "gone", setup{server: ownVault(t), role: map[string]any{"token_ttl": "4s"}, direct: true})
	token := c.token()
	if err := c.server.Kill(); err != nil {
		t.Fatal(err)
	}
	line := c.failing(false, "connection refused")
	if !strings.Contains(line, "not logged in any more: the token expired") {
		t.Errorf("ready says %q", line)
	}
	noResult(t, c.Login)
	if err := c.server.StartSealed(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.failing(false, "Vault is sealed")
	if err := c.server.Unseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.well()
	fresh := c.token()
	c.lookup(fresh)
	c.mustEnd(token)
	c.terminate()
}

// TestVaultAwayAtStart starts the pod before Vault. The probe waits a little and
// says why, which is what people read in the pod's events.
func TestVaultAwayAtStart(t *testing.T) {
	t.Parallel()
	c := newClient(t, "away-at-start", setup{idle: true})
	c.proxy.Set(faults.Unavailable())
	c.start()
	start := time.Now()
	ok, line, err := c.Probe(t.Context())
	if took := time.Since(start); err != nil || ok || took < 3*time.Second {
		t.Errorf("the probe is %t after %s, error %v", ok, took, err)
	}
	if !strings.Contains(line, "not logged in yet") || !strings.Contains(line, "Vault is sealed") {
		t.Errorf("the probe says %q", line)
	}
	c.proxy.Set(faults.Pass())
	c.well()
	if ok, line, err := c.Probe(t.Context()); err != nil || !ok {
		t.Errorf("the probe is %t and says %q, error %v", ok, line, err)
	}
}

// TestFaults shows what networks, load balancers and overloaded servers do: each
// is survived, named and not answered with a storm of requests.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault faults.Fault
		args  []string
		text  string
	}{
		"slow":     {faults.Delay(time.Minute), []string{"--request-timeout=1s"}, "no answer within 1s"},
		"500":      {faults.InternalError(), nil, "internal error"},
		"502":      {faults.BadGateway(), nil, "502 Bad Gateway"},
		"503":      {faults.Unavailable(), nil, "Vault is sealed"},
		"429":      {faults.TooManyRequests(time.Second), nil, "rate limit quota exceeded"},
		"cut":      {faults.Cut(), nil, "unexpected EOF"},
		"dropped":  {faults.Drop(), nil, "EOF"},
		"nonsense": {faults.Answer(http.StatusOK, nil, "hello"), nil, "the answer is not the expected JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, "fault-"+name, setup{role: map[string]any{"token_ttl": outageLease}, args: test.args})
			token := c.token()
			requests, start := c.requests(), time.Now()
			c.proxy.Set(test.fault)
			c.failing(true, test.text)
			if got := result(t, c.Login); got != token {
				t.Error("the token was replaced while it was good")
			}
			// Until the token ends, and beyond.
			c.failing(false, test.text)
			noResult(t, c.Login)
			// With a backoff that begins at a second there cannot be more than one a
			// second, and not many more if it is for a renewal, then for a login.
			if n, took := c.requests()-requests, time.Since(start); float64(n) > 3+took.Seconds() {
				t.Errorf("%d requests in %s", n, took)
			}
			c.proxy.Set(faults.Pass())
			c.well()
			c.lookup(c.token())
			c.terminate()
		})
	}
}

// TestSlowVault answers late, but in time: nothing is wrong then, and the lease is
// counted from before the request.
func TestSlowVault(t *testing.T) {
	t.Parallel()
	c := newClient(t, "slow", setup{role: map[string]any{"token_ttl": "9s"}, idle: true, args: []string{loginrun.Listen}})
	c.proxy.Set(faults.Delay(1500 * time.Millisecond))
	c.start()
	token := c.token()
	if left, err := c.Metric(t.Context(), "oidc_login_token_ttl_seconds"); err != nil || left > 7.5 {
		t.Errorf("the token is said to last %v s more, error %v", left, err)
	}
	stop := neverUnready(t, c.Login)
	podtest.Eventually(t, "two renewals", func(context.Context) error {
		if n := logged(c.Login, "renewed"); n < 2 {
			return fmt.Errorf("%d renewals", n)
		}
		return nil
	})
	stop()
	if c.token() != token {
		t.Error("the token was replaced")
	}
	if got := complaints(c.Login); len(got) > 0 {
		t.Errorf("the log complains: %s", got)
	}
}

// requests is how many requests there were so far.
func (c *client) requests() int {
	sum := 0
	for _, n := range c.proxy.AllRequests() {
		sum += n
	}
	return sum
}

// TestRetryAfter is told to wait, and does.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	c := newClient(t, "retry-after", setup{idle: true})
	times := &timesOfRequests{}
	c.proxy.Set(times.of(faults.First(1, faults.TooManyRequests(6*time.Second))))
	c.start()
	c.token()
	all := times.list()
	if len(all) < 2 {
		t.Fatalf("%d requests, want two", len(all))
	}
	if gap := all[1].Sub(all[0]); gap < 5500*time.Millisecond {
		t.Errorf("the next request came after %s, want not before six seconds", gap)
	}
}

// TestBackoff counts the attempts of a first login that does not succeed.
func TestBackoff(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault faults.Fault
		// most is what there can be in 15 seconds: after 1, 2, 4 and 8 of them, a
		// quarter less at the most; or after 5 and 10.
		most int
	}{
		"server": {faults.InternalError(), 5},
		"denied": {faults.Error(http.StatusBadRequest, "no"), 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, "backoff-"+name, setup{idle: true})
			times := &timesOfRequests{}
			c.proxy.Set(times.of(test.fault))
			c.start()
			time.Sleep(15 * time.Second)
			all := times.list()
			if len(all) < 2 || len(all) > test.most+1 {
				t.Fatalf("%d requests in 15 s, want 2 to %d", len(all), test.most+1)
			}
			var last time.Duration
			for i := 1; i < len(all); i++ {
				gap := all[i].Sub(all[i-1])
				if gap < last {
					t.Errorf("attempt %d came after %s, the one before after %s", i+1, gap, last)
				}
				last = gap
			}
		})
	}
}

// timesOfRequests notes when requests come.
type timesOfRequests struct {
	mu  sync.Mutex
	all []time.Time
}

func (n *timesOfRequests) of(fault faults.Fault) faults.Fault {
	return func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		n.mu.Lock()
		n.all = append(n.all, time.Now())
		n.mu.Unlock()
		fault(w, r, server)
	}
}

func (n *timesOfRequests) list() []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]time.Time(nil), n.all...)
}

// TestRoleDeleted deletes the role under a login and restores it.
func TestRoleDeleted(t *testing.T) {
	t.Parallel()
	role := map[string]any{"token_ttl": "5s"}
	c := newClient(t, "role-deleted", setup{role: role})
	token := c.token()
	if err := server.DeleteRole(t.Context(), jwtMount, c.role); err != nil {
		t.Fatal(err)
	}
	line := c.failing(false, `role "role-deleted" could not be found`)
	if !strings.Contains(line, "not logged in any more") {
		t.Errorf("ready says %q", line)
	}
	noResult(t, c.Login)
	c.mustEnd(token)
	c.writeRole(role)
	c.well()
	c.lookup(c.token())
}

// TestTokenRevoked revokes the token under a login, as an operator does who
// wants to lock somebody out, or has restored a backup.
func TestTokenRevoked(t *testing.T) {
	t.Parallel()
	c := newClient(t, "revoked", setup{role: map[string]any{"token_ttl": "6s"}})
	token := c.token()
	if err := server.Client().Auth().Token().RevokeTreeWithContext(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	fresh := c.otherToken(token)
	c.lookup(fresh)
	c.well()
}

// TestCAReplaced gives Vault's CA to the pod too late: what failed without it is
// repeated when it is there.
func TestCAReplaced(t *testing.T) {
	t.Parallel()
	c := newClient(t, "ca-replaced", setup{idle: true})
	client := kube.Client().CoreV1().ConfigMaps(c.ns)
	setCA := func(pem []byte) {
		t.Helper()
		patch := fmt.Sprintf(`{"data":{"ca.crt":%q}}`, pem)
		if _, err := client.Patch(t.Context(), "vault-ca", "application/merge-patch+json", []byte(patch),
			metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := c.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	setCA(kube.CA())
	c.start()
	c.failing(false, "certificate signed by unknown authority")
	setCA(server.CA())
	c.well()
	// A bundle that is broken later does not end what works.
	setCA([]byte("garbage"))
	podtest.Eventually(t, "the complaint about the CA", func(context.Context) error {
		if !strings.Contains(strings.Join(complaints(c.Login), "\n"), "has no certificate") {
			return errors.New("there is none")
		}
		return nil
	})
	rotate(t, c.Login)
	c.otherToken(c.token())
}
