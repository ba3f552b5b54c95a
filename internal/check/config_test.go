package check

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const configHead = "apiVersion: config.oidc-injector.io/v1alpha1\nkind: InjectorConfig\n"

func TestCheckConfig(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(configHead), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, "-"} {
		var out bytes.Buffer
		if err := ConfigFile(name, strings.NewReader(configHead), &out); err != nil || out.String() != "ok: "+name+
			" is a valid configuration\n" {
			t.Errorf("%s: %v, %q", name, err, &out)
		}
	}
	for _, tt := range []struct {
		name, text string
		lines      int
		want       string
	}{
		{"-", configHead + "maxExpiration: 2d\nprofile: {}\npolicy: {audiences: {allowed: [' vault']}}\n", 3, "profile: unknown field\n"},
		{"-", "{", 1, "could not decode the configuration: "},
		{"-", configHead + "#" + strings.Repeat("x", maxConfigFile), 1, "- is larger than 4194304 bytes"},
		{path + "x", "", 1, "no such file"},
	} {
		var out bytes.Buffer
		err := ConfigFile(tt.name, strings.NewReader(tt.text), &out)
		if err == nil || strings.Count(err.Error(), "\n") != tt.lines-1 || !strings.Contains(err.Error(), tt.want) || out.Len() > 0 {
			t.Errorf("error %v, output %q", err, &out)
		}
	}
}
