// Package check finds out whether a cluster injects tokens: it has the API
// server admit an annotated pod by dry-run, and looks at what comes back. Nothing
// is created.
package check

import (
	"context"
	"fmt"
	"io"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/kubeclient"
	"github.com/oidc-injector/oidc-injector/internal/repeat"
)

// retryEvery is how long it waits before it tries again: what was just installed,
// or labelled, takes effect a moment later.
const retryEvery = time.Second

// Run checks until it succeeds or its time is up, and writes what the API server
// warns of, and then that all is well, to w. The error says everything that was
// wrong at the last attempt. With a file, Run says what becomes of the pods in it.
func Run(ctx context.Context, o Options, in io.Reader, w io.Writer) error {
	if o.Filename != "" {
		return explain(ctx, o, in, w)
	}
	return run(ctx, o, w, retryEvery)
}

func run(ctx context.Context, o Options, w io.Writer, retry time.Duration) error {
	client, said, err := o.connect()
	if err != nil {
		return err
	}
	err = o.try(ctx, client, said, retry)
	said.print(w)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "ok: a pod of namespace %q gets a token for audience %q\n", o.Namespace, o.Audience)
	return nil
}

// connect returns a client, and what the API server will warn it of.
func (o *Options) connect() (coreclient.CoreV1Interface, *warnings, error) {
	config, err := kubeclient.Load(o.Kubeconfig)
	if err != nil {
		return nil, nil, err
	}
	said := &warnings{}
	config.WarningHandler = said
	client, err := coreclient.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("could not create the API client: %w", err)
	}
	return client, said, nil
}

// try admits pods until one is in order, or the time is up.
func (o *Options) try(ctx context.Context, client coreclient.PodsGetter, said *warnings, retry time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	var last error
	for {
		before := said.texts
		said.texts = nil
		pod, err := client.Pods(o.Namespace).Create(ctx, o.pod(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		switch {
		case err == nil:
			last = o.judge(pod)
		case last != nil && ctx.Err() != nil: // the time was up during the call
			said.texts = before
		default:
			last = fmt.Errorf("the API server does not admit an annotated pod in namespace %q: %w", o.Namespace, err)
		}
		if last == nil {
			return nil
		}
		repeat.Sleep(ctx, retry)
		if ctx.Err() != nil {
			return last
		}
	}
}

// warnings keeps those of an answer.
type warnings struct{ texts []string }

func (w *warnings) print(to io.Writer) {
	for _, text := range w.texts {
		fmt.Fprintln(to, "warning:", text)
	}
}

// HandleWarningHeader implements [rest.WarningHandler]. 299 is the only code for
// warnings without a cache (RFC 7234 section 5.5).
func (w *warnings) HandleWarningHeader(code int, _, text string) {
	if code == 299 && text != "" {
		w.texts = append(w.texts, text)
	}
}
