package config

import (
	"bufio"
	"bytes"
	jsonv1 "encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"k8s.io/apimachinery/pkg/util/validation/field"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// decode reads a configuration file strictly: a field that is unknown, or
// written in another case, or twice, is an error, and so is a second document. The
// problems are those of fields, which are left out of the file. The error is one of
// the whole.
//
// The YAML is converted before the types are known. A conversion that knows
// them makes strings of numbers, by which a file-mode of 0400 without quotes,
// an octal number in YAML, becomes "256", and an audience of yes "true".
func decode(data []byte) (file *InjectorConfig, problems field.ErrorList, err error) {
	plain, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, nil, err
	}
	if err := onlyDocument(data); err != nil {
		return nil, nil, err
	}
	for {
		file = &InjectorConfig{}
		err := json.Unmarshal(plain, file, json.RejectUnknownMembers(true))
		if err == nil {
			return file, problems, nil
		}
		semantic, ok := errors.AsType[*json.SemanticError](err)
		if !ok || semantic.JSONPointer == "" {
			return nil, nil, inTermsOfTheFile(semantic, err)
		}
		// The decoder stops at its first error: on without that field.
		var at *field.Path
		if plain, at, err = without(plain, semantic.JSONPointer); err != nil {
			return nil, nil, err
		}
		problem := inTermsOfTheFile(semantic, semantic).Error()
		if problems = append(problems, field.Invalid(at, nil, problem)); len(problems) == maxProblems {
			return file, problems, nil
		}
	}
}

// maxProblems bounds the fields of a file that cannot be decoded, as each takes a pass.
const maxProblems = 100

// without returns the document without a value, and the path of that value. An element
// of a list becomes null, so that the others keep their places.
func without(document []byte, pointer jsontext.Pointer) ([]byte, *field.Path, error) {
	var whole any
	decoder := jsonv1.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber() // so that numbers stay as they were written
	if err := decoder.Decode(&whole); err != nil {
		return nil, nil, err
	}
	var path *field.Path
	inside := whole
	steps := slices.Collect(pointer.Tokens())
	for i, step := range steps {
		last := i == len(steps)-1
		switch v := inside.(type) {
		case []any:
			n, err := strconv.Atoi(step)
			if err != nil || n >= len(v) {
				return nil, nil, fmt.Errorf("no element at %s", pointer)
			}
			path, inside = path.Index(n), v[n]
			if last {
				v[n] = nil
			}
		case map[string]any:
			path, inside = path.Child(step), v[step]
			if last {
				delete(v, step)
			}
		default:
			return nil, nil, fmt.Errorf("no value at %s", pointer)
		}
	}
	rest, err := jsonv1.Marshal(whole)
	return rest, path, err
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
func inTermsOfTheFile(semantic *json.SemanticError, err error) error {
	switch {
	case semantic == nil:
		return err
	case errors.Is(semantic, json.ErrUnknownName):
		return errors.New("unknown field")
	case semantic.JSONPointer == "" || semantic.GoType.Kind() != reflect.String && semantic.GoType.Kind() != reflect.Slice:
		return errors.New("must be a mapping")
	case semantic.GoType.Kind() == reflect.String:
		return errors.New("must be a string: put it in quotes if it is one")
	default:
		return errors.New("must be a list")
	}
}
