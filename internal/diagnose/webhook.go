package diagnose

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/oidc-injector/oidc-injector/internal/report"
)

// registered says whether API servers know of the webhook, and can trust and reach it.
func (w *Webhook) registered(now time.Time) []Step {
	r := w.Registration
	if r == nil {
		return []Step{w.notRegistered()}
	}
	steps := make([]Step, 0, 4)
	steps = append(steps,
		pass("registered", "MutatingWebhookConfiguration %s has %s, failurePolicy %s", r.Configuration, r.Name, failurePolicy(r)),
		w.caBundle(now))
	return append(steps, w.replicas()...)
}

func failurePolicy(r *Registration) admissionregistrationv1.FailurePolicyType {
	if r.FailurePolicy == nil {
		return admissionregistrationv1.Fail // the default of admissionregistration.k8s.io/v1
	}
	return *r.FailurePolicy
}

// webhookName is that of the webhook for pods.
func (w *Webhook) webhookName() string { return "pods." + string(w.Prefix) }

func (w *Webhook) notRegistered() Step {
	if w.hides(RegistrationsUnread) {
		return unknown("registered", "could not read MutatingWebhookConfigurations")
	}
	fix := "helm install oidc-injector charts/oidc-injector --namespace oidc-injector --create-namespace"
	if i := w.Installation; i != nil && i.Release != "" {
		fix = fmt.Sprintf("helm get manifest %s --namespace %s | kubectl apply -f -", i.Release, i.Namespace)
	}
	return fail("registered", fix, "no MutatingWebhookConfiguration has the webhook %s, so that API servers do not call it",
		w.webhookName())
}

// What the [Unread] of the webhook's registration, and of its configuration, are called.
const (
	RegistrationsUnread = "MutatingWebhookConfigurations"
	ConfigurationUnread = "configuration"
)

// answers is said of a webhook that does.
const answers = "the webhook answers"

// byPolicies reports whether policies inject, and no webhook can.
func (w *Webhook) byPolicies() bool { return w.Policies != nil && w.Registration == nil }

// says chooses what is said of a webhook, or of policies where there are some, which come first.
func (w *Webhook) says(ofWebhook, ofPolicies string) string {
	if w.Policies != nil {
		return ofPolicies
	}
	return ofWebhook
}

// hides reports whether something could not be read.
func (w *Webhook) hides(what string) bool {
	return slices.ContainsFunc(w.Unread, func(u Unread) bool { return u.What == what })
}

// soon is how long before its end a certificate authority is worth a warning. The webhook's
// own are replaced earlier.
const soon = 14 * 24 * time.Hour

// caBundle judges the certificates by which API servers verify the webhook.
func (w *Webhook) caBundle(now time.Time) Step {
	const name = "caBundle"
	bundle := w.Registration.ClientConfig.CABundle
	if len(bundle) == 0 {
		if w.Registration.ClientConfig.URL != nil {
			return pass(name, "empty: API servers verify the webhook by the authorities of their system")
		}
		return fail(name, w.trust(), "empty, so that API servers cannot verify the webhook")
	}
	latest, err := latestCertificate(bundle)
	if err != nil {
		return fail(name, w.trust(), "%v", err)
	}
	at, left := latest.NotAfter.UTC().Format(time.RFC3339), latest.NotAfter.Sub(now)
	switch {
	case left <= 0:
		return fail(name, w.trust(), "the certificate ended at %s, %s ago", at, report.Rough(left))
	case latest.NotBefore.After(now):
		return fail(name, w.trust(), "the certificate begins at %s: set the clocks", latest.NotBefore.UTC().Format(time.RFC3339))
	case left < soon:
		return warn(name, w.trust(), "the certificate ends at %s, in %s", at, report.Rough(left))
	default:
		return pass(name, "valid until %s, in %s", at, report.Rough(left))
	}
}

// latestCertificate is the one that ends last: while an authority is replaced, a bundle has
// two.
func latestCertificate(bundle []byte) (*x509.Certificate, error) {
	var latest *x509.Certificate
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("it has a certificate that cannot be read: %w", err)
		}
		if latest == nil || c.NotAfter.After(latest.NotAfter) {
			latest = c
		}
	}
	if latest == nil {
		return nil, errNoCertificate
	}
	return latest, nil
}

// replicas says whether there is somebody to answer.
func (w *Webhook) replicas() []Step {
	var steps []Step
	if i := w.Installation; i != nil {
		switch {
		case i.Replicas == 0:
			return []Step{fail("replicas", fmt.Sprintf("kubectl scale deployment/%s --namespace %s --replicas=2", i.Name, i.Namespace),
				"deployment %s/%s is scaled to 0", i.Namespace, i.Name)}
		case i.Ready == 0:
			steps = append(steps, fail("replicas", w.restart(), "none of the %d pods of deployment %s/%s is ready", i.Replicas,
				i.Namespace, i.Name))
		case i.Ready < i.Replicas:
			steps = append(steps, warn("replicas", "", "%d of %d pods of deployment %s/%s are ready", i.Ready, i.Replicas, i.Namespace,
				i.Name))
		default:
			steps = append(steps, pass("replicas", "%d of %d pods of deployment %s/%s are ready", i.Ready, i.Replicas, i.Namespace, i.Name))
		}
	}
	s := w.Registration.ClientConfig.Service
	switch {
	case s == nil && w.Registration.ClientConfig.URL != nil:
		steps = append(steps, pass("service", "none: API servers call %s", *w.Registration.ClientConfig.URL))
	case s == nil || w.Registration.Ready == nil:
	case *w.Registration.Ready == 0:
		steps = append(steps, fail("service", w.restart(), "Service %s/%s has no ready endpoint", s.Namespace, s.Name))
	default:
		steps = append(steps, pass("service", "Service %s/%s has %d ready endpoints", s.Namespace, s.Name, *w.Registration.Ready))
	}
	return steps
}

// trust has API servers verify the webhook by its authorities: what is in capitals are these.
func (w *Webhook) trust() string {
	i := w.Installation
	switch {
	case i != nil && i.Managed:
		return w.restart() // which writes the bundle
	case i != nil && i.Release != "":
		return fmt.Sprintf("helm upgrade %s charts/oidc-injector --namespace %s --reuse-values "+
			"--set-file certificates.secret.caBundle=FILE", i.Release, i.Namespace)
	default:
		return fmt.Sprintf(`kubectl patch mutatingwebhookconfiguration %s --type json `+
			`--patch '[{"op":"add","path":"/webhooks/%d/clientConfig/caBundle","value":"CA_IN_BASE64"}]'`,
			w.Registration.Configuration, w.Registration.Index)
	}
}

// restart has the webhook begin anew, which then repairs its certificates and registration.
func (w *Webhook) restart() string {
	if i := w.Installation; i != nil {
		return fmt.Sprintf("kubectl rollout restart deployment/%s --namespace %s", i.Name, i.Namespace)
	}
	if w.Registration == nil {
		return "kubectl get mutatingwebhookconfigurations"
	}
	return "kubectl describe mutatingwebhookconfiguration " + w.Registration.Configuration
}

// unread are steps about what could not be read.
func (w *Webhook) unread() []Step {
	steps := make([]Step, 0, len(w.Unread))
	for _, u := range w.Unread {
		steps = append(steps, unknown(u.What, "%s", u.Why))
	}
	return steps
}
