package loginspec

import (
	"errors"
	"fmt"
)

// Rule is what the values of options ask of one another. It returns nil where they
// fit. name is how an option is named to the reader.
type Rule func(v Values, name func(Name) string) *Violation

// Violation is a rule that is broken.
type Violation struct {
	// Option is the one to change or to give.
	Option Name
	// Err says why another value is needed, or one at all.
	Err error
}

func needed(option Name, format string, args ...any) *Violation {
	return &Violation{Option: option, Err: fmt.Errorf(format, args...)}
}

// clientIsComplete asks for what proves who an OAuth client is.
func clientIsComplete(v Values, name func(Name) string) *Violation {
	auth, proof := v[ClientAuth], Name("")
	switch auth {
	case ClientAuthBasic, ClientAuthPost:
		proof = ClientSecretFile
	case ClientAuthTLS:
		proof = ClientCert
	}
	switch {
	case v[ClientSecretFile] != "" && proof != ClientSecretFile:
		return needed(ClientAuth, "with %s it has to be %s or %s", name(ClientSecretFile), ClientAuthBasic, ClientAuthPost)
	case proof == "":
		return nil
	case v[proof] == "":
		return needed(proof, "%s is %s", name(ClientAuth), auth)
	case v[ClientID] == "":
		return needed(ClientID, "%s is %s", name(ClientAuth), auth)
	default:
		return nil
	}
}

var errGET = errors.New("GET has no body: leave the field of the JWT out, so that it is sent as a bearer token")

func getHasNoBody(v Values, _ func(Name) string) *Violation {
	if v[HTTPMethod] == "GET" && v[JWTField] != "" {
		return &Violation{Option: JWTField, Err: errGET}
	}
	return nil
}

// fieldsFit lets each field of a body be there once, that of the JWT among them.
func fieldsFit(v Values, _ func(Name) string) *Violation {
	fields := v.Parameters(Parameters)
	if v[JWTField] != "" {
		fields = append(fields, Parameter{Name: v[JWTField]})
	}
	if _, err := Object(fields); err != nil {
		return &Violation{Option: Parameters, Err: err}
	}
	return nil
}
