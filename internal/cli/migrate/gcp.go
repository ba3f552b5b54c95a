package migrate

import (
	"cmp"
	"strconv"
	"strings"
)

// The annotations of the GCP webhook, of ServiceAccounts but for the last one; the
// expiration is read of pods, too
// (github.com/pfnet-research/gcp-workload-identity-federation-webhook
// webhooks/annotations.go, README.md).
const (
	gcpDomain     = "cloud.google.com"
	gcpProvider   = gcpDomain + "/workload-identity-provider"
	gcpEmail      = gcpDomain + "/service-account-email"
	gcpAudience   = gcpDomain + "/audience"
	gcpExpiration = gcpDomain + "/token-expiration"
	gcpMode       = gcpDomain + "/injection-mode"
	gcpExchange   = gcpDomain + "/token-exchange-mode"
	gcpProject    = gcpDomain + "/project-id"
	gcpSkip       = gcpDomain + "/skip-containers"
)

// What it does where nothing else is said (webhooks/constants.go).
const (
	gcpDefaultAudience   = "sts.googleapis.com"
	gcpDefaultExpiration = 86400
	gcpMinExpiration     = 3600
)

var gcp = Peer{
	Name: "gcp-workload-identity-federation-webhook", token: "gcp",
	Moves: "ServiceAccount: `workload-identity-provider`, `service-account-email`, `audience`, " +
		"`token-expiration`, `injection-mode`, `token-exchange-mode`, `project-id`; pod: `token-expiration`, `skip-containers`",
	Leaves: "lost: the container that logs `gcloud` in (unless `injection-mode` is `direct`), `gcloud-run-as-user`",
	// Google has other annotations in this domain.
	owns: oneOf(gcpDomain, "workload-identity-provider", "service-account-email", "audience", "token-expiration", "gcloud-run-as-user",
		"injection-mode", "token-exchange-mode", "project-id", "skip-containers"),
	asks:      func(in input) bool { return in.account != nil && asksGCP(in.account) },
	byAccount: asksGCP,
	move:      moveGCP,
}

// asksGCP is webhooks/identityconfig.go.
func asksGCP(a *Account) bool {
	return a.Annotations[gcpProvider] != "" || a.Annotations[gcpEmail] != ""
}

func moveGCP(in input) (m move) {
	of := in.account.Annotations
	m.set("gcp-provider", of[gcpProvider])
	switch mode := cmp.Or(of[gcpExchange], "service-account"); mode {
	case "direct-access": // in which the address is ignored
	case "service-account":
		m.set("gcp-service-account", of[gcpEmail])
		if of[gcpProvider] == "" || of[gcpEmail] == "" {
			m.find(Stays, cmp.Or(present(of, gcpProvider), gcpEmail), "the peer refuses one of %s and %s without the other",
				gcpProvider, gcpEmail)
		}
	default:
		m.find(Stays, gcpExchange, "the peer does not know %q", mode)
	}
	// Always, as it is not that of the provider.
	m.set("audience.gcp", cmp.Or(of[gcpAudience], gcpDefaultAudience))
	// webhooks/mutatepod.go: the pod's is first, and what is too short is made longer.
	text := cmp.Or(in.pod.Annotations[gcpExpiration], of[gcpExpiration], strconv.Itoa(gcpDefaultExpiration))
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		m.find(Stays, gcpExpiration, "the peer refuses %q: it must be a number of seconds", text)
	}
	m.set("expiration.gcp", strconv.FormatInt(max(seconds, gcpMinExpiration), 10))
	if project := of[gcpProject]; project != "" {
		m.set("gcp-project", project)
	}
	if names := splitNames(in.pod.Annotations[gcpSkip], ","); len(names) > 0 {
		m.set("skip-containers.gcp", strings.Join(names, ","))
	}
	// webhooks/mutatepod_parts.go: gcloudSetupContainer, envVarsToAddOrReplace. Only gcloud
	// reads what that container writes, and the variables CLOUDSDK_….
	switch mode := cmp.Or(of[gcpMode], "gcloud"); mode {
	case "direct":
		m.find(ToDo, "", "CLOUDSDK_CORE_PROJECT and CLOUDSDK_COMPUTE_REGION, which only gcloud reads, are no longer set")
	case "gcloud":
		m.find(Lost, cmp.Or(present(of, gcpMode), gcpProvider), "there is no container that logs gcloud in, and no CLOUDSDK_CONFIG, "+
			"CLOUDSDK_CORE_PROJECT and CLOUDSDK_COMPUTE_REGION. Client libraries find their credentials; a container that runs gcloud "+
			`has to call gcloud auth login --cred-file="$GOOGLE_APPLICATION_CREDENTIALS" first`)
	default:
		m.find(Stays, gcpMode, "the peer does not know %q", mode)
	}
	return m
}

// present is the name of an annotation that is there.
func present(all map[string]string, name string) string {
	if _, there := all[name]; there {
		return name
	}
	return ""
}
