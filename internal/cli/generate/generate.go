// Package generate writes the relying party's side for a workload: what to configure
// there, so that the pods of one ServiceAccount get in and no others. A party is a file,
// a template and a row of [Parties].
package generate

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// Workload is what the other side has to know.
type Workload struct {
	// Issuer is the URL of the cluster's issuer; empty where nobody said it.
	Issuer string
	// IssuerCA are the certificate authorities of that URL in PEM, where the relying party
	// has to be told them.
	IssuerCA string
	// Namespace and ServiceAccount are those of the pods.
	Namespace, ServiceAccount string
	// Token is the one that the party gets, and Login what exchanges it, or nil.
	Token annotations.Token
	Login *annotations.Login
}

// Subject is the claim sub of the pods' tokens (Kubernetes documentation, "Service Account
// Tokens").
func (w *Workload) Subject() string {
	return "system:serviceaccount:" + w.Namespace + ":" + w.ServiceAccount
}

// Format is a form of the output.
type Format string

const (
	// Text is what the party's own tools take, with comments.
	Text Format = "text"
	// JSON is what the party's API takes.
	JSON Format = "json"
)

// Party is a relying party that something can be generated for.
type Party struct {
	// Name is what users write, and Summary what is made.
	Name, Summary string
	// suits reports whether the party gets the token, by what the pod says of it.
	suits func(*annotations.Token, *annotations.Login) bool
	// values are those of the template, and of the API.
	values func(*Workload) (values, error)
	// template is the name of its file.
	template string
}

// values are what a template writes.
type values interface {
	// forAPI is what the party's API takes, or nil.
	forAPI() any
	// notes are what the reader has to look at.
	notes() []string
}

// Parties are all of them, in the order in which people look for them.
var Parties = []Party{
	vaultParty("vault", "Vault", "commands of `vault`"),
	vaultParty("openbao", "OpenBao", "commands of `bao`"),
	bankVaults,
	terraform,
	aws,
	azure,
	gcp,
	keycloak,
	kubernetes,
}

// Dropped are parties that people look for, and why there is nothing to generate.
var Dropped = map[string]string{
	"dex": "Dex exchanges every token of an issuer, whatever its audience and its subject: nothing on its side can be bound to a " +
		"workload (connector/oidc, TokenIdentity). What there is to configure by hand: docs/relying-parties.md#dex",
}

