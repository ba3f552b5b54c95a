package migrate

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"
)

// The annotations of vault-k8s, all of pods (github.com/hashicorp/vault-k8s
// agent-inject/agent/annotations.go,
// https://developer.hashicorp.com/vault/docs/platform/k8s/injector/annotations).
const (
	vaultDomain     = "vault.hashicorp.com"
	vaultInject     = vaultDomain + "/agent-inject"
	vaultToken      = vaultDomain + "/agent-inject-token"
	vaultContainers = vaultDomain + "/agent-inject-containers"
	vaultInitOnly   = vaultDomain + "/agent-pre-populate-only"
	vaultVolume     = vaultDomain + "/secret-volume-path"
	vaultAddress    = vaultDomain + "/service"
	vaultNamespace  = vaultDomain + "/namespace"
	vaultRole       = vaultDomain + "/role"
	vaultAuthType   = vaultDomain + "/auth-type"
	vaultAuthPath   = vaultDomain + "/auth-path"
	vaultServerName = vaultDomain + "/tls-server-name"
	vaultTLSSecret  = vaultDomain + "/tls-secret"
	vaultCACert     = vaultDomain + "/ca-cert"
	vaultClientCert = vaultDomain + "/client-cert"
	vaultClientKey  = vaultDomain + "/client-key"
	vaultSkipVerify = vaultDomain + "/tls-skip-verify"
	vaultCache      = vaultDomain + "/agent-cache-enable"
)

// What it does where nothing else is said (agent-inject/agent/agent.go, annotations.go).
const (
	vaultDefaultType   = "kubernetes"
	vaultDefaultPath   = "auth/kubernetes"
	vaultDefaultVolume = "/vault/secrets"
	// vaultTLSDir is where it mounts the Secret of vaultTLSSecret.
	vaultTLSDir = "/vault/tls"
)

var ownsVault = all(vaultDomain)

var vault = Peer{
	Name: "vault-k8s", token: "vault",
	Moves: "pod: `agent-inject-token` with `role`, `service`, `auth-type` (`kubernetes` or `jwt`), `auth-path`, " +
		"`namespace`, `agent-inject-containers`, `agent-pre-populate-only`, `secret-volume-path`, " +
		"`tls-server-name`, and of the Secret of `tls-secret` `ca-cert`, `client-cert`, `client-key`",
	Leaves: "`agent-inject-secret-…`, `agent-inject-template-…`, `agent-configmap`, `agent-cache-enable`, " +
		"`tls-skip-verify`, `proxy-address`, `auth-config-…`, patches; what is about the agent alone is dropped",
	owns: ownsVault,
	asks: func(in input) bool { return isTrue(in.pod.Annotations[vaultInject]) },
	move: moveVault,
}

// vaultMoved are read by [moveVault].
var vaultMoved = []string{
	vaultInject, vaultToken, vaultContainers, vaultInitOnly, vaultVolume, vaultAddress, vaultNamespace, vaultRole, vaultAuthType,
	vaultAuthPath, vaultServerName, vaultTLSSecret, vaultCACert, vaultClientCert, vaultClientKey, vaultSkipVerify, vaultCache,
	// Without templates these say nothing.
	vaultDomain + "/agent-inject-status", vaultDomain + "/agent-inject-default-template", vaultDomain + "/agent-pre-populate",
}

// vaultStays are annotations that nothing of ours does, by how their keys begin.
var vaultStays = []struct{ key, reason string }{
	{"agent-inject-secret-", "there is nothing that renders secrets into files: " + readItself},
	{"agent-inject-template-", "there is nothing that renders templates: " + readItself},
	{"agent-configmap", "the agent's own configuration may render secrets: " + readItself},
	{"agent-json-patch", "there is no agent to patch"},
	{"agent-init-json-patch", "there is no agent to patch"},
	{"auth-config-", "the login takes no parameters of an auth method but its role and path"},
	{"proxy-address", "the login goes to Vault directly: let it, and remove this"},
}

const readItself = "have the app read its secrets with the token of a login, or leave it with the peer"

