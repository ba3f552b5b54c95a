package login

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
)

// A server whose answers are unusual says the same each time.
func TestWarningsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		warnings := []string{"TTL is capped"}
		f.party.give = func() (exchange.Credential, error) {
			return exchange.Credential{Token: "hvs.x", Lease: time.Minute, Warnings: warnings}, nil
		}
		stop := f.run(t)
		for i, said := range []int{1, 2, 3} {
			pass(time.Hour)
			if got := strings.Count(f.output.String(), "server returned a warning"); got != said {
				t.Errorf("%d: said %d times", i, got)
			}
			f.party.set(func(*party) { warnings = append(warnings[:0:0], fmt.Sprintf("another %d", i)) })
		}
		_ = stop()
	})
}

func TestLogLineBounded(t *testing.T) {
	many := make([]string, 8000)
	for i := range many {
		many[i] = fmt.Sprintf("policy-%d", i)
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.party.give = func() (exchange.Credential, error) {
			return exchange.Credential{
				Token: "hvs.x", Lease: time.Hour, Policies: many, Warnings: many,
				TokenType: strings.Repeat("x", 1<<16),
			}, nil
		}
		stop := f.run(t)
		pass(time.Minute)
		_ = stop()
		log := f.output.String()
		for line := range strings.Lines(log) {
			if len(line) > 4000 {
				t.Errorf("%d bytes: %.200s", len(line), line)
			}
		}
		if len(log) > 40000 || !strings.Contains(log, "policy-0 policy-1 ") || strings.Count(log, " more") != 2 {
			t.Errorf("%d bytes of log: %.2000s", len(log), log)
		}
	})
}
