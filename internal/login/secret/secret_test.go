package secret

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"

func TestATokenIsNeverShownByAccident(t *testing.T) {
	holder := struct{ Token Text }{jwt}
	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	var log testutil.Log
	log.Logger().Info("x", "token", holder.Token, "holder", holder)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", holder.Token, "holder", holder)
	for _, text := range []string{
		string(encoded), log.String(), fmt.Sprint(holder), fmt.Sprintf("%v %+v %#v %s %q", holder, holder, holder, holder.Token, holder.Token),
	} {
		if strings.Contains(text, "eyJ") || !strings.Contains(text, redacted) {
			t.Errorf("shown: %s", text)
		}
	}
	if holder.Token.Reveal() != jwt {
		t.Error("the token cannot be used")
	}
}

func TestATokenIsReadFromJSON(t *testing.T) {
	var got Text
	if err := json.Unmarshal([]byte(`"hvs.x"`), &got); err != nil || got.Reveal() != "hvs.x" {
		t.Errorf("%q, %v", got.Reveal(), err)
	}
}

func TestOnlyWhatFitsIntoAHeaderIsUsable(t *testing.T) {
	for text, want := range map[Text]bool{
		"": false, "hvs.abc": true, jwt: true, "a b": false, "a\nb": false, "a\x00": false, "ä": false, "a\x7f": false, "a'b$": true,
		Text(strings.Repeat("x", maxToken)): true, Text(strings.Repeat("x", maxToken+1)): false,
	} {
		if text.Usable() != want {
			t.Errorf("%.20q: %v", text.Reveal(), !want)
		}
	}
}

func TestWordsOfOthersAreShownWithoutTokens(t *testing.T) {
	for _, tt := range []struct{ words, want string }{
		{"", `""`},
		{`role "x" could not be found`, `"role \"x\" could not be found"`},
		{"bad token " + jwt + "!", `"bad token [redacted]!"`},
		{"signature c2lnbmF0dXJlLXNpZ25hdHVyZQ is wrong", `"signature [redacted] is wrong"`},
		{"payload eyJzdWIiOiJzeXN0ZW0ifQ", `"payload [redacted]"`},
		{"another eyJhbGciOiJub25lIn0.eyJhIjoiYiJ9.", `"another [redacted]"`},
		{"cut eyJhbGciOiJub25lIn0.eyJh", `"cut [redacted]"`},
		{"token hvs.CAESIJ1234abcd, b.AAAAAQKr7g8hQ2ZkLmNvbQ.ns and hvb.AAAAAQJ_x-1234567", `"token [redacted], [redacted] and [redacted]"`},
		{"s.abcdefghijklmnopqrstuvwx", `"[redacted]"`},
		{"host vaults.example.com, eyJ, hvs., s.short", `"host vaults.example.com, eyJ, hvs., s.short"`},
		{"svc.clusters.abcdefghijklmnopqrstuvwxyz.example", `"svc.clusters.abcdefghijklmnopqrstuvwxyz.example"`},
		{"a\nlevel=INFO msg=\"fake\"\x1b[31m\u202e", `"a\nlevel=INFO msg=\"fake\"\x1b[31m\u202e"`},
		{"secret-of-ours", `"[redacted]"`},
		{strings.Repeat("ä", maxQuoted), `"` + strings.Repeat("ä", maxQuoted/2) + `…"`},
		{"x" + strings.Repeat("ä", maxQuoted), `"x` + strings.Repeat("ä", maxQuoted/2-1) + `…"`},
	} {
		if diff := cmp.Diff(tt.want, Quote(tt.words, jwt, "secret-of-ours", "", "x")); diff != "" {
			t.Errorf("%.40q (-want +got):\n%s", tt.words, diff)
		}
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("bad "+jwt, jwt)
	f.Add("hvs.abcdefgh", "hvs.abcdefgh")
	f.Add("eyJeyJeyJeyJeyJeyJ", "eyJe")
	f.Fuzz(func(t *testing.T, words, token string) {
		got := Quote(words, Text(token))
		if len(got) > 4*maxQuoted+len(`"…"`) {
			t.Errorf("%d bytes", len(got))
		}
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\x1b\x00") {
			t.Errorf("control characters: %s", got)
		}
		// What is short is shown, and what is a piece of the replacement looks so.
		rest := strings.ReplaceAll(Redact(words, Text(token)), redacted, "|")
		if len(token) >= minSecret && !strings.Contains(redacted, token) && !strings.Contains(token, "|") && strings.Contains(rest, token) {
			t.Errorf("%q is shown: %q", token, rest)
		}
	})
}
