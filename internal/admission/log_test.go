package admission_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/config"
)

// marker stands for what must stay between the API server and the webhook.
const marker = "hunter2secret"

func TestDecisionIsLoggedOnce(t *testing.T) {
	t.Parallel()
	h := newHook(configured(defaultConfig()))
	for _, a := range []ask{
		{object: pod("", "audience=vault"), namespace: "prod"},
		{object: pod(`"containers":[]`, "audence=x"), dryRun: true},
		{object: pod("", "audience=", "expiration=5")},
		{operation: "DELETE", oldObject: pod("")},
	} {
		h.admit(t, a.review())
	}
	// A controller leaves the name to the API server, which makes it after the admission.
	h.post([]byte(strings.ReplaceAll(strings.Replace(string(ask{object: pod("", "audience=vault")}.review()),
		`"name":"app","namespace"`, `"namespace"`, 1), `{"name":"app","annotations"`,
		`{"generateName":"app-6f7d8c9b5-","ownerReferences":[`+
			`{"kind":"Team","name":"a"},{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"app-6f7d8c9b5","controller":true}],`+
			`"annotations"`)))
	h.post([]byte("{"))
	want := `level=DEBUG msg=admission outcome=mutated reason=injected uid=` + uid +
		` operation=CREATE namespace=prod kind=Pod name=app owner="" dryRun=false tokens=1 logins=0 containers=1 warnings=0 errors=[]
level=INFO msg=admission outcome=unchanged reason=not_requested uid=` + uid +
		` operation=CREATE namespace=default kind=Pod name=app owner="" dryRun=true tokens=0 logins=0 containers=0 warnings=1 errors=[]
level=INFO msg=admission outcome=denied reason=invalid_annotations uid=` + uid +
		` operation=CREATE namespace=default kind=Pod name=app owner="" dryRun=false tokens=0 logins=0 containers=0 warnings=0 errors="[` +
		`metadata.annotations[oidc-injector.io/audience] metadata.annotations[oidc-injector.io/expiration]]"
level=DEBUG msg=admission outcome=unchanged reason=unsupported uid=` + uid +
		` operation=DELETE namespace=default kind=Pod name=app owner="" dryRun=false tokens=0 logins=0 containers=0 warnings=0 errors=[]
level=DEBUG msg=admission outcome=mutated reason=injected uid=` + uid +
		` operation=CREATE namespace=default kind=Pod name=app-6f7d8c9b5- owner=ReplicaSet/app-6f7d8c9b5` +
		` dryRun=false tokens=1 logins=0 containers=1 warnings=0 errors=[]
level=ERROR msg="request refused" code=400 reason=malformed message="could not read the AdmissionReview: the JSON document ends too early"
`
	if diff := cmp.Diff(want, h.log.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// Whatever a pod holds and whatever becomes of it, at the most talkative level.
func TestLogHasNoPodContent(t *testing.T) {
	t.Parallel()
	const spec = `"containers":[{"name":"app","image":"` + marker + `","args":["` + marker + `"],"env":[{"name":"TOKEN","value":"` +
		marker + `"}],` +
		`"volumeMounts":[{"name":"v","mountPath":"/var/run/secrets/tokens/` + marker +
		`"}]}],"volumes":[{"name":"v","hostPath":{"path":"/` + marker + `"}}]`
	good := string(review("CREATE", "", pod("", "audience="+marker, "env=TOKEN", "example.com/password="+marker), "null"))
	for _, tt := range []struct {
		name, body, outcome string
	}{
		{"mutated", good, "mutated/injected"},
		{"unchanged", string(review("CREATE", "", pod(spec, "example.com/password="+marker), "null")), "unchanged/not_requested"},
		{
			"another resource", string(ask{resource: "secrets", object: `{"data":{"password":"` + marker + `"}}`}.review()),
			"unchanged/unsupported",
		},
		{
			"with warnings", string(review("CREATE", "", pod("", "audience="+marker, "containers="+marker), "null")),
			"unchanged/no_container",
		},
		{
			"denied for its annotations", string(review("CREATE", "",
				pod(spec, "audience="+marker+" ", "expiration="+marker, "mount-path="+marker,
					"token-file=/"+marker, "file-mode="+marker, "env=-"+marker, "containers=-"+marker, "profile="+marker, "inject="+marker),
				"null")),
			"denied/invalid_annotations",
		},
		{
			"denied for its login", string(review("CREATE", "",
				pod(spec, "audience="+marker, "login="+marker, "login-address=https://"+marker+"@"+marker,
					"login-role="+marker+" ", "login-token="+marker, "login-file=/"+marker, "login-ca-secret="+marker+"/",
					"login-env=-"+marker), "null")),
			"denied/invalid_annotations",
		},
		{
			"denied for the address of its login", string(review("CREATE", "",
				pod(spec, "audience="+marker, "login=vault", "login-address=http://"+marker), "null")),
			"denied/policy",
		},
		{"denied by the policy", string(review("CREATE", "", pod("", "audience=denied-"+marker), "null")), "denied/policy"},
		{"denied for a conflict", string(review("CREATE", "", pod(spec, "audience="+marker, "env=TOKEN"), "null")), "denied/conflict"},
		{
			"a debug container that is skipped", string(review("UPDATE", "ephemeralcontainers",
				pod(spec+debugger, "audience="+marker, "expiration="+marker), pod(spec))),
			"unchanged/debug_skipped",
		},
		{"cut off", good[:strings.LastIndex(good, marker)+len(marker)], "failed/malformed"},
		{"garbage", marker, "failed/malformed"},
		{"garbage behind it", good + marker, "failed/malformed"},
		{"a name twice", strings.Replace(good, `"example.com/password"`, `"oidc-injector.io/audience"`, 1), "failed/malformed"},
		{"a value of another shape", strings.Replace(good, `"containers":`, `"containers":"`+marker+`","x":`, 1), "failed/malformed"},
		{"a key of another shape", strings.Replace(good, `"metadata":{`, `"metadata":{"`+marker+`":01,`, 1), "failed/malformed"},
		{"invalid UTF-8", strings.Replace(good, marker, marker+"\xff", 1), "failed/malformed"},
		{"an invalid escape", strings.Replace(good, marker, marker+`\x`, 1), "failed/malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHook(configured(withPolicy(t, `{audiences: {denied: ["denied-*"]}}`)))
			w := h.post([]byte(tt.body))
			if diff := cmp.Diff(map[string]int{tt.outcome: 1}, h.counters(t)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s\n%s", diff, w.Body)
			}
			if h.log.String() == "" || strings.Contains(h.log.String(), marker) {
				t.Errorf("log:\n%s", h.log)
			}
		})
	}
}

// The wrapped error is one that a careless author of code could panic with.
func TestLogHasNoPanicText(t *testing.T) {
	t.Parallel()
	for name, cause := range map[string]any{
		"a text": marker, "an error": textError(marker), "a value": struct{ pod string }{marker},
		"a pointer": &struct{ pod string }{marker},
	} {
		h := newHook(func() *config.Config { panic(cause) })
		w := h.post(review("CREATE", "", pod("", "audience="+marker), "null"))
		if !strings.Contains(h.log.String(), "panic while answering a request") || strings.Contains(h.log.String(), marker) {
			t.Errorf("%s: log:\n%s", name, h.log)
		}
		if strings.Contains(w.Body.String(), marker) {
			t.Errorf("%s: answer %s", name, w.Body)
		}
	}
}

type textError string

func (e textError) Error() string { return string(e) }
