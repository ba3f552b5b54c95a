package exchange

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

// Where the server does not say how long a token lasts, the token may, and the
// user may. The server's clock counts for what the server issued.
func TestLifetime(t *testing.T) {
	issued := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	encode := base64.RawURLEncoding.EncodeToString
	jwt := func(claims string) secret.Text {
		return secret.Text(encode([]byte(`{"alg":"RS256"}`)) + "." + encode([]byte(claims)) + ".c2ln")
	}
	expiring := func(d time.Duration) secret.Text { return jwt(fmt.Sprintf(`{"exp":%d}`, issued.Add(d).Unix())) }
	for _, tt := range []struct {
		name     string
		token    secret.Text
		lifetime time.Duration
		want     time.Duration
		assumed  bool
	}{
		{"a JWT with exp", expiring(time.Hour), 0, time.Hour, false},
		{"the token knows better than the user", expiring(time.Hour), time.Minute, time.Hour, false},
		{"a JWT that has ended", expiring(-time.Hour), time.Hour, -time.Hour, false},
		{"a JWT without exp", jwt(`{}`), 0, assumedLease, true},
		{"a JWT without exp, and the user knows", jwt(`{}`), time.Minute, time.Minute, false},
		{"an opaque token", "opaque", 0, assumedLease, true},
		{"an opaque token, and the user knows", "opaque", 10 * time.Minute, 10 * time.Minute, false},
	} {
		response := Response{Header: http.Header{"Date": {issued.Format(http.TimeFormat)}}}
		got, assumed := LeaseOf(tt.token, response, tt.lifetime)
		if got != tt.want || assumed != tt.assumed {
			t.Errorf("%s: %s, assumed: %t", tt.name, got, assumed)
		}
	}
	// Without the server's clock nobody knows that a token has ended, only by ours.
	if got, assumed := LeaseOf(expiring(0), Response{}, 0); got != assumedLease || !assumed {
		t.Errorf("without a date: %s, assumed: %t", got, assumed)
	}
}
