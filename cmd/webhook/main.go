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
       webhook check-config FILE

The mutating admission webhook of oidc-injector. With check, it finds out whether
a cluster's webhook does what it should, and with check-config whether a
configuration file is valid: see 'webhook check --help'.
`
	checkUsage = `Usage: webhook check [flags]

Has the API server admit an annotated pod by dry-run, and reports whether it came
back with its token. Nothing is created. It needs the right to create pods in the
namespace; what else it may read, such as the registration, it looks at, too.
Exit codes: 0 if the pod gets its token, 1 if not, 2 for a wrong call.
`
	checkConfigUsage = `Usage: webhook check-config FILE

Reports everything that is wrong with an InjectorConfig, in a line each; - is the
standard input. Exit codes: 0 if it is valid, 1 if it is not, 2 for a wrong call.
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
		return c.run(args[1:], func() error { return check.Run(ctx, options, stdout) })
	}
	if len(args) > 0 && args[0] == "check-config" {
		var file string
		c := command{name: "webhook check-config", usage: checkConfigUsage, argument: &file, stdout: stdout, stderr: stderr}
		return c.run(args[1:], func() error { return check.ConfigFile(file, os.Stdin, stdout) })
	}
	var options server.Options
	c := command{name: "webhook", usage: usage, flags: &options, stdout: stdout, stderr: stderr}
	return c.run(args, func() error { return server.Run(ctx, options, stderr) })
}

// command is one way to call the program.
type command struct {
	name, usage string
	// flags may be nil.
	flags interface {
		AddFlags(*pflag.FlagSet)
		Validate() error
	}
	// argument is where the one argument goes; nil where there is none.
	argument       *string
	stdout, stderr io.Writer
}

// run parses and validates the flags, does what they are for, and returns the
// exit code.
func (c *command) run(args []string, do func() error) int {
	flags := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
	flags.SetOutput(c.stdout)
	flags.SortFlags = false
	flags.Usage = func() { fmt.Fprintf(c.stdout, "%s\nFlags:\n%s", c.usage, flags.FlagUsages()) }
	if c.flags != nil {
		c.flags.AddFlags(flags)
	}
	printVersion := flags.Bool("version", false, "Print the version and exit.")

	switch err := flags.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		return exitOK
	case err != nil:
		return c.usageError(err)
	case *printVersion:
		fmt.Fprintln(c.stdout, version.String("webhook"))
		return exitOK
	}
	if err := c.takeArgument(flags.Args()); err != nil {
		return c.usageError(err)
	}
	if c.flags != nil {
		if err := c.flags.Validate(); err != nil {
			return c.usageError(err)
		}
	}
	if err := do(); err != nil {
		fmt.Fprintf(c.stderr, "error: %v\n", err)
		return exitError
	}
	return exitOK
}

func (c *command) takeArgument(args []string) error {
	if c.argument != nil {
		if len(args) == 0 {
			return errors.New("name a file, or - for the standard input")
		}
		*c.argument, args = args[0], args[1:]
	}
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	return nil
}

func (c *command) usageError(err error) int {
	fmt.Fprintf(c.stderr, "error: %v\nSee '%s --help'.\n", err, c.name)
	return exitUsage
}
