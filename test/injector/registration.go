package injector

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/binding"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

const (
	// WebhookName is what denials and audit annotations begin with, where the prefix is
	// the usual one.
	WebhookName = webhookNames + annotations.DefaultPrefix
	// webhookNames are names with the prefix behind.
	webhookNames = "pods."
)

// configurationName sorts, with the usual prefix, before that of most others, in the
// order in which the API server calls webhooks.
func (o *Options) configurationName() string { return strings.ReplaceAll(o.Prefix, ".io", "") }

// register creates the MutatingWebhookConfiguration and waits until the API
// server acts by it.
func (in *Injector) register(ctx context.Context) error {
	ca, err := in.CA()
	if err != nil {
		return fmt.Errorf("could not read the webhook's certificate: %w", err)
	}
	condition, err := in.options.condition()
	if err != nil {
		return err
	}
	webhooks := in.cluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations()
	if _, err := webhooks.Create(ctx, in.options.configuration(in.URL(), ca, condition), metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("could not register the webhook: %w", err)
	}
	return in.waitRegistered(ctx)
}

// Upgrade does what an upgrade of the chart does: it changes the configuration, and the
// registration with it. Both are in force a moment later.
func (in *Injector) Upgrade(ctx context.Context, content string) error {
	in.options.Config = content
	condition, err := in.options.condition()
	if err != nil {
		return err
	}
	webhooks := in.cluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations()
	configuration, err := webhooks.Get(ctx, in.options.configurationName(), metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("could not read the webhook's registration: %w", err)
	}
	configuration.Webhooks[0].MatchConditions[0].Expression = condition
	if _, err := webhooks.Update(ctx, configuration, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("could not change the webhook's registration: %w", err)
	}
	return in.SetConfig(content)
}

// condition keeps pods that nothing is said of from being sent to us. A debug container
// comes with its whole pod.
func (o *Options) condition() (string, error) {
	environment := config.Environment{Prefix: annotations.Prefix(o.Prefix)}
	if o.Config == "" {
		return config.Default(environment).Bindings.MatchCondition(environment.Prefix), nil
	}
	c, err := config.Parse([]byte(o.Config), environment)
	if err != nil {
		return "", err
	}
	return c.Bindings.MatchCondition(environment.Prefix), nil
}

func (o *Options) configuration(url string, ca []byte, condition string) *admissionregistrationv1.MutatingWebhookConfiguration {
	rule := func(operation admissionregistrationv1.OperationType, resource string) admissionregistrationv1.RuleWithOperations {
		scope := admissionregistrationv1.NamespacedScope
		return admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{operation},
			Rule: admissionregistrationv1.Rule{
				APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{resource}, Scope: &scope,
			},
		}
	}
	return &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: o.configurationName()},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name:         webhookNames + o.Prefix,
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: ca},
			Rules: []admissionregistrationv1.RuleWithOperations{
				rule(admissionregistrationv1.Create, "pods"),
				rule(admissionregistrationv1.Update, "pods/ephemeralcontainers"),
			},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{EnabledLabel: "true"}},
			MatchConditions:         []admissionregistrationv1.MatchCondition{{Name: binding.ConditionName, Expression: condition}},
			ReinvocationPolicy:      new(admissionregistrationv1.IfNeededReinvocationPolicy),
			FailurePolicy:           new(admissionregistrationv1.Fail),
			SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
			TimeoutSeconds:          new(int32(5)),
			AdmissionReviewVersions: []string{"v1"},
		}},
	}
}

// waitRegistered creates pods in a dry run until one comes back injected: the
// API server learns of a webhook a moment after its creation.
func (in *Injector) waitRegistered(ctx context.Context) error {
	const namespace = "oidc-injector-probe"
	if err := in.cluster.Namespace(ctx, namespace, map[string]string{EnabledLabel: "true"}); err != nil {
		return err
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "probe",
			Annotations: map[string]string{in.options.Prefix + "/" + annotations.Audience: "probe"},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "probe", Image: "probe"}}},
	}
	var last error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		created, err := in.cluster.Client().CoreV1().Pods(namespace).
			Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if last = err; err != nil {
			// A policy that allows few audiences denies this one, which shows as much.
			return strings.Contains(err.Error(), strconv.Quote(webhookNames+in.options.Prefix)+" denied the request"), nil
		}
		return created.Annotations[in.options.Prefix+"/"+annotations.Status] != "", nil
	})
	if err != nil {
		return fmt.Errorf("could not wait for the API server to call the webhook: %w (last: %w)", err, last)
	}
	return nil
}
