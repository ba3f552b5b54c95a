package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/oidc-injector/oidc-injector/internal/check"
	"github.com/oidc-injector/oidc-injector/internal/diagnose"
	"github.com/oidc-injector/oidc-injector/internal/issuer"
	"github.com/oidc-injector/oidc-injector/internal/report"
)

type checkOptions struct {
	clusterWebhookFlags
	outside, caFile, output, audience string
	allowHTTP                         bool
}

func newCheckCommand(g *globals) *cobra.Command {
	o := checkOptions{output: outputText, audience: check.DefaultAudience}
	c := &cobra.Command{
		Use:   "check",
		Short: "Checks the installation and the cluster's issuer",
		Long: `Checks the installation and the cluster's issuer: whether the webhook is registered and
answers, its certificate, replicas, namespaces and configuration; the issuer's discovery
document and keys, who may read them, and the clocks; and by a new token, whether they
verify it, and the longest lifetime that the API server grants.

An annotated pod is created by dry run, in the namespace of -n or else in one that is
served, and the token is requested for the ServiceAccount default there, and an audience
that nobody accepts. Nothing is stored. Exit code 1 where there is a cross.`,
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
	c.Flags().StringVar(&o.audience, "audience", o.audience, "Audience that the pod asks for, which the webhook's policy has to allow")
	c.Flags().StringVar(&o.outside, "from-outside", "",
		"URL of the issuer, from which discovery document and keys are fetched as a relying party does")
	c.Flags().StringVar(&o.caFile, "ca-file", "", "File with the certificate authorities of that URL; default those of the system")
	c.Flags().BoolVar(&o.allowHTTP, "allow-http", false, "Allow that URL to be without TLS, for a test")
	addOutput(c, &o.output)
	return c
}

func (g *globals) check(ctx context.Context, o *checkOptions) error {
	likely, err := g.namespace()
	if err != nil {
		return err
	}
	r, err := g.clusterReader()
	if err != nil {
		return err
	}
	probe := check.Probe{Namespace: *g.cluster.Namespace, Likely: likely, Audience: o.audience, Image: "check"}
	s, err := r.Read(ctx, o.which(), probe)
	if err != nil {
		return err
	}
	s.Now, s.Issuer = g.now(), &diagnose.Issuer{}
	keys, err := r.readIssuer(ctx, s.Issuer, g.now)
	if err != nil {
		return err
	}
	s.Issuer.Sample = r.sample(ctx, s, keys, cmp.Or(s.Tried, likely))
	if o.outside != "" {
		source, err := newSource(o.caFile, o.allowHTTP)
		if err != nil {
			return err
		}
		fetched := fetch(ctx, source, o.outside, g.now)
		s.Issuer.Outside = &fetched
	}
	steps := diagnose.Check(s)
	if o.output == outputJSON {
		err = printJSON(g.Out, map[string]any{"steps": steps})
	} else {
		diagnose.Print(g.Out, g.style(), steps, true)
	}
	return errors.Join(err, outcomeOf(steps))
}

// sample has the API server issue a token with the longest lifetime that the webhook's
// configuration allows, for an audience that nobody accepts, and looks at it.
func (r *clusterReader) sample(ctx context.Context, s *diagnose.CheckSnapshot, keys issuer.Keys, namespace string) *diagnose.Sample {
	const account = "default" // which every namespace has
	asked := s.Webhook.Config.Parser.MaxExpiration
	seconds := int64(asked / time.Second)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{check.DefaultAudience}, ExpirationSeconds: &seconds,
	}}
	answer, err := r.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return &diagnose.Sample{Unread: fmt.Sprintf("could not request a token of the ServiceAccount %s/%s: %v", namespace, account, err)}
	}
	token, err := issuer.Parse(answer.Status.Token)
	if err != nil {
		return &diagnose.Sample{Unread: "the API server's answer: " + err.Error()}
	}
	sample := &diagnose.Sample{Asked: asked}
	begin, hasBegin, _ := token.Time("iat")
	end, hasEnd, _ := token.Time("exp")
	if !hasBegin || !hasEnd {
		return &diagnose.Sample{Unread: "the token does not say when it begins and ends"}
	}
	sample.Lifetime = end.Sub(begin)
	if s.Issuer.APIServer.Error != "" { // a cross of its own, and nothing to verify by
		return sample
	}
	for _, c := range issuer.Verify(token, keys, issuer.Expected{
		Issuer: s.Issuer.APIServer.Issuer, Audiences: request.Spec.Audiences, Now: begin, // clocks are judged by themselves
	}) {
		if c.Status == report.Fail {
			sample.Problems = append(sample.Problems, c.Detail)
		}
	}
	return sample
}

