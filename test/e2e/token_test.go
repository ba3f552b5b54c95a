package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
	"github.com/oidc-injector/oidc-injector/test/relyingparty"
)

// TestRelyingParty goes the whole way of step 2 and 4 of the scenario: nobody
// may discover the issuer until the operator says so; then a token for exactly
// the injected projection, bound to the pod, verifies, with every claim.
func TestRelyingParty(t *testing.T) {
	ns := namespace(t, "relying-party")
	if _, err := relyingparty.Discover(t.Context(), kube.Issuer(), kube.CA()); err == nil || !strings.Contains(err.Error(), "403") {
		t.Fatalf("got error %v, want 403 for an anonymous relying party", err)
	}
	if err := kube.AllowDiscovery(t.Context()); err != nil {
		t.Fatal(err)
	}
	var party *relyingparty.RelyingParty
	eventually(t, "discovery allowed", func(context.Context) (err error) {
		party, err = relyingparty.Discover(t.Context(), kube.Issuer(), kube.CA()) // not the poll's context: keys are fetched later
		return err
	})
	pod := create(t, ns, newPod("app", "audience=vault", "expiration=2h"))
	token, err := kube.RequestToken(t.Context(), pod, podtest.Tokens(pod)[0].Projected.Sources[0].ServiceAccountToken)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := party.Verify(t.Context(), token, "vault")
	if err != nil {
		t.Fatal(err)
	}
	checkClaims(t, pod, claims)
	if _, err := party.Verify(t.Context(), token, "another"); err == nil {
		t.Error("the token was accepted for another audience")
	}
	signature := strings.LastIndex(token, ".") + 1
	forged := token[:signature] + strings.Map(func(r rune) rune {
		if r == 'A' {
			return 'B'
		}
		return 'A'
	}, token[signature:])
	if _, err := party.Verify(t.Context(), forged, "vault"); err == nil {
		t.Error("a forged token was accepted")
	}
	header, _, err := relyingparty.Decode(token)
	if err != nil || !strings.Contains(header, `"alg": "RS256"`) || !strings.Contains(header, `"kid"`) {
		t.Errorf("header is %s, error %v", header, err)
	}
}

func checkClaims(t *testing.T, pod *corev1.Pod, claims *relyingparty.Claims) {
	t.Helper()
	account, err := kube.Client().CoreV1().ServiceAccounts(pod.Namespace).Get(t.Context(), "default", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	check := func(claim string, got, want any) {
		if got != want {
			t.Errorf("%s is %v, want %v", claim, got, want)
		}
	}
	check("iss", claims.Issuer, kube.Issuer())
	check("sub", claims.Subject, "system:serviceaccount:"+pod.Namespace+":default")
	check("aud", strings.Join(claims.Audience, " "), "vault")
	check("exp - iat", claims.Expiry-claims.IssuedAt, int64(2*time.Hour/time.Second))
	check("nbf", claims.NotBefore, claims.IssuedAt)
	check("namespace", claims.Kubernetes.Namespace, pod.Namespace)
	check("pod", claims.Kubernetes.Pod, relyingparty.Object{Name: pod.Name, UID: string(pod.UID)})
	check("serviceaccount", claims.Kubernetes.ServiceAccount, relyingparty.Object{Name: "default", UID: string(account.UID)})
}
