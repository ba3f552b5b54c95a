package policy_test

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkRules judges a pod of 32 tokens, with their variables and directories,
// by a policy of 1,000 namespaces whose patterns begin with a star.
func BenchmarkRules(b *testing.B) {
	var text strings.Builder
	text.WriteString("namespaces:\n")
	for i := range 1000 {
		fmt.Fprintf(&text, "- {namespaces: ['*-team-%d'], audiences: {allowed: [vault]}}\n", i)
	}
	p := parse(b, text.String())
	for _, namespace := range []string{"production", "shop-team-999"} {
		b.Run(namespace, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rules := p.For(namespace)
				for range 32 {
					if err := rules.Audience("vault"); err != nil {
						b.Fatal(err)
					}
					if err := rules.Env("VAULT_TOKEN_FILE"); err != nil {
						b.Fatal(err)
					}
					if err := rules.MountPath("/var/run/secrets/tokens", false); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkEnv is the longest way through the reserved names: one that is not
// among them.
func BenchmarkEnv(b *testing.B) {
	rules := parse(b, "{}").For("default")
	b.ReportAllocs()
	for b.Loop() {
		if err := rules.Env("MY_OWN_VARIABLE"); err != nil {
			b.Fatal(err)
		}
	}
}
