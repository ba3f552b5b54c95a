package generate

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/cli/against"
	"github.com/oidc-injector/oidc-injector/internal/issuer"
	"github.com/oidc-injector/oidc-injector/internal/provider"
	"github.com/oidc-injector/oidc-injector/internal/report"
)

const testIssuer = "https://issuer.example.com/cluster-a"

// asked is what annotations without their prefix ask for.
func asked(t *testing.T, pairs ...string) annotations.Spec {
	t.Helper()
	all := map[string]string{}
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		all[annotations.DefaultPrefix+"/"+key] = value
	}
	parser := annotations.Parser{
		Prefix: annotations.DefaultPrefix, Providers: provider.BuiltIn(), MaxExpiration: annotations.DefaultMaxExpiration,
	}
	spec, _, errs := parser.Parse(annotations.Input{
		Annotations: annotations.FromMap(all), Pod: provider.Pod{Namespace: "demo", Name: "app", ServiceAccountName: "app"},
	})
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	return spec
}

// The annotations of a workload of each party.
var workloads = map[string][]string{
	"vault":       {"audience=vault", "login=vault", "login-address=https://vault.example.com", "login-role=demo", "login-mount=k8s/a"},
	"aws":         {"aws-role-arn=arn:aws:iam::123456789012:role/path/app"},
	"azure":       {"azure-client-id=00000000-0000-0000-0000-000000000000", "azure-tenant-id=00000000-0000-0000-0000-000000000000"},
	"gcp":         {"gcp-provider=projects/123456789/locations/global/workloadIdentityPools/clusters/providers/demo"},
	"keycloak":    {"audience=https://keycloak.example.com/realms/demo"},
	"kubernetes":  {"kubernetes-server=https://other.example.com", "kubernetes-audience=https://other.example.com"},
	"openbao":     {"audience=openbao"},
	"bank-vaults": {"audience=vault"},
	"terraform":   {"audience=vault"},
}

func workload(t *testing.T, party string, changes ...string) Workload {
	t.Helper()
	spec := asked(t, append(slices.Clone(workloads[party]), changes...)...)
	token, login, err := Find(party).Choose(spec, "")
	if err != nil {
		t.Fatal(err)
	}
	return Workload{Issuer: testIssuer, Namespace: "demo", ServiceAccount: "app", Token: token, Login: login}
}

