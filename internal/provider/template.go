package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What templates may have beside parameters: what is known of a pod when it is created,
// and of its token. The name of a pod that its controller has not named yet is the
// beginning that all names will have.
const (
	podNamespace      = "pod.namespace"
	podName           = "pod.name"
	podServiceAccount = "pod.serviceAccountName"

	tokenPath      = "token.path"
	tokenDirectory = "token.directory"
	tokenAudience  = "token.audience"
	filePath       = "file.path"
)

var (
	podValues   = []string{podNamespace, podName, podServiceAccount}
	tokenValues = []string{tokenPath, tokenDirectory, tokenAudience, filePath}
)

// template is a text with names in it, as ${name}: texts and names in turn.
type template []string

// template compiles a text.
func (c *compiler) template(at *field.Path, text string) template {
	var t template
	for {
		before, rest, found := strings.Cut(text, "${")
		t = append(t, before)
		if !found {
			return t
		}
		name, rest, closed := strings.Cut(rest, "}")
		if !closed || !c.known[name] {
			c.invalid(at, "${"+name, "must name a parameter or one of "+strings.Join(slices.Concat(podValues, tokenValues), ", ")+
				" that is known here, as ${name}")
			return t
		}
		t, text = append(t, name), rest
	}
}

// expand fills the names in. It is false where one has no value.
func (t template) expand(values map[string]string) (string, bool) {
	if len(t) == 1 {
		return t[0], true
	}
	var b strings.Builder
	for i, part := range t {
		if i%2 == 1 {
			value := values[part]
			if value == "" {
				return "", false
			}
			part = value
		}
		b.WriteString(part)
	}
	return b.String(), true
}

// content is a file's.
type content interface {
	expand(values map[string]string) string
}

// lines is a text, by its lines with their ends.
type lines []template

func (c *compiler) text(at *field.Path, text string) lines {
	var all lines
	for line := range strings.Lines(text) {
		all = append(all, c.template(at, line))
	}
	for i := range c.p.parameters {
		p := &c.p.parameters[i]
		if p.Pattern == "" && strings.Contains(text, "${"+p.Name+"}") {
			c.invalid(at, "${"+p.Name+"}", "a parameter needs a pattern to be in a text: it could say more than one thing")
		}
	}
	return all
}

func (l lines) expand(values map[string]string) string {
	var b strings.Builder
	for _, line := range l {
		text, _ := line.expand(values)
		b.WriteString(text)
	}
	return b.String()
}

// object is JSON whose texts are templates: an object, list, template, or any other
// value as it is.
type object struct{ value any }

func (c *compiler) object(at *field.Path, value map[string]any) object {
	return object{c.compileJSON(at, value, 0)}
}

const (
	// maxDepth is how deep JSON may be.
	maxDepth = 20
	// exact is the least integer of which the next one is another number only in its text
	// (RFC 8259 section 6).
	exact = 1 << 53
)

func (c *compiler) compileJSON(at *field.Path, value any, depth int) any {
	if depth > maxDepth {
		c.invalid(at, "…", fmt.Sprintf("must not be deeper than %d", maxDepth))
		return nil
	}
	switch v := value.(type) {
	case map[string]any:
		compiled := make(map[string]any, len(v))
		for name, member := range v {
			if strings.Contains(name, "${") {
				c.invalid(at, name, "the names of members are no templates")
			}
			compiled[name] = c.compileJSON(at.Child(name), member, depth+1)
		}
		return compiled
	case []any:
		compiled := make([]any, 0, len(v))
		for i, element := range v {
			compiled = append(compiled, c.compileJSON(at.Index(i), element, depth+1))
		}
		return compiled
	case string:
		// YAML makes texts of numbers that are too large for it.
		if _, err := strconv.ParseFloat(v, 64); errors.Is(err, strconv.ErrRange) {
			c.invalid(at, v, "must be a number of 64 bits")
		}
		return c.template(at, v)
	case float64:
		if math.Abs(v) >= exact && v == math.Trunc(v) {
			c.invalid(at, v, "is too large for an exact number: put it in quotes, or write a smaller one")
		}
		return v
	default:
		return v
	}
}

func (o object) expand(values map[string]string) string {
	expanded, _ := expandJSON(o.value, values)
	text, err := json.Marshal(expanded)
	if err != nil {
		return "" // it came from JSON
	}
	return string(text)
}

func expandJSON(value any, values map[string]string) (any, bool) {
	switch v := value.(type) {
	case map[string]any:
		expanded := make(map[string]any, len(v))
		for name, member := range v {
			if m, ok := expandJSON(member, values); ok {
				expanded[name] = m
			}
		}
		return expanded, true
	case []any:
		expanded := make([]any, 0, len(v))
		for _, element := range v {
			if e, ok := expandJSON(element, values); ok {
				expanded = append(expanded, e)
			}
		}
		return expanded, true
	case template:
		return v.expand(values)
	default:
		return v, true
	}
}
