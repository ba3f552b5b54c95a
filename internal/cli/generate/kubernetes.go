package generate

import (
	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// kubernetes writes the authentication configuration of another API server (Kubernetes
// documentation, "Using Authentication Configuration").
var kubernetes = Party{
	Name: "kubernetes", Summary: "another Kubernetes cluster: the AuthenticationConfiguration of its API server",
	template: "kubernetes.yaml.tmpl",
	values:   newKubernetesValues,
	suits:    func(t *annotations.Token, _ *annotations.Login) bool { return variable(t, "KUBECONFIG") != "" },
}

type kubernetesValues struct{ common }

func newKubernetesValues(w *Workload) (values, error) { return &kubernetesValues{w.common()}, nil }

// Rule is the expression that only the workload's tokens fulfil (CEL).
func (v *kubernetesValues) Rule() string { return "claims.sub == '" + v.Subject + "'" }

func (*kubernetesValues) forAPI() any { return nil }

func (*kubernetesValues) notes() []string {
	return []string{
		"the rule lets in this workload alone: for further ones of the cluster widen it, and let RBAC tell them apart",
		"the other API server must have another issuer than this one, and has to reach it",
	}
}
