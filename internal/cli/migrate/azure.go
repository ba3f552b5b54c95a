package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The annotations of azure-workload-identity, and the label of its pods; the expiration is
// one of ServiceAccounts and of pods (github.com/Azure/azure-workload-identity
// pkg/webhook/consts.go).
const (
	azureDomain     = "azure.workload.identity"
	azureUse        = azureDomain + "/use"
	azureClient     = azureDomain + "/client-id"
	azureTenant     = azureDomain + "/tenant-id"
	azureExpiration = azureDomain + "/service-account-token-expiration"
	azureSkip       = azureDomain + "/skip-containers"
	azureProxy      = azureDomain + "/inject-proxy-sidecar"
)

const (
	azureDefaultExpiration = 3600
	azureMaxExpiration     = 86400
)

var ownsAzure = all(azureDomain)

var azure = Peer{
	Name: "azure-workload-identity", token: "azure",
	Moves: "pod: label `use`; ServiceAccount: `client-id`, `tenant-id`, `service-account-token-expiration`; pod: " +
		"the same expiration, `skip-containers`",
	Leaves: "`inject-proxy-sidecar`, token endpoints of the cluster",
	owns:   ownsAzure,
	// The objectSelector of its registration (charts/workload-identity-webhook).
	asks:      func(in input) bool { return in.pod.Labels[azureUse] == "true" },
	byAccount: func(a *Account) bool { return a.Annotations[azureClient] != "" },
	labels:    map[string]string{azureUse: "true"},
	move:      moveAzure,
}

func moveAzure(in input) (m move) {
	var of map[string]string
	if in.account != nil {
		of = in.account.Annotations
	}
	tenant := cmp.Or(of[azureTenant], in.AzureTenantID)
	m.set("azure-client-id", of[azureClient])
	m.set("azure-tenant-id", tenant)
	switch {
	case in.account == nil:
		m.find(Stays, azureUse, "ServiceAccount %q, which has the client ID, is not among the manifests", in.pod.Account)
	case of[azureClient] == "":
		m.find(Stays, azureUse, "ServiceAccount %q has no %s", in.account.Name, azureClient)
	case tenant == "":
		m.find(Stays, azureClient, "there is no %s, and the peer's default is not known: give it with --azure-tenant-id", azureTenant)
	}
	// webhook.go, getServiceAccountTokenExpiration: the pod's is first.
	text := cmp.Or(in.pod.Annotations[azureExpiration], of[azureExpiration], strconv.Itoa(azureDefaultExpiration))
	switch seconds, err := strconv.Atoi(text); {
	case err != nil || seconds < azureDefaultExpiration || seconds > azureMaxExpiration:
		m.find(Stays, azureExpiration, "the peer refuses %q: it must be from %d to %d", text, azureDefaultExpiration, azureMaxExpiration)
	case seconds != azureDefaultExpiration:
		m.set("expiration.azure", strconv.Itoa(seconds))
	}
	// getSkipContainers.
	if names := splitNames(in.pod.Annotations[azureSkip], ";"); len(names) > 0 {
		m.set("skip-containers.azure", strings.Join(names, ","))
	}
	// shouldInjectProxySidecar: whatever the value is.
	if _, wanted := in.pod.Annotations[azureProxy]; wanted {
		m.find(Stays, azureProxy, "there is no proxy that answers for the instance metadata service: have the app use an SDK with "+
			"workload identity, and remove this")
	}
	for _, name := range owned(in.pod.Annotations, ownsAzure) {
		if key := strings.TrimPrefix(name, azureDomain+"/"); strings.HasPrefix(key, "use-") {
			m.find(Stays, name, "there is no counterpart for a token endpoint of the cluster's own")
		}
	}
	return m
}

// splitNames are the names in a list, without empty ones.
func splitNames(text, separator string) []string {
	names := strings.Split(text, separator)
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

// quoteAll joins names for a sentence.
func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(quoted, ", ")
}
