// Webhook is the mutating admission webhook of oidc-injector.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/oidc-injector/oidc-injector/internal/server"
	"github.com/oidc-injector/oidc-injector/internal/version"
)

// The exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// The first signal ends the program in order, the second one at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var options server.Options
	flags := pflag.NewFlagSet("webhook", pflag.ContinueOnError)
	flags.SetOutput(stdout)
	flags.SortFlags = false
	flags.Usage = func() {
		fmt.Fprintf(stdout, "Usage: webhook [flags]\n\nThe mutating admission webhook of oidc-injector.\n\nFlags:\n%s", flags.FlagUsages())
	}
	options.AddFlags(flags)
	printVersion := flags.Bool("version", false, "Print the version and exit.")

	switch err := flags.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		return exitOK
	case err != nil:
		return usageError(stderr, err)
	case flags.NArg() > 0:
		return usageError(stderr, fmt.Errorf("unexpected argument %q", flags.Arg(0)))
	case *printVersion:
		fmt.Fprintln(stdout, version.String("webhook"))
		return exitOK
	}
	if err := options.Validate(); err != nil {
		return usageError(stderr, err)
	}
	if err := server.Run(ctx, options, stderr); err != nil {
		fmt.Fprintf(stderr, "error: %v\n", err)
		return exitError
	}
	return exitOK
}

func usageError(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "error: %v\nSee 'webhook --help'.\n", err)
	return exitUsage
}
