package generate

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// gcp writes a provider of a workload identity pool (Google Cloud, "Configure Workload
// Identity Federation with Kubernetes").
var gcp = Party{
	Name: "gcp", Summary: "Google Cloud: commands of `gcloud`, or the provider of a workload identity pool", template: "gcp.sh.tmpl",
	values: newGCPValues,
	suits: func(t *annotations.Token, _ *annotations.Login) bool {
		return strings.Contains(t.Audience, "//iam.googleapis.com/")
	},
}

// maxGoogleSubject is how long google.subject may be, in bytes.
const maxGoogleSubject = 127

type gcpValues struct {
	common
	// Number and Project are the number and the ID of the project.
	Number, Project string
	// Pool and Provider are their IDs.
	Pool, Provider string
	// Account is the email of the service account to act as, or empty.
	Account string
	// Own is true where the audience is the provider's own name, so that none has to be allowed.
	Own bool
	// SubjectClaim is what google.subject is made of, and Principal whom bindings name.
	SubjectClaim, Principal string
}

// audienceForm is the provider's name as an audience.
var audienceForm = regexp.MustCompile(`^(?:https:)?//iam\.googleapis\.com/projects/([0-9]+)/locations/global/` +
	`workloadIdentityPools/([a-z0-9-]+)/providers/([a-z0-9-]+)$`)

// accountForm is where credentials files have the service account.
var accountForm = regexp.MustCompile(`/serviceAccounts/([^/:]+):generateAccessToken`)

func newGCPValues(w *Workload) (values, error) {
	v := &gcpValues{common: w.common(), Number: "PROJECT_NUMBER", Project: "PROJECT_ID", Pool: "clusters", Provider: "cluster-a"}
	if m := audienceForm.FindStringSubmatch(v.Audience); m != nil {
		v.Number, v.Pool, v.Provider, v.Own = m[1], m[2], m[3], true
	}
	if project := variable(&w.Token, "GOOGLE_CLOUD_PROJECT"); project != "" {
		v.Project = project
	}
	if w.Token.Provided != nil {
		if m := accountForm.FindStringSubmatch(w.Token.Provided.Content); m != nil {
			v.Account = m[1]
		}
	}
	pool := "principal://iam.googleapis.com/projects/" + v.Number + "/locations/global/workloadIdentityPools/" + v.Pool
	v.SubjectClaim, v.Principal = "assertion.sub", pool+"/subject/"+v.Subject
	if len(v.Subject) > maxGoogleSubject {
		// Google takes no longer ones; the attributes bind the same.
		v.SubjectClaim = `assertion["kubernetes.io"]["serviceaccount"]["uid"]`
		v.Principal = strings.Replace(pool, "principal:", "principalSet:", 1) + "/attribute.workload/" + v.Namespace + "/" +
			v.ServiceAccount
	}
	return v, nil
}

// Mapping are the attributes.
func (v *gcpValues) Mapping() map[string]string {
	const claim = `assertion["kubernetes.io"]`
	return map[string]string{
		"google.subject":            v.SubjectClaim,
		"attribute.namespace":       claim + `["namespace"]`,
		"attribute.service_account": claim + `["serviceaccount"]["name"]`,
		"attribute.workload":        claim + `["namespace"] + "/" + ` + claim + `["serviceaccount"]["name"]`,
	}
}

// MappingFlag is the mapping as gcloud takes it.
func (v *gcpValues) MappingFlag() string {
	m := v.Mapping()
	names := []string{"google.subject", "attribute.namespace", "attribute.service_account", "attribute.workload"}
	parts := make([]string, 0, len(names))
	for _, name := range names {
		parts = append(parts, name+"="+m[name])
	}
	return strings.Join(parts, ",")
}

// Condition lets nobody else in.
func (v *gcpValues) Condition() string { return `assertion.sub == "` + v.Subject + `"` }

func (v *gcpValues) forAPI() any {
	type oidc struct {
		IssuerURI        string   `json:"issuerUri"`
		AllowedAudiences []string `json:"allowedAudiences,omitempty"`
	}
	provider := struct {
		Name      string            `json:"name"`
		Mapping   map[string]string `json:"attributeMapping"`
		Condition string            `json:"attributeCondition"`
		OIDC      oidc              `json:"oidc"`
	}{
		fmt.Sprintf("projects/%s/locations/global/workloadIdentityPools/%s/providers/%s", v.Number, v.Pool, v.Provider),
		v.Mapping(), v.Condition(),
		oidc{IssuerURI: v.Issuer},
	}
	if !v.Own {
		provider.OIDC.AllowedAudiences = []string{v.Audience}
	}
	return json.RawMessage(encode(provider, ""))
}

func (v *gcpValues) notes() []string {
	notes := []string{
		"Google has to reach the issuer by public HTTPS, or gets its keys: add --jwk-json-path=jwks.json, and " +
			"`kubectl get --raw /openid/v1/jwks > jwks.json`, again after each change of the keys",
		"the condition lets in this workload alone: for further ones of the cluster widen it, and let the IAM bindings tell them apart",
	}
	if v.Number == "PROJECT_NUMBER" {
		notes = append(notes,
			"PROJECT_NUMBER stands for the number of the project that has the pool; clusters and cluster-a are names of choice")
	}
	if v.Account == "" {
		notes = append(notes, "ROLE stands for what the workload may do, and PROJECT_ID for the project where it may")
	}
	return notes
}
