package audit

import (
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
)

const (
	// pageSize bounds what is held of a list at a time.
	pageSize = 500
	// callTimeout bounds one call to the API server.
	callTimeout = time.Minute
	// steady is how long a watch has to last to count as one that works.
	steady = time.Minute
)

// errRelist asks for a new list: what is known may not be all.
var errRelist = errors.New("everything has to be listed again")

// sink takes what a source tells. Its methods are called one after the other.
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
	api            metadata.Getter
	labels, fields string
	// wake calls sink.after; it may be nil.
	wake  <-chan struct{}
	log   *slog.Logger
	retry time.Duration // the first pause after a failure
	// listed hears of the result of each list of everything; it may be nil.
	listed func(error)
}

// follow tells the sink of all there is, and of every change, until the context ends.
func (s *source) follow(ctx context.Context, to sink) {
	said := ""
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
			if said != "" {
				s.log.Info("audit goes on", "kind", s.kind)
			}
			said = ""
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
		case err.Error() != said: // the same trouble is told once
			said = err.Error()
			s.log.Warn("audit interrupted, trying again", "kind", s.kind, "error", err)
		}
		pause(ctx, retry.Step())
	}
}

// backoff grows to a minute. What was interrupted for all at once does not go
// on for all at once.
func (s *source) backoff() wait.Backoff {
	return wait.Backoff{Duration: s.retry, Factor: 2, Jitter: 1, Steps: 10, Cap: time.Minute}
}

// list reads everything, or all of a namespace, in pages, and returns the
// resource version to watch from.
func (s *source) list(ctx context.Context, namespace string, to sink) (string, error) {
	options := metav1.ListOptions{Limit: pageSize, LabelSelector: s.labels, FieldSelector: s.fields}
	for {
		page, err := s.page(ctx, namespace, options)
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

func (s *source) page(ctx context.Context, namespace string, options metav1.ListOptions) (*metav1.PartialObjectMetadataList, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if namespace == "" {
		return s.api.List(ctx, options)
	}
	return s.api.Namespace(namespace).List(ctx, options)
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
		pause(ctx, retry.Step())
	}
	return ctx.Err()
}

// watchOnce runs one watch until it ends, and keeps the version up to date.
func (s *source) watchOnce(ctx context.Context, version *string, to sink) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Not all watches of the cluster end at the same time.
	seconds := int64(300 + rand.N(300)) //nolint:gosec // no secret
	watcher, err := s.api.Watch(ctx, metav1.ListOptions{
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
			if err := s.tell(event, version, to); err != nil {
				return err
			}
		case <-s.wake:
		}
		if err := to.after(ctx); err != nil {
			return err
		}
	}
}

// tell passes one event on.
func (s *source) tell(event watch.Event, version *string, to sink) error {
	if event.Type == watch.Error {
		return fmt.Errorf("could not go on watching %s: %w", s.kind, apierrors.FromObject(event.Object))
	}
	object, ok := event.Object.(*metav1.PartialObjectMetadata)
	if !ok {
		return fmt.Errorf("could not watch %s: the API server sends a %T", s.kind, event.Object)
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

// pause waits, but not longer than the context lasts.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
