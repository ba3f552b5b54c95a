package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/process"
	"github.com/oidc-injector/oidc-injector/test/loginrun"
	"github.com/oidc-injector/oidc-injector/test/relyingparty"
	"github.com/oidc-injector/oidc-injector/test/vault"
)

// login is the login container of a pod.
type login struct {
	*loginrun.Login

	namespace, pod, metrics string
}

// teams are the namespaces that pods come from, and how long their Vault tokens last: short,
// so that two minutes show what usually takes hours.
var teams = []struct{ namespace, ttl string }{{"billing", "30s"}, {"reports", "60s"}, {"search", "40s"}, {"shop", "45s"}}

// late is the team whose role Vault gets to know in the middle of the recording only.
const late = "reports"

func (w *world) prepareLogins(ctx context.Context) error {
	if err := w.kube.AllowDiscovery(ctx); err != nil {
		return err
	}
	err := process.WaitUntil(ctx, "anybody may read the keys of the issuer", func(ctx context.Context) (bool, error) {
		_, err := relyingparty.Discover(ctx, w.kube.Issuer(), w.kube.CA())
		return err == nil, nil
	})
	if err != nil {
		return err
	}
	if err := w.vault.EnableJWT(ctx, "jwt", vault.JWTConfig{Issuer: w.kube.Issuer(), DiscoveryCA: w.kube.CA()}); err != nil {
		return err
	}
	for _, team := range teams {
		if err := w.prepareTeam(ctx, team.namespace, team.ttl); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) prepareTeam(ctx context.Context, namespace, ttl string) error {
	if err := w.kube.Namespace(ctx, namespace, map[string]string{injector.EnabledLabel: "true"}); err != nil {
		return err
	}
	_, err := w.client.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "vault-ca"}, Data: map[string]string{loginspec.CAFileName: string(w.vault.CA())},
	}, metav1.CreateOptions{})
	if err != nil || namespace == late {
		return err
	}
	return w.writeRole(ctx, namespace, ttl)
}

func (w *world) writeRole(ctx context.Context, namespace, ttl string) error {
	return w.vault.WriteRole(ctx, "jwt", namespace, map[string]any{
		"bound_audiences": []string{"vault"}, "bound_subject": "system:serviceaccount:" + namespace + ":default",
		"user_claim": "sub", "token_ttl": ttl,
	})
}

// startLogin creates a pod that logs in, and runs its login container.
func (w *world) startLogin(ctx context.Context, namespace, name string) error {
	created, err := w.client.CoreV1().Pods(namespace).
		Create(ctx, pod(name, "profile", "vault", "login-role", namespace, "login-check-interval", "10s"), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	l := &login{namespace: namespace, pod: name}
	if l.metrics, err = freeAddress(); err != nil {
		return err
	}
	dir := filepath.Join(w.dir, namespace+"-"+name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	// The pods would have addresses of their own.
	args := []string{"--listen-address=" + l.metrics}
	if l.Login, err = loginrun.New(ctx, loginrun.Options{
		Cluster: w.kube, Program: w.login, Dir: dir, Pod: created,
		Args: args,
	}); err != nil {
		return err
	}
	w.mu.Lock()
	w.logins = append(w.logins, l)
	w.mu.Unlock()
	return l.Start()
}

// sealVault takes Vault away, for longer than the shortest token lasts after it should have been
// renewed.
func (w *world) sealVault(ctx context.Context) error {
	if err := w.vault.Seal(ctx); err != nil {
		return err
	}
	sleep(ctx, 26*time.Second)
	return w.vault.Unseal(ctx)
}
