package mutate

import (
	"encoding/json"
	"testing"
)

// What is written by hand is what encoding/json would write.
func TestStatusEncoding(t *testing.T) {
	t.Parallel()
	for _, s := range []Status{
		{Tokens: []string{}, Containers: []string{}},
		{Version: "v1.2.3", Tokens: []string{"default"}, Containers: []string{"app"}},
		{Version: `v1-"\\<&>\x00\u2028`, Tokens: []string{"default", "aws"}, Logins: []string{"vault"}, Containers: []string{"a", "b"}},
	} {
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var wanted, written any
		if json.Unmarshal(want, &wanted) != nil || json.Unmarshal([]byte(s.text()), &written) != nil {
			t.Errorf("%s is not JSON", s.text())
		}
		if got, err := json.Marshal(written); err != nil || string(got) != mustMarshal(t, wanted) {
			t.Errorf("%s instead of %s", s.text(), want)
		}
	}
}

func mustMarshal(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
