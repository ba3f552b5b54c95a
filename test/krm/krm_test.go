package krm

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/tool"
)

// root is the repository, seen from this package.
const root = "../.."

const deployment = `# The web server.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations:
        oidc-injector.io/profile: vault # of the configuration
    spec:
      containers:
      - name: web
        image: web:1
`

// config is the function's configuration; where it is to be found comes after it for kustomize.
const config = `apiVersion: config.oidc-injector.io/v1alpha1
kind: InjectorConfig
profiles:
  vault: {audience: vault}
metadata:
  name: injector
`

const (
	function = `  annotations:
    config.kubernetes.io/function: |
      exec:
        path: ./kubectl-oidc_injector
        args: [render]
`
	kustomization = `namePrefix: my-
resources: [deployment.yaml]
transformers: [injector.yaml]
`
)

// mistyped is a profile that there is not.
func mistyped(text string) string {
	return strings.ReplaceAll(text, "profile: vault", "profile: vualt")
}

// TestKustomize has kustomize build with the plugin as a transformer, after its own.
func TestKustomize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := injector.Build(t.Context(), "kubectl-oidc_injector", dir); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{
		"kustomization.yaml": kustomization, "deployment.yaml": deployment, "injector.yaml": config + function,
	})
	build := []string{"build", "--enable-alpha-plugins", "--enable-exec", dir}
	out, errOut, err := run(t, "kustomize", build...)
	if err != nil {
		t.Fatalf("%v: %s", err, errOut)
	}
	for _, want := range []string{
		"name: my-web\n", `oidc-injector.io/status: '{"version":"v0.0.0-test","tokens":["default"],"containers":["web"]}'` + "\n",
		"- mountPath: /var/run/secrets/tokens\n          name: oidc-token\n", "audience: vault\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	write(t, dir, map[string]string{"deployment.yaml": mistyped(deployment)})
	if out, errOut, err := run(t, "kustomize", build...); err == nil || out != "" ||
		!strings.Contains(errOut, `Unsupported value: "vualt": supported values: "vault"`) {
		t.Errorf("a profile that there is not: error %v: %s%s", err, out, errOut)
	}
}

// want is what kpt leaves in the file: what is not added stays as it was.
var want = strings.ReplaceAll(deployment, "# of the configuration\n", "# of the configuration\n"+
	`        oidc-injector.io/status: '{"version":"v0.0.0-test","tokens":["default"],"containers":["web"]}'`+"\n") +
	`        volumeMounts:
        - name: oidc-token
          mountPath: /var/run/secrets/tokens
      volumes:
      - name: oidc-token
        projected:
          sources:
          - serviceAccountToken:
              audience: vault
              expirationSeconds: 3600
              path: oidc-token
`

// TestKpt has kpt change a package in its place.
func TestKpt(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("kpt takes minutes to compile")
	}
	bin, pkg := t.TempDir(), t.TempDir()
	program, err := injector.Build(t.Context(), "kubectl-oidc_injector", bin)
	if err != nil {
		t.Fatal(err)
	}
	write(t, bin, map[string]string{"injector.yaml": config})
	write(t, pkg, map[string]string{"deployment.yaml": deployment})
	eval := []string{"fn", "eval", pkg, "--exec=" + program + " render", "--fn-config=" + filepath.Join(bin, "injector.yaml")}
	for range 2 { // the second time there is nothing to do
		if _, errOut, err := run(t, "kpt", eval...); err != nil {
			t.Fatalf("%v: %s", err, errOut)
		}
		got, err := os.ReadFile(filepath.Join(pkg, "deployment.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("the file has become\n%s\nwant\n%s", got, want)
		}
	}
	write(t, pkg, map[string]string{"deployment.yaml": mistyped(deployment)})
	const result = "[error] apps/v1/Deployment/default/web spec.template.metadata.annotations[oidc-injector.io/profile]: " +
		`Unsupported value: "vualt"`
	if _, errOut, err := run(t, "kpt", eval...); err == nil || !strings.Contains(errOut, result) {
		t.Errorf("a profile that there is not: error %v: %s", err, errOut)
	}
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// run runs a tool, which is built the first time.
func run(t *testing.T, name string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	path, err := tool.Path(t.Context(), root, name)
	if err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	return out.String(), errOut.String(), err
}
