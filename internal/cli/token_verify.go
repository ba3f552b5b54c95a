package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oidc-injector/oidc-injector/internal/cli/against"
	"github.com/oidc-injector/oidc-injector/internal/issuer"
	"github.com/oidc-injector/oidc-injector/internal/report"
)

// verifyOptions are those of "token verify".
type verifyOptions struct {
	issuer, jwks, caFile, party, output string
	audiences                           []string
	leeway                              time.Duration
	allowHTTP, fromCluster              bool
}

func newTokenVerifyCommand(g *globals) *cobra.Command {
	o := verifyOptions{output: outputText, leeway: issuer.DefaultLeeway}
	c := &cobra.Command{
		Use:   "verify [FILE|-] [--against PARTY RULE]",
		Short: "Verifies a token, and says why a relying party would refuse it",
		Long: `Verifies a token: its signature by the issuer's keys, its issuer, its audience and
its times. The keys come from the issuer's discovery document (--issuer), from a file
or a URL (--jwks), or from the cluster (--from-cluster).

With --against the token is evaluated against the rule by which a relying party lets
workloads in, as the party does it, and the output names the part that fails, and the
fix. RULE is the last argument, a file or - or, for Vault, a URL:

` + partyHelp() + `
The exit code is 1 where the token is refused.`,
		Example: `  kubectl oidc-injector token verify token.jwt --issuer https://issuer.example.com --audience vault
  kubectl oidc-injector token create app --print | kubectl oidc-injector token verify --from-cluster
  kubectl oidc-injector token verify token.jwt --against vault-role role.json
  kubectl oidc-injector token verify token.jwt --against vault-role https://vault.example.com:8200/v1/auth/jwt/role/demo
  kubectl oidc-injector token verify - --against aws-trust policy.json < token.jwt`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return g.verifyToken(c.Context(), &o, args) },
	}
	addOutput(c, &o.output)
	f := c.Flags()
	f.StringVar(&o.issuer, "issuer", "", "URL of the issuer, which the token has to name, and whose keys are fetched")
	f.StringVar(&o.jwks, "jwks", "", "File or URL of the keys, instead of the issuer's discovery document")
	f.BoolVar(&o.fromCluster, "from-cluster", false, "Take issuer and keys from the cluster of the kubeconfig")
	f.StringSliceVar(&o.audiences, "audience", nil, "Audience, one of which the token has to have")
	f.StringVar(&o.party, "against", "", "Relying party whose RULE is evaluated: "+strings.Join(against.Names(), ", "))
	f.DurationVar(&o.leeway, "leeway", o.leeway, "How far the clocks may be apart")
	f.StringVar(&o.caFile, "ca-file", "", "Certificate authorities in PEM for what is fetched, beside those of the system")
	f.BoolVar(&o.allowHTTP, "allow-http", false, "Fetch without TLS, too, for a test")
	_ = c.RegisterFlagCompletionFunc("against", cobra.FixedCompletions(against.Names(), cobra.ShellCompDirectiveNoFileComp))
	return c
}

func partyHelp() string {
	var b strings.Builder
	for i := range against.Parties {
		fmt.Fprintf(&b, "  %-11s %s\n", against.Parties[i].Name, against.Parties[i].Rule)
	}
	return b.String()
}

var (
	errWhoseKeys    = errors.New("nothing says whose keys verify the token")
	errRuleMissing  = errors.New("--against needs a RULE as the last argument")
	errTooManyWords = errors.New("there is one token: a second argument is for --against")
)

func (g *globals) verifyToken(ctx context.Context, o *verifyOptions, args []string) error {
	rule, args, err := o.check(args)
	if err != nil {
		return err
	}
	if first(args) == "-" && rule == "-" {
		return errors.New("the standard input cannot be both the token and the rule")
	}
	t, err := g.readToken(first(args))
	if err != nil {
		return err
	}
	source, err := newSource(o.caFile, o.allowHTTP)
	if err != nil {
		return err
	}
	checks, err := g.verifyBasics(ctx, o, source, t)
	if err != nil {
		return err
	}
	if o.party != "" {
		text, err := g.readRule(ctx, o, source, rule)
		if err != nil {
			return err
		}
		more, err := against.Find(o.party).Evaluate(text, t, g.now())
		if err != nil {
			return fmt.Errorf("%s: %w", rule, err)
		}
		checks = append(withoutTimes(checks), more...)
	}
	if o.output == outputJSON {
		if err := printJSON(g.Out, struct {
			Accepted bool           `json:"accepted"`
			Checks   []issuer.Check `json:"checks"`
		}{!issuer.Failed(checks), checks}); err != nil {
			return err
		}
		return outcome(checks)
	}
	printChecks(g.Out, g.style(), checks)
	return outcome(checks)
}

// withoutTimes are the checks but for those of times, which a party makes by its own leeway.
func withoutTimes(checks []issuer.Check) []issuer.Check {
	return slices.DeleteFunc(checks, func(c issuer.Check) bool { return slices.Contains([]string{"exp", "nbf", "iat"}, c.Rule) })
}

