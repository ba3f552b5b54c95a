package depcheck

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module is the prefix of the import paths of our packages.
const module = "github.com/oidc-injector/oidc-injector/"

// anyOfOurs in rule.imports allows every package of ours.
const anyOfOurs = "*"

// rule says what one package of ours may depend on, tests aside. The standard
// library is always allowed, and so is internal/version.
type rule struct {
	// imports are the packages of ours that it may import directly.
	imports []string
	// outOfReach are paths that it must not reach, not even through others. A
	// path stands for itself and for everything below it.
	outOfReach []string
	// inEveryPod marks what runs next to every workload and stays small: it
	// reaches no module but ours and those listed in modules.
	inEveryPod bool
	modules    []string
}

// valuesOnly keeps a package free of I/O: values in, values out.
var valuesOnly = []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime", "net/http"}

// rules has an entry for each of our packages. An entry may be here before its
// package is.
var rules = map[string]rule{
	"cmd/kubectl-oidc_injector": {imports: []string{"internal/cli"}},
	"cmd/oidc-login":            {imports: []string{"internal/loginspec", "internal/login"}, inEveryPod: true},
	"cmd/webhook": {
		imports: []string{"internal/check", "internal/memlimit", "internal/server"},
		// What only the plugin needs.
		outOfReach: []string{"github.com/google/cel-go", "github.com/spf13/cobra", "k8s.io/cli-runtime"},
	},

	"internal/admission": {imports: []string{
		"internal/annotations", "internal/config", "internal/endpoint", "internal/finding", "internal/jsonread", "internal/loginspec",
		"internal/mutate", "internal/podtemplate", "internal/policy", "internal/provider", "internal/truncate",
	}},
	// No program may import what only tests need, so nobody lists it.
	"internal/admission/admissiontest": {imports: []string{
		"internal/admission", "internal/annotations", "internal/config",
		"internal/mutate",
	}},

	"internal/annotations": {
		imports:    []string{"internal/finding", "internal/loginspec", "internal/provider", "internal/truncate"},
		outOfReach: valuesOnly,
	},
	"internal/audit": {imports: []string{
		"internal/admission", "internal/annotations", "internal/config", "internal/flagcheck", "internal/mutate", "internal/provider",
		"internal/repeat",
		"internal/truncate",
	}},
	"internal/audit/audittest": {}, // only for tests
	"internal/binding":         {imports: []string{"internal/glob"}, outOfReach: valuesOnly},
	"internal/caller":          {imports: []string{"internal/repeat"}},
	"internal/certs":           {imports: []string{"internal/certs/rotation", "internal/flagcheck", "internal/repeat"}},
	// Values in, values out: that every order of events can be tried rests on it.
	"internal/certs/rotation": {outOfReach: append([]string{"k8s.io", "os/exec"}, valuesOnly...)},
	"internal/check": {imports: []string{
		"internal/annotations", "internal/config", "internal/diagnose", "internal/flagcheck", "internal/installation",
		"internal/kubeclient", "internal/repeat", "internal/report",
	}},
	"internal/cli": {imports: []string{anyOfOurs}, outOfReach: []string{module + "internal/server"}},
	// Rules and tokens in, checks out: it asks nobody.
	"internal/cli/against": {
		imports: []string{"internal/glob", "internal/issuer", "internal/report"}, outOfReach: []string{"k8s.io", "os/exec"},
	},
	"internal/cli/condition": {outOfReach: []string{"k8s.io/client-go", "os/exec"}},
	"internal/cli/generate":  {imports: []string{"internal/annotations", "internal/loginspec"}, outOfReach: valuesOnly},
	// What reads and edits manifests reaches no cluster.
	"internal/cli/manifest": {outOfReach: []string{"k8s.io/client-go/rest", "net/http/httptest"}},
	"internal/cli/migrate":  {imports: []string{"internal/annotations"}, outOfReach: valuesOnly},
	"internal/cli/preview": {imports: []string{
		"internal/admission", "internal/annotations", "internal/config", "internal/cli/manifest", "internal/cli/yamledit",
		"internal/finding", "internal/podtemplate",
	}, outOfReach: []string{"k8s.io/client-go/rest"}},
	"internal/cli/yamledit": {outOfReach: valuesOnly},
	"internal/config": {imports: []string{
		"internal/annotations", "internal/binding", "internal/filewatch", "internal/finding", "internal/loginspec", "internal/nameset",
		"internal/podtemplate", "internal/policy", "internal/provider",
	}},
	"internal/depcheck": {},
	// A snapshot of the cluster in, steps out. The webhook has it, too.
	"internal/diagnose": {
		imports: []string{
			"internal/admission", "internal/annotations", "internal/config", "internal/loginspec", "internal/mutate", "internal/policy",
			"internal/report",
		},
		outOfReach: []string{"k8s.io/client-go/rest", "k8s.io/client-go/kubernetes", "os/exec", "github.com/google/cel-go"},
	},
	"internal/endpoint":          {outOfReach: append([]string{"k8s.io"}, valuesOnly...)},
	"internal/finding":           {outOfReach: append([]string{"k8s.io/api"}, valuesOnly...)},
	"internal/filewatch":         {imports: []string{"internal/repeat"}},
	"internal/flagcheck":         {},
	"internal/glob":              {outOfReach: append([]string{"k8s.io"}, valuesOnly...)},
	"internal/installation":      {imports: []string{"internal/annotations", "internal/config"}},
	"internal/issuer":            {imports: []string{"internal/report"}},
	"internal/issuer/issuertest": {}, // only for tests
	"internal/jsonread":          {outOfReach: valuesOnly},
	"internal/kubeclient":        {},
	"internal/loginspec":         {inEveryPod: true, imports: []string{"internal/endpoint"}},
	"internal/login": {inEveryPod: true, imports: []string{
		"internal/endpoint", "internal/loginspec", "internal/login/exchange", "internal/login/failure", "internal/login/httplogin",
		"internal/login/jwtfile", "internal/login/oauth", "internal/login/output", "internal/login/schedule", "internal/login/secret",
		"internal/login/status", "internal/login/vault", "internal/repeat", "internal/truncate",
	}},
	"internal/login/exchange": {inEveryPod: true, imports: []string{
		"internal/login/failure", "internal/login/jwtfile",
		"internal/login/secret",
	}},
	"internal/login/failure": {inEveryPod: true},
	"internal/login/httplogin": {inEveryPod: true, imports: []string{
		"internal/loginspec", "internal/login/exchange", "internal/login/failure", "internal/login/secret",
	}},
	"internal/login/jwtfile": {inEveryPod: true, imports: []string{"internal/login/failure", "internal/login/secret"}},
	"internal/login/oauth": {inEveryPod: true, imports: []string{
		"internal/loginspec", "internal/login/exchange", "internal/login/failure", "internal/login/secret",
	}},
	"internal/login/output": {inEveryPod: true, imports: []string{
		"internal/loginspec", "internal/login/exchange", "internal/login/secret",
	}},
	"internal/login/schedule": {imports: []string{"internal/login/failure"}, inEveryPod: true, outOfReach: []string{"os", "net/http"}},
	"internal/login/secret":   {inEveryPod: true, imports: []string{"internal/truncate"}},
	"internal/login/status":   {inEveryPod: true, imports: []string{"internal/login/failure", "internal/truncate"}},
	"internal/login/vault": {inEveryPod: true, imports: []string{
		"internal/loginspec", "internal/login/exchange", "internal/login/failure", "internal/login/secret",
	}},
	"internal/memlimit": {outOfReach: valuesOnly},
	"internal/mutate": {
		imports: []string{
			"internal/annotations", "internal/finding", "internal/jsonread", "internal/loginspec", "internal/nameset",
			"internal/truncate",
		},
		// k8s.io/api itself reaches net/http, without using it for I/O.
		outOfReach: []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime"},
	},
	"internal/nameset":           {outOfReach: valuesOnly},
	"internal/podtemplate":       {outOfReach: valuesOnly},
	"internal/mutate/mutatetest": {}, // only for tests
	"internal/policymode": {
		imports: []string{
			"internal/annotations", "internal/binding", "internal/config", "internal/loginspec", "internal/policy", "internal/provider",
		},
		outOfReach: []string{"k8s.io/client-go", "sigs.k8s.io/controller-runtime"},
	},
	"internal/policy": {
		imports:    []string{"internal/annotations", "internal/endpoint", "internal/finding", "internal/glob", "internal/loginspec"},
		outOfReach: valuesOnly,
	},
	"internal/provider": {outOfReach: valuesOnly},
	"internal/repeat":   {inEveryPod: true},
	"internal/report":   {outOfReach: append([]string{"k8s.io"}, valuesOnly...)},
	"internal/server": {imports: []string{
		"internal/admission", "internal/annotations", "internal/audit", "internal/binding", "internal/caller", "internal/certs",
		"internal/certs/rotation",
		"internal/config",
		"internal/filewatch", "internal/flagcheck", "internal/kubeclient", "internal/repeat",
	}},
	"internal/testutil": {imports: []string{"internal/finding"}}, // only for tests, too
	"internal/truncate": {inEveryPod: true},
	"internal/version":  {},
}