// readIssuer asks the API server, with credentials and without.
func (r *clusterReader) readIssuer(ctx context.Context, s *diagnose.Issuer, now func() time.Time) (issuer.Keys, error) {
	client, err := timedClient(r.Config)
	if err != nil {
		return issuer.Keys{}, fmt.Errorf("could not create an API client: %w", err)
	}
	dates := &dateRecorder{next: client.Transport}
	source := issuer.Source{Client: &http.Client{Transport: dates, Timeout: client.Timeout}, AllowHTTP: true}
	keys := r.fetchPublished(ctx, source, &s.APIServer)
	s.APIServer.Date, s.APIServer.Read = dates.date, now()

	anonymous, err := timedClient(rest.AnonymousClientConfig(r.Config))
	if err != nil {
		return keys, fmt.Errorf("could not create an API client: %w", err)
	}
	s.Anonymous = http.StatusOK
	_, err = issuer.Source{Client: anonymous, AllowHTTP: true}.Get(ctx, r.url(discoveryPath), nil)
	if refused, ok := errors.AsType[*issuer.StatusError](err); ok {
		s.Anonymous, s.AnonymousError = refused.Status, err.Error()
	} else if err != nil {
		s.Anonymous, s.AnonymousError = 0, err.Error()
	}
	return keys, nil
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
func (r *clusterReader) fetchPublished(ctx context.Context, source issuer.Source, p *diagnose.Published) issuer.Keys {
	data, err := source.Get(ctx, r.url(discoveryPath), nil)
	var document issuer.Document
	if err == nil {
		document, err = issuer.ParseDocument(data)
	}
	var keys issuer.Keys
	if err == nil {
		keys, err = source.Keys(ctx, r.url(keysPath))
	}
	describePublished(p, document, keys, err)
	return keys
}

// fetch has them as a relying party does.
func fetch(ctx context.Context, source issuer.Source, url string, now func() time.Time) diagnose.Published {
	dates := &dateRecorder{next: source.Client.Transport}
	source.Client.Transport = dates
	var p diagnose.Published
	var keys issuer.Keys
	document, err := source.Discover(ctx, url)
	if err == nil {
		keys, err = source.Keys(ctx, document.JWKSURI)
	}
	describePublished(&p, document, keys, err)
	p.Date, p.Read = dates.date, now()
	return p
}

// describePublished notes what was fetched, or why not.
func describePublished(p *diagnose.Published, d issuer.Document, keys issuer.Keys, err error) {
	if err != nil {
		p.Error = err.Error()
		return
	}
	p.Issuer, p.KeysURL, p.Algorithms = d.Issuer, d.JWKSURI, d.SigningAlgorithms
	p.Keys = diagnose.Keys{
		IDs: keys.IDs(), Descriptions: keys.Describe(), Algorithms: keys.Algorithms(), Problems: keys.Problems,
	}
	p.Unfetchable = map[string]string{}
	for _, url := range []string{p.Issuer, p.KeysURL} {
		if err := issuer.CheckURL(url, false); err != nil {
			p.Unfetchable[url] = err.Error()
		}
	}
}

// dateRecorder keeps the time of the last answer, by the clock of the server (RFC 9110
// section 6.6.1). A cache keeps the date, and adds how old it is (RFC 9111 section 5.1).
type dateRecorder struct {
	next http.RoundTripper
	date time.Time
}

// RoundTrip implements [http.RoundTripper].
func (d *dateRecorder) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := d.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if at, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		age, _ := strconv.ParseUint(response.Header.Get("Age"), 10, 31)
		d.date = at.Add(time.Duration(age) * time.Second)
	}
	return response, nil
}
