package postrender

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/test/injector"
	"github.com/oidc-injector/oidc-injector/test/internal/helm"
)

// root is the repository, seen from this package.
const root = "../.."

const chart = `apiVersion: v2
name: web
version: 0.1.0
`

const template = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations:
        oidc-injector.io/audience: {{ .Values.audience | quote }} # of Vault
    spec:
      containers:
      - name: web
        image: web:1
`

// want is what is added; the lines around it are the chart's.
const want = `        oidc-injector.io/audience: "vault" # of Vault
        oidc-injector.io/status: '{"version":"v0.0.0-test","tokens":["default"],"containers":["web"]}'
    spec:
      containers:
      - name: web
        image: web:1
        volumeMounts:
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

// TestPostRenderer has each Helm render a chart by the plugin: Helm 3 by the program's
// name, Helm 4 by the plugin of its own.
func TestPostRenderer(t *testing.T) {
	bin := t.TempDir()
	if _, err := injector.Build(t.Context(), "kubectl-oidc_injector", bin); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "templates"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"Chart.yaml": chart, "templates/deployment.yaml": template} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	helms, err := helm.Both(t.Context(), root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range helms {
		t.Run(h.Name, func(t *testing.T) {
			args := []string{"--post-renderer=kubectl-oidc_injector", "--post-renderer-args=render"}
			if h.Name == "helm4" {
				h.MustRun(t, "plugin", "install", filepath.Join(root, "plugins", "helm"))
				args = []string{"--post-renderer=oidc-injector"}
			}
			out := h.MustRun(t, append(args, "template", "web", dir, "--set=audience=vault")...)
			if !strings.Contains(out, want) {
				t.Errorf("rendered:\n%s\nwant in it:\n%s", out, want)
			}
			// Helm 3 passes on what is wrong, Helm 4 says only that something is.
			reason := "error: deployment.apps/web: spec.template.metadata.annotations[oidc-injector.io/audience]"
			if h.Name == "helm4" {
				reason = `plugin "oidc-injector" exited with error`
			}
			if _, err := h.Run(t.Context(), append(args, "template", "web", dir, "--set=audience=")...); err == nil ||
				!strings.Contains(err.Error(), reason) {
				t.Errorf("a workload whose pods would be denied: %v", err)
			}
		})
	}
}