func TestImports(t *testing.T) {
	t.Parallel()
	all := load(t)
	for importPath, pkg := range all {
		path, own := strings.CutPrefix(importPath, module)
		if !own {
			continue
		}
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			r, known := rules[path]
			if !known {
				t.Fatalf("%s has no entry in the table rules of this test: add one that says which of our packages it may import", path)
			}
			checkImports(t, pkg, r)
			checkReach(t, all, pkg, r)
		})
	}
}

// checkImports reports what pkg imports itself and r does not allow.
func checkImports(t *testing.T, pkg goPackage, r rule) {
	t.Helper()
	for _, imported := range pkg.Imports {
		if imported == "testing" {
			t.Error("imports testing outside its tests: move the helper to a _test.go file")
		}
		path, own := strings.CutPrefix(imported, module)
		if !own || path == "internal/version" || slices.Contains(r.imports, path) || slices.Contains(r.imports, anyOfOurs) {
			continue
		}
		t.Errorf("imports %s, which the table rules of this test does not allow: "+
			"turn the dependency round, or change the architecture and the table together", path)
	}
}

// checkReach reports what pkg depends on, directly or not, against r.
func checkReach(t *testing.T, all map[string]goPackage, pkg goPackage, r rule) {
	t.Helper()
	for _, path := range r.outOfReach {
		below := func(p goPackage) bool { return p.ImportPath == path || strings.HasPrefix(p.ImportPath, path+"/") }
		if chain := chainTo(all, pkg, below); chain != "" {
			t.Errorf("must not reach %s: cut the chain %s", path, chain)
		}
	}
	if !r.inEveryPod {
		return
	}
	foreign := func(p goPackage) bool {
		return !p.Standard && p.Module.Path != "" && !p.Module.Main && !slices.Contains(r.modules, p.Module.Path)
	}
	if chain := chainTo(all, pkg, foreign); chain != "" {
		t.Errorf("runs in every pod and must stay small: cut the chain %s", chain)
	}
}

