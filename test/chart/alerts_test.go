package chart

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// ours are the labels of the release's series.
const ours = `namespace="oidc-injector",job="oidc-injector-metrics",pod="oidc-injector-1"`

// alertsTable has for each alert series with which it fires, and others, as near to them as
// can be, with which it does not. A series has a value for each minute, as in rule tests of
// promtool; the alert is looked at in the last one of an hour, at now.
var alertsTable = map[string]struct {
	fires  map[string][]string
	silent map[string][]string
}{
	"OIDCInjectorAbsent": {
		fires: map[string][]string{
			"nothing":         nil,
			"another release": {`oidc_injector_build_info{namespace="oidc-injector",job="other-metrics"} 1x60`},
		},
		silent: map[string][]string{"one": {`oidc_injector_build_info{` + ours + `} 1x60`}},
	},
	"OIDCInjectorUnreachable": {
		fires: map[string][]string{
			"pods": {`apiserver_admission_webhook_rejection_count{name="pods.oidc-injector.io",` +
				`error_type="calling_webhook_error"} 0x58 1x2`},
			"debug containers": {`apiserver_admission_webhook_rejection_count{name="debugcontainers.oidc-injector.io",` +
				`error_type="calling_webhook_error"} 0x58 1x2`},
		},
		silent: map[string][]string{
			"denied": {`apiserver_admission_webhook_rejection_count{name="pods.oidc-injector.io",error_type="no_error"} 0x58 1x2`},
			"another webhook": {`apiserver_admission_webhook_rejection_count{name="pods.example.com",error_type="calling_webhook_error"} ` +
				`0x58 1x2`},
			"long ago": {`apiserver_admission_webhook_rejection_count{name="pods.oidc-injector.io",error_type="calling_webhook_error"} ` +
				`0x30 1x30`},
		},
	},
	"OIDCInjectorFailedOpen": {
		fires: map[string][]string{
			"the first time": {`apiserver_admission_webhook_fail_open_count{name="pods.oidc-injector.io"} _x58 1x2`},
			"again":          {`apiserver_admission_webhook_fail_open_count{name="pods.oidc-injector.io"} 1x58 2x2`},
		},
		silent: map[string][]string{
			"long ago":         {`apiserver_admission_webhook_fail_open_count{name="pods.oidc-injector.io"} 1x30 2x30`},
			"debug containers": {`apiserver_admission_webhook_fail_open_count{name="debugcontainers.oidc-injector.io"} _x58 1x2`},
		},
	},
	"OIDCInjectorDebugFailedOpen": {
		fires: map[string][]string{
			"the first time": {`apiserver_admission_webhook_fail_open_count{name="debugcontainers.oidc-injector.io"} _x58 1x2`},
		},
		silent: map[string][]string{"pods": {`apiserver_admission_webhook_fail_open_count{name="pods.oidc-injector.io"} _x58 1x2`}},
	},
	"OIDCInjectorErrors": {
		fires: map[string][]string{
			"malformed": {`oidc_injector_admissions_total{` + ours + `,outcome="failed",reason="malformed"} 0x58 1x2`},
			"panic":     {`oidc_injector_admissions_total{` + ours + `,outcome="failed",reason="panic"} 0x58 1x2`},
		},
		silent: map[string][]string{
			"a scanner": {`oidc_injector_admissions_total{` + ours + `,outcome="failed",reason="not_review"} 0+9x60`},
			"a denial":  {`oidc_injector_admissions_total{` + ours + `,outcome="denied",reason="policy"} 0+9x60`},
		},
	},
	"OIDCInjectorDenials": {
		fires: map[string][]string{
			"six, the first of all":      {denials(ours, "a", "policy", "_x50 6x10")},
			"six more":                   {denials(ours, "a", "policy", "1x50 7x10")},
			"three at each two replicas": {denials(ours, "a", "policy", "_x50 3x10"), denials(other, "a", "policy", "_x50 3x10")},
		},
		silent: map[string][]string{
			"three":                   {denials(ours, "a", "policy", "_x50 3x10")},
			"three of two reasons":    {denials(ours, "a", "policy", "_x50 3x10"), denials(ours, "a", "conflict", "_x50 3x10")},
			"three in two namespaces": {denials(ours, "a", "policy", "_x50 3x10"), denials(ours, "b", "policy", "_x50 3x10")},
			"long ago":                {denials(ours, "a", "policy", "_x10 60x50")},
			"warnings":                {strings.Replace(denials(ours, "a", "no_container", "_x50 6x10"), `"denied"`, `"unchanged"`, 1)},
		},
	},
	"OIDCInjectorDenialsSpread": {
		fires: map[string][]string{"one in each of three": {
			denials(ours, "a", "policy", "_x50 1x10"), denials(other, "b", "policy", "_x50 1x10"),
			denials(ours, "c", "conflict", "1x50 2x10"),
		}},
		silent: map[string][]string{
			"many in two": {
				denials(ours, "a", "policy", "_x50 99x10"), denials(ours, "b", "policy", "_x50 99x10"),
				denials(ours, "b", "conflict", "_x50 99x10"),
			},
			"not all now": {
				denials(ours, "a", "policy", "_x50 1x10"), denials(ours, "b", "policy", "_x50 1x10"),
				denials(ours, "c", "policy", "1x60"),
			},
		},
	},
	"OIDCInjectorSlow": {
		fires: map[string][]string{"one of ten": {
			`oidc_injector_admission_duration_seconds_bucket{` + ours + `,le="0.1"} 0+9x60`,
			`oidc_injector_admission_duration_seconds_bucket{` + ours + `,le="1"} 0+10x60`,
			`oidc_injector_admission_duration_seconds_bucket{` + ours + `,le="+Inf"} 0+10x60`,
		}},
		silent: map[string][]string{
			"none": {
				`oidc_injector_admission_duration_seconds_bucket{` + ours + `,le="0.1"} 0+10x60`,
				`oidc_injector_admission_duration_seconds_bucket{` + ours + `,le="1"} 0+10x60`,
				`oidc_injector_admission_duration_seconds_bucket{` + ours + `,le="+Inf"} 0+10x60`,
			},
			"nothing to do": {`oidc_injector_admission_duration_seconds_bucket{` + ours + `,le="+Inf"} 0x60`},
		},
	},
	"OIDCInjectorCertificateExpiry": {
		fires: map[string][]string{
			"the last day of a week":          life("serving", 168*time.Hour, 23*time.Hour),
			"the last sixth of a day":         life("serving", 24*time.Hour, 3*time.Hour),
			"the last sixth of half a minute": life("serving", 30*time.Second, 4*time.Second),
			"the authority's, of two replicas": append(life("ca", 8760*time.Hour, 23*time.Hour),
				life("serving", 168*time.Hour, 100*time.Hour)...),
		},
		silent: map[string][]string{
			"a week's, to be replaced now":        life("serving", 168*time.Hour, 168*time.Hour/3),
			"a day's, to be replaced now":         life("serving", 24*time.Hour, 8*time.Hour),
			"half a minute's, to be replaced now": life("serving", 30*time.Second, 10*time.Second),
			"a year's, two days before":           life("serving", 8760*time.Hour, 48*time.Hour),
		},
	},
	"OIDCInjectorSelfProbeFailing": {
		fires: map[string][]string{"one of two": {
			`oidc_injector_certificate_self_probe_success{` + ours + `} 0x60`,
			`oidc_injector_certificate_self_probe_success{` + other + `} 1x60`,
		}},
		silent: map[string][]string{"two": {
			`oidc_injector_certificate_self_probe_success{` + ours + `} 1x60`,
			`oidc_injector_certificate_self_probe_success{` + other + `} 1x60`,
		}},
	},
	"OIDCInjectorCertificateSyncFailing": {
		fires:  map[string][]string{"again and again": {`oidc_injector_certificate_sync_failures_total{` + ours + `} 0+1x60`}},
		silent: map[string][]string{"once": {`oidc_injector_certificate_sync_failures_total{` + ours + `} 0x30 1x30`}},
	},
	"OIDCInjectorConfigInvalid": {
		fires: map[string][]string{"one of two": {
			`oidc_injector_config_last_reload_successful{` + ours + `} 0x60`,
			`oidc_injector_config_last_reload_successful{` + other + `} 1x60`,
		}},
		silent: map[string][]string{"two": {`oidc_injector_config_last_reload_successful{` + ours + `} 1x60`}},
	},
	"OIDCInjectorBindingsNotRegistered": {
		fires: map[string][]string{"one of two webhooks": {
			`oidc_injector_bindings_registered{` + ours + `,webhook="pods.oidc-injector.io"} 0x60`,
			`oidc_injector_bindings_registered{` + ours + `,webhook="debugcontainers.oidc-injector.io"} 1x60`,
		}},
		silent: map[string][]string{
			"both": {`oidc_injector_bindings_registered{` + ours + `,webhook="pods.oidc-injector.io"} 1x60`},
		},
	},
	"OIDCInjectorLoginsFailing": {
		fires: map[string][]string{"one of two": {
			`oidc_login_last_error{` + logins + `,namespace="a",pod="a-1",class="denied"} 1x60`,
			`oidc_login_last_error{` + logins + `,namespace="a",pod="a-2",class="denied"} 0x60`,
		}},
		silent: map[string][]string{
			"none":          {`oidc_login_last_error{` + logins + `,namespace="a",pod="a-1",class="denied"} 0x60`},
			"over by now":   {`oidc_login_last_error{` + logins + `,namespace="a",pod="a-1",class="denied"} 1x50 0x10`},
			"another job's": {`oidc_login_last_error{job="x",namespace="a",pod="a-1",class="denied"} 1x60`},
		},
	},
	"OIDCInjectorMissedPods": {
		fires: map[string][]string{"with the leader": {
			`oidc_injector_missed_pods{` + ours + `,reason="not_injected"} 2x60`,
			`oidc_injector_missed_pods{` + other + `,reason="not_injected"} 0x60`,
		}},
		silent: map[string][]string{"none": {`oidc_injector_missed_pods{` + ours + `,reason="not_injected"} 0x60`}},
	},
	"OIDCInjectorAuditStopped": {
		fires: map[string][]string{
			"never begun": {`oidc_injector_audit_last_contact_timestamp_seconds{` + ours + `} 0x60`},
			"stopped":     {fmt.Sprintf(`oidc_injector_audit_last_contact_timestamp_seconds{%s} %dx60`, ours, now.Add(-time.Hour).Unix())},
		},
		silent: map[string][]string{"the other one does it": {
			`oidc_injector_audit_last_contact_timestamp_seconds{` + ours + `} 0x60`,
			fmt.Sprintf(`oidc_injector_audit_last_contact_timestamp_seconds{%s} %dx60`, other, now.Add(-time.Minute).Unix()),
		}},
	},
}

