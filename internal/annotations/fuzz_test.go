package annotations_test

import (
	"path"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// FuzzParse checks what holds for all annotations, however odd.
func FuzzParse(f *testing.F) {
	f.Add("audience", "vault", "expiration", "2h", "env", "TOKEN", false)
	f.Add("audience", "", "expiration", "-9223372036854775808", "mount-path", "/../etc", false)
	f.Add("audience.aws", "sts\n", "token-file.aws", "../x", "containers.aws", "app,,", false)
	f.Add("audience", "vault", "audience.b", "b", "token-file.b", "oidc-token", false)
	f.Add("audience", "vault", "mount-path", `C:\a\..\b`, "file-mode", "0o777", true)
	f.Add("audience.b", "vault", "mount-path", `D:/`, "audience", "x", true)
	f.Add("profile", "clouds", "inject.aws", "false", "skip-containers.azure", "a", false)
	f.Add("profile.x", "mixed", "profile", "unknown", "expiration.x", "1", false)
	f.Add("audience.\x00", "v", "expiratoin.\u202e", "5124095h36m", "", "x", false)
	f.Add("containers", "a", "skip-containers", "b", "audience", "a b", false)
	f.Fuzz(func(t *testing.T, key1, value1, key2, value2, key3, value3 string, windows bool) {
		k := keys{key1: value1, key2: value2, key3: value3}
		os := annotations.OS("")
		if windows {
			os = annotations.Windows
		}
		p := newParser()
		p.Profiles = profiles()
		spec, warnings, errs := p.Parse(k.on(os))

		again, warningsAgain, errsAgain := p.Parse(k.on(os))
		expectTokens(t, spec.Tokens, again.Tokens)
		expect(t, "warnings of a second call", warnings, warningsAgain)
		expect(t, "errors of a second call", texts(errs), texts(errsAgain))

		for _, warning := range warnings {
			if strings.ContainsFunc(warning, unicode.IsControl) || len(warning) > 1024 {
				t.Errorf("warning %q is no line for a terminal", warning)
			}
		}
		for _, err := range errs {
			checkPointsAtAnnotation(t, k, err.Field)
		}
		for i := range spec.Tokens {
			if len(errs) == 0 {
				checkToken(t, &spec.Tokens[i], os)
			}
		}
		if spec.OptedOut && len(spec.Tokens)+len(warnings)+len(errs) > 0 {
			t.Errorf("opted out, and yet %v, %q, %q", spec.Tokens, warnings, texts(errs))
		}
	})
}

// checkPointsAtAnnotation wants an error to name an annotation of the pod, or
// another key of a token that the pod or its profile speaks of.
func checkPointsAtAnnotation(t *testing.T, k keys, at string) {
	t.Helper()
	key, ok := strings.CutPrefix(at, "metadata.annotations[oidc-injector.io/")
	if !ok {
		t.Errorf("error at %q", at)
		return
	}
	key = strings.TrimSuffix(key, "]")
	if _, present := k[key]; present {
		return
	}
	key, token, _ := strings.Cut(key, ".")
	if !slices.Contains([]string{"audience", "token-file", "mount-path", "file-mode", "env"}, key) {
		t.Errorf("error at %q, which is neither there nor missing", at)
	}
	for other := range k {
		_, suffix, _ := strings.Cut(other, ".")
		if suffix == token || other == "profile" {
			return
		}
	}
	t.Errorf("error at %q, and nothing speaks of token %q", at, token)
}

// checkToken wants a token that was accepted to be within all bounds.
func checkToken(t *testing.T, token *annotations.Token, os annotations.OS) {
	t.Helper()
	full := token.Path(os)
	if os == annotations.Windows {
		full = strings.ReplaceAll(full, `\`, "/")
		full = full[len("C:"):]
	}
	problems := map[string]bool{
		"audience":   token.Audience == "" || strings.TrimSpace(token.Audience) != token.Audience || strings.ContainsFunc(token.Audience, unicode.IsControl),
		"expiration": token.ExpirationSeconds < 600 || token.ExpirationSeconds > 86400,
		"path":       full != path.Clean(full) || !path.IsAbs(full) || path.Base(full) != token.File || path.Dir(full) == "/",
		"reserved":   strings.HasPrefix(full, "/var/run/secrets/kubernetes.io/serviceaccount/") || strings.HasPrefix(full, "/proc/"),
		"file":       strings.HasPrefix(token.File, ".."),
		"file mode":  token.FileMode != nil && (*token.FileMode&0o444 == 0 || *token.FileMode&^0o777 != 0),
		"env":        token.Env != "" && len(validation.IsEnvVarName(token.Env)) > 0,
		"source":     token.Source == nil,
		"scope":      token.Scope.Only != nil && token.Scope.Skip != nil,
	}
	for what, wrong := range problems {
		if wrong {
			t.Errorf("accepted with a wrong %s: %s", what, cmp.Diff(annotations.Token{}, *token, samePaths))
		}
	}
}
