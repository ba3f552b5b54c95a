//go:build unix

// Ory builds the server of package ory outside of tests.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/oidc-injector/oidc-injector/test/ory"
)

var errUsage = errors.New(`usage:
  ory build     build the server in advance
  ory pin DIR   pin the module of the release in a folder`)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ory:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "build":
		return ory.Build(ctx, os.Stderr)
	case len(args) == 2 && args[0] == "pin":
		return ory.PinModule(ctx, args[1])
	default:
		return errUsage
	}
}
