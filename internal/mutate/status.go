package mutate

// Status is the status annotation in JSON: a record for people, and for tools that
// look for pods which were not injected. The webhook itself never reads it.
//
//	{"version":"v1.2.3","tokens":["default"],"logins":["vault"],"containers":["app"]}
type Status struct {
	// Version is that of the webhook.
	Version string `json:"version"`
	// Tokens and Logins are the names of what was injected.
	Tokens []string `json:"tokens"`
	Logins []string `json:"logins,omitempty"`
	// Containers are those that got something.
	Containers []string `json:"containers"`
}

// text is what encoding/json makes of it, in one allocation.
func (s Status) text() string {
	size := 64 + len(s.Version)
	for _, names := range [][]string{s.Tokens, s.Logins, s.Containers} {
		for _, name := range names {
			size += 4 + len(name)
		}
	}
	b := appendText(append(make([]byte, 0, size), `{"version":`...), s.Version)
	b = appendTexts(append(b, `,"tokens":`...), s.Tokens)
	if len(s.Logins) > 0 {
		b = appendTexts(append(b, `,"logins":`...), s.Logins)
	}
	b = appendTexts(append(b, `,"containers":`...), s.Containers)
	return string(append(b, '}'))
}
