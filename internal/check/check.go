// Package check finds out whether a cluster injects tokens: it looks at the installation as
// far as it may, has the API server admit an annotated pod by dry-run, and looks at what
// comes back. Nothing is created. What it reads is judged by package diagnose.
package check

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/diagnose"
	"github.com/oidc-injector/oidc-injector/internal/installation"
	"github.com/oidc-injector/oidc-injector/internal/kubeclient"
	"github.com/oidc-injector/oidc-injector/internal/repeat"
	"github.com/oidc-injector/oidc-injector/internal/report"
)

// retryEvery is how long it waits before it tries again: what was just installed,
// or labelled, takes effect a moment later.
const retryEvery = time.Second

// errNotInjected is the end of a check whose pod has not got its token.
var errNotInjected = errors.New("an annotated pod does not get its token")

// Run checks until the pod gets its token or its time is up, and writes what it has found to
// w.
func Run(ctx context.Context, o Options, w io.Writer) error {
	return run(ctx, o, w, retryEvery)
}

func run(ctx context.Context, o Options, w io.Writer, retry time.Duration) error {
	client, err := kubeclient.Load(o.Kubeconfig)
	if err != nil {
		return err
	}
	r, err := NewReader(client)
	if err != nil {
		return err
	}
	s, err := r.try(ctx, &o, retry)
	if err != nil {
		return err
	}
	steps := diagnose.Check(s)
	if s.Injected() { // nobody misses then what may not be read
		steps = slices.DeleteFunc(steps, func(step diagnose.Step) bool { return step.Name == diagnose.NotRead })
	}
	diagnose.Print(w, report.Style{}, steps, true)
	if !s.Injected() {
		return errNotInjected
	}
	return nil
}

// try reads until the pod is in order, or the time is up.
func (r *Reader) try(ctx context.Context, o *Options, retry time.Duration) (last *diagnose.CheckSnapshot, lastErr error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	for {
		s, err := r.Read(ctx, Which{Prefix: o.AnnotationPrefix}, o.probe())
		if ctx.Err() == nil || last == nil && lastErr == nil { // or else the time was up during a call
			last, lastErr = s, err
		}
		if err == nil && s.Injected() {
			return s, nil
		}
		repeat.Sleep(ctx, retry)
		if ctx.Err() != nil {
			return last, lastErr
		}
	}
}

// Read reads what is about an installation, and tries a pod.
func (r *Reader) Read(ctx context.Context, which Which, p Probe) (*diagnose.CheckSnapshot, error) {
	webhook, err := r.Webhook(ctx, which)
	if err != nil {
		return nil, err
	}
	s := &diagnose.CheckSnapshot{Now: time.Now(), Audience: p.Audience}
	if s.Namespaces, err = installation.Namespaces(ctx, r.core); err != nil {
		webhook.Unread = append(webhook.Unread, diagnose.Unread{What: "namespaces", Why: err.Error()})
	}
	s.Webhook = *webhook
	if s.Tried = p.namespace(s); s.Tried != "" {
		s.DryRun = p.try(ctx, r, s)
	}
	return s, nil
}

// namespace is where the pod is tried: the one that was named, or else the likeliest of those
// that are served; empty where none is.
func (p *Probe) namespace(s *diagnose.CheckSnapshot) string {
	switch {
	case p.Namespace != "":
		return p.Namespace
	case s.Namespaces == nil, !s.Webhook.Known():
		return p.Likely // which may be one that is served, by policies that the API does not show
	}
	for _, name := range append([]string{p.Likely}, slices.Sorted(maps.Keys(s.Namespaces))...) {
		if of, there := s.Namespaces[name]; there && s.Webhook.Serves(name, of) {
			return name
		}
	}
	return ""
}
