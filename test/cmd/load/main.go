// Load measures the webhook over HTTPS: requests per second, processor time a
// request and latencies, for pods of several sizes and numbers of connections, and
// beside it, in the same run, a server that answers the same requests and does
// nothing else. It runs both itself, on the loopback, each on a core of its own
// where the system lets it, and is bounded in time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"text/tabwriter"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/admission/admissiontest"
	"github.com/oidc-injector/oidc-injector/test/injector"
)

func main() {
	duration := flag.Duration("duration", 3*time.Second, "How long to measure each combination.")
	interval := flag.Duration("interval", 0, "How long each connection waits between two requests.")
	reference := flag.String(referenceFlag, "", "Be the server that does nothing, with the certificate in this directory. "+
		"Used by this program itself.")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	if *reference != "" {
		err = serveReference(ctx, *reference)
	} else {
		err = measure(ctx, *duration, *interval)
	}
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "load: %v\n", err)
		os.Exit(1)
	}
}

// target is a server under load.
type target struct {
	name string
	url  string
	pid  int
	mute bool // it answers without a patch
}

func measure(ctx context.Context, duration, interval time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "oidc-injector-load-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// What is started now stays on the first core, and what sends moves to the last.
	pinned := pin(0) == nil
	webhook, err := injector.Start(ctx, nil, injector.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, webhook.Stop()) }()
	ca, err := webhook.CA()
	if err != nil {
		return err
	}
	empty, stopEmpty, err := startReference(ctx, dir)
	if err != nil {
		return err
	}
	defer stopEmpty()
	pinned = pinned && pin(-1) == nil
	fmt.Printf("server and sender on cores of their own: %v\n", pinned)

	answered, err := compare(ctx, []target{empty, {name: "webhook", url: webhook.URL(), pid: webhook.PID()}}, load{
		roots: pool(ca), duration: duration, interval: interval,
	})
	if err != nil {
		return err
	}
	if memory, err := residentMemory(webhook.PID()); err == nil {
		fmt.Printf("webhook after %d admissions: %s\n", answered, memory)
	}
	return nil
}

// compare loads each target in turn, for all sizes and numbers of connections,
// prints a table, and returns how many admissions were answered.
func compare(ctx context.Context, targets []target, l load) (answered int, err error) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer func() { err = errors.Join(err, table.Flush()) }()
	fmt.Fprintln(table, "pod\tconnections\tserver\trequests/s\tCPU/request\tp50\tp99\tmax\t")
	for _, size := range admissiontest.Sizes() {
		l.body = size.Review()
		for _, l.connections = range []int{1, 16, 128} {
			for _, l.target = range targets {
				l.patched = size.Patched && !l.mute
				r, err := l.run(ctx)
				if err != nil {
					return answered, err
				}
				fmt.Fprintf(table, "%s\t%d\t%s\t%s\t\n", size.Name, l.connections, l.name, r)
				if !l.mute {
					answered += len(r.latencies)
				}
			}
		}
	}
	return answered, nil
}
