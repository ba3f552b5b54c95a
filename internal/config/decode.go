package config

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// decode reads a configuration file strictly: a field that is unknown, or
// written in another case, or twice, is an error, and so is a second document.
//
// The YAML is converted before the types are known. A conversion that knows
// them makes strings of numbers, by which a file-mode of 0400 without quotes,
// an octal number in YAML, becomes "256", and an audience of yes "true".
func decode(data []byte) (*InjectorConfig, error) {
	plain, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, err
	}
	if err := onlyDocument(data); err != nil {
		return nil, err
	}
	file := &InjectorConfig{}
	if err := json.Unmarshal(plain, file, json.RejectUnknownMembers(true)); err != nil {
		return nil, inTermsOfTheFile(err)
	}
	return file, nil
}

// documentEnd is the line that ends a YAML document, as `---` begins one.
var documentEnd = regexp.MustCompile(`(?m)^\.\.\.\s*?$`)

// onlyDocument reports a second document, which the conversion passes over:
// what it says would not be in force.
func onlyDocument(data []byte) error {
	data = documentEnd.ReplaceAll(data, []byte("---"))
	documents := yamlutil.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for found := 0; ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		plain, err := yaml.YAMLToJSONStrict(document)
		if err != nil {
			return err
		}
		if string(plain) != "null" { // comments alone are no document
			found++
		}
		if found > 1 {
			return errors.New("more than one YAML document: a configuration is one")
		}
	}
}

// inTermsOfTheFile rewords an error of the JSON decoder.
func inTermsOfTheFile(err error) error {
	semantic, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		return err
	}
	tokens := make([]string, 0, 4)
	for token := range semantic.JSONPointer.Tokens() {
		tokens = append(tokens, token)
	}
	path := strings.Join(tokens, ".")
	switch {
	case errors.Is(err, json.ErrUnknownName):
		return fmt.Errorf("%s: unknown field", path)
	case path == "":
		return errors.New("must be a mapping")
	case semantic.GoType.Kind() == reflect.String:
		return fmt.Errorf("%s: must be a string: put it in quotes if it is one", path)
	case semantic.GoType.Kind() == reflect.Slice:
		return fmt.Errorf("%s: must be a list", path)
	default:
		return fmt.Errorf("%s: must be a mapping", path)
	}
}
