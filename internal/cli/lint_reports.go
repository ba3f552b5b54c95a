package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/version"
)

// textReport is for people: a line for each finding, as compilers print them, and what to
// do once for each rule.
type textReport struct {
	*globals
	errors, warnings int
	rules            map[finding.Rule]bool
}

func newTextReport(g *globals) lintReport {
	return &textReport{globals: g, rules: map[finding.Rule]bool{}}
}

func (r *textReport) add(f *lintFinding) error {
	s := r.style()
	severity := s.Red(f.Severity)
	if f.Severity == severityWarning {
		severity = s.Yellow(f.Severity)
		r.warnings++
	} else {
		r.errors++
	}
	_, err := fmt.Fprintf(r.Out, "%s: %s: %s: %s [%s]\n", f.place(), severity, f.name, f.Message, f.Rule)
	r.rules[f.Rule] = true
	return err
}

func (r *textReport) end() error {
	if r.errors+r.warnings == 0 {
		return nil
	}
	var b strings.Builder
	for _, rule := range finding.Rules {
		if r.rules[rule.Rule] {
			fmt.Fprintf(&b, "\n%s: %s\n  %s\n", r.style().Bold(string(rule.Rule)), rule.Fix, docsURL(rule.Rule))
		}
	}
	_, err := fmt.Fprintf(r.Out, "%s\n%s, %s\n", b.String(), count(r.errors, severityError), count(r.warnings, severityWarning))
	return err
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// jsonReport is a list of findings.
type jsonReport struct {
	out   io.Writer
	begun bool
}

func newJSONReport(g *globals) lintReport { return &jsonReport{out: g.Out} }

func (r *jsonReport) add(f *lintFinding) error {
	text, err := marshal(f, "  ")
	if err != nil {
		return err
	}
	before := "[\n  "
	if r.begun {
		before = ",\n  "
	}
	r.begun = true
	_, err = io.WriteString(r.out, before+text)
	return err //nolint:wrapcheck // it names the output
}

func (r *jsonReport) end() error {
	text := "[]\n"
	if r.begun {
		text = "\n]\n"
	}
	_, err := io.WriteString(r.out, text)
	return err //nolint:wrapcheck // it names the output
}

// marshal writes JSON for people, without escapes for HTML.
func marshal(v any, prefix string) (string, error) {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent(prefix, "  ")
	if err := encoder.Encode(v); err != nil {
		return "", fmt.Errorf("could not encode the findings: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// githubReport is in workflow commands, which GitHub shows beside the lines (GitHub
// documentation, "Workflow commands for GitHub Actions").
type githubReport struct{ out io.Writer }

func newGitHubReport(g *globals) lintReport { return &githubReport{out: g.Out} }

var (
	githubText     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func (r *githubReport) add(f *lintFinding) error {
	at, text := "", f.name+": "+f.Message+"\n"+f.Fix+" "+f.Docs
	if f.File != "" {
		at = fmt.Sprintf("file=%s,line=%d,col=%d,", githubProperty.Replace(f.File), f.Line, f.Column)
	} else {
		text = f.place() + ": " + text
	}
	_, err := fmt.Fprintf(r.out, "::%s %stitle=%s::%s\n", f.Severity, at, githubProperty.Replace(string(f.Rule)), githubText.Replace(text))
	return err
}

func (*githubReport) end() error { return nil }

// sarifReport is a log of SARIF 2.1.0 (OASIS), of one run. Of that format a tool needs
// little, and go-sarif brings a validator of JSON Schema along. The test in test/sarif has
// the schema.
type sarifReport struct {
	out     io.Writer
	results []sarifResult
}

func newSARIFReport(g *globals) lintReport { return &sarifReport{out: g.Out, results: []sarifResult{}} }

type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string       `json:"id"`
		ShortDescription sarifMessage `json:"shortDescription"`
		Help             sarifMessage `json:"help"`
		HelpURI          string       `json:"helpUri"`
	}
	sarifMessage struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     string          `json:"level"`
		Message   sarifMessage    `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifLocation struct {
		PhysicalLocation *sarifPhysical `json:"physicalLocation,omitempty"`
		LogicalLocations []sarifLogical `json:"logicalLocations"`
	}
	sarifPhysical struct {
		ArtifactLocation sarifArtifact `json:"artifactLocation"`
		Region           sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
	}
	sarifLogical struct {
		FullyQualifiedName string `json:"fullyQualifiedName"`
	}
)

func (r *sarifReport) add(f *lintFinding) error {
	index := 0
	for i := range finding.Rules {
		if finding.Rules[i].Rule == f.Rule {
			index = i
		}
	}
	at := sarifLocation{LogicalLocations: []sarifLogical{{strings.Trim(f.name+"/"+f.Field, "/")}}}
	if f.File != "" {
		at.PhysicalLocation = &sarifPhysical{ArtifactLocation: sarifArtifact{sarifURI(f.File)}, Region: sarifRegion{f.Line, f.Column}}
	} else {
		at.LogicalLocations[0].FullyQualifiedName = f.place() + "/" + at.LogicalLocations[0].FullyQualifiedName
	}
	r.results = append(r.results, sarifResult{
		RuleID: string(f.Rule), RuleIndex: index, Level: f.Severity, Message: sarifMessage{f.Message}, Locations: []sarifLocation{at},
	})
	return nil
}

// sarifURI is the file as a relative reference, or an absolute one.
func sarifURI(file string) string {
	if file == stdin {
		return "stdin"
	}
	return (&url.URL{Path: filepath.ToSlash(filepath.Clean(file))}).String()
}

func (r *sarifReport) end() error {
	rules := make([]sarifRule, 0, len(finding.Rules))
	for _, rule := range finding.Rules {
		rules = append(rules, sarifRule{
			ID: string(rule.Rule), ShortDescription: sarifMessage{rule.Summary}, Help: sarifMessage{rule.Fix}, HelpURI: docsURL(rule.Rule),
		})
	}
	text, err := marshal(sarifLog{
		Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0",
		Runs: []sarifRun{{
			Tool: sarifTool{sarifDriver{
				Name: "oidc-injector", Version: version.Version(), InformationURI: "https://github.com/oidc-injector/oidc-injector",
				Rules: rules,
			}},
			ColumnKind: "unicodeCodePoints", Results: r.results,
		}},
	}, "")
	if err != nil {
		return err
	}
	_, err = io.WriteString(r.out, text+"\n")
	return err //nolint:wrapcheck // it names the output
}
