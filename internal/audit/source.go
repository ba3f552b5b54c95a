package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"

	"github.com/oidc-injector/oidc-injector/internal/repeat"
)

const (
	// callTimeout bounds one call to the API server.
	callTimeout = time.Minute
	// steady is how long a watch has to last to count as one that works.
	steady = time.Minute
)

// errRelist asks for a new list: what is known may not be all.
var errRelist = errors.New("all objects must be listed again")

// sink takes what a source finds. Its methods are called one after the other.
type sink interface {
	// begin and end are called before and after a list of everything.
	begin()
	end()
	// changed is called for each object of a list, and when one changes; gone
	// when one is deleted or does not match the selectors any more.
	changed(m *metav1.ObjectMeta)
	gone(m *metav1.ObjectMeta)
	// after is called after each event and when the sink has woken the source. An
	// error ends the watch.
	after(ctx context.Context) error
}

// source is a resource of the API server, of which only the metadata is asked for.
type source struct {
	kind           string
	lists          *pager
	watches        metadata.Getter
	labels, fields string
	// wake calls sink.after; it may be nil.
	wake  <-chan struct{}
	log   *slog.Logger
	retry time.Duration // the first pause after a failure
	// listed gets the result of each list of everything; it may be nil.
	listed func(error)
}

// follow passes all objects and every change on to the sink, until the context ends.
func (s *source) follow(ctx context.Context, to sink) {
	var failing repeat.Failing
	retry := s.backoff()
	for ctx.Err() == nil {
		began := time.Now()
		to.begin()
		version, err := s.list(ctx, "", to)
		if s.listed != nil && ctx.Err() == nil {
			s.listed(err)
		}
		if err == nil {
			to.end()
			if failing.Recovered() {
				s.log.Info("audit resumed", "kind", s.kind)
			}
			err = s.watch(ctx, version, to)
		}
		if time.Since(began) > steady {
			retry = s.backoff()
		}
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errRelist):
			s.log.Debug("listing again", "kind", s.kind, "cause", err)
		case failing.With(err):
			s.log.Warn("audit interrupted, retrying", "kind", s.kind, "error", err)
		}
		repeat.Sleep(ctx, retry.Step())
	}
}

// backoff grows to a minute. Jitter keeps replicas from retrying in step.
func (s *source) backoff() wait.Backoff {
	return wait.Backoff{Duration: s.retry, Factor: 2, Jitter: 1, Steps: 10, Cap: time.Minute}
}

// list reads everything, or all of a namespace, in pages, and returns the
// resource version to watch from.
func (s *source) list(ctx context.Context, namespace string, to sink) (string, error) {
	options := metav1.ListOptions{LabelSelector: s.labels, FieldSelector: s.fields}
	var buffer bytes.Buffer // of all pages
	for {
		page, err := s.lists.page(ctx, namespace, options, &buffer)
		if err != nil {
			return "", fmt.Errorf("could not list %s: %w", s.kind, err)
		}
		for i := range page.Items {
			to.changed(&page.Items[i].ObjectMeta)
		}
		if page.Continue == "" {
			return page.ResourceVersion, nil
		}
		options.Continue = page.Continue
	}
}

// watch goes on from a version, by one watch after the other, until it cannot.
func (s *source) watch(ctx context.Context, version string, to sink) error {
	retry := s.backoff()
	for ctx.Err() == nil {
		began := time.Now()
		err := s.watchOnce(ctx, &version, to)
		switch {
		case errors.Is(err, errRelist):
			return err
		case apierrors.IsResourceExpired(err), apierrors.IsGone(err):
			return fmt.Errorf("%w: %w", errRelist, err)
		case err != nil && ctx.Err() == nil:
			s.log.Debug("watch ended", "kind", s.kind, "error", err)
		}
		if time.Since(began) > steady {
			retry = s.backoff() // it worked, and came to its end
			continue
		}
		repeat.Sleep(ctx, retry.Step())
	}
	return ctx.Err()
}

// watchOnce runs one watch until it ends, and keeps the version up to date.
func (s *source) watchOnce(ctx context.Context, version *string, to sink) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Not all watches of the cluster end at the same time.
	seconds := int64(300 + rand.N(300)) //nolint:gosec // no secret
	watcher, err := s.watches.Watch(ctx, metav1.ListOptions{
		ResourceVersion: *version, AllowWatchBookmarks: true, TimeoutSeconds: &seconds, LabelSelector: s.labels, FieldSelector: s.fields,
	})
	if err != nil {
		return fmt.Errorf("could not watch %s: %w", s.kind, err)
	}
	defer watcher.Stop()
	for {
		select {
		case event, open := <-watcher.ResultChan():
			if !open {
				return nil
			}
			if err := s.pass(event, version, to); err != nil {
				return err
			}
		case <-s.wake:
		}
		if err := to.after(ctx); err != nil {
			return err
		}
	}
}

// pass passes one event on.
func (s *source) pass(event watch.Event, version *string, to sink) error {
	if event.Type == watch.Error {
		return fmt.Errorf("watch of %s failed: %w", s.kind, apierrors.FromObject(event.Object))
	}
	object, ok := event.Object.(*metav1.PartialObjectMetadata)
	if !ok {
		return fmt.Errorf("could not watch %s: the API server sent a %T", s.kind, event.Object)
	}
	switch event.Type {
	case watch.Added, watch.Modified:
		to.changed(&object.ObjectMeta)
	case watch.Deleted:
		to.gone(&object.ObjectMeta)
	default: // a bookmark has a version alone
	}
	*version = object.ResourceVersion
	return nil
}
