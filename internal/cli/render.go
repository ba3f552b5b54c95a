package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/cli/manifest"
	"github.com/oidc-injector/oidc-injector/internal/cli/preview"
	"github.com/oidc-injector/oidc-injector/internal/cli/yamledit"
)

// The formats of render.
const (
	asGiven   = ""
	asYAML    = "yaml"
	asJSON    = "json"
	asPatches = "patch"
	asDiff    = "diff"
)

func newRenderCommand(g *globals) *cobra.Command {
	r := &renderer{globals: g}
	c := &cobra.Command{
		Use:   "render [-f FILE]",
		Short: "Prints manifests as the webhook would make them",
		Long: `Prints manifests as the webhook would make them: Pods, and everything with a template
of pods, also in Lists. Everything else stays as it is, and so do comments, order and
layout of what is changed.

What is wrong is said on the standard error, with the line. An object that the webhook
would deny stays as it is, and the exit code is 1.

It is also a function for kustomize and kpt (a ResourceList on the standard input), and
a post-renderer for Helm.`,
		Example: `  # What would change?
  kubectl oidc-injector render -f deployment.yaml -o diff

  # By the configuration of the cluster's webhook
  helm template web ./chart | kubectl oidc-injector render --from-cluster -n shop

  # Where the webhook is not installed
  kubectl oidc-injector render -f manifests/ --config injector.yaml | kubectl apply -f -

  # As a post-renderer of Helm 3
  helm install web ./chart --post-renderer kubectl-oidc_injector --post-renderer-args render`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return r.run(c) },
	}
	r.files.addFlags(c.Flags())
	r.flags.addFlags(c.Flags())
	c.Flags().StringVarP(&r.output, "output", "o", asGiven, "What to print: yaml, json, patch (a JSON patch, RFC 6902, in a line for each "+
		"object) or diff. By default, YAML for YAML and JSON for JSON.")
	complete(c, "output", asYAML, asJSON, asPatches, asDiff)
	return c
}

// renderer is a call of render.
type renderer struct {
	*globals
	files  fileFlags
	flags  webhookFlags
	output string

	webhook *preview.Webhook
	// printed is true once there is a document before the next one, json where that is JSON,
	// and broken where it does not end with its line.
	printed, json, broken bool
	denied                bool
	// diffed is the file of the last diff, and grown by how many lines it has become longer.
	diffed string
	grown  int
}

func (r *renderer) run(c *cobra.Command) error {
	switch r.output {
	case asGiven, asYAML, asJSON, asPatches, asDiff:
	default:
		return fmt.Errorf("--output: invalid value %q: must be %s, %s, %s or %s", r.output, asYAML, asJSON, asPatches, asDiff)
	}
	var err error
	if r.webhook, err = r.flags.webhook(c.Context(), r.globals); err != nil {
		return err
	}
	file := ""
	err = r.files.each(r.globals, func(name string, d manifest.Document) error {
		first := name != file
		file = name
		return r.document(name, d, first)
	})
	if err == nil && r.denied {
		return errFinding
	}
	return err
}

// document renders a document.
func (r *renderer) document(file string, d manifest.Document, first bool) error {
	raw, err := d.ToJSON()
	if err != nil {
		return fmt.Errorf("%s: %w", displayName(file), err)
	}
	if krm, is := readResourceList(raw); is {
		return r.resourceList(file, d, raw, krm)
	}
	operations, err := r.ask(file, d, raw, r.webhook, nil)
	if err != nil {
		return err
	}
	return r.print(file, d, raw, operations, first)
}

// maxInjected bounds the memory for a document, of which each takes some 50 KB while it is edited.
const maxInjected = 10_000

// ask has the webhook decide about every object of a document, says what is wrong, and
// returns the operations for all.
func (r *renderer) ask(file string, d manifest.Document, raw []byte, webhook *preview.Webhook, results *[]krmResult) (
	[]yamledit.Operation, error,
) {
	var all []yamledit.Operation
	injected := 0
	where := newLocator(file, d)
	for _, o := range manifest.Objects(raw) {
		a, asked, err := webhook.Ask(o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where.at(o.Pointer, ""), err)
		}
		if !asked {
			continue
		}
		r.report(where, &a)
		if results != nil {
			*results = append(*results, krmResults(&a)...)
		}
		if r.output == asPatches {
			if err := r.printPatch(&a); err != nil {
				return nil, err
			}
		}
		operations, err := a.Operations()
		if err != nil {
			return nil, err
		}
		all = append(all, operations...)
		if len(operations) > 0 {
			injected++
		}
		if injected > maxInjected {
			return nil, fmt.Errorf("%s: more than %d workloads of one document would be injected: split the list", where.at("", ""),
				maxInjected)
		}
	}
	return all, nil
}

