package generate

// terraform writes resources of the Vault provider (hashicorp/terraform-provider-vault,
// vault_jwt_auth_backend and vault_jwt_auth_backend_role).
var terraform = Party{
	Name: "terraform", Summary: "Vault and OpenBao: resources of Terraform's and OpenTofu's provider hashicorp/vault", suits: forVault,
	template: "terraform.tf.tmpl", values: newTerraformValues,
}

type terraformValues struct{ *vaultValues }

func (terraformValues) forAPI() any { return nil }

func newTerraformValues(w *Workload) (values, error) {
	v, err := newVaultValues(w, "Vault")
	if err != nil {
		return nil, err
	}
	return terraformValues{v}, nil
}

// Label is the name of a resource: letters, digits, '_' and '-', as names of Kubernetes
// without dots are.
func (v terraformValues) Label() string { return label(v.Name) }

// label is a text with everything replaced that names of resources do not have.
func label(text string) string {
	out := []rune(text)
	for i, r := range out {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			out[i] = '_'
		}
	}
	if out[0] >= '0' && out[0] <= '9' || out[0] == '-' {
		return "_" + string(out)
	}
	return string(out)
}
