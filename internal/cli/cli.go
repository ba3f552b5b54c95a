// Package cli is the kubectl plugin: kubectl oidc-injector. A verb is a function
// newXCommand in a file of its own, and a row of [verbs]. Verbs call the same code
// as the webhook; nothing is decided here a second time.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
)

// The exit codes, the same for every verb.
const (
	// ExitOK: done, and nothing is wrong.
	ExitOK = 0
	// ExitFinding: done, and what was looked at is not in order.
	ExitFinding = 1
	// ExitError: the call is wrong, or could not be carried out.
	ExitError = 2
)

// errFinding is returned by a verb that has printed what is not in order: the program
// ends with [ExitFinding] and says nothing more.
var errFinding = errors.New("something is not in order")

// Environment is what the program is given beside its arguments.
type Environment struct {
	genericiooptions.IOStreams
	// Color says that the output is shown to somebody who wants colors.
	Color bool
	// Vault is what the environment says of Vault, for reading a role there.
	Vault VaultEnvironment
	// Now is the time; nil for that of the clock.
	Now func() time.Time
	// Terminal says that the standard input is a keyboard, which a verb should not
	// wait for in silence.
	Terminal bool
	// HelmNamespace is the release's, where Helm runs the program; or else empty.
	HelmNamespace string
}

// VaultEnvironment are variables that Vault's own client reads, too.
type VaultEnvironment struct{ Token, Namespace, CACert string }

// globals are what all verbs share.
type globals struct {
	Environment
	// cluster has the flags of kubectl: --kubeconfig, --context, -n and so on. Nothing
	// is read before a verb asks for it.
	cluster *genericclioptions.ConfigFlags
}

func newGlobals(env Environment) *globals {
	return &globals{Environment: env, cluster: genericclioptions.NewConfigFlags(true)}
}

// Run runs one call of the plugin and returns its exit code.
func Run(ctx context.Context, args []string, env Environment) int {
	g := newGlobals(env)
	root := newRoot(g)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, errFinding):
		return ExitFinding
	default:
		printError(env.ErrOut, g.hintAtCluster(err))
		return ExitError
	}
}

func printError(w io.Writer, err error) {
	fmt.Fprintf(w, "error: %v\n", err)
	if h, ok := errors.AsType[*hintedError](err); ok {
		fmt.Fprintf(w, "hint: %s\n", h.hint)
	}
}

// hintAtCluster adds to the error of an API server that does not answer what to do. Other
// servers, such as an issuer, are named in their errors.
func (g *globals) hintAtCluster(err error) error {
	failed, isURL := errors.AsType[*url.Error](err)
	if _, hinted := errors.AsType[*hintedError](err); hinted || !isURL {
		return err
	}
	config, configErr := g.cluster.ToRESTConfig()
	if configErr != nil {
		return err
	}
	asked, urlErr := url.Parse(failed.URL)
	server, _, serverErr := rest.DefaultServerUrlFor(config)
	if urlErr != nil || serverErr != nil || asked.Host != server.Host {
		return err
	}
	return withHint(err, "does the API server answer (kubectl cluster-info)? Name another one with --kubeconfig or --context")
}

// hintedError is an error that says what to do about it.
type hintedError struct {
	error
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }

// withHint adds what to do to an error.
func withHint(err error, format string, args ...any) error {
	return &hintedError{err, fmt.Sprintf(format, args...)}
}