// logins are the labels of the login containers' series.
const logins = `job="oidc-injector/oidc-injector-logins"`

// other are the labels of another replica.
const other = `namespace="oidc-injector",job="oidc-injector-metrics",pod="oidc-injector-2"`

// now is when alerts are looked at.
var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// denials are the series of a namespace's denied pods.
func denials(of, namespace, reason, values string) string {
	return fmt.Sprintf(`oidc_injector_findings_total{%s,resource_namespace=%q,kind="pod",outcome="denied",reason=%q} %s`, of, namespace,
		reason, values)
}

// life are the series of a certificate that has been made for a time, some of which is left.
func life(certificate string, whole, left time.Duration) []string {
	return []string{
		fmt.Sprintf(`oidc_injector_certificate_issued_timestamp_seconds{%s,certificate=%q} %dx60`, ours, certificate,
			now.Add(left-whole).Unix()),
		fmt.Sprintf(`oidc_injector_certificate_expiration_timestamp_seconds{%s,certificate=%q} %dx60`, ours, certificate,
			now.Add(left).Unix()),
	}
}

// TestAlerts has Prometheus' own engine evaluate the alerts.
func TestAlerts(t *testing.T) {
	all := render(t, "audit: {enabled: true}\nlogin: {metrics: {port: 9102, podMonitor: {enabled: true}}}\nmetrics: {prometheusRule: "+
		"{enabled: true}}\nconfig: {bindings: [{name: a, namespaces: [a], serviceAccounts: [a], annotations: {audience: a}}]}")
	groups, _, err := unstructured.NestedSlice(all["PrometheusRule/oidc-injector"].Object, "spec", "groups")
	if err != nil {
		t.Fatal(err)
	}
	untested := len(alertsTable)
	for _, rule := range groups[0].(map[string]any)["rules"].([]any) {
		rule := rule.(map[string]any)
		name, expr := rule["alert"].(string), rule["expr"].(string)
		t.Run(name, func(t *testing.T) {
			tests, found := alertsTable[name]
			if !found || len(tests.fires) == 0 || len(tests.silent) == 0 {
				t.Fatal("the table lacks this alert")
			}
			for what, series := range tests.fires {
				if got := query(t, expr, now, series); len(got) == 0 {
					t.Errorf("%s: it does not fire", what)
				}
			}
			for what, series := range tests.silent {
				if got := query(t, expr, now, series); len(got) > 0 {
					t.Errorf("%s: it fires: %s", what, got)
				}
			}
		})
		untested--
	}
	if untested != 0 {
		t.Error("the table has alerts that the chart has not")
	}
}
