package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation/field"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/binding"
	"github.com/oidc-injector/oidc-injector/internal/cli/manifest"
	"github.com/oidc-injector/oidc-injector/internal/cli/migrate"
	"github.com/oidc-injector/oidc-injector/internal/cli/yamledit"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/podtemplate"
)

func newMigrateCommand(g *globals) *cobra.Command {
	m := &migration{globals: g}
	c := &cobra.Command{
		Use:   "migrate [-f FILE]",
		Short: "Moves manifests of other injectors to ours",
		Long: `Moves manifests of other injectors to annotations of ours, and prints them: those of
amazon-eks-pod-identity-webhook, azure-workload-identity,
gcp-workload-identity-federation-webhook and vault-k8s. What ServiceAccounts say comes
into the pods that use them, so give both. Comments, order and layout stay.

What cannot be moved is said on the standard error, with the line and the reason, and
the exit code is 1. Then the object stays with the other injector, unless it says that
only something is lost.`,
		Example: `  # What would change?
  kubectl oidc-injector migrate -f manifests/ -o diff

  # On EKS, whose webhook sets the region
  kubectl oidc-injector migrate -f app.yaml --aws-region eu-central-1 > migrated.yaml

  # What a chart makes, where only ServiceAccounts can be annotated: bindings instead
  helm template web ./chart | kubectl oidc-injector migrate -n shop --bindings

  # Only what cannot be moved, for a script
  kubectl oidc-injector migrate -f manifests/ -o json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return m.run(c.Context()) },
	}
	m.files.addFlags(c.Flags())
	m.flags.addConfigFlags(c.Flags())
	c.Flags().StringVarP(&m.output, "output", "o", asGiven, "What to print: diff, or json for the list of "+
		"what could not be moved. By default, the manifests.")
	c.Flags().BoolVar(&m.bindings, "bindings", false, "Print bindings for the configuration, one for each "+
		"ServiceAccount, instead of manifests.")
	c.Flags().StringVar(&m.defaults.AWSRegion, "aws-region", "", "--aws-default-region of amazon-eks-pod-identity-webhook.")
	c.Flags().StringVar(&m.defaults.AzureTenantID, "azure-tenant-id", "", "Tenant of ServiceAccounts that name none.")
	c.Flags().StringVar(&m.defaults.VaultAddress, "vault-address", "", "Vault of pods that name none.")
	c.Flags().StringVar(&m.defaults.VaultAudience, "vault-audience", "vault", "Audience of the tokens for Vault.")
	complete(c, "output", asDiff, asJSON)
	return c
}

// migration is a call of migrate.
type migration struct {
	*globals
	files    fileFlags
	flags    webhookFlags
	defaults migrate.Defaults
	output   string
	bindings bool

	cfg       *config.Config
	templates podtemplate.Locations
	namespace string
	// A ServiceAccount may be anywhere in the stream, so all of it is kept.
	documents        []document
	accounts         []migrate.Account
	pods             []migrate.Pod
	ofAccount, ofPod []location
	list             []migrateFinding
}

// document is one that was read.
type document struct {
	file string
	manifest.Document
	raw   []byte
	where *locator
}

// location is where the metadata of an object, or of its template of pods, stands.
type location struct {
	document int
	object   manifest.Object
	// below is the path of the template of pods in the object.
	below    string
	metadata *migrate.Metadata
}

func (m *migration) run(ctx context.Context) error {
	switch {
	case m.output != asGiven && m.output != asDiff && m.output != asJSON:
		return fmt.Errorf("--output: invalid value %q: must be %s or %s", m.output, asDiff, asJSON)
	case m.bindings && m.output == asDiff:
		return errors.New("--bindings and --output=diff exclude each other")
	}
	if err := m.read(ctx); err != nil {
		return err
	}
	var show func() error
	if m.bindings {
		made, ofAccounts, ofPods := migrate.Bindings(m.accounts, m.pods, m.options())
		m.collect(ofAccounts, ofPods)
		show = func() error { return m.printBindings(made) }
	} else {
		ofAccounts, ofPods := migrate.Plan(m.accounts, m.pods, m.options())
		m.collect(ofAccounts, ofPods)
		show = func() error { return m.printManifests(ofAccounts, ofPods) }
	}
	if m.output == asJSON {
		show = m.printList
	}
	if err := show(); err != nil {
		return err
	}
	if m.output != asJSON {
		m.tellList()
	}
	if slices.ContainsFunc(m.list, func(f migrateFinding) bool { return f.Severity == severityError }) {
		return errFinding
	}
	return nil
}

func (m *migration) options() migrate.Options {
	return migrate.Options{
		Defaults: m.defaults,
		Key:      func(name string) string { return m.cfg.Parser.Prefix.Key(name, "") },
		Check: func(all map[string]string) []string {
			_, errs := m.cfg.Parser.Bind("", all, nil)
			problems := make([]string, 0, len(errs))
			for _, err := range errs {
				problems = append(problems, err.Error())
			}
			return problems
		},
	}
}

func (m *migration) read(ctx context.Context) error {
	webhook, err := m.flags.webhook(ctx, m.globals)
	if err != nil {
		return err
	}
	m.cfg, m.templates, m.namespace = webhook.Config, webhook.Templates(), webhook.Namespace
	return m.files.each(m.globals, func(file string, d manifest.Document) error {
		raw, err := d.ToJSON()
		if err != nil {
			return fmt.Errorf("%s: %w", displayName(file), err)
		}
		m.documents = append(m.documents, document{file, d, raw, newLocator(file, d)})
		for _, o := range manifest.Objects(raw) {
			if err := m.object(o); err != nil {
				return fmt.Errorf("%s: %s: %w", m.documents[len(m.documents)-1].where.at(o.Pointer, ""), o.String(), err)
			}
		}
		return nil
	})
}

// podFields is what is read of a pod, or of a template of pods.
type podFields struct {
	// Metadata is nil where there are none, as templates may have it.
	Metadata *migrate.Metadata `json:"metadata"`
	Spec     struct {
		ServiceAccountName string `json:"serviceAccountName"`
		// The old name of the same (core/v1 PodSpec).
		ServiceAccount string `json:"serviceAccount"`
	} `json:"spec"`
}

// object keeps an object that says something, or may.
func (m *migration) object(o manifest.Object) error {
	at := location{document: len(m.documents) - 1, object: o}
	namespace := cmp.Or(o.Namespace, m.namespace)
	switch path := m.templates.Find(o.Group, o.Resource); {
	case o.Group == "" && o.Kind == "ServiceAccount":
		var fields podFields
		if err := json.Unmarshal(o.Raw, &fields); err != nil {
			return fmt.Errorf("could not read it: %w", err)
		}
		if at.metadata = fields.Metadata; at.metadata == nil {
			return nil
		}
		m.accounts = append(m.accounts, migrate.Account{Namespace: namespace, Name: o.Name, Metadata: *fields.Metadata})
		m.ofAccount = append(m.ofAccount, at)
		return nil
	case o.Group == "" && o.Kind == "Pod":
		return m.pod(at, namespace, o.Raw, nil)
	case path != "":
		at.below = path
		var above struct {
			Spec struct {
				Selector struct {
					MatchLabels map[string]string `json:"matchLabels"`
				} `json:"selector"`
			} `json:"spec"`
		}
		// A ReplicationController has labels there, of which the API server says the same.
		_ = json.Unmarshal(o.Raw, &above)
		raw := o.Raw
		for step := range strings.SplitSeq(path, ".") {
			var fields map[string]json.RawMessage
			if json.Unmarshal(raw, &fields) != nil {
				return nil
			}
			raw = fields[step]
		}
		return m.pod(at, namespace, raw, above.Spec.Selector.MatchLabels)
	}
	return nil
}

func (m *migration) pod(at location, namespace string, raw json.RawMessage, selector map[string]string) error {
	if len(raw) == 0 {
		return nil
	}
	var fields podFields
	if err := json.Unmarshal(raw, &fields); err != nil {
		return fmt.Errorf("could not read its pod: %w", err)
	}
	at.metadata = fields.Metadata
	m.pods = append(m.pods, migrate.Pod{
		Namespace: namespace, Account: cmp.Or(fields.Spec.ServiceAccountName, fields.Spec.ServiceAccount, "default"),
		Metadata: *cmp.Or(fields.Metadata, &migrate.Metadata{}), Selector: selector,
	})
	m.ofPod = append(m.ofPod, at)
	return nil
}

// operations make an edit of the document.
func (l *location) operations(e *migrate.Edit) []yamledit.Operation {
	pointer := l.object.Pointer
	if l.below != "" {
		pointer += "/" + strings.ReplaceAll(l.below, ".", "/")
	}
	pointer += "/metadata"
	if l.metadata == nil {
		if len(e.Add) == 0 {
			return nil
		}
		all := []yamledit.Operation{{Path: pointer, Value: json.RawMessage("{}")}}
		return take(all, pointer+"/annotations", nil, nil, e.Add)
	}
	all := take(nil, pointer+"/labels", l.metadata.Labels, e.Labels, nil)
	return take(all, pointer+"/annotations", l.metadata.Annotations, e.Annotations, e.Add)
}

// take removes names from a map of strings, or the map where nothing is left, and adds
// others.
func take(all []yamledit.Operation, path string, there map[string]string, names []string, added map[string]string) []yamledit.Operation {
	if len(names) == 0 && len(added) == 0 {
		return all
	}
	if len(names) > 0 && len(names) == len(there) && len(added) == 0 {
		return append(all, yamledit.Operation{Path: path, Remove: true})
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1") // RFC 6901
	for _, name := range names {
		all = append(all, yamledit.Operation{Path: path + "/" + escape.Replace(name), Remove: true})
	}
	if there == nil {
		all = append(all, yamledit.Operation{Path: path, Value: json.RawMessage("{}")})
	}
	for _, name := range slices.Sorted(maps.Keys(added)) {
		if there[name] == added[name] {
			continue
		}
		value, _ := json.Marshal(added[name]) // a string
		all = append(all, yamledit.Operation{Path: path + "/" + escape.Replace(name), Value: value})
	}
	return all
}

func (m *migration) printManifests(ofAccounts, ofPods []migrate.Outcome) error {
	operations := make([][]yamledit.Operation, len(m.documents))
	add := func(at []location, outcomes []migrate.Outcome) {
		for i := range at {
			d := at[i].document
			operations[d] = append(operations[d], at[i].operations(&outcomes[i].Edit)...)
		}
	}
	add(m.ofAccount, ofAccounts)
	add(m.ofPod, ofPods)
	r, file := &renderer{globals: m.globals, output: m.output}, ""
	for i := range m.documents {
		d := &m.documents[i]
		if err := r.print(d.file, d.Document, d.raw, operations[i], d.file != file); err != nil {
			return err
		}
		file = d.file
	}
	return nil
}

func (m *migration) printBindings(made []migrate.Binding) error {
	list := []config.Binding{}
	for _, b := range made {
		one := config.Binding{
			Name: b.Name, Annotations: b.Annotations,
			Selector: binding.Selector{
				Namespaces: []string{b.Account.Namespace}, ServiceAccounts: []string{b.Account.Name}, PodLabels: b.PodLabels,
			},
		}
		if errs := one.Validate(field.NewPath("bindings")); len(errs) > 0 {
			return errs.ToAggregate() //nolint:wrapcheck // it names the binding
		}
		list = append(list, one)
	}
	text, err := sigsyaml.Marshal(map[string]any{"bindings": list})
	if err != nil {
		return fmt.Errorf("could not print the bindings: %w", err)
	}
	_, err = m.Out.Write(text)
	return err //nolint:wrapcheck // it names the output
}
