package certs

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	applyadmissionregistrationv1 "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	admissionregistrationclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

const (
	// fieldManager owns the caBundle, and nothing else of the configuration.
	fieldManager = "oidc-injector-certificates"
	// callTimeout bounds one call to the API server.
	callTimeout = 10 * time.Second
)

// errConflict means that an object is not the one any more that was read.
var errConflict = errors.New("the object was modified concurrently")

// hook is one webhook of the configuration, as an API server calls it.
type hook struct {
	name   string
	host   string // the name that the certificate has to have
	bundle []byte
	// conditions are its match conditions, by their names.
	conditions map[string]string
}

// configuration is what we need of a MutatingWebhookConfiguration.
type configuration struct {
	uid             types.UID
	resourceVersion string
	hooks           []hook
}

func (c *configuration) bundles() [][]byte {
	if c == nil {
		return nil
	}
	bundles := make([][]byte, 0, len(c.hooks))
	for _, h := range c.hooks {
		bundles = append(bundles, h.bundle)
	}
	return bundles
}

// cluster is what certificates need of the API server. All reads are answered by
// what is stored at that time, never by a cache.
type cluster interface {
	// getConfiguration and getSecret return nil where there is none.
	getConfiguration(ctx context.Context) (*configuration, error)
	getSecret(ctx context.Context) (*corev1.Secret, error)
	// createSecret, updateSecret and applyBundle fail with errConflict if there
	// is another object than the one that was read.
	createSecret(ctx context.Context, secret *corev1.Secret) error
	updateSecret(ctx context.Context, secret *corev1.Secret) error
	// applyBundle returns what the configuration is then.
	applyBundle(ctx context.Context, to *configuration, bundle []byte) (*configuration, error)
}

// apiServer is the cluster proper.
type apiServer struct {
	secrets           coreclient.SecretInterface
	secretName        string
	configurations    admissionregistrationclient.MutatingWebhookConfigurationInterface
	configurationName string
	// read are the resource versions of the two objects as they were last read, where
	// watches begin; empty where there was none. One goroutine at a time has them.
	read struct{ secret, configuration string }
}

// newAPIServer connects to the API server; the Secret may be left out.
func newAPIServer(config *rest.Config, clock *apiClock, configurationName, namespace, secretName string) (*apiServer, error) {
	config = rest.CopyConfig(config)
	config.Wrap(clock.wrap)
	// There are a handful of calls a minute. When something has to be repaired,
	// the default limit of 5 a second would only make it take longer.
	config.QPS, config.Burst = 20, 50
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("could not prepare to call the API server: %w", err)
	}
	core, err := coreclient.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("could not prepare to call the API server: %w", err)
	}
	registration, err := admissionregistrationclient.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("could not prepare to call the API server: %w", err)
	}
	return &apiServer{
		secrets: core.Secrets(namespace), secretName: secretName,
		configurations: registration.MutatingWebhookConfigurations(), configurationName: configurationName,
	}, nil
}

func (a *apiServer) getConfiguration(ctx context.Context) (*configuration, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	a.read.configuration = ""
	object, err := a.configurations.Get(ctx, a.configurationName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // that there is none is no error
	}
	if err != nil {
		return nil, fmt.Errorf("could not read the webhook configuration: %w", err)
	}
	a.read.configuration = object.ResourceVersion
	return summary(object), nil
}

func summary(object *admissionregistrationv1.MutatingWebhookConfiguration) *configuration {
	c := &configuration{uid: object.UID, resourceVersion: object.ResourceVersion}
	for i := range object.Webhooks {
		w := &object.Webhooks[i]
		conditions := make(map[string]string, len(w.MatchConditions))
		for _, condition := range w.MatchConditions {
			conditions[condition.Name] = condition.Expression
		}
		c.hooks = append(c.hooks, hook{
			name: w.Name, host: hostOf(w.ClientConfig), bundle: w.ClientConfig.CABundle, conditions: conditions,
		})
	}
	return c
}

// hostOf is the name by which an API server verifies the certificate.
func hostOf(c admissionregistrationv1.WebhookClientConfig) string {
	if c.Service != nil {
		return c.Service.Name + "." + c.Service.Namespace + ".svc"
	}
	if c.URL == nil {
		return ""
	}
	u, err := url.Parse(*c.URL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func (a *apiServer) getSecret(ctx context.Context) (*corev1.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	a.read.secret = ""
	secret, err := a.secrets.Get(ctx, a.secretName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // that there is none is no error
	}
	if err != nil {
		return nil, fmt.Errorf("could not read the Secret of the CA: %w", err)
	}
	a.read.secret = secret.ResourceVersion
	return secret, nil
}

// createSecret creates by server-side apply: a create proper cannot be allowed
// for one name only, as its URL has none, but this can. It does not force, and
// each attempt has a name of its own, so that of several replicas all but the
// first are told that the fields are somebody else's.
func (a *apiServer) createSecret(ctx context.Context, secret *corev1.Secret) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	attempt := make([]byte, 4)
	_, _ = rand.Read(attempt) // never fails
	apply := applycorev1.Secret(a.secretName, secret.Namespace).
		WithType(secret.Type).WithLabels(secret.Labels).WithAnnotations(secret.Annotations).WithData(secret.Data)
	_, err := a.secrets.Apply(ctx, apply, metav1.ApplyOptions{FieldManager: fieldManager + "-" + hex.EncodeToString(attempt)})
	if err != nil {
		return fmt.Errorf("could not create the Secret of the CA: %w", orConflict(err))
	}
	return nil
}

func (a *apiServer) updateSecret(ctx context.Context, secret *corev1.Secret) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := a.secrets.Update(ctx, secret, metav1.UpdateOptions{FieldManager: fieldManager}); err != nil {
		return fmt.Errorf("could not write the Secret of the CA: %w", orConflict(err))
	}
	return nil
}

// applyBundle says nothing but the caBundle of each webhook, so that everything
// else stays its owner's. Uid and resource version make it a conflict if the
// configuration is another one by now, or gone: apply would create it.
func (a *apiServer) applyBundle(ctx context.Context, to *configuration, bundle []byte) (*configuration, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	apply := applyadmissionregistrationv1.MutatingWebhookConfiguration(a.configurationName).
		WithUID(to.uid).WithResourceVersion(to.resourceVersion)
	for _, h := range to.hooks {
		apply.WithWebhooks(applyadmissionregistrationv1.MutatingWebhook().WithName(h.name).
			WithClientConfig(applyadmissionregistrationv1.WebhookClientConfig().WithCABundle(bundle...)))
	}
	applied, err := a.configurations.Apply(ctx, apply, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if err != nil {
		return nil, fmt.Errorf("could not write the CA bundle into the webhook configuration: %w", orConflict(err))
	}
	a.read.configuration = applied.ResourceVersion
	return summary(applied), nil
}

// orConflict is errConflict where the error says that the object has changed or
// is gone.
func orConflict(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
		return errors.Join(errConflict, err)
	}
	return err
}

func (a *apiServer) watchConfiguration(ctx context.Context) (watch.Interface, error) {
	return a.configurations.Watch(ctx, oneObject(a.configurationName, a.read.configuration))
}

func (a *apiServer) watchSecret(ctx context.Context) (watch.Interface, error) {
	return a.secrets.Watch(ctx, oneObject(a.secretName, a.read.secret))
}

// oneObject watches an object from a version on; from what there is, if it is empty.
func oneObject(name, version string) metav1.ListOptions {
	return metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name).String(), ResourceVersion: version,
	}
}
