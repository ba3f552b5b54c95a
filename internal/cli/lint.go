package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/cli/manifest"
	"github.com/oidc-injector/oidc-injector/internal/cli/preview"
	"github.com/oidc-injector/oidc-injector/internal/finding"
)

func newLintCommand(g *globals) *cobra.Command {
	l := &linter{globals: g}
	c := &cobra.Command{
		Use:   "lint [-f FILE | --all-namespaces]",
		Short: "Lists what is wrong with manifests, or with what runs",
		Long: `Lists everything that the webhook would deny or warn of in manifests, each with its
place, its rule and what to do. With -f nothing is asked of a cluster, unless by
--from-cluster.

Without -f it looks at what runs in the namespace, or with -A in all: workloads, pods that
no workload made, and pods that run without the token that they ask for. It needs the
right to list them, and to read the configuration of the webhook, or else --config FILE.

The exit code is 1 if there is an error, with --fail-on=warning also for warnings.`,
		Example: `  kubectl oidc-injector lint -f manifests/ -R --config injector.yaml

  # As annotations of a pull request on GitHub
  kubectl oidc-injector lint -f manifests/ -o github

  # For code scanning
  kubectl oidc-injector lint -f manifests/ -o sarif > oidc-injector.sarif

  # What runs in a namespace, and in all
  kubectl oidc-injector lint -n shop
  kubectl oidc-injector lint -A`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return l.run(c) },
	}
	fs := c.Flags()
	fs.StringSliceVarP(&l.files.names, "filename", "f", nil,
		"Files or directories of manifests, in YAML or JSON; - is the standard input. Without it the cluster is asked.")
	l.files.addRecursive(fs)
	fs.BoolVarP(&l.allNamespaces, "all-namespaces", "A", false, "Look at all namespaces of the cluster.")
	l.flags.addFlags(c.Flags())
	c.Flags().StringVarP(&l.output, "output", "o", "text", "How to print findings: "+names(lintFormats)+".")
	c.Flags().StringVar(&l.failOn, "fail-on", severityError, "What ends with exit code 1: error, or warning, which includes errors.")
	c.Flags().StringSliceVar(&l.disabled, "disable", nil, "Rules to leave out, by name.")
	complete(c, "output", keysOf(lintFormats)...)
	complete(c, "fail-on", severityError, severityWarning)
	complete(c, "disable", ruleNames()...)
	return c
}

// The severities, as findings and formats have them.
const (
	severityError   = "error"
	severityWarning = "warning"
)

// lintFormat is a way to print findings.
type lintFormat struct {
	name string
	new  func(*globals) lintReport
}

// lintReport prints findings, one after the other.
type lintReport interface {
	add(f *lintFinding) error
	// end prints what is behind the last one.
	end() error
}

var lintFormats = []lintFormat{
	{"text", newTextReport}, {"json", newJSONReport}, {"sarif", newSARIFReport}, {"github", newGitHubReport},
}

func keysOf(formats []lintFormat) []string {
	all := make([]string, 0, len(formats))
	for _, f := range formats {
		all = append(all, f.name)
	}
	return all
}

// names lists formats in a sentence.
func names(formats []lintFormat) string {
	all := keysOf(formats)
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}

func ruleNames() []string {
	all := make([]string, 0, len(finding.Rules))
	for _, r := range finding.Rules {
		all = append(all, string(r.Rule))
	}
	return all
}

// linter is a call of lint.
type linter struct {
	*globals
	files    fileFlags
	flags    webhookFlags
	output   string
	failOn   string
	disabled []string
	// asked says that there was an object to look at.
	asked bool
	// allNamespaces says so of the cluster.
	allNamespaces bool

	webhook *preview.Webhook
	report  lintReport
	failed  bool
}

func (l *linter) run(c *cobra.Command) error {
	format := slices.IndexFunc(lintFormats, func(f lintFormat) bool { return f.name == l.output })
	switch {
	case format < 0:
		return fmt.Errorf("--output: invalid value %q: must be %s", l.output, names(lintFormats))
	case l.failOn != severityError && l.failOn != severityWarning:
		return fmt.Errorf("--fail-on: invalid value %q: must be %s or %s", l.failOn, severityError, severityWarning)
	}
	for _, name := range l.disabled {
		if _, known := finding.Find(finding.Rule(name)); !known {
			return withHint(fmt.Errorf("--disable: there is no rule %q", name), "the rules are %s", strings.Join(ruleNames(), ", "))
		}
	}
	if l.allNamespaces && len(l.files.names) > 0 {
		return errors.New("--all-namespaces is about the cluster, and --filename about files: give one of them")
	}
	l.report = lintFormats[format].new(l.globals)
	if err := l.look(c.Context()); err != nil {
		if _, hinted := errors.AsType[*hintedError](err); !hinted && len(l.files.names) == 0 {
			err = withHint(err, "without -f a cluster is asked: name files with -f, - for the standard input, or another cluster with "+
				"--kubeconfig or --context")
		}
		return err
	}
	if !l.asked {
		fmt.Fprintln(l.ErrOut, "note: there is no pod, and nothing that makes pods: nothing was looked at")
	}
	if err := l.report.end(); err != nil {
		return err
	}
	if l.failed {
		return errFinding
	}
	return nil
}

