package secret

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/oidc-injector/oidc-injector/internal/testutil"
)

const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"

func TestTextIsHidden(t *testing.T) {
	holder := struct{ Token Text }{jwt}
	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	var log testutil.Log
	log.Logger().Info("x", "token", holder.Token, "holder", holder)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", holder.Token, "holder", holder)
	for _, text := range []string{
		string(encoded), log.String(), fmt.Sprint(holder),
		fmt.Sprintf("%v %+v %#v %s %q", holder, holder, holder, holder.Token, holder.Token),
	} {
		if strings.Contains(text, "eyJ") || !strings.Contains(text, redacted) {
			t.Errorf("shown: %s", text)
		}
	}
	if holder.Token.Reveal() != jwt {
		t.Error("the token cannot be used")
	}
}

func TestTextFromJSON(t *testing.T) {
	var got Text
	if err := json.Unmarshal([]byte(`"hvs.x"`), &got); err != nil || got.Reveal() != "hvs.x" {
		t.Errorf("%q, %v", got.Reveal(), err)
	}
}

func TestUsable(t *testing.T) {
	for text, want := range map[Text]bool{
		"": false, "hvs.abc": true, jwt: true, "a b": false, "a\nb": false, "a\x00": false, "ä": false, "a\x7f": false, "a'b$": true,
		Text(strings.Repeat("x", maxToken)): true, Text(strings.Repeat("x", maxToken+1)): false,
	} {
		if text.Usable() != want {
			t.Errorf("%.20q: %v", text.Reveal(), !want)
		}
	}
}
