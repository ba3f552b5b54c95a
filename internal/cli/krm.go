package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/cli/manifest"
	"github.com/oidc-injector/oidc-injector/internal/cli/preview"
	"github.com/oidc-injector/oidc-injector/internal/cli/yamledit"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

// The type by which kustomize and kpt call functions (KRM Functions Specification,
// config.kubernetes.io/v1).
const (
	krmAPIVersion = "config.kubernetes.io/v1"
	krmKind       = "ResourceList"
)

// resourceList is what a function gets.
type resourceList struct {
	APIVersion     string            `json:"apiVersion"`
	Kind           string            `json:"kind"`
	FunctionConfig json.RawMessage   `json:"functionConfig"`
	Results        []json.RawMessage `json:"results"`
}

// krmResult is what a function has to say.
type krmResult struct {
	Message     string       `json:"message"`
	Severity    string       `json:"severity"`
	ResourceRef *krmResource `json:"resourceRef,omitempty"`
	Field       *krmField    `json:"field,omitempty"`
}

type krmResource struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	Namespace  string `json:"namespace,omitempty"`
}

type krmField struct {
	Path string `json:"path"`
}

func readResourceList(raw []byte) (resourceList, bool) {
	var list resourceList
	err := json.Unmarshal(raw, &list)
	return list, err == nil && list.APIVersion == krmAPIVersion && list.Kind == krmKind
}

// resourceList does the work of a function: its items are injected, and its results say
// what is wrong.
func (r *renderer) resourceList(file string, d manifest.Document, raw []byte, list resourceList) error {
	webhook := *r.webhook
	cfg, err := list.config(r.flags.prefix)
	switch {
	case err != nil:
		return err
	case cfg != nil:
		webhook.Config = cfg
	}
	results := []krmResult{}
	operations, err := r.ask(file, d, raw, &webhook, &results)
	if err != nil {
		return err
	}
	if len(results) > 0 {
		if len(list.Results) == 0 {
			operations = append(operations, yamledit.Operation{Path: "/results", Value: json.RawMessage("[]")})
		}
		for _, result := range results {
			value, err := json.Marshal(result)
			if err != nil {
				return fmt.Errorf("could not encode the results: %w", err)
			}
			operations = append(operations, yamledit.Operation{Path: "/results/-", Value: value})
		}
	}
	return r.print(file, d, raw, operations, false)
}

// config is the configuration in functionConfig; nil where there is none.
func (l *resourceList) config(prefix string) (*config.Config, error) {
	if len(l.FunctionConfig) == 0 {
		return nil, nil
	}
	var fields map[string]json.RawMessage
	var of struct {
		Kind string `json:"kind"`
	}
	if json.Unmarshal(l.FunctionConfig, &fields) != nil || json.Unmarshal(l.FunctionConfig, &of) != nil || fields == nil {
		return nil, errNoConfig
	}
	var text []byte
	switch of.Kind {
	case config.Kind:
		delete(fields, "metadata") // which every functionConfig has
		var err error
		if text, err = json.Marshal(fields); err != nil {
			return nil, fmt.Errorf("could not encode the functionConfig: %w", err)
		}
	case "ConfigMap":
		var held corev1.ConfigMap
		if err := json.Unmarshal(l.FunctionConfig, &held); err != nil {
			return nil, errNoConfig
		}
		if text = []byte(held.Data[configKey]); len(text) == 0 {
			return nil, nil
		}
	default:
		return nil, errNoConfig
	}
	cfg, err := config.Parse(text, config.Environment{Prefix: annotations.Prefix(prefix)})
	if err != nil {
		return nil, fmt.Errorf("functionConfig: %w", err)
	}
	return cfg, nil
}

// configKey is that of the configuration in a ConfigMap, as in that of the chart.
const configKey = "config.yaml"

var errNoConfig = errors.New("functionConfig must be an InjectorConfig, or a ConfigMap with " + configKey)

func krmResults(a *preview.Answer) []krmResult {
	ref := &krmResource{Kind: a.Kind, Name: a.Name, Namespace: a.Namespace, APIVersion: a.Version}
	if a.Group != "" {
		ref.APIVersion = a.Group + "/" + a.Version
	}
	var all []krmResult
	for _, err := range a.Errors {
		all = append(all, krmResult{Message: err.ErrorBody(), Severity: "error", ResourceRef: ref, Field: &krmField{err.Field}})
	}
	for _, w := range a.Warnings {
		result := krmResult{Message: w.Text, Severity: "warning", ResourceRef: ref}
		if w.Field != "" {
			result.Field = &krmField{w.Field}
		}
		all = append(all, result)
	}
	if a.Unserved != "" {
		all = append(all, krmResult{Message: a.Unserved, Severity: "info", ResourceRef: ref})
	}
	return all
}
