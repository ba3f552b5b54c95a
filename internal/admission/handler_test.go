package admission_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

func TestHandlerRefusesOtherThanReviews(t *testing.T) {
	t.Parallel()
	good := string(review("CREATE", "", pod(""), "null"))
	const notAReview = "this is not an AdmissionReview with a request: expected apiVersion admission.k8s.io/v1, " +
		"kind AdmissionReview and request.uid"
	for _, tt := range []struct{ name, body, want string }{
		{"nothing", "", "could not read the AdmissionReview: the JSON document ends too early"},
		{"no JSON", "hello", "could not read the AdmissionReview: invalid JSON near offset N"},
		{"null", "null", notAReview},
		{"a list", "[]", "could not read the AdmissionReview: unexpected JSON value: unexpected [ before offset N"},
		{"an empty object", "{}", notAReview},
		{"cut off", good[:len(good)/2], "could not read the AdmissionReview: the JSON document ends too early"},
		{"cut off at the last brace", good[:len(good)-1], "could not read the AdmissionReview: the JSON document ends too early"},
		{"more behind it", good + "{}", "could not read the AdmissionReview: unexpected JSON value: trailing data"},
		{"garbage behind it", good + "x", "could not read the AdmissionReview: unexpected JSON value: trailing data"},
		{"another version", strings.Replace(good, "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1), notAReview},
		{"another kind", strings.Replace(good, "AdmissionReview", "AdmissionRequest", 1), notAReview},
		{"no request", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, notAReview},
		{"a null request", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}`, notAReview},
		{
			"a request of another shape", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":[]}`,
			"could not read the AdmissionReview: unexpected JSON value: unexpected [ before offset N",
		},
		{"no uid", strings.Replace(good, `"uid":"`+uid+`",`, "", 1), notAReview},
		{"an empty uid", strings.Replace(good, uid, "", 1), notAReview},
		{
			"a uid of another shape", strings.Replace(good, `"`+uid+`"`, "1", 1),
			"could not read the AdmissionReview: unexpected JSON value: unexpected number before offset N",
		},
		{"a uid in another case", strings.Replace(good, `"uid"`, `"UID"`, 1), notAReview},
		{
			"a name twice", strings.Replace(good, `"name":"app",`, `"name":"app","name":"app",`, 1),
			"could not read the AdmissionReview: invalid JSON near offset N",
		},
		{
			"invalid UTF-8", strings.Replace(good, "example/app", "\xff", 1),
			"could not read the AdmissionReview: invalid JSON near offset N",
		},
		{
			"a pod of another shape", strings.Replace(good, `[{"name":"app","image":"example/app"}]`, `"app"`, 1),
			"could not read the AdmissionReview: unexpected JSON value: unexpected string before offset N",
		},
		{"endless nesting", strings.Repeat("[", 100_000), "could not read the AdmissionReview: invalid JSON near offset N"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHook(configured(defaultConfig()))
			w := h.post([]byte(tt.body))
			if w.Code != http.StatusBadRequest {
				t.Errorf("HTTP %d", w.Code)
			}
			want := metav1.Status{
				TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
				Status:   metav1.StatusFailure, Code: 400, Reason: metav1.StatusReasonBadRequest, Message: tt.want,
			}
			got := expectStatus(t, w)
			got.Message = offset.ReplaceAllString(got.Message, "offset N")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]int{"failed/malformed": 1}, h.counters(t)); diff != "" {
				t.Errorf("metrics (-want +got):\n%s", diff)
			}
		})
	}
}

// offset is where in a document something is wrong.
var offset = regexp.MustCompile(`offset \d+`)

