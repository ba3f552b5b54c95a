package issuer

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	header := map[string]any{"alg": "RS256", "kid": "k"}
	good := unsigned(t, header, claims(nil), "signature")
	for name, text := range map[string]string{
		"as it is": good, "a file's end of line": good + "\n", "a header's value": "Bearer " + good, "white space": " \t" + good + " \r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := mustParse(t, text)
			audiences, _ := token.Audiences()
			got := []string{
				token.Algorithm(), token.KeyID(), token.Issuer(), token.Subject(), strings.Join(audiences, ","), string(token.Signature),
			}
			if diff := cmp.Diff([]string{"RS256", "k", testIssuer, testSubject, "vault", "signature"}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if token.Compact() != good {
				t.Error("the token is not what was parsed")
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	raw := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	const secret = "c2VjcmV0"
	for name, test := range map[string]struct {
		text string
		want error  // one of ours, or
		says string // a part of the text
	}{
		"empty":              {text: " \n", want: errEmpty},
		"huge":               {text: strings.Repeat("a", MaxToken+1), want: errTooLong},
		"one word":           {text: secret, want: errParts},
		"an encrypted JWT":   {text: "a.b.c.d.e", want: errEncrypted},
		"a token of Vault":   {text: "hvs." + secret, want: errVault},
		"an old one":         {text: "s." + secret, want: errVault},
		"no base64":          {text: "!" + secret + ".e30.", says: "its header"},
		"padding":            {text: "e30=.e30.", says: "its header"},
		"claims that are no": {text: "e30." + raw("[]") + ".", says: "its claims"},
		"null":               {text: "e30." + raw("null") + ".", says: "its claims"},
		"no JSON":            {text: "e30." + raw(secret) + ".", says: "its claims"},
		"more than JSON":     {text: "e30." + raw("{}{}") + ".", says: "its claims"},
		"a name twice":       {text: "e30." + raw(`{"sub":"a","sub":"b"}`) + ".", says: "whose names are there once"},
		"a signature":        {text: "e30.e30.!" + secret, says: "its signature"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(test.text)
			switch {
			case err == nil:
				t.Fatal("no error")
			case test.want != nil && !errors.Is(err, test.want), !strings.Contains(err.Error(), test.says):
				t.Errorf("got %q", err)
			case strings.Contains(err.Error(), secret):
				t.Errorf("the error quotes the text: %q", err)
			}
		})
	}
}

func TestAudiences(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		aud  any
		want []string
		ok   bool
	}{
		"a list": {[]string{"a", "b"}, []string{"a", "b"}, true}, "a text": {"a", []string{"a"}, true}, "none": {nil, nil, true},
		"a number": {7, nil, false}, "a list with a number": {[]any{"a", 7}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := mustParse(t, unsigned(t, map[string]any{}, claims(map[string]any{"aud": test.aud}), ""))
			got, ok := token.Audiences()
			if ok != test.ok || !slices.Equal(got, test.want) {
				t.Errorf("got %q, %t", got, ok)
			}
		})
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		exp  string
		want time.Time
		ok   bool
	}{
		"seconds":   {"1795780800", time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC), true},
		"fractions": {"1795780800.5", time.Date(2026, 11, 27, 12, 0, 0, 5e8, time.UTC), true},
		"exponents": {"1e9", time.Date(2001, 9, 9, 1, 46, 40, 0, time.UTC), true},
		"a text":    {`"1795780800"`, time.Time{}, false},
		"null":      {"null", time.Time{}, false},
		"huge":      {"1e300", time.Time{}, false},
		"too large": {"1e999", time.Time{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := mustParse(t, unsigned(t, map[string]any{}, map[string]any{"exp": json.RawMessage(test.exp)}, ""))
			got, there, err := token.Time("exp")
			if !there || (err == nil) != test.ok || !got.Equal(test.want) {
				t.Errorf("got %s, %t, error %v", got, there, err)
			}
		})
	}
	if _, there, err := mustParse(t, "e30.e30.").Time("exp"); there || err != nil {
		t.Errorf("a claim that is missing: %t, error %v", there, err)
	}
}

func TestKubernetes(t *testing.T) {
	t.Parallel()
	private := map[string]any{
		"namespace": "demo", "serviceaccount": map[string]any{"name": "app", "uid": "a1"},
		"pod": map[string]any{"name": "app-0", "uid": "b2"}, "warnafter": now.Unix(),
	}
	token := mustParse(t, unsigned(t, map[string]any{}, map[string]any{"kubernetes.io": private}, ""))
	want := &Kubernetes{Namespace: "demo", ServiceAccount: Object{"app", "a1"}, Pod: &Object{"app-0", "b2"}, WarnAfter: now}
	if diff := cmp.Diff(want, token.Kubernetes()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, odd := range []any{nil, "demo", 7, []string{"demo"}} {
		if got := mustParse(t, unsigned(t, map[string]any{}, map[string]any{"kubernetes.io": odd}, "")).Kubernetes(); got != nil {
			t.Errorf("of %v: %+v", odd, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("e30.e30.")
	f.Add("Bearer eyJhbGciOiJub25lIn0.eyJleHAiOjFlOSwia3ViZXJuZXRlcy5pbyI6eyJwb2QiOnt9fX0.AA")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(token.Compact()); err != nil || !cmp.Equal(again.Claims, token.Claims) {
			t.Errorf("parsed again: %v", err)
		}
		_, _ = token.Audiences()
		_ = token.Kubernetes()
		// Nobody has signed it.
		if !Failed(Verify(token, Keys{}, Expected{Issuer: testIssuer, Now: now})) {
			t.Error("a token without a key is accepted")
		}
	})
}
