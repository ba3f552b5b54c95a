// Demo shows the main job on a real Kubernetes: an annotated pod gets a real
// token, which a relying party verifies and which logs in to a real Vault.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run())
}

func run() (exitCode int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := &demo{out: newPrinter(os.Stdout), keep: os.Getenv("DEMO") == "keep"}
	if err := d.run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		return 1
	}
	return 0
}
