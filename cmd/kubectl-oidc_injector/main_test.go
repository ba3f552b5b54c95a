package main

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kubectl": kubectl})
}

// kubectl runs the plugin as kubectl does (k8s.io/kubectl, pkg/cmd/plugin.go): with
// the words behind its name.
func kubectl() {
	if len(os.Args) < 2 || os.Args[1] != "oidc-injector" {
		fmt.Fprintln(os.Stderr, "error: this kubectl knows one plugin: oidc-injector")
		return
	}
	os.Args = append(os.Args[:1], os.Args[2:]...)
	main()
}

// TestScripts has each verb called as users type it.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", UpdateScripts: *update, RequireUniqueNames: true, RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"apiserver": apiServer},
		Setup: func(env *testscript.Env) error {
			env.Setenv("KUBECONFIG", env.WorkDir+"/no-kubeconfig")
			return nil
		},
	})
}
