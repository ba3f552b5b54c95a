package mutate

import (
	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/truncate"
)

// Status is the status annotation in JSON: a record for people, and for tools that
// look for pods which were not injected. The webhook itself never reads it.
//
//	{"version":"v1.2.3","tokens":["default"],"logins":["vault"],"bindings":["reports"],"containers":["app"],
//	 "warnings":["unknown annotation …"]}
type Status struct {
	// Version is that of the webhook.
	Version string `json:"version"`
	// Tokens and Logins are the names of what was injected.
	Tokens []string `json:"tokens"`
	Logins []string `json:"logins,omitempty"`
	// Bindings are the names of the bindings that gave the pod something.
	Bindings []string `json:"bindings,omitempty"`
	// Containers are those that got something.
	Containers []string `json:"containers"`
	// Warnings say what was ignored, and why nothing was injected where nothing was.
	// A controller that creates a pod shows them to nobody.
	Warnings []string `json:"warnings,omitempty"`
}

const statusWarningsStart = `,"warnings":`

// maxStatusWarnings is how long the warnings in a status are together, in bytes.
const maxStatusWarnings = 2 << 10

// statusWarnings are the warnings that a status has room for.
func statusWarnings(warnings finding.Warnings) []string {
	var kept []string
	for total := 0; len(kept) < len(warnings) && total < maxStatusWarnings; {
		w := truncate.String(warnings[len(kept)].Text, maxStatusWarnings-total)
		total += len(w)
		kept = append(kept, w)
	}
	return kept
}

// text is what encoding/json makes of it, in one allocation.
func (s Status) text() string {
	size := 64 + len(s.Version)
	for _, names := range [][]string{s.Tokens, s.Logins, s.Bindings, s.Containers, s.Warnings} {
		for _, name := range names {
			size += 4 + len(name)
		}
	}
	b := appendText(append(make([]byte, 0, size), `{"version":`...), s.Version)
	b = appendTexts(append(b, `,"tokens":`...), s.Tokens)
	if len(s.Logins) > 0 {
		b = appendTexts(append(b, `,"logins":`...), s.Logins)
	}
	if len(s.Bindings) > 0 {
		b = appendTexts(append(b, `,"bindings":`...), s.Bindings)
	}
	b = appendTexts(append(b, `,"containers":`...), s.Containers)
	if len(s.Warnings) > 0 {
		b = appendTexts(append(b, statusWarningsStart...), s.Warnings)
	}
	return string(append(b, '}'))
}
