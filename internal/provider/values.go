package provider

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
)

// Pod is what templates may know of the pod.
type Pod struct {
	Namespace, Name, ServiceAccountName string
}

// Values are what a pod says by parameters, by their names, and what is known of it.
type Values struct {
	provider *Provider
	all      map[string]string
}

// Check reports what is wrong with the value of a parameter.
func (k Key) Check(value string) error {
	p := &k.Provider.parameters[k.parameter]
	switch {
	case value == "":
		return errors.New("must not be empty")
	case len(value) > maxValue:
		return fmt.Errorf("must not be longer than %d bytes", maxValue)
	case strings.ContainsFunc(value, unicode.IsControl):
		return errors.New("must not hold control characters")
	case !p.pattern().MatchString(value):
		return fmt.Errorf("must match %s: %s", p.Pattern, p.Description)
	}
	return nil
}

// Values completes what a pod says by defaults. Missing are the keys, without prefix and
// suffix, of required parameters that have no value.
func (p *Provider) Values(given map[string]string, pod Pod) (v Values, missing []string) {
	v = Values{provider: p, all: make(map[string]string, len(given)+8)}
	v.all[podNamespace], v.all[podName], v.all[podServiceAccount] = pod.Namespace, strings.TrimRight(pod.Name, "-"), pod.ServiceAccountName
	for i := range p.parameters {
		q := &p.parameters[i]
		if value, found := given[q.Name]; found {
			v.all[q.Name] = value
			continue
		}
		if q.Default != "" {
			if value, ok := q.byDef.expand(v.all); ok && q.pattern().MatchString(cut(value, q.MaxLength)) {
				v.all[q.Name] = cut(value, q.MaxLength)
				continue
			}
		}
		if q.Required {
			missing = append(missing, q.key)
		}
	}
	return v, missing
}

// cut shortens a value to a number of bytes, of which 0 is no limit.
func cut(value string, length int) string {
	if length > 0 && len(value) > length {
		return strings.ToValidUTF8(value[:length], "")
	}
	return value
}

// Audience is that of the token; empty where a parameter is missing.
func (v Values) Audience() string {
	audience, _ := v.provider.audience.expand(v.all)
	return audience
}

// With adds what is known of the token: the path of its file, the directory, as it is in
// the container, and its audience.
func (v Values) With(tokenFile, directory, audience string) Values {
	v.all[tokenPath], v.all[tokenDirectory], v.all[tokenAudience] = tokenFile, directory, audience
	if f := v.provider.File; f != nil {
		v.all[filePath] = strings.TrimSuffix(tokenFile, path.Base(strings.ReplaceAll(tokenFile, `\`, "/"))) + f.Name
	}
	return v
}

// Env are the variables that have a value.
func (v Values) Env() []Variable {
	variables := make([]Variable, 0, len(v.provider.env))
	for i, t := range v.provider.env {
		if value, ok := t.expand(v.all); ok {
			variables = append(variables, Variable{v.provider.Env[i].Name, value})
		}
	}
	return variables
}

// File is the content of the file, if the provider has one.
func (v Values) File() (name, content string, err error) {
	if v.provider.file == nil {
		return "", "", nil
	}
	if _, text := v.provider.file.(lines); text && strings.ContainsAny(v.all[tokenPath]+v.all[tokenAudience], "'\"`") {
		return "", "", fmt.Errorf("file %s cannot hold a path or an audience with quotes", v.provider.File.Name)
	}
	content = v.provider.file.expand(v.all)
	if len(content) > maxFile {
		return "", "", fmt.Errorf("file %s would have %d bytes: at most %d", v.provider.File.Name, len(content), maxFile)
	}
	return v.provider.File.Name, content, nil
}