// chainTo is a shortest path of imports from pkg to a package that matches, or
// empty.
func chainTo(all map[string]goPackage, pkg goPackage, match func(goPackage) bool) string {
	importedBy := map[string]string{pkg.ImportPath: ""}
	for queue := []string{pkg.ImportPath}; len(queue) > 0; queue = queue[1:] {
		if at := queue[0]; at != pkg.ImportPath && match(all[at]) {
			return linkUp(importedBy, at)
		}
		for _, imported := range all[queue[0]].Imports {
			if _, seen := importedBy[imported]; !seen {
				importedBy[imported] = queue[0]
				queue = append(queue, imported)
			}
		}
	}
	return ""
}

// linkUp writes the chain that ends at target, importers first.
func linkUp(importedBy map[string]string, target string) string {
	var links []string
	for at := target; at != ""; at = importedBy[at] {
		links = append(links, strings.TrimPrefix(at, module))
	}
	slices.Reverse(links)
	return strings.Join(links, " > ")
}

// goPackage is what this test reads of the output of go list.
type goPackage struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Module     struct {
		Path string
		Main bool
	}
}

// load lists our packages and everything they depend on, by import path.
func load(t *testing.T) map[string]goPackage {
	t.Helper()
	watchSources(t)
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Standard,Imports,Module", module+"...")
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("go list: %v\n%s", err, exit.Stderr)
	}
	if err != nil {
		t.Fatalf("go list: %v", err)
	}

	packages := map[string]goPackage{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg goPackage
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("reading the output of go list: %v", err)
		}
		packages[pkg.ImportPath] = pkg
	}
}

// watchSources visits the sources, because go test repeats a cached result as
// long as the files that the test itself has looked at stay the same.
func watchSources(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"../../cmd", "../../internal"} {
		if err := filepath.WalkDir(dir, func(string, fs.DirEntry, error) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
}
