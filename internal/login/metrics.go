package login

import (
	"fmt"
	"io"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/jwtfile"
	"github.com/oidc-injector/oidc-injector/internal/login/status"
	"github.com/oidc-injector/oidc-injector/internal/version"
)

// report is what the listener tells. The login writes it, requests read it.
type report struct {
	mu       sync.Mutex
	logins   int
	renewals int
	failures map[failure.Class]int
	status   status.Status
	jwt      jwtfile.Times
}

func newReport() *report { return &report{failures: map[failure.Class]int{}} }

// update changes the report.
func (r *report) update(change func(*report)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

// say reports whether the login is ready, in one line.
func (r *report) say(now time.Time) (bool, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status.Say(now)
}

// writeMetrics writes the metrics in Prometheus' text format 0.0.4.
func (r *report) writeMetrics(w io.Writer, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := exposition{w}
	m.family("oidc_login_build_info", "gauge", "The version of the program; always 1.")
	m.sample("oidc_login_build_info", versionLabels(), 1)
	ready, _ := r.status.Say(now)
	m.single("oidc_login_ready", "gauge", "Whether a valid token is in place.", boolean(ready))
	if r.status.InPlace && !r.status.Expires.IsZero() {
		m.single("oidc_login_token_expiry_timestamp_seconds", "gauge", "When the token expires; missing for a token that does not.",
			unix(r.status.Expires))
		m.single("oidc_login_token_ttl_seconds", "gauge", "How long the token is still valid; missing for a token that does not expire.",
			max(r.status.Expires.Sub(now), 0).Seconds())
	}
	if !r.jwt.Issued.IsZero() {
		m.single("oidc_login_jwt_age_seconds", "gauge", "How long ago the JWT was issued.", now.Sub(r.jwt.Issued).Seconds())
	}
	if !r.jwt.Expires.IsZero() {
		m.single("oidc_login_jwt_expiry_timestamp_seconds", "gauge", "When the JWT expires.", unix(r.jwt.Expires))
	}
	m.single("oidc_login_logins_total", "counter", "Successful logins.", float64(r.logins))
	m.single("oidc_login_renewals_total", "counter", "Successful renewals.", float64(r.renewals))
	m.family("oidc_login_failures_total", "counter", "Failed logins, renewals and writes, by class.")
	for _, class := range failure.Classes() {
		m.sample("oidc_login_failures_total", label(class), float64(r.failures[class]))
	}
	m.family("oidc_login_last_error", "gauge", "Whether the last attempt failed so (1) or not (0), by class.")
	for _, class := range failure.Classes() {
		m.sample("oidc_login_last_error", label(class), boolean(r.status.Failing != nil && r.status.Failing.Class == class))
	}
}

func versionLabels() string {
	return "version=" + strconv.Quote(version.Version()) + ",goversion=" + strconv.Quote(runtime.Version())
}

// exposition writes the text format. A reader that went away is nobody's loss,
// so errors of writing are ignored.
type exposition struct{ w io.Writer }

func (e exposition) family(name, kind, help string) {
	fmt.Fprintf(e.w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (e exposition) sample(name, labels string, value float64) {
	fmt.Fprintf(e.w, "%s{%s} %s\n", name, labels, number(value))
}

func (e exposition) single(name, kind, help string, value float64) {
	e.family(name, kind, help)
	fmt.Fprintf(e.w, "%s %s\n", name, number(value))
}

func number(value float64) string { return strconv.FormatFloat(value, 'g', -1, 64) }

func label(class failure.Class) string { return "class=" + strconv.Quote(string(class)) }

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
