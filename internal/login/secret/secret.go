// Package secret keeps tokens out of logs and errors: ours by their type, and
// those that another party echoes by what they have in common with ours, or by
// their shape.
package secret

import "log/slog"

// Text is a token. Formatting, logging or encoding it shows only that there is
// one.
type Text string

const redacted = "[redacted]"

// String hides the token from fmt.
func (Text) String() string { return redacted }

// GoString hides the token from %#v.
func (Text) GoString() string { return redacted }

// LogValue hides the token from slog.
func (Text) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the token from encoders.
func (Text) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Reveal is the token itself.
func (t Text) Reveal() string { return string(t) }

// maxToken is far above what relying parties issue.
const maxToken = 128 << 10

// Usable reports whether a token can be sent in a header and written into a file:
// printable ASCII without blanks, of a sane size.
func (t Text) Usable() bool {
	if t == "" || len(t) > maxToken {
		return false
	}
	for i := range len(t) {
		if t[i] <= ' ' || t[i] > '~' {
			return false
		}
	}
	return true
}
