package exchange

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

// ClassOf is the class of an HTTP status that is no success.
func ClassOf(status int) failure.Class {
	switch {
	case status == http.StatusTooManyRequests:
		return failure.RateLimited
	case status >= 500, status == http.StatusRequestTimeout, status == http.StatusPreconditionFailed, status == http.StatusTooEarly:
		return failure.Server
	case status >= 400:
		return failure.Denied
	default:
		return failure.Protocol
	}
}

// Refused is the failure that an answer reports. The words are those of the
// relying party, as they are; where it has none, its page is shown. The class
// failure.JWT means that the JWT is accepted once, and was used before.
func (r Request) Refused(response Response, class failure.Class, words ...string) error {
	if len(words) == 0 {
		words = []string{excerpt(response)}
	}
	quoted := make([]string, 0, maxWords)
	for _, said := range words[:min(len(words), maxWords)] {
		quoted = append(quoted, secret.Quote(said, r.Secrets...))
	}
	verdict := failure.NoVerdict
	if class == failure.JWT {
		verdict = failure.JWTUsed
	}
	// A server that names a moment means it by its own clock.
	now, answered := time.Now(), response.Answered()
	if !answered.IsZero() {
		now = answered
	}
	return &failure.Error{
		Class: class, Verdict: verdict, Doing: r.Doing, Cause: fmt.Errorf("%d: %s", response.Status, strings.Join(quoted, "; ")),
		RetryAfter: RetryAfter(response.Header.Get("Retry-After"), now), Answered: answered,
	}
}

// maxWords is how many of several errors are shown.
const maxWords = 3

// Decode reads the JSON object of an answer.
func (r Request) Decode(response Response, into any) error {
	err := json.Unmarshal(response.Body, into)
	if err == nil {
		return nil
	}
	// The text of a syntax error quotes a character of the answer, that of a type
	// error a number, however long.
	return r.Fail(failure.Protocol, fmt.Errorf("%d: the answer is not the expected JSON: %s: %s",
		response.Status, secret.Redact(err.Error(), r.Secrets...), secret.Quote(excerpt(response), r.Secrets...)))
}

// excerpt is what there is to read in an answer: of an HTML page its title. An
// answer of success may hold a token, in whatever form, so that no more than its
// kind and its size is told, as of what is no text.
func excerpt(response Response) string {
	body := string(bytes.TrimSpace(response.Body))
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil {
		kind = "no media type"
	}
	if coding := response.Header.Get("Content-Encoding"); coding != "" {
		kind += " (" + coding + ")"
	}
	title, titled := pageTitle(body)
	switch {
	case titled && isText([]byte(title)):
		body = "HTML page: " + title
	case body == "":
		return http.StatusText(response.Status)
	case response.Success(), !isText(response.Body):
		body = fmt.Sprintf("%s, %d bytes", kind, len(response.Body))
	case strings.HasPrefix(kind, "text/html"), strings.HasPrefix(body, "<"):
		body = "HTML page: " + pageText(body)
	}
	return strings.Join(strings.Fields(body), " ")
}

// pageTitle is the title of an HTML page, if it is one that has a title.
func pageTitle(page string) (title string, ok bool) {
	if !strings.HasPrefix(page, "<") {
		return "", false
	}
	_, after, ok := strings.Cut(page, "<title>")
	title, _, closed := strings.Cut(after, "</title>")
	return title, ok && closed
}

// pageText is the text of an HTML page.
func pageText(page string) string {
	var text strings.Builder
	inTag := false
	for _, c := range page {
		switch {
		case c == '<':
			inTag = true
		case c == '>':
			inTag = false
			text.WriteByte(' ')
		case !inTag:
			text.WriteRune(c)
		}
	}
	return text.String()
}

// maxRetryAfter bounds how long a relying party can keep a client away.
const maxRetryAfter = time.Hour

// RetryAfter reads the header of that name: seconds or a date (RFC 9110 section
// 10.2.3). What cannot be read asks for nothing.
func RetryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), maxRetryAfter)
}
