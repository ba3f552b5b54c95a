package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/cli/diagnose"
	"github.com/oidc-injector/oidc-injector/internal/issuer"
)

type checkOptions struct {
	clusterWebhookFlags
	outside, caFile, output string
	allowHTTP               bool
}

func newCheckCommand(g *globals) *cobra.Command {
	o := checkOptions{output: outputText}
	c := &cobra.Command{
		Use:   "check",
		Short: "Checks the installation and the cluster's issuer",
		Long: `Checks the installation and the cluster's issuer: whether the webhook is registered and
answers, its certificate, replicas, namespaces and configuration; the issuer's discovery
document and keys, who may read them, and the clocks.

An annotated pod is created by dry run, in the namespace of -n or else in one that is
served. Exit code 1 where there is a cross.`,
		Example: `  kubectl oidc-injector check
  kubectl oidc-injector check --from-outside https://issuer.example.com`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkOutput(o.output); err != nil {
				return err
			}
			return g.check(c.Context(), &o)
		},
	}
	o.add(c.Flags())
	c.Flags().StringVar(&o.outside, "from-outside", "",
		"URL of the issuer, from which discovery document and keys are fetched as a relying party does")
	c.Flags().StringVar(&o.caFile, "ca-file", "", "File with the certificate authorities of that URL; default those of the system")
	c.Flags().BoolVar(&o.allowHTTP, "allow-http", false, "Allow that URL to be without TLS, for a test")
	addOutput(c, &o.output)
	return c
}

func (g *globals) check(ctx context.Context, o *checkOptions) error {
	namespace, err := g.namespace()
	if err != nil {
		return err
	}
	r, webhook, err := g.clusterWebhook(ctx, &o.clusterWebhookFlags)
	if err != nil {
		return err
	}
	s := &diagnose.CheckSnapshot{Now: g.now()}
	r.tryNamespace(ctx, s, webhook, namespace)
	s.Webhook = *webhook
	if err := r.readIssuer(ctx, s, g.now); err != nil {
		return err
	}
	if o.outside != "" {
		source, err := newSource(o.caFile, o.allowHTTP)
		if err != nil {
			return err
		}
		fetched := fetch(ctx, source, o.outside, g.now)
		s.Outside = &fetched
	}
	steps := diagnose.Check(s)
	if o.output == outputJSON {
		err = printJSON(g.Out, map[string]any{"steps": steps})
	} else {
		printSteps(g.Out, g.style(), steps, true)
	}
	return errors.Join(err, outcomeOf(steps))
}

// tryNamespace has a pod admitted in the namespace, or where that is not served in the first
// one that is.
func (r *clusterReader) tryNamespace(ctx context.Context, s *diagnose.CheckSnapshot, w *diagnose.Webhook, namespace string) {
	list, err := r.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		w.Unread = append(w.Unread, diagnose.Unread{What: "namespaces", Why: err.Error()})
		return
	}
	s.Namespaces = map[string]map[string]string{}
	for i := range list.Items {
		s.Namespaces[list.Items[i].Name] = list.Items[i].Labels
	}
	if w.Registration == nil {
		return
	}
	for _, name := range append([]string{namespace}, slices.Sorted(maps.Keys(s.Namespaces))...) {
		if of, there := s.Namespaces[name]; there && w.Registration.Serves(name, of) {
			s.Tried = name
			s.DryRun = r.dryRun(ctx, checkPod(name, w.Prefix), "oidc-injector-check", w.Prefix)
			return
		}
	}
}

// checkPod is a pod that every Pod Security Standard admits.
func checkPod(namespace string, prefix annotations.Prefix) *corev1.Pod {
	yes, no, user := true, false, int64(65532)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Annotations: map[string]string{prefix.Key(annotations.Audience,
			""): "oidc-injector-check"}},
		Spec: corev1.PodSpec{
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: &yes, RunAsUser: &user, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{Name: "check", Image: "check", SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			}}},
		},
	}
}

// readIssuer asks the API server, with credentials and without.
func (r *clusterReader) readIssuer(ctx context.Context, s *diagnose.CheckSnapshot, now func() time.Time) error {
	client, err := timedClient(r.config)
	if err != nil {
		return fmt.Errorf("could not create an API client: %w", err)
	}
	dates := &dateRecorder{next: client.Transport}
	source := issuer.Source{Client: &http.Client{Transport: dates, Timeout: client.Timeout}, AllowHTTP: true}
	s.APIServer = r.fetchPublished(ctx, source)
	s.APIServer.Date, s.APIServer.Read = dates.date, now()

	anonymous, err := timedClient(rest.AnonymousClientConfig(r.config))
	if err != nil {
		return fmt.Errorf("could not create an API client: %w", err)
	}
	s.Anonymous = http.StatusOK
	_, err = issuer.Source{Client: anonymous, AllowHTTP: true}.Get(ctx, r.url(discoveryPath), nil)
	if refused, ok := errors.AsType[*issuer.StatusError](err); ok {
		s.Anonymous, s.AnonymousError = refused.Status, err.Error()
	} else if err != nil {
		s.Anonymous, s.AnonymousError = 0, err.Error()
	}
	return nil
}

// answerTimeout is how long an API server may take.
const answerTimeout = 15 * time.Second

// timedClient is a client of an API server.
func timedClient(config *rest.Config) (*http.Client, error) {
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: transport, Timeout: answerTimeout}, nil
}

// url is that of a path of the API server.
func (r *clusterReader) url(path string) string {
	return r.Discovery().RESTClient().Get().AbsPath(path).URL().String()
}

// fetchPublished has the two documents from the API server itself, wherever they say that
// relying parties find them.
func (r *clusterReader) fetchPublished(ctx context.Context, source issuer.Source) diagnose.Published {
	var p diagnose.Published
	data, err := source.Get(ctx, r.url(discoveryPath), nil)
	if err == nil {
		p.Document, err = issuer.ParseDocument(data)
	}
	if err == nil {
		p.Keys, err = source.Keys(ctx, r.url(keysPath))
	}
	if err != nil {
		p.Error = err.Error()
	}
	return p
}

// fetch has them as a relying party does.
func fetch(ctx context.Context, source issuer.Source, url string, now func() time.Time) diagnose.Published {
	dates := &dateRecorder{next: source.Client.Transport}
	source.Client.Transport = dates
	p := diagnose.Published{Issuer: url}
	var err error
	if p.Document, err = source.Discover(ctx, url); err == nil {
		p.Keys, err = source.Keys(ctx, p.Document.JWKSURI)
	}
	if err != nil {
		p.Error = err.Error()
	}
	p.Date, p.Read = dates.date, now()
	return p
}

// dateRecorder keeps the date of the last answer (RFC 9110 section 6.6.1).
type dateRecorder struct {
	next http.RoundTripper
	date time.Time
}

// RoundTrip implements [http.RoundTripper].
func (d *dateRecorder) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := d.next.RoundTrip(r)
	if err == nil {
		if at, parseErr := http.ParseTime(response.Header.Get("Date")); parseErr == nil {
			d.date = at
		}
	}
	return response, err
}
