// Package report has the marks and words in which programs say what they found: ticks and
// crosses, their colors, durations.
package report

import (
	"fmt"
	"strings"
)

// Status is what became of something that was looked at.
type Status string

// The outcomes.
const (
	// Pass: it is as it should be.
	Pass Status = "pass"
	// Fail: it is not.
	Fail Status = "fail"
	// Warn: it works, and deserves a look.
	Warn Status = "warn"
	// Unknown: it could not be judged.
	Unknown Status = "unknown"
)

// Plain quotes a text that would do something to a terminal: it may be anybody's.
func Plain(text string) string {
	quoted := fmt.Sprintf("%q", text)
	if quoted[1:len(quoted)-1] == strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) {
		return text
	}
	return quoted
}
