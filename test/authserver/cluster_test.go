package authserver_test

import (
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/test/authserver"
	"github.com/oidc-injector/oidc-injector/test/cluster"
)

// TestCluster logs in with the token of a pod of a real cluster, in all three
// ways.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED, a cluster takes some seconds")
	}
	c := cluster.StartForTest(t, cluster.Options{})
	s := authserver.StartForTest(t, authserver.Options{IssuerURL: c.Issuer(), IssuerCA: c.CA(), Audience: audience})
	if err := c.Namespace(t.Context(), "prod", nil); err != nil {
		t.Fatal(err)
	}
	const realSubject = "system:serviceaccount:prod:default"
	s.Allow("billing", realSubject)
	token := podToken(t, c)

	// As long as nobody may read the issuer's keys, that is a failure of servers.
	form := flows[1].form(token)
	wantError(t, ask(t, s, form), http.StatusInternalServerError, "server_error")
	if err := c.AllowDiscovery(t.Context()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ask(t, s, form).status != http.StatusOK; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the token is not accepted")
		}
	}

	for _, f := range flows {
		a := ask(t, s, f.form(token))
		if a.status != http.StatusOK {
			requests := s.Requests()
			t.Errorf("%s: got %d %s: %s", f.name, a.status, a.Error, requests[len(requests)-1].Refusal)
			continue
		}
		want := f.subject
		if want == subject {
			want = realSubject
		}
		if got, err := s.Verify(t.Context(), a.AccessToken); err != nil || got.Subject != want {
			t.Errorf("%s: got %+v, %v", f.name, got, err)
		}
	}
	other := authserver.StartForTest(t, authserver.Options{
		IssuerURL: c.Issuer(), IssuerCA: c.CA(), Clients: map[string][]string{"billing": {realSubject}},
	})
	for _, f := range flows {
		wantError(t, ask(t, other, f.form(token)), f.status, f.err)
	}
}

func podToken(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	pod, err := c.Client().CoreV1().Pods("prod").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "billing-0"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: cluster.ToolboxImage}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	expiration := int64(600)
	token, err := c.RequestToken(t.Context(), pod, &corev1.ServiceAccountTokenProjection{
		Audience:          audience,
		ExpirationSeconds: &expiration,
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}
