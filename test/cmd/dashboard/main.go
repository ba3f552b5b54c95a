// Dashboard records what the panels of the chart's Grafana dashboard show of real programs:
//
//	go -C test run ./cmd/dashboard
//
// It installs the chart into a real API server, with replicas of the real webhook, a real
// Vault and login containers beside it, keeps them busy for two minutes, and reads their
// metrics as Prometheus does. The panels' own queries are evaluated by Prometheus' engine,
// and what they say is written to docs/pictures/dashboard.json, which cmd/pictures draws.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/oidc-injector/oidc-injector/test/internal/dashboard"
)

// root is the repository, as seen from the module.
const root = ".."

const (
	// interval is that of scrapes and of the points in the picture.
	interval = 2 * time.Second
	// lead is how long the scrapes go on before the picture begins, so that it
	// begins with rates.
	lead = 10 * time.Second
	// length is what the picture shows.
	length = 2 * time.Minute
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "dashboard: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	text, err := os.ReadFile(filepath.Join(root, "charts", "oidc-injector", "files", "dashboard.json"))
	if err != nil {
		return err
	}
	panels, err := dashboard.Parse(text)
	if err != nil {
		return err
	}
	w := &world{}
	defer func() { err = errors.Join(err, w.stop()) }()
	if err := w.start(ctx); err != nil {
		return err
	}
	rules, err := w.alertRules()
	if err != nil {
		return err
	}
	s := newScraper(panels, rules)
	fmt.Fprintf(os.Stderr, "all programs run; recording for %s\n", lead+length)
	start, err := w.live(ctx, s)
	if err != nil {
		return err
	}
	recorded, err := evaluate(ctx, panels, rules, s, start)
	if err != nil {
		return err
	}
	recorded.Caption = caption(w)
	return write(recorded)
}

// caption says what is in the picture, and what is not.
func caption(w *world) []string {
	return []string{
		fmt.Sprintf("Two minutes of real metrics: a Kubernetes %s API server, two replicas of the webhook, a Vault, and %d login "+
			"containers whose tokens last 30 s to 60 s, all as processes of one small machine. The queries and the alerts are the "+
			"chart's own, evaluated by Prometheus' engine, and no time is scaled: targets are scraped every %.0f s, and "+
			"$__rate_interval is %.0f s.",
			w.kube.Version(), len(w.logins), interval.Seconds(), (4 * interval).Seconds()),
		"What goes wrong was made to: pods with mistakes, a broken configuration, a caBundle that somebody overwrites, Vault sealed, " +
			"a Service without endpoints, a replica replaced, the CA's Secret deleted. Most pods are created by dry-run. There is " +
			"neither a node nor kube-state-metrics: names of pods are invented, and the replicas “ready” and “desired” are missing.",
	}
}

func write(recorded *dashboard.Recording) error {
	text, err := json.MarshalIndent(recorded, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "docs", "pictures", "dashboard.json"), append(text, '\n'), 0o600)
}
