package status

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func failing(next time.Duration) *Failing {
	return &Failing{
		Class: failure.Denied, Text: `could not log in to Vault at https://v: 400: "role \"x\" could not be found"`, Attempt: 7,
		NextTime: now.Add(next),
	}
}

func TestString(t *testing.T) {
	const denied = `could not log in to Vault at https://v: 400: "role \"x\" could not be found" (attempt 7, next `
	for _, tt := range []struct {
		status Status
		ok     bool
		want   string
	}{
		{Status{Address: "https://v"}, false, "not logged in yet: still waiting for an answer of https://v"},
		{Status{Failing: failing(30 * time.Second)}, false, "not logged in yet: " + denied + "in 30s)"},
		{Status{Failing: failing(0)}, false, "not logged in yet: " + denied + "now)"},
		{Status{Failing: failing(-time.Minute)}, false, "not logged in yet: " + denied + "now)"},
		{Status{InPlace: true}, true, "logged in, the token does not expire"},
		{
			Status{InPlace: true, Dead: true, Expires: now.Add(time.Hour), Failing: failing(time.Minute)},
			false,
			"not logged in any more: the token is not valid any more: " + denied + "in 1m0s)",
		},
		{Status{InPlace: true, Unknown: true}, true, "logged in, it is not known when the token expires"},
		{Status{InPlace: true, Expires: now.Add(90 * time.Second)}, true, "logged in, the token expires in 1m30s"},
		{
			Status{InPlace: true, Expires: now.Add(time.Hour), Failing: failing(time.Minute)},
			true,
			"logged in, the token expires in 1h0m0s; but: " + denied + "in 1m0s)",
		},
		{Status{InPlace: true, Expires: now}, false, "not logged in any more: the token expired 0s ago: still waiting for an answer of "},
		{
			Status{Expires: now.Add(-time.Minute), Failing: failing(time.Minute)},
			false,
			"not logged in any more: the token expired 1m0s ago: " + denied + "in 1m0s)",
		},
		{
			Status{InPlace: true, Expires: now.Add(time.Hour), Stopped: true},
			false,
			"not logged in any more: the program has ended and has revoked the token",
		},
	} {
		ok, line := tt.status.Say(now)
		if diff := cmp.Diff(tt.want, line); diff != "" || ok != tt.ok {
			t.Errorf("%v (-want +got):\n%s", ok, diff)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for _, want := range []Status{
		{}, {Address: "https://v", InPlace: true, Expires: now, Failing: failing(time.Minute)}, {Stopped: true},
	} {
		got, err := Decode(Encode(want))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	output := filepath.Join(dir, "token")
	path := filepath.Join(dir, ".token.status")
	if got := Path(output); got != path {
		t.Errorf("path %s", got)
	}
	if got := Path("token"); got != ".token.status" {
		t.Errorf("path %s", got)
	}
	want := func(ok bool, text string) {
		t.Helper()
		gotOK, got := Of(output, now)
		if gotOK != ok || got != text {
			t.Errorf("%v %q instead of %v %q", gotOK, got, ok, text)
		}
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want(false, "not logged in yet: the login has not begun, as there is no "+path)
	write(path, "x")
	want(false, "not known: could not read "+path+": it is not the status of a login")
	write(path, string(Encode(Status{InPlace: true})))
	want(false, "logged in, but the token is not in its file: stat "+output+": no such file or directory")
	write(output, "token")
	want(true, "logged in, the token does not expire")
	write(path, string(Encode(Status{Failing: failing(0)})))
	want(false, `not logged in yet: `+failing(0).Text+` (attempt 7, next now)`)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	want(false, "not known: could not read the status: read "+path+": is a directory")
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode(Status{Address: "https://v", InPlace: true, Expires: now, Failing: failing(time.Minute)}))
	f.Add([]byte(`{"inPlace":true,"expires":"0001-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"failing":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Decode(data)
		if err != nil {
			return
		}
		ok, line := s.Say(now)
		if ok && (!s.InPlace || s.Stopped || !s.Expires.IsZero() && !s.Expires.After(now)) {
			t.Errorf("ready with %+v", s)
		}
		if len(line) > 10_000 || strings.ContainsAny(line, "\n\x1b") {
			t.Errorf("%d bytes: %.300q", len(line), line)
		}
	})
}