// report says what is wrong with an object.
func (r *renderer) report(where *locator, a *preview.Answer) {
	s := r.style()
	if a.Unserved != "" {
		fmt.Fprintf(r.ErrOut, "%s: %s: %s: %s\n", where.at(a.Pointer, ""), s.Yellow("warning"), a.String(), a.Unserved)
	}
	for _, w := range a.Warnings {
		fmt.Fprintf(r.ErrOut, "%s: %s: %s: %s\n", where.at(a.Pointer, w.Field), s.Yellow("warning"), a.String(), w.Text)
	}
	for _, err := range a.Errors {
		r.denied = true
		fmt.Fprintf(r.ErrOut, "%s: %s: %s: %s\n", where.at(a.Pointer, err.Field), s.Red("error"), a.String(), err)
	}
	r.denied = r.denied || a.Outcome == admission.Denied
}

func (r *renderer) printPatch(a *preview.Answer) error {
	patch, err := a.Patch()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.Out, "%s\n", patch)
	return err
}

// print prints a document after its operations.
func (r *renderer) print(file string, d manifest.Document, raw []byte, operations []yamledit.Operation, first bool) error {
	if r.output == asPatches {
		return nil
	}
	result, err := yamledit.Apply(yamledit.Document{Text: d.Text, IsJSON: d.JSON, JSON: raw}, operations)
	if err != nil {
		return fmt.Errorf("%s:%d: %w", displayName(file), d.Line, err)
	}
	if result.Kept != yamledit.Text && r.output != asJSON {
		fmt.Fprintf(r.ErrOut, "%s:%d: %s: the document is written in a way that could not be kept\n", displayName(file), d.Line,
			r.style().Yellow("warning"))
	}
	switch r.output {
	case asJSON:
		return r.printJSON(result.JSON)
	case asDiff:
		return r.printDiff(file, d, result.Text)
	case asYAML:
		if d.JSON {
			text, err := sigsyaml.JSONToYAML(result.JSON)
			if err != nil {
				return fmt.Errorf("%s:%d: %w", displayName(file), d.Line, err)
			}
			return r.write(manifest.Document{}, text, true)
		}
	}
	return r.write(d, result.Text, first)
}

// write writes a document behind others. One that begins a file may need a line between
// it and them.
func (r *renderer) write(d manifest.Document, text []byte, first bool) error {
	between := ""
	if first && r.broken {
		between = "\n"
	}
	marked := bytes.HasPrefix(bytes.TrimSpace(text), []byte("---"))
	if first && r.printed && !marked && (!d.JSON || !r.json) {
		between += "---\n"
	}
	if len(bytes.TrimSpace(text)) > 0 {
		r.printed, r.json, r.broken = true, d.JSON, text[len(text)-1] != '\n'
	}
	_, err := r.Out.Write(append([]byte(between), text...))
	return err //nolint:wrapcheck // it names the output
}

// printJSON prints a document as kubectl prints objects; one without an object has
// nothing to print.
func (r *renderer) printJSON(raw []byte) error {
	if text := bytes.TrimSpace(raw); len(text) == 0 || bytes.Equal(text, []byte("null")) {
		return nil
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "    "); err != nil {
		return fmt.Errorf("could not print the object: %w", err)
	}
	_, err := fmt.Fprintf(r.Out, "%s\n", b.Bytes())
	return err
}

// printDiff prints what has changed, with the lines that the file has.
func (r *renderer) printDiff(file string, d manifest.Document, after []byte) error {
	if bytes.Equal(d.Text, after) {
		return nil
	}
	name := strings.TrimPrefix(file, "/")
	header, text, _ := strings.Cut(string(diff.Diff("a/"+name, d.Text, "b/"+name, after)), "@@")
	_, header, _ = strings.Cut(header, "\n") // the line for git, without which it is a patch as well
	if r.diffed != file {
		r.diffed, r.grown = file, 0
	} else {
		header = ""
	}
	text = hunk.ReplaceAllStringFunc("@@"+text, func(h string) string {
		n := hunk.FindStringSubmatch(h)
		return fmt.Sprintf("@@ -%d,%s +%d,%s @@", atoi(n[1])+d.Line-1, n[2], atoi(n[3])+d.Line-1+r.grown, n[4])
	})
	r.grown += bytes.Count(after, []byte("\n")) - bytes.Count(d.Text, []byte("\n"))
	if text = header + text; r.Color {
		text = r.colorDiff(text)
	}
	_, err := io.WriteString(r.Out, text)
	return err //nolint:wrapcheck // it names the output
}

// hunk is the header of a piece of a diff.
var hunk = regexp.MustCompile(`(?m)^@@ -(\d+),(\d+) \+(\d+),(\d+) @@$`)

func atoi(digits string) int {
	n, _ := strconv.Atoi(digits) // it matches \d+
	return n
}

func (r *renderer) colorDiff(text string) string {
	s := r.style()
	var b strings.Builder
	for line := range strings.Lines(text) {
		content, end := strings.TrimSuffix(line, "\n"), line[len(strings.TrimSuffix(line, "\n")):]
		switch {
		case strings.HasPrefix(content, "+++"), strings.HasPrefix(content, "---"):
			content = s.Bold(content)
		case strings.HasPrefix(content, "+"):
			content = s.Green(content)
		case strings.HasPrefix(content, "-"):
			content = s.Red(content)
		}
		b.WriteString(content + end)
	}
	return b.String()
}
