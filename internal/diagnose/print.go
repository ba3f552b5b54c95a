package diagnose

import (
	"fmt"
	"io"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/report"
)

// Print writes steps as a tree, with what makes them right where hints is true. What is in
// it was written by others, too.
func Print(to io.Writer, s report.Style, steps []Step, hints bool) {
	printLevel(to, s, steps, hints, 0)
}

func printLevel(to io.Writer, s report.Style, steps []Step, hints bool, level int) {
	indent := strings.Repeat("  ", level)
	for i := range steps {
		step := &steps[i]
		detail := ""
		if step.Detail != "" {
			detail = ": " + report.Plain(step.Detail)
		}
		fmt.Fprintf(to, "%s%s %s%s\n", indent, s.Mark(step.Status), report.Plain(step.Name), detail)
		if hints && step.Fix != "" {
			fmt.Fprintf(to, "%s  %s %s\n", indent, s.Bold("fix:"), report.Plain(step.Fix))
		}
		printLevel(to, s, step.Steps, hints, level+1)
	}
}
