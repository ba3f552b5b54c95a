//go:build unix

// Cluster builds and runs the clusters of package cluster outside of tests.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/oidc-injector/oidc-injector/test/cluster"
)

const usage = `usage: cluster COMMAND [FLAG...]

  build   build and unpack everything in advance
  up      run a cluster until Ctrl-C
  pin     pin the module of a release: cluster pin --kubernetes-version=VERSION --dir=DIR

  --node                with a node, which needs Linux and root
  --kubernetes-version  a release such as v1.34.4
  --kubeconfig          of up: also write the kubeconfig to this file`

// input is what the command line says.
type input struct {
	command    string
	options    cluster.Options
	kubeconfig string
	dir        string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	in, err := parse(args)
	if err != nil {
		return err
	}
	switch in.command {
	case "build":
		return cluster.Build(ctx, in.options)
	case "up":
		return up(ctx, in)
	case "pin":
		return cluster.PinModule(ctx, in.dir, in.options.KubernetesVersion)
	default:
		return errors.New(usage)
	}
}

func parse(args []string) (input, error) {
	if len(args) == 0 {
		return input{}, errors.New(usage)
	}
	in := input{command: args[0], options: cluster.Options{Progress: os.Stderr}}
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprintln(os.Stderr, usage) }
	flags.BoolVar(&in.options.Node, "node", false, "")
	flags.StringVar(&in.options.KubernetesVersion, "kubernetes-version", "", "")
	flags.StringVar(&in.kubeconfig, "kubeconfig", "", "")
	flags.StringVar(&in.dir, "dir", ".", "")
	if err := flags.Parse(args[1:]); err != nil {
		return input{}, err
	}
	if flags.NArg() > 0 {
		return input{}, fmt.Errorf("unknown argument %q\n%s", flags.Arg(0), usage)
	}
	return in, nil
}

func up(ctx context.Context, in input) (err error) {
	c, err := cluster.Start(ctx, in.options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	kubeconfig := c.Kubeconfig()
	if in.kubeconfig != "" {
		if err := copyFile(in.kubeconfig, kubeconfig); err != nil {
			return err
		}
		kubeconfig = in.kubeconfig
	}
	fmt.Printf("export KUBECONFIG=%s\nkubectl=%s\n", kubeconfig, c.KubectlPath())
	fmt.Fprintf(os.Stderr, "cluster: running, issuer %s, logs in %s; Ctrl-C ends it\n", c.Issuer(), c.LogDir())
	<-ctx.Done()
	return nil
}

func copyFile(to, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("could not copy the kubeconfig: %w", err)
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		return fmt.Errorf("could not copy the kubeconfig: %w", err)
	}
	return nil
}
