package mutate

import (
	"encoding/json"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// element is a value that is appended to a list, in JSON: by itself, and as a new
// list of one. It is encoded once, however many containers get it, and operations
// point at it.
type element struct{ one, list json.RawMessage }

// newElement encodes a value.
func newElement(value any) element {
	one := encode(value)
	list := make([]byte, 0, len(one)+2)
	return listOfOne(append(append(append(list, '['), one...), ']'))
}

func listOfOne(list []byte) element { return element{one: list[1 : len(list)-1], list: list} }

// What nearly every patch has is written directly: with encoding/json it would be a
// seventh of an admission.

// volumeElement is the projected volume of a token, as people write it by hand
// (core/v1 Volume). Without a mode the API server's default holds.
func volumeElement(name string, t *annotations.Token, mode *int32, user *int64) element {
	b := make([]byte, 0, 160+len(name)+len(t.Audience)+len(t.File))
	b = appendText(append(b, `[{"name":`...), name)
	b = appendText(append(b, `,"projected":{"sources":[{"serviceAccountToken":{"audience":`...), t.Audience)
	b = strconv.AppendInt(append(b, `,"expirationSeconds":`...), t.ExpirationSeconds, 10)
	b = appendText(append(b, `,"path":`...), t.File)
	if user != nil {
		b = strconv.AppendInt(append(b, `,"user":`...), *user, 10)
	}
	b = append(b, `}}`...)
	if f := t.Provided; f != nil {
		// It holds no secret, and is not for the volume's mode: that may be for the token's
		// readers alone.
		b = appendText(append(b, `,{"downwardAPI":{"items":[{"path":`...), f.Name)
		b = appendText(append(b, `,"fieldRef":{"fieldPath":`...), annotationField(f))
		b = append(b, `},"mode":292}]}}`...)
	}
	b = append(b, ']')
	if mode != nil {
		b = strconv.AppendInt(append(b, `,"defaultMode":`...), int64(*mode), 10)
	}
	return listOfOne(append(b, `}}]`...))
}

// mountElement is a mount (core/v1 VolumeMount).
func mountElement(volume, path string, readOnly bool) element {
	b := make([]byte, 0, 56+len(volume)+len(path))
	b = appendText(append(b, `[{"name":`...), volume)
	if readOnly {
		b = append(b, `,"readOnly":true`...)
	}
	b = appendText(append(b, `,"mountPath":`...), path)
	return listOfOne(append(b, `}]`...))
}

// variableElement is a variable (core/v1 EnvVar).
func variableElement(name, value string) element {
	b := make([]byte, 0, 32+len(name)+len(value))
	b = appendText(append(b, `[{"name":`...), name)
	b = appendText(append(b, `,"value":`...), value)
	return listOfOne(append(b, `}]`...))
}

// appendText appends a JSON string. What is no UTF-8 becomes so; annotations and
// names in pods always are.
func appendText(b []byte, text string) []byte {
	quoted, err := jsontext.AppendQuote(b, text)
	if err != nil {
		return append(b, encode(text)...)
	}
	return quoted
}

// appendTexts appends a list of JSON strings.
func appendTexts(b []byte, texts []string) []byte {
	b = append(b, '[')
	for i, text := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, text)
	}
	return append(b, ']')
}

// encode returns the JSON of a value that always has one: texts, numbers, and what
// the Kubernetes API is made of.
func encode(value any) json.RawMessage {
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(err) //nolint:forbidigo // there is no such value
	}
	return encoded
}