// check looks at the call, and takes the rule off the arguments.
func (o *verifyOptions) check(args []string) (rule string, rest []string, err error) {
	if err := checkOutput(o.output); err != nil {
		return "", nil, err
	}
	switch {
	case o.party == "" && len(args) > 1:
		return "", nil, errTooManyWords
	case o.party == "" && o.issuer == "" && o.jwks == "" && !o.fromCluster:
		return "", nil, withHint(errWhoseKeys,
			"add --issuer URL, --jwks FILE or --from-cluster; `token inspect` shows what the token says, unverified")
	case o.party == "":
		return "", args, nil
	case against.Find(o.party) == nil:
		return "", nil, fmt.Errorf("--against %q is none of %s", o.party, strings.Join(against.Names(), ", "))
	case len(args) == 0:
		return "", nil, errRuleMissing
	default:
		return args[len(args)-1], args[:len(args)-1], nil
	}
}

// newSource is what fetches, by the certificate authorities of a file beside those of the
// system.
func newSource(caFile string, allowHTTP bool) (issuer.Source, error) {
	var roots *x509.CertPool
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return issuer.Source{}, err
		}
		if roots, err = x509.SystemCertPool(); err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return issuer.Source{}, fmt.Errorf("%s contains no PEM certificates", caFile)
		}
	}
	return issuer.Source{Client: issuer.NewHTTPClient(roots, allowHTTP), AllowHTTP: allowHTTP}, nil
}

// verifyBasics verifies by the keys. Where only a rule is evaluated, and nobody said whose
// keys, it says that the signature is not looked at.
func (g *globals) verifyBasics(ctx context.Context, o *verifyOptions, source issuer.Source, t *issuer.Token) ([]issuer.Check, error) {
	if o.issuer == "" && o.jwks == "" && !o.fromCluster {
		return []issuer.Check{{
			Rule: "signature", Status: report.Unknown, Detail: "not verified: add --issuer, --jwks or --from-cluster",
		}}, nil
	}
	keys, name, err := g.keys(ctx, o, source)
	if err != nil {
		return nil, err
	}
	expected := issuer.Expected{Issuer: name, Audiences: o.audiences, Now: g.now(), Leeway: o.leeway}
	checks := issuer.Verify(t, keys, expected)
	if name == "" {
		checks = append(checks, issuer.Check{Rule: "iss", Status: report.Unknown, Detail: "not compared: add --issuer; the token says " +
			t.Issuer()})
	}
	for _, problem := range keys.Problems {
		checks = append(checks, issuer.Check{
			Rule: "jwks", Status: report.Warn, Detail: problem,
			Fix: "look at the keys that the issuer publishes",
		})
	}
	return checks, nil
}

// keys are the issuer's, and its name where that is known.
func (g *globals) keys(ctx context.Context, o *verifyOptions, source issuer.Source) (issuer.Keys, string, error) {
	switch {
	case strings.HasPrefix(o.jwks, "https://") || strings.HasPrefix(o.jwks, "http://"):
		keys, err := source.Keys(ctx, o.jwks)
		return keys, o.issuer, err
	case o.jwks != "":
		data, err := os.ReadFile(o.jwks)
		if err != nil {
			return issuer.Keys{}, "", err
		}
		keys, err := issuer.ParseKeys(data)
		if err != nil {
			return keys, "", fmt.Errorf("%s: %w", o.jwks, err)
		}
		return keys, o.issuer, nil
	case o.fromCluster:
		published, err := g.published(ctx)
		if err != nil {
			return issuer.Keys{}, "", err
		}
		keys, err := issuer.ParseKeys(published.keys)
		return keys, published.document.Issuer, err
	default:
		document, err := source.Discover(ctx, o.issuer)
		if err != nil {
			return issuer.Keys{}, "", err
		}
		keys, err := source.Keys(ctx, document.JWKSURI)
		return keys, o.issuer, err
	}
}

// maxRule is the largest rule that is read, in bytes.
const maxRule = 1 << 20

// readRule reads a rule from a file, the standard input, or Vault.
func (g *globals) readRule(ctx context.Context, o *verifyOptions, source issuer.Source, rule string) ([]byte, error) {
	isURL := strings.HasPrefix(rule, "https://") || strings.HasPrefix(rule, "http://")
	switch {
	case isURL && o.party != "vault-role":
		return nil, fmt.Errorf("the rule of %s is a file", o.party)
	case isURL && g.Vault.Token == "":
		return nil, withHint(errors.New("Vault asks for a token to read a role"), //nolint:staticcheck // a name
			"set VAULT_TOKEN, and VAULT_NAMESPACE where there are any; --ca-file or VAULT_CACERT for its certificate")
	case isURL:
		if o.caFile == "" && g.Vault.CACert != "" {
			var err error
			if source, err = newSource(g.Vault.CACert, o.allowHTTP); err != nil {
				return nil, err
			}
		}
		header := http.Header{"X-Vault-Token": {g.Vault.Token}}
		if g.Vault.Namespace != "" {
			header.Set("X-Vault-Namespace", g.Vault.Namespace)
		}
		return source.Get(ctx, rule, header)
	case rule == "-":
		return readBounded(g.In, maxRule, "the standard input")
	default:
		file, err := os.Open(rule)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return readBounded(file, maxRule, rule)
	}
}
