//go:build unix

// Vault builds and runs the servers of package vault outside of tests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/oidc-injector/oidc-injector/test/vault"
)

const usage = `usage: vault COMMAND [FLAG...]

  build   build Vault in advance
  up      run a server until Ctrl-C
  pin     pin the module of the release: vault pin --dir=DIR`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "vault:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet("vault", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprintln(os.Stderr, usage) }
	dir := flags.String("dir", ".", "")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q\n%s", flags.Arg(0), usage)
	}
	switch options := (vault.Options{Progress: os.Stderr}); args[0] {
	case "build":
		return vault.Build(ctx, options)
	case "up":
		return up(ctx, options)
	case "pin":
		return vault.PinModule(ctx, *dir)
	default:
		return errors.New(usage)
	}
}

func up(ctx context.Context, options vault.Options) (err error) {
	server, err := vault.Start(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	fmt.Printf("export VAULT_ADDR=%s VAULT_CACERT=%s VAULT_TOKEN=%s\nvault=%s\n",
		server.Address(), server.CAFile(), server.Client().Token(), server.VaultPath())
	fmt.Fprintf(os.Stderr, "vault: running, log in %s; Ctrl-C ends it\n", server.LogFile())
	<-ctx.Done()
	return nil
}
