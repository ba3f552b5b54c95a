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

	"github.com/oidc-injector/oidc-injector/internal/check"
	"github.com/oidc-injector/oidc-injector/internal/memlimit"
	"github.com/oidc-injector/oidc-injector/internal/server"
	"github.com/oidc-injector/oidc-injector/internal/version"
)

// The exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

const (
	usage = `Usage: webhook [flags]
       webhook check [flags]

The mutating admission webhook of oidc-injector. With check, it finds out whether
a cluster's webhook does what it should: see 'webhook check --help'.
`
	checkUsage = `Usage: webhook check [flags]

Has the API server admit an annotated pod by dry-run, and reports whether it came
back with its token. With --filename it says what becomes of the pods of that file:
what they get, what is ignored, and why. Nothing is created. It needs the right to
create pods in the namespace.
`
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// The first signal ends the program in order, the second one at once.
	context.AfterFunc(ctx, stop)
	memlimit.Set(os.DirFS("/"), os.Getenv("GOMEMLIMIT"))
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "check" {
		var options check.Options
		c := command{name: "webhook check", usage: checkUsage, flags: &options, stdout: stdout, stderr: stderr}
		return c.run(args[1:], func() error { return check.Run(ctx, options, os.Stdin, stdout) })
	}
	var options server.Options
	c := command{name: "webhook", usage: usage, flags: &options, stdout: stdout, stderr: stderr}
	return c.run(args, func() error { return server.Run(ctx, options, stderr) })
}

// command is one way to call the program.
type command struct {
	name, usage string
	flags       interface {
		AddFlags(*pflag.FlagSet)
		Validate() error
	}
	stdout, stderr io.Writer
}

// run parses and validates the flags, does what they are for, and returns the
// exit code.
func (c *command) run(args []string, do func() error) int {
	flags := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
	flags.SetOutput(c.stdout)
	flags.SortFlags = false
	flags.Usage = func() { fmt.Fprintf(c.stdout, "%s\nFlags:\n%s", c.usage, flags.FlagUsages()) }
	c.flags.AddFlags(flags)
	printVersion := flags.Bool("version", false, "Print the version and exit.")

	switch err := flags.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		return exitOK
	case err != nil:
		return c.usageError(err)
	case flags.NArg() > 0:
		return c.usageError(fmt.Errorf("unexpected argument %q", flags.Arg(0)))
	case *printVersion:
		fmt.Fprintln(c.stdout, version.String("webhook"))
		return exitOK
	}
	if err := c.flags.Validate(); err != nil {
		return c.usageError(err)
	}
	if err := do(); err != nil {
		fmt.Fprintf(c.stderr, "error: %v\n", err)
		return exitError
	}
	return exitOK
}

func (c *command) usageError(err error) int {
	fmt.Fprintf(c.stderr, "error: %v\nSee '%s --help'.\n", err, c.name)
	return exitUsage
}
