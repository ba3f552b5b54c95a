package shapes

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// TestTwoReleases has two webhooks with prefixes of their own, each called
// again after the other. Neither gives anything to the other's login container.
func TestTwoReleases(t *testing.T) {
	const prefix = "tokens.example.com"
	second, err := injector.Start(t.Context(), kube, injector.Options{Dir: t.TempDir(), Config: configuration, Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := second.Stop(); err != nil {
			t.Error(err)
		}
	}()
	login := []string{"audience=vault", "login=vault", "login-address=https://vault.example.com", "login-role=app"}
	pod := podtest.New("two", login...)
	for key, value := range podtest.New("", login...).Annotations {
		pod.Annotations[prefix+"/"+key[len(podtest.Prefix):]] = value
	}
	got := podtest.Create(t, kube, ns, pod)

	mounts := map[string][]string{}
	for _, c := range slices.Concat(got.Spec.InitContainers, got.Spec.Containers) {
		for _, m := range c.VolumeMounts {
			if m.Name[:4] != "kube" {
				mounts[c.Name] = append(mounts[c.Name], m.Name+" "+m.MountPath)
			}
		}
	}
	first, other := []string{"oidc-token /var/run/secrets/tokens", "oidc-login /var/run/secrets/login"},
		[]string{
			"tokens-d94d-oidc-token /var/run/secrets/tokens.example.com/tokens",
			"tokens-d94d-oidc-login /var/run/secrets/tokens.example.com/login",
		}
	for _, list := range mounts {
		slices.Sort(list)
	}
	slices.Sort(first)
	slices.Sort(other)
	want := map[string][]string{"oidc-login": first, "tokens-d94d-oidc-login": other, "app": slices.Concat(first, other)}
	if diff := cmp.Diff(want, mounts); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
	for _, p := range []string{podtest.Prefix, prefix + "/"} {
		if got.Annotations[p+"status"] == "" {
			t.Errorf("there is no annotation %sstatus", p)
		}
	}
	named := func(v corev1.Volume) bool { return v.Name == "tokens-d94d-oidc-token" }
	if !slices.ContainsFunc(got.Spec.Volumes, named) {
		t.Error("the second token has no volume")
	}
}
