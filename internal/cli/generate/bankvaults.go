package generate

import (
	"errors"
	"strings"
)

// bankVaults writes what the operator of Bank-Vaults configures (bank-vaults
// documentation, "External configuration for Vault").
var bankVaults = Party{
	Name: "bank-vaults", Summary: "Bank-Vaults: the externalConfig of its Vault resource", suits: forVault,
	template: "bank-vaults.yaml.tmpl", values: newBankVaultsValues,
}

type bankVaultsValues struct{ *vaultValues }

func (bankVaultsValues) forAPI() any { return nil }

var errBankVaultsTemplate = errors.New("Bank-Vaults would evaluate the ${…} in a name: change it")

func newBankVaultsValues(w *Workload) (values, error) {
	v, err := newVaultValues(w, "Vault")
	if err != nil {
		return nil, err
	}
	if strings.Contains(v.Audience+v.Role+v.Mount+v.Issuer, "${") {
		return nil, errBankVaultsTemplate
	}
	return bankVaultsValues{v}, nil
}
