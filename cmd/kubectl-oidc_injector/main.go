// Kubectl-oidc_injector is the kubectl plugin of oidc-injector: kubectl oidc-injector.
package main

import (
	"context"
	"os"

	"github.com/go-logr/logr"
	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"

	"github.com/oidc-injector/oidc-injector/internal/cli"
)

func main() {
	// Libraries for clusters log there what they return as errors, too, and several times.
	klog.SetLogger(logr.Discard())
	// Signals end it at once, also where it waits for its input: it leaves nothing to clean up.
	os.Exit(cli.Run(context.Background(), os.Args[1:], cli.Environment{
		IOStreams: genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
		// https://no-color.org: any value but an empty one.
		Color:         os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(os.Stdout.Fd())),
		Terminal:      term.IsTerminal(int(os.Stdin.Fd())),
		HelmNamespace: os.Getenv("HELM_NAMESPACE"),
		Vault: cli.VaultEnvironment{
			Token: os.Getenv("VAULT_TOKEN"), Namespace: os.Getenv("VAULT_NAMESPACE"), CACert: os.Getenv("VAULT_CACERT"),
		},
	}))
}
