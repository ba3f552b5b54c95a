package certs

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The names of metrics.
const (
	repairs   = "oidc_injector_certificate_repairs_total"
	rotations = "oidc_injector_certificate_rotations_total"
	selfProbe = "oidc_injector_certificate_self_probe_success"
	failures  = "oidc_injector_certificate_sync_failures_total"
)

// startTogether starts replicas at once, as a Deployment does, and waits until
// they are ready and the Service leads to all of them.
func (in *installation) startTogether(t *testing.T, n int, flags ...string) {
	t.Helper()
	for range n {
		in.start(t, flags...)
	}
	for _, r := range in.replicas {
		took := r.awaitReady(t)
		t.Logf("ready after %v", took)
		if took > 5*time.Second {
			t.Errorf("ready after %v", took)
		}
	}
	eventually(t, "the Service leads to all replicas", func() bool {
		in.balancer.mu.Lock()
		defer in.balancer.mu.Unlock()
		for _, r := range in.replicas {
			if !in.balancer.up[r] {
				return false
			}
		}
		return true
	})
}

func TestFreshInstall(t *testing.T) {
	for name, prepare := range map[string]func(in *installation){
		"empty": func(*installation) {},
		"missing": func(in *installation) {
			if err := kube.Client().CoreV1().Secrets(in.namespace).Delete(t.Context(), secretName, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run("with the Secret "+name, func(t *testing.T) {
			in := install(t, "fresh-"+name)
			prepare(in)
			in.startTogether(t, 3)
			bundle := in.bundle(t)
			if got := subjects(t, bundle); len(got) != 1 {
				t.Errorf("the bundle holds %q, want the one CA that all replicas share", got)
			}
			if got := in.secret(t).Data["ca.crt"]; !bytes.Equal(got, bundle) {
				t.Errorf("ca.crt is %s", got)
			}
			l := startLoad(t, in)
			time.Sleep(time.Second)
			l.expectNoFailure(t)
			for _, kind := range []string{repairs, rotations, failures} {
				if n := in.total(t, kind); n != 0 {
					t.Errorf("%s is %v", kind, n)
				}
			}
			if n := in.total(t, selfProbe); n != 3 {
				t.Errorf("%v self-probes succeed", n)
			}
		})
	}
}

// TestFieldOwnership shows that nobody sees drift, and that nobody who does
// not name the caBundle changes it.
func TestFieldOwnership(t *testing.T) {
	in := install(t, "ownership")
	in.start(t).awaitReady(t)
	var ours []map[string]any
	for _, entry := range in.registered(t).ManagedFields {
		if strings.HasPrefix(entry.Manager, "oidc-injector") {
			var fields map[string]any
			if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
				t.Fatal(err)
			}
			ours = append(ours, fields)
		}
	}
	want := []map[string]any{{"f:webhooks": map[string]any{
		`k:{"name":"` + webhookName + `"}`: map[string]any{
			".": map[string]any{}, "f:name": map[string]any{}, "f:clientConfig": map[string]any{"f:caBundle": map[string]any{}},
		},
	}}}
	if diff := cmp.Diff(want, ours); diff != "" {
		t.Errorf("our fields (-want +got):\n%s", diff)
	}

	bundle := in.bundle(t)
	upgraded := in.configuration()
	upgraded.Webhooks[0].TimeoutSeconds = new(int32(7))
	manifest, err := json.Marshal(upgraded)
	if err != nil {
		t.Fatal(err)
	}
	webhooks := kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations()
	for _, how := range []types.PatchType{types.ApplyPatchType, types.StrategicMergePatchType} { // Helm 4 and Argo CD; Helm 3 and kubectl
		options := metav1.PatchOptions{FieldManager: "helm"}
		if how == types.ApplyPatchType {
			options.Force = new(true)
		}
		after, err := webhooks.Patch(t.Context(), in.namespace, how, manifest, options)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(after.Webhooks[0].ClientConfig.CABundle, bundle) || *after.Webhooks[0].TimeoutSeconds != 7 {
			t.Errorf("after an upgrade by %s: %+v", how, after.Webhooks[0])
		}
	}
}

// TestRotation rotates serving certificates and CA several times.
func TestRotation(t *testing.T) {
	in := install(t, "rotation")
	in.startTogether(t, 2, "--ca-duration=45s", "--certificate-duration=15s")
	l := startLoad(t, in)
	eventuallyWithin(t, 3*time.Minute, "the CA was rotated three times",
		func() bool { return in.total(t, rotations, "certificate", "ca") >= 3 })
	// One more, that somebody asks for, once both replicas have seen the last one: a
	// bundle that one of them writes late would count as damage to the other.
	time.Sleep(3 * time.Second)
	before := in.total(t, rotations, "certificate", "ca")
	annotation := []byte(`{"metadata":{"annotations":{"oidc-injector.io/rotate-ca":"now"}}}`)
	if _, err := kube.Client().CoreV1().Secrets(in.namespace).Patch(t.Context(), secretName, types.MergePatchType, annotation,
		metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	took := eventually(t, "the CA was rotated because of the annotation",
		func() bool { return in.total(t, rotations, "certificate", "ca") > before })
	t.Logf("rotated by the annotation after %v", took)
	if _, there := in.secret(t).Annotations["oidc-injector.io/rotate-ca"]; there {
		t.Error("the annotation is still there")
	}
	t.Logf("%v serving certificates rotated", in.total(t, rotations, "certificate", "serving"))
	l.expectNoFailure(t)
	if n := in.total(t, repairs); n != 0 {
		t.Errorf("%v things were healed, although nothing was broken", n)
	}
}

// TestSecretDamaged does to the Secret what people do.
func TestSecretDamaged(t *testing.T) {
	in := install(t, "secret")
	in.startTogether(t, 2)
	l := startLoad(t, in)
	secrets := kube.Client().CoreV1().Secrets(in.namespace)
	healthy := in.secret(t)
	update := func(change func(data map[string][]byte)) func() error {
		return func() error {
			secret := in.secret(t)
			change(secret.Data)
			_, err := secrets.Update(t.Context(), secret, metav1.UpdateOptions{})
			return err
		}
	}
	for _, tt := range []struct {
		name, kind string
		damage     func() error
	}{
		{"deleted", "secret_missing", func() error { return secrets.Delete(t.Context(), secretName, metav1.DeleteOptions{}) }},
		{"emptied", "secret_corrupted", update(func(data map[string][]byte) { clear(data) })},
		{"key is garbage", "secret_corrupted", update(func(data map[string][]byte) { data["tls.key"] = []byte("garbage") })},
		{"key is gone", "secret_corrupted", update(func(data map[string][]byte) { delete(data, "tls.key") })},
		{"certificate is cut", "secret_corrupted", update(func(data map[string][]byte) { data["tls.crt"] = data["tls.crt"][:100] })},
		{"bundle is garbage", "secret_corrupted", update(func(data map[string][]byte) { data["ca.crt"] = []byte("garbage") })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := in.total(t, repairs, "kind", tt.kind)
			if err := tt.damage(); err != nil {
				t.Fatal(err)
			}
			took := eventually(t, "the Secret is as it was", func() bool {
				secret, err := secrets.Get(t.Context(), secretName, metav1.GetOptions{})
				return err == nil && cmp.Equal(secret.Data, healthy.Data) && cmp.Equal(secret.Labels, healthy.Labels)
			})
			// Two may have done it in the same moment: they write the same.
			eventually(t, "somebody counts it", func() bool { return in.total(t, repairs, "kind", tt.kind) > before })
			t.Logf("healed after %v", took)
		})
	}
	l.expectNoFailure(t)
	if n := in.total(t, rotations); n != 0 {
		t.Errorf("%v certificates were rotated", n)
	}
}

// TestForeignCA replaces the CA by that of another installation, as
// a restored backup may.
func TestForeignCA(t *testing.T) {
	other := install(t, "other")
	other.start(t).awaitReady(t)
	in := install(t, "restored")
	in.startTogether(t, 2, "--certificate-duration=20s", "--ca-duration=1h") // settles after 2 s
	l := startLoad(t, in)
	old, backup := in.secret(t), other.secret(t)
	secret := in.secret(t)
	secret.Data = backup.Data
	if _, err := kube.Client().CoreV1().Secrets(in.namespace).Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are trusted", func() bool { return len(subjects(t, in.bundle(t))) == 2 })
	eventually(t, "all replicas serve by the other CA", func() bool {
		for _, r := range in.replicas {
			if in.verify(t.Context(), r, backup.Data["tls.crt"]) != nil {
				return false
			}
		}
		return true
	})
	if n := in.total(t, repairs, "kind", "ca_forgotten"); n == 0 {
		t.Error("nobody says that the CA was another one")
	}
	eventuallyWithin(t, 2*time.Minute, "the old CA has left", func() bool { return !bytes.Contains(in.bundle(t), old.Data["tls.crt"]) })
	l.report(t)
	// A moment in which the restored CA alone is in the bundle is possible: a
	// replica writes it there before the other has said what it serves by.
	if len(l.failures) > 2 {
		t.Errorf("%d pods failed", len(l.failures))
	}
}

// TestBundleOverwritten measures what fails until then.
func TestBundleOverwritten(t *testing.T) {
	in := install(t, "bundle")
	in.startTogether(t, 2)
	bundle := in.bundle(t)
	l := startLoad(t, in)
	foreign := string(kube.CA())
	var total time.Duration
	const rounds = 8
	var overwritten []time.Time
	for i := range rounds {
		time.Sleep(2 * time.Second)
		overwritten = append(overwritten, time.Now())
		in.patchBundle(t, []string{"", foreign}[i%2])
		took := eventually(t, "the bundle is right again", func() bool { return bytes.Equal(in.bundle(t), bundle) })
		total += took
	}
	t.Logf("healed after %v on average", total/rounds)
	l.report(t)
	if n := in.total(t, repairs, "kind", "ca_bundle_overwritten"); n != rounds {
		t.Errorf("%v bundles healed, want %d", n, rounds)
	}
	for _, f := range slices.Concat(l.failures, l.refused) {
		if !slices.ContainsFunc(overwritten, func(at time.Time) bool { return f.at.After(at) && f.at.Before(at.Add(time.Second)) }) {
			t.Errorf("a failure when all was well: %s", f.text)
		}
	}
	eventually(t, "the self-probes succeed", func() bool { return in.total(t, selfProbe) == 2 })
}

// TestConfigurationRecreated reinstalls the configuration, while
// the replicas run.
func TestConfigurationRecreated(t *testing.T) {
	in := install(t, "recreated")
	in.startTogether(t, 2)
	bundle := in.bundle(t)
	in.unregister(t)
	time.Sleep(time.Second)
	for _, r := range in.replicas {
		if why := r.readiness(t.Context()); why != "" {
			t.Errorf("not ready while there is no configuration: %s", why)
		}
		if r.metric(t, selfProbe) != 0 {
			t.Error("the self-probe finds something")
		}
	}
	in.register(t)
	took := eventually(t, "the bundle is there", func() bool { return bytes.Equal(in.bundle(t), bundle) })
	t.Logf("filled after %v", took)
	eventually(t, "the self-probes succeed", func() bool { return in.total(t, selfProbe) == 2 })
	l := startLoad(t, in)
	time.Sleep(time.Second)
	l.expectNoFailure(t)
}

// TestAPIServerAway restarts it under load.
func TestAPIServerAway(t *testing.T) {
	in := install(t, "restart")
	in.startTogether(t, 2, "--ca-duration=60s", "--certificate-duration=20s")
	if err := kube.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	// Long enough for the certificates to come to their end.
	time.Sleep(25 * time.Second)
	for _, r := range in.replicas {
		if why := r.readiness(t.Context()); why != "" {
			t.Errorf("not ready while the API server is away: %s", why)
		}
	}
	if n := in.total(t, failures); n == 0 {
		t.Error("nobody misses the API server")
	}
	if err := kube.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	// They try again within a few seconds, each in its own time.
	eventually(t, "the certificates are valid again", func() bool { return in.total(t, selfProbe) == float64(len(in.replicas)) })
	l := startLoad(t, in)
	time.Sleep(10 * time.Second)
	eventually(t, "the CA is rotated as before", func() bool { return in.total(t, rotations, "certificate", "ca") > 0 })
	l.expectNoFailure(t)
}

// TestLongOutage starts replicas when everything has expired.
func TestLongOutage(t *testing.T) {
	in := install(t, "outage")
	first := in.start(t, "--ca-duration=30s", "--certificate-duration=10s")
	first.awaitReady(t)
	old := in.bundle(t)
	first.stop(t)
	in.replicas = nil
	time.Sleep(32 * time.Second)
	in.startTogether(t, 2)
	if got := subjects(t, in.bundle(t)); len(got) != 1 || bytes.Equal(in.bundle(t), old) {
		t.Errorf("the bundle holds %q", got)
	}
	if n := in.total(t, repairs, "kind", "ca_expired"); n != 1 {
		t.Errorf("%v CAs were found expired, want one", n)
	}
	l := startLoad(t, in)
	time.Sleep(time.Second)
	l.expectNoFailure(t)
}

// TestRights tries what the ServiceAccount may not do,
// above all to create another Secret.
func TestRights(t *testing.T) {
	in := install(t, "rights")
	client := in.client(t)
	secrets := client.CoreV1().Secrets(in.namespace)
	ctx := t.Context()
	_, getErr := secrets.Get(ctx, "other", metav1.GetOptions{})
	_, listErr := secrets.List(ctx, metav1.ListOptions{})
	_, watchErr := secrets.Watch(ctx, metav1.ListOptions{})
	_, createErr := secrets.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, metav1.CreateOptions{})
	_, ownErr := secrets.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: secretName}}, metav1.CreateOptions{})
	_, applyErr := secrets.Patch(ctx, "other", types.ApplyPatchType,
		[]byte(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"other"}}`),
		metav1.PatchOptions{FieldManager: "test"})
	_, elsewhereErr := client.CoreV1().Secrets("default").Get(ctx, secretName, metav1.GetOptions{})
	configurations := client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	_, otherErr := configurations.Get(ctx, "other", metav1.GetOptions{})
	_, listConfigurationsErr := configurations.List(ctx, metav1.ListOptions{})
	for what, err := range map[string]error{
		"get another Secret": getErr, "list Secrets": listErr, "watch Secrets": watchErr, "create another Secret": createErr,
		"create the Secret by a create proper": ownErr, "apply another Secret": applyErr, "get the Secret elsewhere": elsewhereErr,
		"get another configuration": otherErr, "list configurations": listConfigurationsErr,
		"delete the Secret":        secrets.Delete(ctx, secretName, metav1.DeleteOptions{}),
		"delete the configuration": configurations.Delete(ctx, in.namespace, metav1.DeleteOptions{}),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestEachRightIsNeeded takes one away at a time.
func TestEachRightIsNeeded(t *testing.T) {
	in := install(t, "no-right", func(in *installation) {
		in.secretRule.Verbs, in.configurationRule.Verbs = []string{"get"}, []string{"get"}
	})
	r := in.start(t)
	says := func(text string) {
		t.Helper()
		eventually(t, "the log says: "+text, func() bool { return r.log.Has(text) })
	}
	says(`could not write the Secret of the CA: secrets \"injector-ca\" is forbidden`)
	if err := kube.Client().CoreV1().Secrets(in.namespace).Delete(t.Context(), secretName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	in.setVerbs(t, []string{"get", "update", "watch"}, []string{"get"})
	says(`could not create the Secret of the CA: secrets \"injector-ca\" is forbidden`)
	says(`cannot patch resource \"secrets\"`)
	in.setVerbs(t, []string{"get", "update", "watch", "patch"}, []string{"get"})
	says(`cannot create resource \"secrets\"`)
	in.setVerbs(t, []string{"get", "update", "watch", "patch", "create"}, []string{"get"})
	says(`could not write the CA bundle into the webhook configuration: mutatingwebhookconfigurations.admissionregistration.k8s.io ` +
		`\"certs-no-right\" is forbidden`)
	if why := r.readiness(t.Context()); !strings.Contains(why,
		"self-probe of MutatingWebhookConfiguration certs-no-right: webhook pods.oidc-injector.io: its caBundle is empty") {
		t.Errorf("readiness: %q", why)
	}
	in.setVerbs(t, []string{"get", "update", "watch", "patch", "create"}, []string{"get", "patch"})
	r.awaitReady(t)
	says("certificates reconciled")
	in.setVerbs(t, nil, []string{"watch"})
	second := in.start(t)
	eventually(t, "the log says what is missing", func() bool {
		return second.log.Has(`could not read the webhook configuration: mutatingwebhookconfigurations.admissionregistration.k8s.io ` +
			`\"certs-no-right\" is forbidden`)
	})
	in.setVerbs(t, []string{"watch"}, []string{"get", "watch", "patch"})
	eventually(t, "the log says what is missing", func() bool {
		return second.log.Has(`could not read the Secret of the CA: secrets \"injector-ca\" is forbidden`)
	})
}