func TestHandlerTakesPOSTOfJSON(t *testing.T) {
	t.Parallel()
	body := review("CREATE", "", pod(""), "null")
	for _, tt := range []struct {
		name, method, contentType string
		want                      metav1.Status
		allow                     string
	}{
		{
			"GET", http.MethodGet, "application/json",
			metav1.Status{Code: 405, Reason: metav1.StatusReasonMethodNotAllowed, Message: "send an AdmissionReview by POST"},
			"POST",
		},
		{
			"PUT", http.MethodPut, "application/json",
			metav1.Status{Code: 405, Reason: metav1.StatusReasonMethodNotAllowed, Message: "send an AdmissionReview by POST"},
			"POST",
		},
		{
			"no content type", http.MethodPost, "",
			metav1.Status{Code: 415, Reason: metav1.StatusReasonUnsupportedMediaType, Message: "the Content-Type must be application/json"},
			"",
		},
		{
			"YAML", http.MethodPost, "application/yaml",
			metav1.Status{Code: 415, Reason: metav1.StatusReasonUnsupportedMediaType, Message: "the Content-Type must be application/json"},
			"",
		},
		{
			"a content type that is none", http.MethodPost, "application/json; x",
			metav1.Status{Code: 415, Reason: metav1.StatusReasonUnsupportedMediaType, Message: "the Content-Type must be application/json"},
			"",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHook(configured(defaultConfig()))
			r := httptest.NewRequest(tt.method, "/mutate", bytes.NewReader(body))
			r.Header.Set("Content-Type", tt.contentType)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != int(tt.want.Code) || w.Header().Get("Allow") != tt.allow {
				t.Errorf("HTTP %d, Allow %q", w.Code, w.Header().Get("Allow"))
			}
			tt.want.TypeMeta, tt.want.Status = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, metav1.StatusFailure
			if diff := cmp.Diff(tt.want, expectStatus(t, w)); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]int{"failed/not_review": 1}, h.counters(t)); diff != "" {
				t.Errorf("metrics (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHandlerTakesContentTypeParameters(t *testing.T) {
	t.Parallel()
	h := newHook(configured(defaultConfig()))
	r := httptest.NewRequest(http.MethodPost, "/mutate", bytes.NewReader(review("CREATE", "", pod(""), "null")))
	r.Header.Set("Content-Type", "Application/JSON; charset=utf-8")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Errorf("HTTP %d: %s", w.Code, w.Body)
	}
}

// padded is a review of exactly so many bytes.
func padded(size int) []byte {
	body := review("CREATE", "", pod(""), "null")
	return append(body, bytes.Repeat([]byte{' '}, size-len(body))...)
}

func TestHandlerReadsLargestReview(t *testing.T) {
	t.Parallel()
	newHook(configured(defaultConfig())).admit(t, padded(admission.MaxBody))
}

// The two ways to send a body: with its length ahead, and in chunks.
func TestHandlerRefusesLargerReview(t *testing.T) {
	t.Parallel()
	h := newHook(configured(defaultConfig()))
	server := httptest.NewServer(h)
	defer server.Close()
	body := padded(admission.MaxBody + 1)
	for name, reader := range map[string]io.Reader{
		"with a Content-Length": bytes.NewReader(body),
		"chunked":               io.MultiReader(bytes.NewReader(body)),
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, reader)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		answer, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = response.Body.Close()
		var status metav1.Status
		decode(t, answer, &status)
		want := metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure,
			Code: 413, Reason: metav1.StatusReasonRequestEntityTooLarge, Message: "the request is larger than 7340032 bytes",
		}
		if diff := cmp.Diff(want, status); diff != "" || response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: HTTP %d, status (-want +got):\n%s", name, response.StatusCode, diff)
		}
	}
	if diff := cmp.Diff(map[string]int{"failed/too_large": 2}, h.counters(t)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestTruncatedBodyIsMalformed(t *testing.T) {
	t.Parallel()
	h := newHook(configured(defaultConfig()))
	r := httptest.NewRequest(http.MethodPost, "/mutate", io.MultiReader(
		strings.NewReader(`{"apiVersion":"admission.k8s.io/v1"`), iotest.ErrReader(errors.New("connection lost: "+marker))))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	want := metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure,
		Code: 400, Reason: metav1.StatusReasonBadRequest, Message: "the request's body could not be read",
	}
	if diff := cmp.Diff(want, expectStatus(t, w)); diff != "" || w.Code != http.StatusBadRequest {
		t.Errorf("HTTP %d, status (-want +got):\n%s", w.Code, diff)
	}
}

// A promise of many bytes must not be paid for in memory before they come.
func TestWrongContentLengthIsMalformed(t *testing.T) {
	t.Parallel()
	h := newHook(configured(defaultConfig()))
	r := httptest.NewRequest(http.MethodPost, "/mutate", strings.NewReader("{"))
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = admission.MaxBody
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest {
		t.Errorf("HTTP %d", w.Code)
	}
}

func TestPanicEndsOneRequest(t *testing.T) {
	t.Parallel()
	var cause any
	h := newHook(func() *config.Config {
		if cause != nil {
			panic(cause)
		}
		return defaultConfig()
	})
	body := review("CREATE", "", pod("", "audience=vault"), "null")
	for _, cause = range []any{"a text", errors.New("an error"), struct{ pod string }{"a value"}} {
		w := h.post(body)
		want := metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure,
			Code: 500, Reason: metav1.StatusReasonInternalError, Message: "internal error: see the log of the webhook",
		}
		if diff := cmp.Diff(want, expectStatus(t, w)); diff != "" || w.Code != http.StatusInternalServerError {
			t.Errorf("HTTP %d, status (-want +got):\n%s", w.Code, diff)
		}
	}
	cause = nil
	if response := h.admit(t, body); !response.Allowed || len(response.Patch) == 0 {
		t.Errorf("the request after it: %v", response)
	}
	if diff := cmp.Diff(map[string]int{"failed/panic": 3, "mutated/injected": 1}, h.counters(t)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestPanicIsLoggedWithTypeAndPlace(t *testing.T) {
	t.Parallel()
	h := newHook(func() *config.Config { panic(marker) })
	h.post(review("CREATE", "", pod(""), "null"))
	log := h.log.String()
	for _, want := range []string{
		`msg="panic while answering a request" cause=string stack=`, "handler_test.go",
		`msg="request refused" code=500 reason=panic`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}

	h = newHook(func() *config.Config { return []*config.Config{}[len(marker)] })
	h.post(review("CREATE", "", pod(""), "null"))
	if want := `cause="runtime error: index out of range [`; !strings.Contains(h.log.String(), want) {
		t.Errorf("the log lacks %s:\n%s", want, h.log)
	}
}
