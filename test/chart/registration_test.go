package chart

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	admissionregistrationclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	"k8s.io/client-go/rest"

	"github.com/oidc-injector/oidc-injector/test/internal/podtest"
)

// staticManifests is the folder of policies that the API server reads from its own disk.
var staticManifests string

// TestDiskPolicyGuardsRegistration has the API server read the policy of
// examples/hardening, for the registration of another name.
func TestDiskPolicyGuardsRegistration(t *testing.T) {
	const name = "kept"
	example, err := os.ReadFile(filepath.Join(root, "examples", "hardening", "registration.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	manifest := strings.Replace(string(example), `metadata.name == "oidc-injector"`, `metadata.name == "`+name+`"`, 1)
	someCA := base64.StdEncoding.EncodeToString(kube.CA())
	as := func(user string, groups ...string) admissionregistrationclient.MutatingWebhookConfigurationInterface {
		config := rest.CopyConfig(kube.RESTConfig())
		config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:masters")}
		client, err := admissionregistrationclient.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		return client.MutatingWebhookConfigurations()
	}
	installer, admin := as("installer", "oidc-injector:installers"), as("admin")
	webhook := as("system:serviceaccount:oidc-injector:oidc-injector")
	registration := &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "a.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: new(admissionregistrationv1.SideEffectClassNone),
			ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{
				Name:      "a",
				Namespace: "a",
			}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{"example.com"}, APIVersions: []string{"v1"},
					Resources: []string{"none"},
				},
			}},
		}, {
			Name: "b.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: new(admissionregistrationv1.SideEffectClassNone),
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: new("https://example.com")},
		}},
	}
	if err := os.WriteFile(filepath.Join(staticManifests, "oidc-injector.yaml"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(filepath.Join(staticManifests, "oidc-injector.yaml")); err != nil {
			t.Error(err)
		}
	})
	podtest.Eventually(t, "the policy is in force", func(ctx context.Context) error {
		_, err := admin.Create(ctx, registration, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil || !strings.Contains(err.Error(), "only installers of oidc-injector change its registration") {
			return fmt.Errorf("the answer to its creation is %w", err)
		}
		return nil
	})
	if _, err := installer.Create(t.Context(), registration, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		patch          string
		admin, webhook bool // who may
	}{
		{`{"metadata":{"labels":{"a":"b"}}}`, true, true},
		{`{"webhooks":[{"name":"a.example.com","clientConfig":{"caBundle":"` + someCA +
			`"}},{"name":"b.example.com","clientConfig":{"caBundle":"` + someCA + `"}}]}`, false, true},
		{`{"metadata":{"annotations":{"cert-manager.io/inject-ca-from":"mine/mine"}}}`, false, false},
		{`{"webhooks":[{"name":"a.example.com","failurePolicy":"Ignore"}]}`, false, false},
		{`{"webhooks":[{"name":"a.example.com","timeoutSeconds":1}]}`, false, false},
		{`{"webhooks":[{"name":"a.example.com","namespaceSelector":{"matchLabels":{"a":"b"}}}]}`, false, false},
		{`{"webhooks":[{"name":"a.example.com","objectSelector":{"matchLabels":{"a":"b"}}}]}`, false, false},
		{`{"webhooks":[{"name":"a.example.com","matchConditions":[{"name":"never","expression":"false"}]}]}`, false, false},
		{`{"webhooks":[{"name":"a.example.com","matchPolicy":"Exact"}]}`, false, false},
		{`{"webhooks":[{"name":"a.example.com","reinvocationPolicy":"IfNeeded"}]}`, false, false},
		{`{"webhooks":[{"name":"a.example.com","sideEffects":"NoneOnDryRun"}]}`, false, false},
		{`{"webhooks":[{"name":"a.example.com","admissionReviewVersions":["v1","v1beta1"]}]}`, false, false},
		{`{"webhooks":[{"name":"a.example.com","rules":[]}]}`, false, false},
		{`{"webhooks":[{"name":"a.example.com","clientConfig":{"service":{"name":"mine","namespace":"a"}}}]}`, false, false},
		{`{"webhooks":[{"name":"b.example.com","clientConfig":{"url":"https://mine.example.com"}}]}`, false, false},
		{`{"webhooks":[{"$patch":"delete","name":"a.example.com"}]}`, false, false},
		{`{"webhooks":null}`, false, false},
		{`{"webhooks":[{"name":"c.example.com","admissionReviewVersions":["v1"],"sideEffects":"None",` +
			`"clientConfig":{"url":"https://c.example.com"}}]}`, false, false},
	} {
		for who, may := range map[string]bool{"admin": tt.admin, "webhook": tt.webhook, "installer": true} {
			client := map[string]admissionregistrationclient.MutatingWebhookConfigurationInterface{
				"admin": admin, "webhook": webhook,
				"installer": installer,
			}[who]
			_, err := client.Patch(t.Context(), name, types.StrategicMergePatchType, []byte(tt.patch),
				metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
			if (err == nil) != may {
				t.Errorf("%s patches with %s: %v", who, tt.patch, err)
			}
		}
	}
	for who, client := range map[string]admissionregistrationclient.MutatingWebhookConfigurationInterface{
		"admin":   admin,
		"webhook": webhook,
	} {
		if err := client.Delete(t.Context(), name, metav1.DeleteOptions{}); err == nil {
			t.Errorf("%s has deleted it", who)
		}
		if err := client.DeleteCollection(t.Context(), metav1.DeleteOptions{},
			metav1.ListOptions{FieldSelector: "metadata.name=" + name}); err == nil {
			t.Errorf("%s has deleted it with others", who)
		}
	}
	if err := installer.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}
