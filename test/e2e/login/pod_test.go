package login

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
	"github.com/oidc-injector/oidc-injector/test/loginrun"
	"github.com/oidc-injector/oidc-injector/test/vault"
	"github.com/oidc-injector/oidc-injector/test/vault/faults"
)

// Paths of Vault's API.
const (
	loginPath  = "/v1/auth/" + jwtMount + "/login"
	renewPath  = "/v1/auth/token/renew-self"
	revokePath = "/v1/auth/token/revoke-self"
)

// configuration puts the address of the Vault into a configuration.
func configuration(text string) string { return strings.ReplaceAll(text, "VAULT", server.Address()) }

// namespace makes a namespace that is opted in and that has the CA of a Vault
// for the pods in it, if there is one.
func namespace(t *testing.T, name string, ca []byte) string {
	t.Helper()
	if err := kube.Namespace(t.Context(), name, map[string]string{injector.EnabledLabel: "true"}); err != nil {
		t.Fatal(err)
	}
	if ca == nil {
		return name
	}
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "vault-ca"}, Data: map[string]string{"ca.crt": string(ca)}}
	_, err := kube.Client().CoreV1().ConfigMaps(name).Create(t.Context(), object, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	return name
}

// subject is that of the ServiceAccount "default" of a namespace.
func subject(namespace string) string { return "system:serviceaccount:" + namespace + ":default" }

// setup says in what a test differs from most others.
type setup struct {
	// server is the shared Vault by default.
	server *vault.Server
	// role are parameters of the role beside the usual ones; nil takes one away.
	role map[string]any
	// noRole leaves the role out.
	noRole bool
	// keys are annotations beside the usual ones.
	keys []string
	// pod changes the pod before it is created.
	pod func(*corev1.Pod)
	// args are those of the program beside its own.
	args []string
	// idle does not start the program.
	idle bool
	// direct leaves the proxy out.
	direct bool
}

// client is a pod that logs in at Vault, its login container, and the proxy
// between the two.
type client struct {
	*loginrun.Login

	t        *testing.T
	ns, role string
	server   *vault.Server
	proxy    *faults.Proxy
	pod      *corev1.Pod
}

// newClient makes a namespace, a role and a pod of one name and starts the
// login. The role is that of the scenario, with a short lease.
func newClient(t *testing.T, name string, s setup) *client {
	t.Helper()
	if s.server == nil {
		s.server = server
	}
	c := &client{t: t, ns: namespace(t, name, s.server.CA()), role: name, server: s.server, proxy: faults.StartForTest(t, s.server)}
	if !s.noRole {
		c.writeRole(s.role)
	}
	address := c.proxy.Address()
	if s.direct {
		address = s.server.Address()
	}
	pod := podtest.New("app", append([]string{
		"audience=vault", "login=vault", "login-address=" + address, "login-role=" + c.role, "login-ca-configmap=vault-ca",
	}, s.keys...)...)
	if s.pod != nil {
		s.pod(pod)
	}
	c.pod = podtest.Create(t, kube, c.ns, pod)
	c.Login = newLogin(t, c.pod, "", s.args...)
	if !s.idle {
		c.start()
	}
	return c
}

// newLogin prepares a login container of a pod.
func newLogin(t *testing.T, pod *corev1.Pod, container string, args ...string) *loginrun.Login {
	t.Helper()
	at, err := os.MkdirTemp(dir, "login-") //nolint:usetesting // the log outlives the test; see searchForSecrets
	if err != nil {
		t.Fatal(err)
	}
	l, err := loginrun.New(t.Context(), loginrun.Options{
		Cluster: kube, Program: program, Dir: at, Pod: pod, Container: container, Args: args,
	})
	if err != nil {
		t.Fatal(err)
	}
	logins.add(l)
	t.Cleanup(func() {
		if err := l.Kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the log of the login in %s:\n%s", filepath.Base(at), l.Log())
		}
	})
	return l
}

// logins are all that ran.
var logins allLogins

type allLogins struct {
	mu  sync.Mutex
	all []*loginrun.Login
	// tokens are those of relying parties that tests have seen.
	tokens []string
}

func (a *allLogins) add(l *loginrun.Login) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, l)
}

func (a *allLogins) saw(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokens = append(a.tokens, token)
}

// usualRole is that of the scenario's step 5, for one namespace, with a lease
// that is long enough for tests in which nothing is to happen meanwhile.
func usualRole(ns string) map[string]any {
	return map[string]any{
		"bound_audiences": "vault",
		"bound_subject":   subject(ns),
		"user_claim":      "sub",
		"token_policies":  "app",
		"token_ttl":       "10m",
	}
}

func (c *client) writeRole(parameters map[string]any) {
	c.t.Helper()
	role := usualRole(c.ns)
	maps.Copy(role, parameters)
	maps.DeleteFunc(role, func(_ string, value any) bool { return value == nil })
	if err := c.server.WriteRole(c.t.Context(), jwtMount, c.role, role); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) start() {
	c.t.Helper()
	startLogin(c.t, c.Login)
}

func startLogin(t *testing.T, l *loginrun.Login) {
	t.Helper()
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
}

