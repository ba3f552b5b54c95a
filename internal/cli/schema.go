package cli

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/podtemplate"
)

func newSchemaCommand(g *globals) *cobra.Command {
	var flags webhookFlags
	c := &cobra.Command{
		Use:   "schema",
		Short: "Prints a JSON Schema of the annotations, for editors",
		Long: `Prints a JSON Schema (draft-07) of manifests, which knows the annotations of pods and of
templates of pods, and nothing else: editors complete and explain them, and mark what
is mistyped. With --config, or --from-cluster, it knows the profiles and providers, too.`,
		Example: `  kubectl oidc-injector schema --config injector.yaml > oidc-injector.schema.json

  # VS Code with the YAML extension, settings.json:
  #   "yaml.schemas": {"./oidc-injector.schema.json": "manifests/*.yaml"}`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			webhook, err := flags.webhook(c.Context(), g)
			if err != nil {
				return err
			}
			text, err := marshal(schemaOf(webhook.Config), "")
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(g.Out, text)
			return err
		},
	}
	flags.addConfigFlags(c.Flags())
	return c
}

// jsonSchema is the part of JSON Schema (draft-07) that is needed here.
type jsonSchema struct {
	Schema            string                 `json:"$schema,omitempty"`
	Ref               string                 `json:"$ref,omitempty"`
	Title             string                 `json:"title,omitempty"`
	Description       string                 `json:"description,omitempty"`
	Type              string                 `json:"type,omitempty"`
	Pattern           string                 `json:"pattern,omitempty"`
	Enum              []string               `json:"enum,omitempty"`
	Examples          []string               `json:"examples,omitempty"`
	AnyOf             []*jsonSchema          `json:"anyOf,omitempty"`
	Not               *jsonSchema            `json:"not,omitempty"`
	PropertyNames     *jsonSchema            `json:"propertyNames,omitempty"`
	Properties        map[string]*jsonSchema `json:"properties,omitempty"`
	PatternProperties map[string]*jsonSchema `json:"patternProperties,omitempty"`
	Definitions       map[string]*jsonSchema `json:"definitions,omitempty"`
}

// schemaOf is the schema of manifests by a configuration.
func schemaOf(cfg *config.Config) *jsonSchema {
	schema := &jsonSchema{
		Schema: "http://json-schema.org/draft-07/schema#", Title: "Annotations of oidc-injector", Type: "object",
		Definitions: map[string]*jsonSchema{"annotations": annotationSchema(cfg)}, Properties: map[string]*jsonSchema{},
	}
	annotated := func() *jsonSchema { return &jsonSchema{Ref: "#/definitions/annotations"} }
	for _, path := range templatePaths(cfg.PodTemplates) {
		at := schema
		for _, step := range path {
			if at.Properties == nil {
				at.Properties = map[string]*jsonSchema{}
			}
			if at.Properties[step] == nil {
				at.Properties[step] = &jsonSchema{}
			}
			at = at.Properties[step]
		}
		*at = *annotated()
	}
	return schema
}

// templatePaths are where annotations of pods stand: in pods, and in templates.
func templatePaths(locations podtemplate.Locations) [][]string {
	paths := make([][]string, 0, 1+len(locations))
	paths = append(paths, []string{"metadata", "annotations"})
	for _, l := range locations {
		paths = append(paths, append(strings.Split(l.Path, "."), "metadata", "annotations"))
	}
	return paths
}

// annotationSchema is that of the annotations of a pod.
func annotationSchema(cfg *config.Config) *jsonSchema {
	prefix := cfg.Parser.Prefix
	s := &jsonSchema{Type: "object", Properties: map[string]*jsonSchema{}, PatternProperties: map[string]*jsonSchema{}}
	described := describedKeys(cfg)
	names := make([]string, 0, len(described))
	for _, d := range described {
		value := &jsonSchema{Type: "string", Description: d.Text, Enum: d.OneOf}
		if d.Example != "" && d.OneOf == nil {
			value.Examples = []string{d.Example}
		}
		s.Properties[prefix.Key(d.Key, "")] = value
		s.PatternProperties["^"+regexp.QuoteMeta(prefix.Key(d.Key, ""))+`\.`+suffixPattern+"$"] = value
		names = append(names, regexp.QuoteMeta(d.Key))
	}
	s.Properties[prefix.Key(annotations.Status, "")] = &jsonSchema{Type: "string", Description: "Written by the webhook: what it did."}
	own := "^" + regexp.QuoteMeta(string(prefix)+"/")
	s.PropertyNames = &jsonSchema{AnyOf: []*jsonSchema{
		{Not: &jsonSchema{Pattern: own}},
		{Pattern: own + "(" + strings.Join(names, "|") + ")(\\." + suffixPattern + ")?$"},
		{Pattern: own + "(" + annotations.Status + "|" + annotations.ProviderFile + "\\." + suffixPattern + ")$"},
	}}
	return s
}

// suffixPattern is what names a token.
const suffixPattern = `[a-z0-9]([-a-z0-9]*[a-z0-9])?`

// describedKeys are all keys that a configuration knows.
func describedKeys(cfg *config.Config) []annotations.KeyDescription {
	all := annotations.Descriptions()
	for i := range all {
		switch all[i].Key {
		case annotations.Profile:
			for name := range cfg.Parser.Profiles {
				all[i].OneOf = append(all[i].OneOf, name)
			}
			slices.Sort(all[i].OneOf)
		case annotations.Provider:
			all[i].OneOf = cfg.Parser.Providers.Names()
		}
	}
	for _, name := range cfg.Parser.Providers.Keys() {
		if key, ok := cfg.Parser.Providers.Key(name); ok {
			all = append(all, annotations.KeyDescription{Key: name, Text: key.Parameter().Description})
		}
	}
	return all
}