// TestFilesProbed is the mode in which cert-manager makes the
// certificate, and its CA injector writes the bundle.
func TestFilesProbed(t *testing.T) {
	in := install(t, "files", func(in *installation) { in.secretRule.Verbs = []string{"get"} })
	dir, ca := issueFiles(t, serviceName+"."+in.namespace+".svc")
	r := in.startWith(t, "--cert-dir="+dir, "--webhook-configuration-name="+in.namespace, "--kubeconfig="+in.kubeconfig)
	eventually(t, "it is not ready for want of a bundle", func() bool {
		return strings.Contains(r.readiness(t.Context()), "webhook pods.oidc-injector.io: its caBundle is empty")
	})
	in.patchBundle(t, string(ca))
	took := eventually(t, "it is ready", func() bool { return r.readiness(t.Context()) == "" })
	t.Logf("ready after %v", took)
	eventually(t, "the Service leads to it", func() bool { return in.balancer.pick() != nil })
	l := startLoad(t, in)
	time.Sleep(time.Second)
	l.expectNoFailure(t)
	in.patchBundle(t, string(kube.CA()))
	eventually(t, "the self-probe fails", func() bool { return r.metric(t, selfProbe) == 0 })
	if why := r.readiness(t.Context()); why != "" {
		t.Errorf("not ready at once: %s", why)
	}
	eventually(t, "it is not ready", func() bool {
		return strings.Contains(r.readiness(t.Context()), "its caBundle does not verify the serving certificate for "+
			"injector.certs-files.svc: x509: ")
	})
}

