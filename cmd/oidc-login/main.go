// Login exchanges a projected ServiceAccount token for a token of Vault, OpenBao
// or an OAuth authorization server, and keeps that fresh in a file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
	"github.com/oidc-injector/oidc-injector/internal/version"
)

// The exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

const program = loginspec.Program

func main() {
	beSmall()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// The first signal ends the program in order, the second one at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// beSmall trades speed, of which nothing here needs any, for memory: one thread
// of Go code, whatever the size of the node, and a heap that is collected at
// 1 MiB instead of 4.
func beSmall() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
}

func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	options := login.NewOptions(environ)
	if len(args) > 0 {
		switch args[0] {
		case "ready":
			return ready(ctx, options, args[1:], stdout, stderr)
		case "version", "help":
			args = []string{"--" + args[0]}
		}
	}
	flags := newFlags()
	options.AddFlags(flags)
	printVersion := flags.Bool("version", false, "")
	fail := func(err error) int {
		login.Terminate(options.TerminationLog(), err.Error())
		return usageError(stderr, err)
	}
	switch err := parse(flags, args); {
	case errors.Is(err, flag.ErrHelp):
		login.Help(stdout)
		return exitOK
	case err != nil:
		return fail(err)
	case *printVersion:
		fmt.Fprintln(stdout, version.String(program))
		return exitOK
	}
	config, err := options.Config()
	if err != nil {
		return fail(err)
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	if err := login.Run(ctx, config, stderr, hangup); err != nil {
		fmt.Fprintf(stderr, "error: %v\n", err)
		return exitError
	}
	return exitOK
}

func ready(ctx context.Context, options *login.Options, args []string, stdout, stderr io.Writer) int {
	flags := newFlags()
	options.AddFlags(flags, loginspec.OutputFile)
	var wait time.Duration
	flags.DurationVar(&wait, "wait", 0, "")
	switch err := parse(flags, args); {
	case errors.Is(err, flag.ErrHelp):
		login.Help(stdout)
		return exitOK
	case err != nil:
		return usageError(stderr, err)
	}
	ok, line := login.Ready(ctx, options.OutputFile(), wait)
	fmt.Fprintln(stdout, line)
	if !ok {
		return exitError
	}
	return exitOK
}

func newFlags() *flag.FlagSet {
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // what is wrong is said once, below
	flags.Usage = func() {}
	return flags
}

// parse reads the flags, and nothing else is allowed.
func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return nil
}

func usageError(stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "error: %v\nSee '%s --help'.\n", err, program)
	return exitUsage
}