// Find returns the party of a name, or nil.
func Find(name string) *Party {
	i := slices.IndexFunc(Parties, func(p Party) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &Parties[i]
}

// Output is what was generated.
type Output struct {
	Text string
	// Notes are for the reader, one a line: what is to be filled in, or is doubtful.
	Notes []string
}

//go:embed templates
var files embed.FS

// Generate writes a party's side for a workload.
func (p *Party) Generate(w Workload, format Format) (Output, error) {
	if err := w.check(); err != nil {
		return Output{}, err
	}
	v, err := p.values(&w)
	if err != nil {
		return Output{}, err
	}
	notes := append(w.notes(), v.notes()...)
	if format == JSON {
		api := v.forAPI()
		if api == nil {
			return Output{}, fmt.Errorf("there is no JSON form for %s", p.Name)
		}
		return Output{Text: indented(api) + "\n", Notes: notes}, nil
	}
	t, err := template.New(p.template).Funcs(functions).ParseFS(files, "templates/"+p.template)
	if err != nil {
		return Output{}, fmt.Errorf("internal error: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return Output{}, fmt.Errorf("internal error: %w", err)
	}
	return Output{Text: b.String(), Notes: notes}, nil
}

// check refuses names that no API server takes: they are written into expressions.
func (w *Workload) check() error {
	if problems := validation.IsDNS1123Label(w.Namespace); len(problems) > 0 {
		return fmt.Errorf("%q is no name of a namespace: %s", w.Namespace, problems[0])
	}
	if problems := validation.IsDNS1123Subdomain(w.ServiceAccount); len(problems) > 0 {
		return fmt.Errorf("%q is no name of a ServiceAccount: %s", w.ServiceAccount, problems[0])
	}
	return nil
}

// unknownIssuer stands for the issuer where nobody said it.
const unknownIssuer = "https://ISSUER"

// notes are those that every party has.
func (w *Workload) notes() []string {
	var notes []string
	if w.Issuer == "" {
		notes = append(notes, unknownIssuer+" stands for the cluster's issuer: say it with --issuer")
	}
	if w.ServiceAccount == "default" {
		notes = append(notes, fmt.Sprintf("the ServiceAccount is default: every pod of namespace %s that names no other gets in, too; "+
			"give the workload a ServiceAccount of its own", w.Namespace))
	}
	return notes
}

func (w *Workload) issuer() string {
	if w.Issuer == "" {
		return unknownIssuer
	}
	return w.Issuer
}

// name is a name for what is made, of the form namespace-serviceaccount.
func (w *Workload) name() string { return w.Namespace + "-" + w.ServiceAccount }

// common is what all templates have.
type common struct {
	Issuer, IssuerCA                             string
	Namespace, ServiceAccount, Subject, Audience string
	Name                                         string
}

func (w *Workload) common() common {
	return common{
		Issuer: w.issuer(), IssuerCA: w.IssuerCA, Namespace: w.Namespace, ServiceAccount: w.ServiceAccount, Subject: w.Subject(),
		Audience: w.Token.Audience, Name: w.name(),
	}
}

// TokenError says that the pod does not say which token the party gets.
type TokenError struct {
	Party string
	// Tokens are the names of those that there are.
	Tokens []string
}

func (e *TokenError) Error() string {
	if len(e.Tokens) == 0 {
		return "the pod asks for no token"
	}
	return fmt.Sprintf("the pod has the tokens %s: say with --token which of them %s gets", strings.Join(e.Tokens, ", "), e.Party)
}

// errNoToken is for a name that the pod does not have.
var errNoToken = errors.New("the pod has no such token")

// Choose returns the token that a party gets, and the login that exchanges it, or nil: the
// one of that name, or that one whose annotations are about the party, or the only one.
func (p *Party) Choose(spec annotations.Spec, name string) (annotations.Token, *annotations.Login, error) {
	var suiting []int
	names := make([]string, 0, len(spec.Tokens))
	for i := range spec.Tokens {
		t := &spec.Tokens[i]
		names = append(names, t.DisplayName())
		if name == t.DisplayName() {
			return *t, loginOf(spec, t), nil
		}
		if p.suits(t, loginOf(spec, t)) {
			suiting = append(suiting, i)
		}
	}
	switch {
	case name != "":
		return annotations.Token{}, nil, fmt.Errorf("%w: %q; it has %s", errNoToken, name, strings.Join(names, ", "))
	case len(suiting) == 1:
		t := &spec.Tokens[suiting[0]]
		return *t, loginOf(spec, t), nil
	case len(names) == 1:
		return spec.Tokens[0], loginOf(spec, &spec.Tokens[0]), nil
	default:
		return annotations.Token{}, nil, &TokenError{Party: p.Name, Tokens: names}
	}
}

// loginOf is the first login that exchanges a token, or nil.
func loginOf(spec annotations.Spec, t *annotations.Token) *annotations.Login {
	for i := range spec.Logins {
		if spec.Logins[i].Token == t.Name {
			return &spec.Logins[i]
		}
	}
	return nil
}

// variable is the value of a variable of the token's provider, or empty.
func variable(t *annotations.Token, name string) string {
	for _, v := range t.Variables {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// encode is JSON as people write it: "<" stays what it is.
func encode(value any, indent string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	_ = e.Encode(value) // texts, lists and maps of them
	return strings.TrimSuffix(b.String(), "\n")
}

func indented(value any) string { return encode(value, "  ") }
