package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/cli/diagnose"
	"github.com/oidc-injector/oidc-injector/internal/issuer"
)

// mark is the tick or cross of a status.
func (s style) mark(status issuer.Status) string {
	switch status {
	case issuer.Pass:
		return s.green("✓")
	case issuer.Fail:
		return s.red("✗")
	case issuer.Warn:
		return s.yellow("!")
	default:
		return "?"
	}
}

// printSteps writes steps as a tree. What is in it was written by others, too.
func printSteps(to io.Writer, s style, steps []diagnose.Step, hints bool) {
	printLevel(to, s, steps, hints, 0)
}

func printLevel(to io.Writer, s style, steps []diagnose.Step, hints bool, level int) {
	indent := strings.Repeat("  ", level)
	for i := range steps {
		step := &steps[i]
		detail := ""
		if step.Detail != "" {
			detail = ": " + plainText(step.Detail)
		}
		fmt.Fprintf(to, "%s%s %s%s\n", indent, s.mark(step.Status), plainText(step.Name), detail)
		if hints && step.Fix != "" {
			fmt.Fprintf(to, "%s  %s %s\n", indent, s.bold("fix:"), plainText(step.Fix))
		}
		printLevel(to, s, step.Steps, hints, level+1)
	}
}

// outcomeOf is the end of a verb that has printed steps.
func outcomeOf(steps []diagnose.Step) error {
	if diagnose.Failed(steps) {
		return errFinding
	}
	return nil
}
