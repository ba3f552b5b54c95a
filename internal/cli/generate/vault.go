package generate

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// vaultValues are those of the JWT auth method (Vault, "JWT/OIDC auth method (API)";
// OpenBao has the same).
type vaultValues struct {
	common
	// Product is its name, Program that of its client and Prefix that of its variables.
	Product, Program, Prefix string
	// Mount is the path of the auth method, Role the name of the role, and Policy that of the
	// policy that it gives.
	Mount, Role, Policy string
	// VaultNamespace is that of Vault Enterprise or OpenBao, or empty.
	VaultNamespace string
}

// vaultConfig is the body of auth/MOUNT/config.
type vaultConfig struct {
	DiscoveryURL string `json:"oidc_discovery_url"`
	DiscoveryCA  string `json:"oidc_discovery_ca_pem,omitempty"`
	BoundIssuer  string `json:"bound_issuer"`
}

// vaultRole is the body of auth/MOUNT/role/ROLE. Subject and claims say the same twice: the
// first is the name that people know, the others cannot be of another issuer's making.
type vaultRole struct {
	RoleType             string            `json:"role_type"`
	BoundAudiences       []string          `json:"bound_audiences"`
	BoundSubject         string            `json:"bound_subject"`
	BoundClaims          map[string]string `json:"bound_claims"`
	UserClaim            string            `json:"user_claim"`
	UserClaimJSONPointer bool              `json:"user_claim_json_pointer"`
	TokenPolicies        []string          `json:"token_policies"`
	TokenTTL             string            `json:"token_ttl"`
	TokenMaxTTL          string            `json:"token_max_ttl"`
}

// vaultRequest is a request of the API.
type vaultRequest struct {
	Path string `json:"path"`
	Data any    `json:"data"`
}

// defaultMount is where the auth method is unless login-mount says another path.
const defaultMount = "jwt"

func forVault(_ *annotations.Token, l *annotations.Login) bool {
	return l != nil && l.Method == loginspec.MethodVault
}

// vaultParty is Vault, or who speaks its protocol.
func vaultParty(name, product, what string) Party {
	return Party{
		Name: name, Summary: fmt.Sprintf("%s: %s, or requests of the API", product, what), suits: forVault, template: "vault.sh.tmpl",
		values: func(w *Workload) (values, error) { return newVaultValues(w, product) },
	}
}

var errSlash = errors.New("a name of a role with a slash cannot be written: change login-role")

func newVaultValues(w *Workload, product string) (*vaultValues, error) {
	v := &vaultValues{
		common: w.common(), Product: product, Program: "vault", Prefix: "VAULT",
		Mount: defaultMount, Role: w.name(),
	}
	if product == "OpenBao" {
		v.Program, v.Prefix = "bao", "BAO"
	}
	if l := w.Login; l != nil && l.Method == loginspec.MethodVault {
		v.Mount = strings.Trim(cmp.Or(l.Options[loginspec.Mount], v.Mount), "/")
		v.Role = cmp.Or(l.Options[loginspec.Role], v.Role)
		v.VaultNamespace = l.Options[loginspec.Namespace]
	}
	if strings.Contains(v.Role, "/") {
		return nil, errSlash
	}
	v.Policy = v.Role
	return v, nil
}

// Config and RoleData are the bodies of the requests.
func (v *vaultValues) Config() vaultConfig {
	return vaultConfig{DiscoveryURL: v.Issuer, DiscoveryCA: v.IssuerCA, BoundIssuer: v.Issuer}
}

// RoleData is the role.
func (v *vaultValues) RoleData() vaultRole {
	return vaultRole{
		RoleType: "jwt", BoundAudiences: []string{v.Audience}, BoundSubject: v.Subject,
		BoundClaims: map[string]string{"/kubernetes.io/namespace": v.Namespace, "/kubernetes.io/serviceaccount/name": v.ServiceAccount},
		UserClaim:   "/kubernetes.io/serviceaccount/uid", UserClaimJSONPointer: true,
		TokenPolicies: []string{v.Policy}, TokenTTL: "1h", TokenMaxTTL: "24h",
	}
}

// PolicyRules are a policy that grants nothing yet.
func (*vaultValues) PolicyRules() string {
	return "# What the workload may do, such as\n# path \"secret/data/app\" { capabilities = [\"read\"] }\n"
}

func (v *vaultValues) forAPI() any {
	return []vaultRequest{
		{"sys/auth/" + v.Mount, map[string]string{"type": "jwt"}},
		{"auth/" + v.Mount + "/config", v.Config()},
		{"sys/policies/acl/" + v.Policy, map[string]string{"policy": v.PolicyRules()}},
		{"auth/" + v.Mount + "/role/" + v.Role, v.RoleData()},
	}
}

func (v *vaultValues) notes() []string {
	notes := []string{fmt.Sprintf("the policy %s grants nothing yet: write what the workload may do", v.Policy)}
	if v.IssuerCA == "" {
		notes = append(notes,
			v.Product+" has to trust the issuer's certificate: of an API server that is the cluster's CA, which --issuer-ca adds")
	}
	return notes
}
