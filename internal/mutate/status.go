package mutate

import (
	"encoding/json"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// status is the content of the status annotation: a record for people and for
// tools that look for pods which were not injected. It is never read back.
type status struct {
	Version    string   `json:"version"`
	Tokens     []string `json:"tokens"`
	Logins     []string `json:"logins,omitempty"`
	Containers []string `json:"containers"`
}

// status records what was done, in a pod to which something was done.
func (in *injection) status() {
	if len(in.equipped) == 0 || len(in.errs) > 0 {
		return
	}
	value, err := json.Marshal(status{
		Version: in.options.Version, Tokens: in.grantedTokens(), Logins: in.grantedLogins(), Containers: in.equipped,
	})
	if err != nil {
		panic(err) //nolint:forbidigo // strings and slices of strings always marshal
	}
	key := in.options.Prefix.Key(annotations.Status, "")
	if in.pod.Annotations[key] != string(value) {
		in.patch.annotation(in.pod, key, string(value))
	}
}
