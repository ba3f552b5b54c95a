package jwtfile

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// jwt is a token with the payload.
func jwt(payload string) string {
	return encode(`{"alg":"RS256","kid":"k"}`) + "." + encode(payload) + "." + encode("signature")
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "oidc-token")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		payload string
		want    Times
	}{
		{`{}`, Times{}},
		{`{"iat":1767323000,"exp":1767326600,"aud":["vault"]}`, Times{time.Unix(1767323000, 0), time.Unix(1767326600, 0)}},
		{`{"iat":1767323000.75,"exp":"soon"}`, Times{Issued: time.Unix(1767323000, 0)}},
		{`{"iat":-1,"exp":1e300}`, Times{}},
		{`{"exp":1000}`, Times{Expires: time.Unix(1000, 0)}}, // long ago, which is not for us to judge
	} {
		for _, around := range []string{"%s", " %s\n\n"} {
			text := jwt(tt.payload)
			got, err := Read(write(t, fmt.Sprintf(around, text)))
			if err != nil || got.Token.Reveal() != text || got.Sum == [32]byte{} {
				t.Errorf("%s: %+v, %v", tt.payload, got, err)
			}
			if !got.Times.Issued.Equal(tt.want.Issued) || !got.Times.Expires.Equal(tt.want.Expires) {
				t.Errorf("%s: times %+v", tt.payload, got.Times)
			}
		}
	}
}

func TestReadInvalid(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "the file is empty"},
		{"blanks", " \n", "the file is empty"},
		{
			"a Vault token", "hvs.CAESIJlU9JMYEhOPYv4igdhm9PnZDrabYTobQ4Ymnlq1qY",
			"it is not a JWT, which is three parts in base64url with dots between them",
		},
		{"two parts", encode("{}") + "." + encode("{}"), "it is not a JWT, which"},
		{"encrypted", strings.Repeat("a.", 4) + "a", "it is not a JWT, which"},
		{"an empty part", encode("{}") + "." + encode("{}") + ".", "it is not a JWT, which"},
		{"padding", "e30=.e30=.e30=", "it is not a JWT, which"},
		{"two lines", "a.b\n.c", "it is not a JWT, which"},
		{"no claims", jwt("claims"), "it is not a JWT: its second part is not a JSON object in base64url"},
		{"null", jwt("null"), "it is not a JWT: its second part"},
		{"a list", jwt("[]"), "it is not a JWT: its second part"},
		{"too large", strings.Repeat("a", maxSize+1), "the file is larger than 64 KiB"},
	} {
		path := write(t, tt.text)
		_, err := Read(path)
		e, ok := errors.AsType[*failure.Error](err)
		if !ok || e.Class != failure.JWT || !strings.HasPrefix(err.Error(), "could not use the JWT in "+path+": "+tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := Read("/no/such/file"); err == nil ||
		err.Error() != "could not use the JWT in /no/such/file: open /no/such/file: no such file or directory" {
		t.Errorf("no file: %v", err)
	}
	if _, err := Read(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: %v", err)
	}
}

// The kubelet writes a new directory, and swaps the symbolic link ..data.
func TestRotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "oidc-token")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rotate := func(name, text string) {
		t.Helper()
		check(os.Mkdir(filepath.Join(dir, name), 0o700))
		check(os.WriteFile(filepath.Join(dir, name, "oidc-token"), []byte(text), 0o600))
		check(os.Symlink(name, filepath.Join(dir, "..data_tmp")))
		check(os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	missing := Look(path)
	if !missing.Same(Look(path)) {
		t.Error("a missing file changes")
	}
	check(os.Symlink("..data/oidc-token", path))
	rotate("..2026_01", "same size")
	first := Look(path)
	if first.Same(missing) || missing.Same(first) || !first.Same(Look(path)) {
		t.Error("the first file")
	}
	rotate("..2026_02", "size same")
	if second := Look(path); second.Same(first) {
		t.Error("the rotation is not seen")
	}
	other := write(t, "x")
	before := Look(other)
	check(os.Chtimes(other, now, now))
	if Look(other).Same(before) {
		t.Error("a touched file is not seen")
	}
}

func TestSame(t *testing.T) {
	one, err := Read(write(t, jwt(`{}`)))
	if err != nil {
		t.Fatal(err)
	}
	same, err := Read(write(t, jwt(`{}`)+"\n"))
	if diff := cmp.Diff(one, same); diff != "" || err != nil {
		t.Errorf("%v, (-one +other):\n%s", err, diff)
	}
	other, err := Read(write(t, jwt(`{"iat":1}`)))
	if one.Sum == other.Sum || err != nil {
		t.Errorf("another has the same sum, %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(jwt(`{"iat":1767323000,"exp":1767326600}`))
	f.Add(jwt(`{"iat":1e999,"exp":-5}`))
	f.Add("a.b.c")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		times, err := Parse(text)
		if err != nil {
			if err != errEmpty && err != errNotJWT && err != errPayload { //nolint:errorlint // no other may be made of the text
				t.Errorf("%v", err)
			}
			return
		}
		for _, at := range []time.Time{times.Issued, times.Expires} {
			if y := at.UTC().Year(); y < 1 || y > 9999 {
				t.Errorf("year %d", y)
			}
		}
	})
}

func TestNextDue(t *testing.T) {
	issued := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		name  string
		times Times
		want  time.Time
	}{
		{"an hour", Times{issued, issued.Add(time.Hour)}, issued.Add(48 * time.Minute)},
		{"a year", Times{issued, issued.Add(365 * 24 * time.Hour)}, issued.Add(24 * time.Hour)},
		{"not known since when", Times{Expires: issued}, time.Time{}},
		{"without an end", Times{Issued: issued}, time.Time{}},
		{"from its end on", Times{issued, issued.Add(-1)}, time.Time{}},
	} {
		if got := tt.times.Next(); !got.Equal(tt.want) {
			t.Errorf("%s: %s", tt.name, got)
		}
	}
}
