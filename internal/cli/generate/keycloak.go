package generate

import (
	"cmp"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// keycloak writes an identity provider and a client (Keycloak Server Administration
// Guide, "Kubernetes identity providers"; "Federated client authentication").
var keycloak = Party{
	Name: "keycloak", Summary: "Keycloak 26.4 or newer: commands of `kcadm.sh`, or the identity provider and the client",
	template: "keycloak.sh.tmpl",
	values:   newKeycloakValues,
	suits: func(t *annotations.Token, l *annotations.Login) bool {
		return realmOf(t.Audience) != "" && (l == nil || l.Method == loginspec.MethodClientAssertion)
	},
}

type keycloakValues struct {
	common
	// Realm is its name, and Server the URL in front of /realms/.
	Realm, Server string
	// Client is the client ID.
	Client string
	long   bool
}

// maxKeycloakLife is how long a token may last (broker/kubernetes,
// KubernetesIdentityProvider.verifyClientAssertion).
const maxKeycloakLife = time.Hour

var errRealm = errors.New("Keycloak takes tokens whose audience is the realm's issuer, such as " + //nolint:staticcheck // a name
	"https://keycloak.example.com/realms/demo: set the audience to that")

// realmOf is the realm whose issuer an audience is, or empty.
func realmOf(audience string) string {
	u, err := url.Parse(audience)
	if err != nil || u.Host == "" {
		return ""
	}
	_, realm, _ := strings.Cut(u.Path, "/realms/")
	if strings.Contains(realm, "/") {
		return ""
	}
	return realm
}

func newKeycloakValues(w *Workload) (values, error) {
	v := &keycloakValues{common: w.common(), Realm: realmOf(w.Token.Audience), Client: w.name()}
	if v.Realm == "" {
		return nil, errRealm
	}
	v.Server, _, _ = strings.Cut(v.Audience, "/realms/")
	if w.Login != nil {
		v.Client = cmp.Or(w.Login.Options[loginspec.ClientID], v.Client)
	}
	v.long = w.Token.ExpirationSeconds > int64(maxKeycloakLife/time.Second)
	return v, nil
}

// IdentityProvider trusts the cluster's issuer.
func (v *keycloakValues) IdentityProvider() any {
	type config struct {
		Issuer string `json:"issuer"`
	}
	return struct {
		Alias      string `json:"alias"`
		ProviderID string `json:"providerId"`
		Enabled    bool   `json:"enabled"`
		Config     config `json:"config"`
	}{"kubernetes", "kubernetes", true, config{v.Issuer}}
}

// ClientData is the client that the workload is.
func (v *keycloakValues) ClientData() any {
	return struct {
		ClientID                  string            `json:"clientId"`
		Enabled                   bool              `json:"enabled"`
		PublicClient              bool              `json:"publicClient"`
		StandardFlowEnabled       bool              `json:"standardFlowEnabled"`
		DirectAccessGrantsEnabled bool              `json:"directAccessGrantsEnabled"`
		ServiceAccountsEnabled    bool              `json:"serviceAccountsEnabled"`
		ClientAuthenticatorType   string            `json:"clientAuthenticatorType"`
		Attributes                map[string]string `json:"attributes"`
	}{
		ClientID: v.Client, Enabled: true, ServiceAccountsEnabled: true, ClientAuthenticatorType: "federated-jwt",
		Attributes: map[string]string{"jwt.credential.issuer": "kubernetes", "jwt.credential.sub": v.Subject},
	}
}

func (v *keycloakValues) forAPI() any {
	return struct {
		IdentityProvider any `json:"identityProvider"`
		Client           any `json:"client"`
	}{v.IdentityProvider(), v.ClientData()}
}

func (v *keycloakValues) notes() []string {
	notes := []string{"the client may do nothing yet: give its service account the roles that the workload needs"}
	if v.long {
		notes = append(notes, "the pod's token lasts longer than an hour, which Keycloak refuses: annotate it with expiration: 1h")
	}
	return notes
}
