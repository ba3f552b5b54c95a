package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/oidc-injector/oidc-injector/internal/mutate"
	"github.com/oidc-injector/oidc-injector/internal/repeat"
)

const (
	// looksPerSecond bounds how many suspicious pods are read as a whole.
	looksPerSecond = 10
	// remindEvery is how often Events are looked for that are due.
	remindEvery = time.Minute
)

// looker reads suspicious pods as a whole, one after the other, and announces
// those that were not injected.
type looker struct {
	pods      rest.Interface // of the core group
	tracker   *tracker
	announcer *announcer
	version   string
	metrics   *metrics
	log       *slog.Logger
	limit     *rate.Limiter
	remind    time.Duration
	retry     time.Duration
	troubles  rate.Sometimes // mostly, all pods have the same one
}

// run checks pods until the context ends.
func (l *looker) run(ctx context.Context) {
	remind := time.NewTicker(l.remind)
	defer remind.Stop()
	for ctx.Err() == nil {
		c, waiting := l.tracker.next()
		if !waiting {
			select {
			case <-ctx.Done():
			case <-l.tracker.wake:
			case now := <-remind.C:
				l.tracker.remind(now)
			}
			continue
		}
		if l.limit.Wait(ctx) != nil {
			return
		}
		if err := l.look(ctx, &c); err != nil && ctx.Err() == nil {
			l.metrics.checks.WithLabelValues(failure).Inc()
			l.troubles.Do(func() { l.log.Warn("cannot read suspicious pods, retrying", "error", err) })
			l.tracker.again(&c)
			repeat.Sleep(ctx, l.retry)
		}
	}
}

// summary is what is read of a pod beside what decides a patch.
type summary struct {
	Metadata struct {
		UID               types.UID         `json:"uid"`
		Labels            map[string]string `json:"labels"`
		DeletionTimestamp *string           `json:"deletionTimestamp"`
	} `json:"metadata"`
	Status struct {
		Phase corev1.PodPhase `json:"phase"`
	} `json:"status"`
}

// look settles the suspicion about one pod. An error is worth a retry.
func (l *looker) look(ctx context.Context, c *check) error {
	body, err := l.read(ctx, c)
	switch {
	case apierrors.IsNotFound(err):
		l.tracker.forget(c.uid)
		return nil
	case errors.Is(err, errTooLarge): // and would be again: it stays unverified
		l.metrics.checks.WithLabelValues(failure).Inc()
		l.log.Warn("pod is too large to be verified", "namespace", c.namespace, "name", c.name)
		return nil
	case err != nil:
		return err
	}
	var s summary
	if err := json.Unmarshal(body, &s); err != nil {
		return fmt.Errorf("could not decode the Pod: %w", err)
	}
	done := s.Status.Phase == corev1.PodSucceeded || s.Status.Phase == corev1.PodFailed
	if s.Metadata.UID != c.uid || s.Metadata.DeletionTimestamp != nil || done {
		l.tracker.forget(c.uid)
		return nil
	}
	pod, err := mutate.ParsePod(body)
	if err != nil {
		return err
	}
	cfg := l.tracker.configuration()
	if cfg == nil {
		return nil // the audit has ended
	}
	reason, keys := confirm(cfg, l.version, c.namespace, pod, c.suspicion)
	if reason == "" {
		l.metrics.checks.WithLabelValues(notMissed).Inc()
	} else {
		l.metrics.checks.WithLabelValues(missed).Inc()
	}
	if l.tracker.settle(c, reason) && reason != "" {
		l.announcer.announce(ctx, c, s.Metadata.Labels, reason, keys)
	}
	return nil
}

// read returns the pod as JSON, the same that admission sees. There is one at a
// time, of bounded size.
func (l *looker) read(ctx context.Context, c *check) ([]byte, error) {
	var body bytes.Buffer
	request := l.pods.Get().Namespace(c.namespace).Resource("pods").Name(c.name).SetHeader("Accept", "application/json")
	if err := readBounded(ctx, request, &body, maxObject); err != nil {
		return nil, fmt.Errorf("could not get the Pod: %w", err)
	}
	return body.Bytes(), nil
}
