package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/oidc-injector/oidc-injector/internal/issuer"
	"github.com/oidc-injector/oidc-injector/internal/report"
)

func newTokenInspectCommand(g *globals) *cobra.Command {
	output := outputText
	c := &cobra.Command{
		Use:   "inspect [FILE|-]",
		Short: "Shows what a token says",
		Long: `Shows what a token says: its header and claims, its times in words, and what
Kubernetes says of the workload in it. Nothing is verified, so that it works on
tokens that have ended, too; "token verify" verifies.`,
		Example: `  kubectl oidc-injector token inspect token.jwt
  kubectl exec app -- cat /var/run/secrets/tokens/oidc-token | kubectl oidc-injector token inspect`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			t, err := g.readToken(first(args))
			if err != nil {
				return err
			}
			return g.printInspection(t, output)
		},
	}
	addOutput(c, &output)
	return c
}

// printInspection writes what a token says.
func (g *globals) printInspection(t *issuer.Token, output string) error {
	i := inspect(t, g.now())
	if output == outputJSON {
		return printJSON(g.Out, i)
	}
	i.print(g.Out, g.style())
	return nil
}

// inspection is what a token says, for people and programs.
type inspection struct {
	Header     map[string]any     `json:"header"`
	Claims     map[string]any     `json:"claims"`
	Times      map[string]moment  `json:"times"`
	Kubernetes *issuer.Kubernetes `json:"kubernetes,omitempty"`
	Signature  signature          `json:"signature"`
	Problems   []string           `json:"problems"`
}

// moment is a time, absolute and in words.
type moment struct {
	At       time.Time `json:"at"`
	Relative string    `json:"relative"`
}

func (m moment) String() string { return m.At.Format(time.RFC3339) + ", " + m.Relative }

// signature says of a signature how long it is, and no more: with it, the rest of the
// output would be the token.
type signature struct {
	Bytes int `json:"bytes"`
}

func inspect(t *issuer.Token, now time.Time) inspection {
	i := inspection{
		Header: t.Header, Claims: t.Claims, Times: map[string]moment{}, Kubernetes: t.Kubernetes(), Signature: signature{len(t.Signature)},
		Problems: []string{},
	}
	for _, claim := range []string{"iat", "nbf", "exp"} {
		at, there, err := t.Time(claim)
		if err != nil {
			i.Problems = append(i.Problems, err.Error())
		} else if there {
			i.Times[claim] = moment{at, report.Relative(at, now)}
		}
	}
	i.Problems = append(i.Problems, oddities(t, i.Times, now)...)
	return i
}

// maxUsualLife is the longest lifetime that the webhook grants unless it is told otherwise.
const maxUsualLife = 24 * time.Hour

// oddities are what most relying parties refuse, or nobody should accept.
func oddities(t *issuer.Token, times map[string]moment, now time.Time) []string {
	var odd []string
	add := func(is bool, format string, args ...any) {
		if is {
			odd = append(odd, fmt.Sprintf(format, args...))
		}
	}
	algorithm := t.Algorithm()
	add(len(t.Signature) == 0 || strings.EqualFold(algorithm, "none"), "the token is not signed")
	add(strings.HasPrefix(algorithm, "HS"), "%s: signed with a shared secret, which no API server does", algorithm)
	add(t.KeyID() == "" && len(t.Signature) > 0, "the header has no kid")
	for _, name := range []string{"jku", "jwk", "x5u", "crit"} {
		_, there := t.Header[name]
		add(there, "the header has %s, which no API server writes", name)
	}
	audiences, ok := t.Audiences()
	add(!ok, "aud is neither a text nor a list of texts")
	add(ok && len(audiences) == 0, "there is no audience")
	add(len(audiences) > 1, "there are several audiences: whoever gets the token can use it at the others")
	exp, ends := times["exp"]
	begin, begins := times["iat"]
	_, there := t.Claims["exp"]
	add(!there, "the token never ends")
	add(ends && now.After(exp.At), "the token has ended")
	add(ends && begins && exp.At.Sub(begin.At) > maxUsualLife, "the token lasts %s", report.Rough(exp.At.Sub(begin.At)))
	nbf, starts := times["nbf"]
	add(starts && now.Add(issuer.DefaultLeeway).Before(nbf.At), "the token has not begun: are the clocks right?")
	if k := t.Kubernetes(); k != nil {
		subject := "system:serviceaccount:" + k.Namespace + ":" + k.ServiceAccount.Name
		add(t.Subject() != subject, "sub is not the ServiceAccount of the claim kubernetes.io, %s", subject)
		add(k.Secret != nil, "the token is bound to a Secret, so it may be a long-lived one")
		add(k.Pod == nil && k.Secret == nil && k.Node == nil, "the token is bound to no object: it stays valid when the pod is gone")
	}
	return odd
}

// known are the claims that have a place of their own in the output.
var known = []string{"iss", "sub", "aud", "iat", "nbf", "exp", "jti", "kubernetes.io"}

func (i *inspection) print(to io.Writer, s report.Style) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	section := func(name string) { fmt.Fprintf(w, "%s\n", s.Bold(name)) }
	row := func(name, value string) { fmt.Fprintf(w, "  %s\t%s\n", name, value) }
	section("Header")
	for _, name := range slices.Sorted(maps.Keys(i.Header)) {
		row(report.Plain(name), shown(i.Header[name]))
	}
	section("Claims")
	for _, name := range known[:len(known)-1] {
		value, there := i.Claims[name]
		if at, isTime := i.Times[name]; isTime {
			row(name, at.String())
		} else if there {
			row(name, shown(value))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(i.Claims)) {
		if !slices.Contains(known, name) || name == "kubernetes.io" && i.Kubernetes == nil {
			row(report.Plain(name), shown(i.Claims[name]))
		}
	}
	if k := i.Kubernetes; k != nil {
		section("Kubernetes")
		row("namespace", report.Plain(k.Namespace))
		row("service account", object(&k.ServiceAccount))
		for _, o := range []struct {
			name string
			is   *issuer.Object
		}{{"pod", k.Pod}, {"node", k.Node}, {"secret", k.Secret}} {
			if o.is != nil {
				row(o.name, object(o.is))
			}
		}
		if !k.WarnAfter.IsZero() {
			row("warnafter",
				k.WarnAfter.Format(time.RFC3339)+": made to last for clients that read it once; should have been replaced by then")
		}
	}
	section("Signature")
	row("length", fmt.Sprintf("%d bytes, not verified", i.Signature.Bytes))
	_ = w.Flush() // the writer below has nobody to report to
	for _, problem := range i.Problems {
		fmt.Fprintf(to, "%s %s\n", s.Yellow("!"), report.Plain(problem))
	}
}

func object(o *issuer.Object) string {
	if o.UID == "" {
		return report.Plain(o.Name)
	}
	return report.Plain(o.Name) + ", uid " + report.Plain(o.UID)
}

// shown is a value of JSON on a line; a list of one text is that text.
func shown(value any) string {
	if list, ok := value.([]any); ok && len(list) == 1 {
		value = list[0]
	}
	if text, ok := value.(string); ok {
		return report.Plain(text)
	}
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("a %T", value)
	}
	return report.Plain(string(data))
}
