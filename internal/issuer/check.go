package issuer

import "github.com/oidc-injector/oidc-injector/internal/report"

// Check is the outcome of one rule.
type Check struct {
	// Rule names what was looked at, in the words of whoever wrote it: exp,
	// bound_subject, Condition.StringEquals.
	Rule   string        `json:"rule"`
	Status report.Status `json:"status"`
	// Detail says what is there and what should be. It has no part of the signature.
	Detail string `json:"detail"`
	// Fix says what to change where a check fails or warns.
	Fix string `json:"fix,omitempty"`
}

// Failed reports whether one of the checks failed.
func Failed(checks []Check) bool {
	for i := range checks {
		if checks[i].Status == report.Fail {
			return true
		}
	}
	return false
}

// Passed is a check that passes.
func Passed(rule, detail string) Check { return Check{Rule: rule, Status: report.Pass, Detail: detail} }

// Failure is a check that fails.
func Failure(rule, detail, fix string) Check {
	return Check{Rule: rule, Status: report.Fail, Detail: detail, Fix: fix}
}