// TestInstallByURL has a certificate for the URL's host.
func TestInstallByURL(t *testing.T) {
	in := install(t, "url")
	r := in.start(t, "--certificate-extra-names=127.0.0.1")
	r.awaitReady(t)
	c := in.registered(t)
	c.Webhooks[0].ClientConfig.Service, c.Webhooks[0].ClientConfig.URL = nil, new("https://"+r.webhook+"/mutate")
	if _, err := kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Update(t.Context(), c,
		metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a pod is injected", func() bool {
		pod, err := kube.Client().CoreV1().Pods(in.pods).Create(t.Context(), newPod(),
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && injected(pod)
	})
	if r.metric(t, selfProbe) != 1 {
		t.Error("the self-probe does not go by the URL")
	}
}

// TestCallers has the API server present a token that it has issued
// for this webhook (KEP-6060), and others come without.
func TestCallers(t *testing.T) {
	in := install(t, "callers", func(in *installation) { in.port = callers.port })
	rules := []rbacv1.PolicyRule{{
		Verbs: []string{"attest"}, APIGroups: []string{"authentication.k8s.io"},
		Resources: []string{authenticationv1.AttestationAdmissionReviewAPIGroups}, ResourceNames: []string{"*"},
	}}
	meta := metav1.ObjectMeta{Name: "attest"}
	if _, err := kube.Client().RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules},
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := kube.Client().RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "default", Namespace: in.pods}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	base := "https://" + serviceName + "." + in.namespace + ".svc:" + callers.port
	issue := func(audience string, bound *authenticationv1.BoundObjectReference, groups ...string) (string, error) {
		spec := authenticationv1.TokenRequestSpec{Audiences: []string{audience}, BoundObjectRef: bound, ExpirationSeconds: new(int64(600))}
		if len(groups) > 0 {
			spec.Attestations = map[string]authenticationv1.AttestationValue{authenticationv1.AttestationAdmissionReviewAPIGroups: groups}
		}
		made, err := kube.Client().CoreV1().ServiceAccounts(in.pods).CreateToken(t.Context(), "default",
			&authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
		if err != nil {
			return "", err
		}
		return made.Status.Token, nil
	}
	ours := &authenticationv1.BoundObjectReference{
		APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingWebhookConfiguration",
		Name: in.namespace,
	}
	var token string
	eventually(t, "the API server issues a token", func() (issued bool) {
		var err error
		if token, err = issue(base+"/mutate", ours, "*"); err != nil {
			t.Log(err)
		}
		return err == nil
	})
	if err := os.WriteFile(callers.tokenFile, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	r := in.start(t, "--caller-token-audience="+base)
	r.awaitReady(t)
	eventually(t, "a pod is injected", func() bool {
		pod, err := kube.Client().CoreV1().Pods(in.pods).Create(t.Context(), newPod(),
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil && injected(pod)
	})

	anyToken, err := issue("vault", nil)
	if err != nil {
		t.Fatal(err)
	}
	other := *ours
	other.Name = in.namespace + "-other"
	if _, err := kube.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(),
		&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: other.Name}},
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	elsewhere, err := issue(base+"/mutate", &other, "*")
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	for what, test := range map[string]struct {
		authorization string
		want          int
	}{
		"no token": {"", http.StatusForbidden}, "a pod's token": {"Bearer " + anyToken, http.StatusForbidden},
		"the token of another registration": {"Bearer " + elsewhere, http.StatusForbidden},
		"the API server's token":            {"Bearer " + token, http.StatusBadRequest}, // what is sent is no review
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+r.webhook+"/mutate", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", test.authorization)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != test.want {
			t.Errorf("%s: %s %s", what, response.Status, text)
		}
	}
	if n := r.metric(t, "oidc_injector_refused_callers_total"); n != 3 {
		t.Errorf("%v callers were refused", n)
	}
}