func moveVault(in input) (m move) {
	of := in.pod.Annotations
	m.vaultSays(of)
	m.set("login", "vault")
	m.set("audience", in.VaultAudience)
	address := cmp.Or(of[vaultAddress], in.VaultAddress)
	m.set("login-address", address)
	if address == "" {
		m.find(Stays, vaultInject, "there is no %s, and the peer's default is not known: give it with --vault-address", vaultAddress)
	}
	m.set("login-role", of[vaultRole])
	if of[vaultRole] == "" {
		m.find(Stays, vaultInject, "there is no %s", vaultRole)
	}
	switch method := cmp.Or(of[vaultAuthType], vaultDefaultType); method {
	case "kubernetes":
		m.find(ToDo, present(of, vaultRole), "role %q of Vault has to have audience=%s: until now it gets the token for the API server",
			of[vaultRole], in.VaultAudience)
	case "jwt":
		m.find(ToDo, present(of, vaultRole), "role %q of Vault has to have %q among its bound_audiences", of[vaultRole], in.VaultAudience)
	default:
		m.find(Stays, vaultAuthType, "the login is by a JWT: %q is neither kubernetes nor jwt", method)
	}
	m.set("login-mount", strings.Trim(strings.TrimPrefix(cmp.Or(of[vaultAuthPath], vaultDefaultPath), "auth/"), "/"))
	if isTrue(of[vaultInitOnly]) {
		m.set("login-mode", "init")
	}
	// The token is in the file token there (agent-inject/agent/agent.go, InjectToken), which
	// is how ours is called, too.
	m.set("login-mount-path", cmp.Or(of[vaultVolume], vaultDefaultVolume))
	for ours, theirs := range map[string]string{"login-namespace": vaultNamespace, "login-tls-server-name": vaultServerName} {
		if of[theirs] != "" {
			m.set(ours, of[theirs])
		}
	}
	if names := splitNames(of[vaultContainers], ","); len(names) > 0 {
		m.set("containers", strings.Join(names, ","))
	}
	m.vaultTLS(of)
	return m
}

// vaultSays finds what has no counterpart.
func (m *move) vaultSays(of map[string]string) {
	var dropped []string
	for _, name := range owned(of, ownsVault) {
		key, known := strings.TrimPrefix(name, vaultDomain+"/"), false
		for _, s := range vaultStays {
			if known = strings.HasPrefix(key, s.key) && of[name] != ""; known {
				m.find(Stays, name, "%s", s.reason)
				break
			}
		}
		if !known && !slices.Contains(vaultMoved, name) {
			dropped = append(dropped, key)
		}
	}
	if isTrue(of[vaultSkipVerify]) {
		m.find(Stays, vaultSkipVerify, "a login trusts no server without a certificate: name its authority by %s, and remove this",
			vaultCACert)
	}
	if isTrue(of[vaultCache]) {
		m.find(Stays, vaultCache, "there is no agent that listens")
	}
	if !isTrue(of[vaultToken]) && !m.stays() {
		m.find(Stays, vaultInject, "without %s the containers get nothing of a login", vaultToken)
	}
	if len(dropped) > 0 {
		m.find(ToDo, "", "there is no agent any more that these are about: %s", quoteAll(dropped))
	}
}

// vaultTLS moves the names of files in the Secret that is mounted for the agent.
func (m *move) vaultTLS(of map[string]string) {
	secret := of[vaultTLSSecret]
	inSecret := func(name string) (file string) {
		if dir, file := path.Split(of[name]); secret != "" && path.Clean(dir) == vaultTLSDir {
			return file
		}
		if of[name] != "" {
			m.find(Stays, name, "%q is a file of the agent's container: only those in %s, of the Secret of %s, can be moved",
				of[name], vaultTLSDir, vaultTLSSecret)
		}
		return ""
	}
	if ca := inSecret(vaultCACert); ca != "" {
		m.set("login-ca-secret", secret+"/"+ca)
	}
	certificate, key := inSecret(vaultClientCert), inSecret(vaultClientKey)
	switch {
	case certificate == "tls.crt" && key == "tls.key":
		m.set("login-client-certificate", secret)
	case certificate != "" || key != "":
		m.find(Stays, vaultClientCert, "the certificate and its key have to be called tls.crt and tls.key in the Secret")
	}
}

// isTrue reads a boolean as the peer does, or nearly: words such as "on" are not among
// what its documentation names.
func isTrue(text string) bool {
	yes, err := strconv.ParseBool(text)
	return err == nil && yes
}
