package issuer

// Status is what became of a check.
type Status string

// The outcomes of checks.
const (
	// Pass: what the rule asks for is there.
	Pass Status = "pass"
	// Fail: it is not, so that the token is refused.
	Fail Status = "fail"
	// Warn: the token is accepted, and so are others that should not be.
	Warn Status = "warn"
	// Unknown: it depends on what the token does not say, such as the request.
	Unknown Status = "unknown"
)

// Check is the outcome of one rule.
type Check struct {
	// Rule names what was looked at, in the words of whoever wrote it: exp,
	// bound_subject, Condition.StringEquals.
	Rule   string `json:"rule"`
	Status Status `json:"status"`
	// Detail says what is there and what should be. It has no part of the signature.
	Detail string `json:"detail"`
	// Fix says what to change where a check fails or warns.
	Fix string `json:"fix,omitempty"`
}

// Failed reports whether one of the checks failed.
func Failed(checks []Check) bool {
	for i := range checks {
		if checks[i].Status == Fail {
			return true
		}
	}
	return false
}

// Passed is a check that passes.
func Passed(rule, detail string) Check { return Check{Rule: rule, Status: Pass, Detail: detail} }

// Failure is a check that fails.
func Failure(rule, detail, fix string) Check {
	return Check{Rule: rule, Status: Fail, Detail: detail, Fix: fix}
}