// look looks at files, or at the cluster.
func (l *linter) look(ctx context.Context) (err error) {
	if len(l.files.names) > 0 {
		if l.webhook, err = l.flags.webhook(ctx, l.globals); err != nil {
			return err
		}
		return l.files.each(l.globals, l.document)
	}
	l.flags.allNamespaces = l.allNamespaces
	if l.flags.configFile == "" && l.flags.fromCluster == "" {
		l.flags.fromCluster = anyInstallation
	}
	if l.webhook, err = l.flags.webhook(ctx, l.globals); err != nil {
		return err
	}
	namespace := l.webhook.Namespace
	if l.allNamespaces {
		namespace = metav1.NamespaceAll
	}
	return l.lintCluster(ctx, namespace)
}

func (l *linter) document(file string, d manifest.Document) error {
	raw, err := d.ToJSON()
	if err != nil {
		return fmt.Errorf("%s: %w", displayName(file), err)
	}
	where := newLocator(file, d)
	for _, o := range manifest.Objects(raw) {
		if _, err := l.ask(o, where); err != nil {
			return err
		}
	}
	return nil
}

// ask reports what is wrong with an object of a file, or of the cluster where the locator is
// nil. It returns whether something is.
func (l *linter) ask(o manifest.Object, where *locator) (found bool, err error) {
	a, asked, err := l.webhook.Ask(o)
	switch {
	case err != nil && where == nil:
		return false, fmt.Errorf("%s: %w", o.Namespace, err)
	case err != nil:
		return false, fmt.Errorf("%s: %w", where.at(o.Pointer, ""), err)
	case !asked:
		return false, nil
	}
	l.asked = true
	for _, f := range lintFindings(where, &a) {
		added, err := l.add(&f)
		found = found || added
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// add reports a finding, unless nobody wants to know.
func (l *linter) add(f *lintFinding) (added bool, err error) {
	if slices.Contains(l.disabled, string(f.Rule)) {
		return false, nil
	}
	l.failed = l.failed || f.Severity == severityError || l.failOn == severityWarning
	return true, l.report.add(f)
}

// lintFinding is a finding with its place, as JSON has it. On a cluster there is no file.
type lintFinding struct {
	File     string       `json:"file,omitempty"`
	Line     int          `json:"line,omitempty"`
	Column   int          `json:"column,omitempty"`
	Severity string       `json:"severity"`
	Rule     finding.Rule `json:"rule"`
	Object   lintObject   `json:"object"`
	// Field is the path in the object, and Annotation the full name of the annotation
	// there, if it is one.
	Field      string `json:"field,omitempty"`
	Annotation string `json:"annotation,omitempty"`
	Message    string `json:"message"`
	// Fix says what to do about findings of the rule, and Docs is where more stands.
	Fix  string `json:"fix"`
	Docs string `json:"docs"`

	name string
}

// place is where the finding is: FILE:LINE:COLUMN, and on a cluster the namespace.
func (f *lintFinding) place() string {
	if f.File == "" {
		return f.Object.Namespace
	}
	return fmt.Sprintf("%s:%d:%d", displayName(f.File), f.Line, f.Column)
}

type lintObject struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
}

// lintFindings are those of an answer, in the order of their lines.
func lintFindings(where *locator, a *preview.Answer) []lintFinding {
	all := make([]lintFinding, 0, len(a.Errors)+len(a.Warnings))
	for _, err := range a.Errors {
		all = append(all, newLintFinding(where, a, severityError, finding.Warning{
			Rule: finding.Of(err), Field: err.Field,
			Text: err.Error(),
		}))
	}
	for _, w := range a.Warnings {
		all = append(all, newLintFinding(where, a, severityWarning, w))
	}
	slices.SortStableFunc(all, func(a, b lintFinding) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	return all
}

func newLintFinding(where *locator, a *preview.Answer, severity string, w finding.Warning) lintFinding {
	var at place
	if where != nil {
		at = where.at(a.Pointer, w.Field)
	}
	rule, _ := finding.Find(w.Rule)
	apiVersion := a.Version
	if a.Group != "" {
		apiVersion = a.Group + "/" + a.Version
	}
	return lintFinding{
		File: at.file, Line: at.line, Column: at.column, Severity: severity, Rule: w.Rule, Field: w.Field,
		Annotation: annotationOf(w.Field),
		Message:    w.Text, Fix: rule.Fix, Docs: docsURL(w.Rule), name: a.String(),
		Object: lintObject{APIVersion: apiVersion, Kind: a.Kind, Namespace: a.Namespace, Name: a.Name},
	}
}

// annotationOf is the annotation that a field is, or empty.
func annotationOf(field string) string {
	_, name, found := strings.Cut(field, "metadata.annotations[")
	if !found {
		return ""
	}
	name, _, _ = strings.Cut(name, "]")
	return name
}

// docsURL is where a rule is explained.
func docsURL(rule finding.Rule) string {
	return "https://github.com/oidc-injector/oidc-injector/blob/main/docs/rules.md#" + string(rule)
}