func generated(t *testing.T, party string, w Workload, format Format) Output {
	t.Helper()
	out, err := Find(party).Generate(w, format)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// token is one that the API server would issue.
func token(t *testing.T, now time.Time, namespace, account, audience string) *issuer.Token {
	t.Helper()
	encode := func(value any) string {
		data, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	parsed, err := issuer.Parse(encode(map[string]string{"alg": "RS256"}) + "." + encode(map[string]any{
		"iss": testIssuer, "sub": "system:serviceaccount:" + namespace + ":" + account, "aud": []string{audience},
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"kubernetes.io": map[string]any{"namespace": namespace, "serviceaccount": map[string]string{"name": account, "uid": "a1b2"}},
	}) + ".c2ln")
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// TestRulesHold evaluates what is generated: the workload gets in, and nobody else.
func TestRulesHold(t *testing.T) {
	t.Parallel()
	now := time.Now()
	long := strings.Repeat("n", 63)
	for party, rule := range map[string]string{
		"vault": "vault-role", "openbao": "vault-role", "aws": "aws-trust", "azure": "azure",
		"gcp": "gcp",
	} {
		for name, names := range map[string][2]string{"usual": {"demo", "app"}, "long": {long, strings.Repeat("s", 200)}} {
			t.Run(party+"/"+name, func(t *testing.T) {
				t.Parallel()
				w := workload(t, party)
				w.Namespace, w.ServiceAccount = names[0], names[1]
				text := generated(t, party, w, JSON).Text
				for holder, test := range map[string]struct {
					namespace, account, audience string
					accepted                     bool
				}{
					"the workload":         {names[0], names[1], w.Token.Audience, true},
					"another namespace":    {"other", names[1], w.Token.Audience, false},
					"another account":      {names[0], "other", w.Token.Audience, false},
					"a longer name":        {names[0], names[1] + "-2", w.Token.Audience, false},
					"for another audience": {names[0], names[1], "other", false},
				} {
					checks, err := against.Find(rule).Evaluate([]byte(text), token(t, now, test.namespace, test.account, test.audience),
						now)
					if err != nil {
						t.Fatal(err)
					}
					doubtful := slices.ContainsFunc(checks, func(c issuer.Check) bool {
						return c.Status == report.Warn ||
							c.Status == report.Unknown
					})
					if issuer.Failed(checks) == test.accepted || test.accepted && doubtful {
						t.Errorf("%s: %+v\n%s", holder, checks, text)
					}
				}
			})
		}
	}
}

// hostile is an audience that would be something else wherever it is not quoted.
const hostile = `a'b"c$(d)` + "`e`" + `${f}%{g}\h #i: {j}, [k] & <l> ; '"`

// TestShell has a shell read the commands of an audience that is hostile to it.
func TestShell(t *testing.T) {
	t.Parallel()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell")
	}
	for party, program := range map[string]string{"vault": "vault", "openbao": "bao", "aws": "aws", "azure": "az", "gcp": "gcloud"} {
		t.Run(party, func(t *testing.T) {
			t.Parallel()
			w := workload(t, party)
			w.Token.Audience = hostile
			text := generated(t, party, w, Text).Text
			// Each call prints its words, each between braces, and its input.
			cmd := exec.CommandContext(t.Context(), sh, "-eu")
			cmd.Dir = t.TempDir()
			cmd.Stdin = strings.NewReader(program + `() { printf '{%s}' "$@"; case "$*" in *" -") cat ;; esac; }` + "\n" + text +
				"\ncat *.json 2>/dev/null || true\n")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !strings.Contains(string(out), quoteJSON(hostile)) && !strings.Contains(string(out), "="+hostile+"}") ||
				party == "aws" && !strings.Contains(string(out), "{"+hostile+"}") {
				t.Errorf("the shell took the audience for something else:\n%s", out)
			}
		})
	}
}

// TestYAML reads the YAML of an audience that is hostile to it.
func TestYAML(t *testing.T) {
	t.Parallel()
	for _, party := range []string{"bank-vaults", "kubernetes"} {
		w := workload(t, party)
		w.Token.Audience = strings.ReplaceAll(hostile, "${", "$ {")
		w.IssuerCA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
		var document any
		if err := yaml.UnmarshalStrict([]byte(generated(t, party, w, Text).Text), &document); err != nil {
			t.Fatalf("%s: %v", party, err)
		}
		data, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{w.Token.Audience, strings.TrimSpace(w.IssuerCA), "system:serviceaccount:demo:app"} {
			inside, _ := json.Marshal(text)
			if !strings.Contains(string(data), strings.Trim(string(inside), `"`)) {
				t.Errorf("%s: %q is not in %s", party, text, data)
			}
		}
	}
}

func TestQuotes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		"vault":       {"vault", `"vault"`},
		"":            {"''", `""`},
		"a b":         {"'a b'", `"a b"`},
		"it's":        {`'it'\''s'`, `"it's"`},
		`"`:           {`'"'`, `"\""`},
		"${var.x}":    {"'${var.x}'", `"$${var.x}"`},
		"%{ if true}": {"'%{ if true}'", `"%%{ if true}"`},
		"<&>":         {"'<&>'", `"<&>"`},
		`\`:           {`'\'`, `"\\"`},
	} {
		if got := [2]string{sh(text), hcl(text)}; got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if got := comment("a\nrm -rf /\tb"); got != "a rm -rf / b" {
		t.Errorf("a comment is %q", got)
	}
	for text, want := range map[string]string{"demo-app": "demo-app", "0-a.b": "_0-a_b"} {
		if got := label(text); got != want {
			t.Errorf("label of %q: %q", text, got)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	all := slices.Concat(workloads["vault"], workloads["aws"], workloads["azure"], workloads["gcp"], workloads["kubernetes"],
		[]string{"audience.sso=https://keycloak.example.com/realms/demo"})
	spec := asked(t, all...)
	for party, want := range map[string]string{
		"vault": "default", "openbao": "default", "bank-vaults": "default", "terraform": "default", "aws": "aws", "azure": "azure",
		"gcp":      "gcp",
		"keycloak": "sso", "kubernetes": "kubernetes",
	} {
		token, login, err := Find(party).Choose(spec, "")
		if err != nil || token.DisplayName() != want || (login != nil) != (want == "default") {
			t.Errorf("%s gets token %q with login %v, error %v", party, token.DisplayName(), login, err)
		}
	}
	if token, _, err := Find("vault").Choose(spec, "sso"); err != nil || token.Name != "sso" {
		t.Errorf("the one that is named: %q, error %v", token.Name, err)
	}
	if _, _, err := Find("vault").Choose(spec, "x"); !errors.Is(err, errNoToken) {
		t.Errorf("one that is not there: error %v", err)
	}
	_, _, err := Find("vault").Choose(asked(t, "audience.a=a", "audience.b=b"), "")
	if several, ok := errors.AsType[*TokenError](err); !ok || !slices.Equal(several.Tokens, []string{"a", "b"}) {
		t.Errorf("several: error %v", err)
	}
	if token, _, err := Find("aws").Choose(asked(t, "audience.a=a"), ""); err != nil || token.Name != "a" {
		t.Errorf("the only one: %q, error %v", token.Name, err)
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		party  string
		change func(*Workload)
		says   string
	}{
		"no issuer":           {"aws", func(w *Workload) { w.Issuer = "" }, "--issuer"},
		"the default account": {"azure", func(w *Workload) { w.ServiceAccount = "default" }, "every pod of namespace demo"},
		"a long life":         {"keycloak", func(w *Workload) { w.Token.ExpirationSeconds = 7200 }, "longer than an hour"},
		"no account of AWS":   {"aws", func(w *Workload) { w.Token.Variables = nil }, "ACCOUNT stands for"},
		"no client":           {"azure", func(w *Workload) { w.Token.Variables = nil }, "CLIENT_ID stands for"},
		"no project":          {"gcp", func(w *Workload) { w.Token.Audience = "x" }, "PROJECT_NUMBER stands for"},
		"no CA":               {"vault", func(*Workload) {}, "--issuer-ca"},
	} {
		w := workload(t, test.party)
		without := strings.Join(generated(t, test.party, w, Text).Notes, "\n")
		test.change(&w)
		notes := strings.Join(generated(t, test.party, w, Text).Notes, "\n")
		if !strings.Contains(notes, test.says) || name != "no CA" && strings.Contains(without, test.says) {
			t.Errorf("%s: %s", name, notes)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		party  string
		format Format
		change func(*Workload)
		says   string
	}{
		"a namespace": {"gcp", Text, func(w *Workload) { w.Namespace = "x' || true" }, "no name of a namespace"},
		"an account":  {"gcp", Text, func(w *Workload) { w.ServiceAccount = `x"` }, "no name of a ServiceAccount"},
		"a realm":     {"keycloak", Text, func(w *Workload) { w.Token.Audience = "keycloak" }, errRealm.Error()},
		"a template": {
			"bank-vaults", Text, func(w *Workload) { w.Token.Audience = "${ env `HOME` }" }, errBankVaultsTemplate.Error(),
		},
		"JSON of Kubernetes": {"kubernetes", JSON, func(*Workload) {}, "no JSON form"},
		"a long subject": {"azure", Text, func(w *Workload) {
			w.ServiceAccount = strings.Repeat(strings.Repeat("a", 60)+".", 4) + "a"
			w.Token.Audience = "x"
		}, ""},
	} {
		w := workload(t, test.party)
		test.change(&w)
		_, err := Find(test.party).Generate(w, test.format)
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestVaultNamespace has the commands work in the namespace that the login names.
func TestVaultNamespace(t *testing.T) {
	t.Parallel()
	for party, want := range map[string]string{
		"vault": "\nexport VAULT_NAMESPACE=team-a\n", "openbao": "\nexport BAO_NAMESPACE=team-a\n", "terraform": `"team-a"`,
	} {
		spec := asked(t, append(slices.Clone(workloads["vault"]), "login-namespace=team-a")...)
		token, login, err := Find(party).Choose(spec, "")
		if err != nil {
			t.Fatal(err)
		}
		text := generated(t, party, Workload{Namespace: "demo", ServiceAccount: "app", Token: token, Login: login}, Text).Text
		if n := map[string]int{"terraform": 3}[party]; strings.Count(text, want) != max(n, 1) {
			t.Errorf("%s:\n%s", party, text)
		}
	}
}

// TestParties holds that each party is whole, and can be found.
func TestParties(t *testing.T) {
	t.Parallel()
	names := make([]string, 0, len(Parties))
	for _, p := range Parties {
		names = append(names, p.Name)
		if p.Summary == "" || p.suits == nil || workloads[p.Name] == nil {
			t.Errorf("%s lacks something, or has no test", p.Name)
			continue
		}
		out := generated(t, p.Name, workload(t, p.Name), Text)
		if !strings.Contains(out.Text, testIssuer) && !strings.Contains(out.Text, strings.TrimPrefix(testIssuer, "https://")) {
			t.Errorf("%s does not name the issuer", p.Name)
		}
		if Dropped[p.Name] != "" {
			t.Errorf("%s is dropped", p.Name)
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(workloads)), slices.Sorted(slices.Values(names))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
