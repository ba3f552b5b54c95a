// Package diagnose says why a pod was or was not injected, and whether an installation and
// an issuer are in order. It reads nothing: a snapshot of the cluster goes in, and steps
// with ticks and crosses come out.
package diagnose

import (
	"fmt"

	"github.com/oidc-injector/oidc-injector/internal/report"
)

// Step is something that was looked at.
type Step struct {
	Name string `json:"name"`
	// Status of a group is the worst one of its steps.
	Status report.Status `json:"status"`
	Detail string        `json:"detail,omitempty"`
	// Fix is what makes it right, a command of a shell where there is one; what is in capitals
	// is to be filled in.
	Fix   string `json:"fix,omitempty"`
	Steps []Step `json:"steps,omitempty"`
}

func pass(name, format string, args ...any) Step {
	return Step{Name: name, Status: report.Pass, Detail: fmt.Sprintf(format, args...)}
}

func unknown(name, format string, args ...any) Step {
	return Step{Name: name, Status: report.Unknown, Detail: fmt.Sprintf(format, args...)}
}

func warn(name, fix, format string, args ...any) Step {
	return Step{Name: name, Status: report.Warn, Fix: fix, Detail: fmt.Sprintf(format, args...)}
}

func fail(name, fix, format string, args ...any) Step {
	return Step{Name: name, Status: report.Fail, Fix: fix, Detail: fmt.Sprintf(format, args...)}
}

// severity is the order of what becomes of a group.
var severity = map[report.Status]int{report.Pass: 0, report.Unknown: 1, report.Warn: 2, report.Fail: 3}

// group puts steps together.
func group(name string, steps []Step) Step {
	g := Step{Name: name, Status: report.Pass, Steps: steps}
	for i := range steps {
		if severity[steps[i].Status] > severity[g.Status] {
			g.Status = steps[i].Status
		}
	}
	return g
}

// groups leaves out those that are empty.
func groups(all ...Step) []Step {
	var kept []Step
	for i := range all {
		if len(all[i].Steps) > 0 {
			kept = append(kept, all[i])
		}
	}
	return kept
}

// Failed reports whether there is a cross.
func Failed(steps []Step) bool {
	return group("", steps).Status == report.Fail
}

// firstFix is the command of the first cross that has one: steps stand in the order of
// causes, so that later crosses may be its consequences.
func firstFix(steps []Step) string {
	for i := range steps {
		s := &steps[i]
		if s.Status != report.Fail {
			continue
		}
		if s.Fix != "" {
			return s.Fix
		}
		if fix := firstFix(s.Steps); fix != "" {
			return fix
		}
	}
	return ""
}