// ready asks as the startup probe does.
func ready(t *testing.T, l *loginrun.Login) (bool, string) {
	t.Helper()
	ok, line, err := l.Ready(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return ok, line
}

// loggedIn waits for the login and returns the content of its result.
func loggedIn(t *testing.T, l *loginrun.Login) string {
	t.Helper()
	podtest.Eventually(t, "the login", func(context.Context) error {
		if ok, line := ready(t, l); !ok {
			return errors.New(line)
		}
		return nil
	})
	return result(t, l)
}

// result reads the result, which must be there.
func result(t *testing.T, l *loginrun.Login) string {
	t.Helper()
	content, err := os.ReadFile(l.OutputFile())
	if err != nil {
		t.Fatal(err)
	}
	logins.saw(string(content))
	return string(content)
}

// token waits for the login and returns the Vault token.
func (c *client) token() string {
	c.t.Helper()
	return loggedIn(c.t, c.Login)
}

// otherToken waits until another token is in place.
func (c *client) otherToken(old string) string {
	c.t.Helper()
	return otherResult(c.t, c.Login, old)
}

func otherResult(t *testing.T, l *loginrun.Login, old string) (fresh string) {
	t.Helper()
	podtest.Eventually(t, "another token", func(context.Context) error {
		content, err := os.ReadFile(l.OutputFile())
		if err == nil && string(content) == old {
			err = errors.New("it is still the old one")
		}
		fresh = string(content)
		return err
	})
	logins.saw(fresh)
	return fresh
}

// lookup is what Vault says of a token that is good.
func (c *client) lookup(token string) map[string]any {
	c.t.Helper()
	data, err := c.server.LookupSelf(c.t.Context(), token)
	if err != nil {
		c.t.Fatal(err)
	}
	return data
}

// expiry is when Vault ends a token.
func (c *client) expiry(token string) time.Time {
	c.t.Helper()
	text := fmt.Sprint(c.lookup(token)["expire_time"])
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		c.t.Fatal(err)
	}
	return at
}

// dead tells, without an error, that Vault does not know a token any more.
func (c *client) dead(token string) error {
	data, err := c.server.LookupSelf(context.WithoutCancel(c.t.Context()), token)
	if err == nil {
		return fmt.Errorf("the token is valid, for %v s", data["ttl"])
	}
	if !strings.Contains(err.Error(), "Code: 403") {
		return err
	}
	return nil
}

func (c *client) mustBeDead(what, token string) {
	c.t.Helper()
	if err := c.dead(token); err != nil {
		c.t.Errorf("%s: %v", what, err)
	}
}

// mustEnd is mustBeDead for a token whose end the login has seen. It counts from
// before its request, so that Vault ends the token up to a request's time later, and
// then in a task of its own.
func (c *client) mustEnd(token string) {
	c.t.Helper()
	deadline := time.Now().Add(2 * time.Second)
	for c.dead(token) != nil && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	c.mustBeDead("after its end", token)
}

// failing waits until a text is what is wrong, in the words of the log and of
// the startup probe alike, and returns what the probe says.
func failing(t *testing.T, l *loginrun.Login, wantReady bool, text string) (line string) {
	t.Helper()
	inQuotes := quoted(text)
	podtest.Eventually(t, "a failure with the text "+text, func(context.Context) error {
		var ok bool
		ok, line = ready(t, l)
		if ok != wantReady || !strings.Contains(line, text) && !strings.Contains(line, inQuotes) {
			return fmt.Errorf("ready is %t and says %q", ok, line)
		}
		for _, e := range l.Events() {
			if (e.Level == "ERROR" || e.Level == "WARN") && (strings.Contains(e.Err, text) || strings.Contains(e.Err, inQuotes)) {
				return nil
			}
		}
		return errors.New("the log does not say it")
	})
	return line
}

func (c *client) failing(wantReady bool, text string) string {
	c.t.Helper()
	return failing(c.t, c.Login, wantReady, text)
}

// quoted is a text as it is when the words of another are quoted.
func quoted(text string) string {
	s := strconv.Quote(text)
	return s[1 : len(s)-1]
}

// well waits until the login is ready and nothing is wrong.
func (c *client) well() {
	c.t.Helper()
	podtest.Eventually(c.t, "a login without a complaint", func(context.Context) error {
		if ok, line := ready(c.t, c.Login); !ok || strings.Contains(line, "but:") {
			return errors.New(line)
		}
		return nil
	})
}

// terminate ends the program in order.
func (c *client) terminate() {
	c.t.Helper()
	terminate(c.t, c.Login)
}

func terminate(t *testing.T, l *loginrun.Login) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if code, err := l.Terminate(ctx); err != nil || code != 0 {
		t.Errorf("the program ended with code %d, error %v", code, err)
	}
}

// noResult waits until there is no result. A token ends by the clock a moment
// before it is removed.
func noResult(t *testing.T, l *loginrun.Login) {
	t.Helper()
	podtest.Eventually(t, "no result", func(context.Context) error {
		if _, err := os.Stat(l.OutputFile()); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is a result, error %w", err)
		}
		return nil
	})
}

// logged tells how often the log has a message.
func logged(l *loginrun.Login, message string) int {
	n := 0
	for _, e := range l.Events() {
		if e.Message == message {
			n++
		}
	}
	return n
}

// complaints are the lines of the log above info.
func complaints(l *loginrun.Login) []string {
	var all []string
	for _, e := range l.Events() {
		if e.Level != "INFO" && e.Level != "DEBUG" {
			all = append(all, e.Message+": "+e.Err)
		}
	}
	return all
}
