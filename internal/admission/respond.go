package admission

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"gomodules.xyz/jsonpatch/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/finding"
	"github.com/oidc-injector/oidc-injector/internal/truncate"
)

// respond writes the AdmissionReview (admission.k8s.io/v1) that answers a
// request. What most answers have is written directly: encoding/json would go
// over the patch four times, as values, compacted, as base64 and as a string.
//
// The answer is in the buffers, until they are used again.
func respond(q *Request, d *Decision, to *buffers) ([]byte, error) {
	patch, err := appendPatch(slices.Grow(to.patch[:0], patchSize(d.Operations)), d.Operations)
	if err != nil {
		return nil, fmt.Errorf("could not encode the patch: %w", err)
	}
	to.patch = patch
	const most = 1 << 10 // of what an answer without warnings has beside the patch
	b := slices.Grow(to.answer[:0], base64.StdEncoding.EncodedLen(len(patch))+most)
	b = append(b, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":`...)
	b = appendString(b, q.UID)
	b = append(b, `,"allowed":`...)
	b = strconv.AppendBool(b, d.Outcome != Denied)
	if d.Outcome == Denied {
		status, err := json.Marshal(denial(q, d))
		if err != nil {
			return nil, fmt.Errorf("could not encode the status: %w", err)
		}
		b = append(b, `,"status":`...)
		b = append(b, status...)
	}
	if len(d.Operations) > 0 {
		b = append(b, `,"patch":"`...)
		b = base64.StdEncoding.AppendEncode(b, patch)
		b = append(b, `","patchType":"JSONPatch"`...)
	}
	b = appendAudit(b, d)
	b = append(appendWarnings(b, d.Warnings), "}}"...)
	to.answer = b
	return b, nil
}

// buffers are what an answer is made in. An answer is done with once it is sent, so
// the next one can have the same.
type buffers struct{ patch, answer []byte }

var bufferPool = sync.Pool{New: func() any { return &buffers{} }}

func takeBuffers() *buffers {
	return bufferPool.Get().(*buffers) //nolint:forcetypeassert,errcheck // it holds nothing else
}

// release lets others use the buffers, unless they are larger than nearly all need.
func (b *buffers) release() {
	if cap(b.patch) <= small && cap(b.answer) <= small {
		bufferPool.Put(b)
	}
}

// patchSize is about how long the patch becomes.
func patchSize(operations []jsonpatch.Operation) int {
	size := 0
	for i := range operations {
		const rest = len(`{"op":"replace","path":"","value":},`)
		size += rest + len(operations[i].Path) + len(encoded(operations[i].Value))
	}
	return size
}

// appendPatch appends a JSON patch (RFC 6902), or nothing where there is none.
func appendPatch(b []byte, operations []jsonpatch.Operation) ([]byte, error) {
	if len(operations) == 0 {
		return b, nil
	}
	separator := byte('[')
	for i := range operations {
		o := &operations[i]
		b = append(b, separator)
		separator = ','
		b = append(b, `{"op":`...)
		b = appendString(b, o.Operation)
		b = append(b, `,"path":`...)
		b = appendString(b, o.Path)
		b = append(b, `,"value":`...)
		var err error
		if b, err = appendValue(b, o.Value); err != nil {
			return nil, err
		}
		b = append(b, '}')
	}
	return append(b, ']'), nil
}

// encoded is a value that is JSON already, as those are that operations share, or
// nil.
func encoded(value any) json.RawMessage {
	switch raw := value.(type) {
	case json.RawMessage:
		return raw
	case *json.RawMessage:
		return *raw
	default:
		return nil
	}
}

// appendValue appends a value in JSON.
func appendValue(b []byte, value any) ([]byte, error) {
	if raw := encoded(value); raw != nil {
		return append(b, raw...), nil
	}
	raw, err := json.Marshal(value)
	return append(b, raw...), err
}

// appendString appends a string in JSON. What is not UTF-8 becomes the
// replacement character, as with encoding/json. Nearly all strings stand for
// themselves, and jsontext would copy each longer one.
func appendString(b []byte, s string) []byte {
	special := func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }
	if strings.ContainsFunc(s, special) {
		b, _ = jsontext.AppendQuote(b, s) // reports what it has replaced
		return b
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// appendAudit appends the annotations for the API server's audit log, which puts
// the webhook's name before each key. The API server calls again for the same pod
// where a later webhook changed it, and takes no second value for a key: so there
// is a key for each token and login, whose value is the same each time.
func appendAudit(b []byte, d *Decision) []byte {
	start := len(b)
	add := func(key, name string, value ...string) {
		separator := byte(',')
		if len(b) == start {
			b = append(b, `,"auditAnnotations":`...)
			separator = '{'
		}
		b = append(b, separator)
		b = appendString(b, key+name)
		b = append(b, ':')
		b = appendString(b, strings.Join(value, ""))
	}
	for i := range d.Tokens {
		t := &d.Tokens[i]
		add("token.", t.DisplayName(), "audience=", t.Audience, " expirationSeconds=", strconv.FormatInt(t.ExpirationSeconds, 10))
	}
	for i := range d.Logins {
		l := &d.Logins[i]
		add("login.", l.DisplayName(), "method=", l.Method, " address=", l.URL())
	}
	for _, name := range d.Bindings {
		add(annotations.BindingAudit, name, "given")
	}
	switch {
	case d.Outcome == Denied:
		add("denied", "", string(d.Reason))
	case d.Outcome == Unchanged && d.Reason != AlreadyInjected && d.Reason != Checked:
		add("skipped", "", string(d.Reason))
	}
	if len(b) > start {
		b = append(b, '}')
	}
	return b
}

// The API server cuts off warnings beyond 4096 bytes in total (KEP-1693) and
// asks for short ones.
const (
	maxWarning  = 512
	maxWarnings = 4096
)

// appendWarnings appends the warnings that the API server passes on.
func appendWarnings(b []byte, warnings finding.Warnings) []byte {
	total := 0
	for i, w := range warnings {
		text := truncate.String(w.Text, maxWarning)
		if total += len(text); total > maxWarnings {
			warnings = warnings[:i]
			break
		}
		if i == 0 {
			b = append(b, `,"warnings":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendString(b, text)
	}
	if len(warnings) > 0 {
		b = append(b, ']')
	}
	return b
}

// What a denial says, and the log repeats, is bounded. A pod of 3 MB can have
// hundreds of thousands of errors, and one error can quote most of it. Lengths are
// in bytes.
const (
	maxErrors  = 100
	maxName    = 253 // the longest that an object can have
	maxField   = 512
	maxValue   = 256 // so that what is allowed instead, behind it, is still said
	maxMessage = 1 << 10
)

// saidErrors are the errors that a denial names.
func (d *Decision) saidErrors() field.ErrorList { return d.Errors[:min(len(d.Errors), maxErrors)] }

// denial is the status of a denied request, in the form of the API server's own
// validation errors, so that clients show each cause in a line of its own.
func denial(q *Request, d *Decision) *metav1.Status {
	said := d.saidErrors()
	causes := make([]metav1.StatusCause, 0, len(said))
	texts := make([]string, 0, len(said))
	for _, err := range said {
		short := *err
		if value, ok := err.BadValue.(string); ok {
			short.BadValue = truncate.String(value, maxValue)
		}
		c := metav1.StatusCause{
			Type: metav1.CauseType(err.Type), Field: truncate.String(err.Field, maxField),
			Message: truncate.String(short.ErrorBody(), maxMessage),
		}
		causes = append(causes, c)
		if text := c.Field + ": " + c.Message; !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	message := strings.Join(texts, ", ")
	if len(texts) > 1 {
		message = "[" + message + "]"
	}
	if len(d.Errors) > len(said) {
		message += " and more"
	}
	return &metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusUnprocessableEntity,
		Reason:  metav1.StatusReasonInvalid,
		Message: message,
		Details: &metav1.StatusDetails{Name: truncate.Prefix(q.name(), maxName), Kind: truncate.Prefix(q.kind(), maxName), Causes: causes},
	}
}
