package truncate

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestPrefixAndString(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in          string
		most        int
		prefix, cut string
	}{
		{"", 0, "", ""},
		{"short", 5, "short", "short"},
		{"shorter", 5, "short", "short…"},
		{"äöü", 6, "äöü", "äöü"},
		{"äöü", 5, "äö", "äö…"},
		{"äöü", 4, "äö", "äö…"},
		{"äöü", 1, "", "…"},
		{"shorter", 0, "", "…"},
		{"shorter", -1, "", "…"},
		{"\x80\x80\x80", 2, "", "…"}, // no character begins here
	} {
		if diff := cmp.Diff([]string{tt.prefix, tt.cut}, []string{Prefix(tt.in, tt.most), String(tt.in, tt.most)}); diff != "" {
			t.Errorf("%q, %d (-want +got):\n%s", tt.in, tt.most, diff)
		}
	}
}

func FuzzString(f *testing.F) {
	f.Add("äöü€𝄞", 7)
	f.Fuzz(func(t *testing.T, s string, most int) {
		got := Prefix(s, most)
		if len(got) > max(most, 0) || !strings.HasPrefix(s, got) {
			t.Errorf("%q is no prefix of at most %d bytes", got, most)
		}
		if utf8.ValidString(s) && (!utf8.ValidString(got) || len(got) <= min(len(s), most)-utf8.UTFMax) {
			t.Errorf("%q ends within a character, or too early", got)
		}
		want := s
		if len(s) > most {
			want = got + "…"
		}
		if cut := String(s, most); cut != want {
			t.Errorf("String returns %q, want %q", cut, want)
		}
	})
}
