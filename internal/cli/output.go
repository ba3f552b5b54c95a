package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/oidc-injector/oidc-injector/internal/diagnose"
	"github.com/oidc-injector/oidc-injector/internal/issuer"
	"github.com/oidc-injector/oidc-injector/internal/report"
)

// The forms of output that verbs about tokens have.
const (
	outputText = "text"
	outputJSON = "json"
)

func addOutput(c *cobra.Command, output *string) {
	c.Flags().StringVarP(output, "output", "o", *output, "Form of the output: text or json")
}

func checkOutput(output string) error {
	if output != outputText && output != outputJSON {
		return fmt.Errorf("output %q is neither %s nor %s", output, outputText, outputJSON)
	}
	return nil
}

// style is that of the output.
func (g *globals) style() report.Style { return report.Style{On: g.Color} }

// printJSON writes a value as people read it.
func printJSON(to io.Writer, value any) error {
	e := json.NewEncoder(to)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

// now is the time.
func (g *globals) now() time.Time {
	if g.Now != nil {
		return g.Now()
	}
	return time.Now()
}

// printChecks writes checks as ticks and crosses, and what to do about each cross.
func printChecks(to io.Writer, s report.Style, checks []issuer.Check) {
	for i := range checks {
		c := &checks[i]
		fmt.Fprintf(to, "%s %s: %s\n", s.Mark(c.Status), c.Rule, report.Plain(c.Detail))
		if c.Fix != "" {
			fmt.Fprintf(to, "  %s %s\n", s.Bold("fix:"), report.Plain(c.Fix))
		}
	}
}

// outcome is the end of a verb that has printed checks.
func outcome(checks []issuer.Check) error {
	if issuer.Failed(checks) {
		return errFinding
	}
	return nil
}

// outcomeOf is the end of a verb that has printed steps.
func outcomeOf(steps []diagnose.Step) error {
	if diagnose.Failed(steps) {
		return errFinding
	}
	return nil
}
