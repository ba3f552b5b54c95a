package httplogin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// Answers of success that are of no use.
var (
	errBadToken = errors.New("the token has characters that cannot be sent, or is too long")
	errEnded    = errors.New("the token has ended already, as the answer or its exp says")
)

// read takes the credential out of an answer.
func (p *Party) read(request exchange.Request, response exchange.Response) (exchange.Credential, error) {
	if !response.Success() {
		return exchange.Credential{}, refused(request, response)
	}
	token, document, err := p.token(request, response)
	if err != nil {
		return exchange.Credential{}, err
	}
	if !token.Usable() {
		return exchange.Credential{}, request.Fail(failure.Protocol, errBadToken)
	}
	credential := exchange.Credential{Token: token}
	var said bool
	if pointer := p.options[loginspec.LifetimePointer]; pointer != "" {
		credential.Lease, said = lifetime(find(document, loginspec.Pointer(pointer)), response.Answered())
		if !said {
			credential.Warnings = []string{"the answer has no lifetime at " + pointer}
		}
	}
	if !said {
		credential.Lease, credential.Assumed = exchange.LeaseOf(token, response, p.options.Duration(loginspec.Lifetime))
	}
	if credential.Lease <= 0 {
		return credential, &failure.Error{Class: failure.Protocol, Verdict: failure.EndedToken, Doing: request.Doing, Cause: errEnded}
	}
	return credential, nil
}

// token takes the token out of an answer, and reads the rest of it.
func (p *Party) token(request exchange.Request, response exchange.Response) (token secret.Text, document any, err error) {
	pointer := p.options[loginspec.TokenPointer]
	if pointer == loginspec.WholeBody {
		token, document = whole(response.Body)
		return token, document, nil
	}
	if err := request.Decode(response, &document); err != nil {
		return "", nil, err
	}
	text, ok := find(document, loginspec.Pointer(pointer)).(string)
	if !ok || text == "" {
		return "", nil, request.Fail(failure.Protocol, fmt.Errorf("%d: the answer has no token at %s", response.Status, pointer))
	}
	return secret.Text(text), document, nil
}

// whole is an answer that is a token. If it is JSON, the white space in it means
// nothing, and a string is what it says.
func whole(body []byte) (token secret.Text, document any) {
	if json.Unmarshal(body, &document) != nil {
		return secret.Text(bytes.TrimSpace(body)), nil
	}
	if text, ok := document.(string); ok {
		return secret.Text(text), document
	}
	var compact bytes.Buffer
	_ = json.Compact(&compact, body) // which is valid
	return secret.Text(compact.String()), document
}

// find follows a JSON pointer (RFC 6901). It returns nil where there is nothing.
func find(document any, pointer []string) any {
	for _, name := range pointer {
		switch inner := document.(type) {
		case map[string]any:
			document = inner[name]
		case []any:
			i, err := strconv.ParseUint(name, 10, 31)
			if err != nil || i >= uint64(len(inner)) {
				return nil
			}
			document = inner[i]
		default:
			return nil
		}
	}
	return document
}

// leastUnixTime tells a moment from a number of seconds: none lasts for thirty years.
const leastUnixTime = 1e9

// lifetime reads how long a token lasts: a number of seconds or a duration, or the
// moment of its end by the clock of the server. It is false for anything else.
func lifetime(value any, answered time.Time) (time.Duration, bool) {
	now := answered
	if now.IsZero() {
		now = time.Now()
	}
	switch v := value.(type) {
	case float64:
		return lease(v, now)
	case string:
		v = strings.TrimSpace(v)
		if number, err := strconv.ParseFloat(v, 64); err == nil {
			return lease(number, now)
		}
		if d, err := time.ParseDuration(v); err == nil {
			return lease(d.Seconds(), now)
		}
		if end, err := time.Parse(time.RFC3339, v); err == nil {
			return exchange.Seconds(end.Sub(now).Seconds()), true
		}
	}
	return 0, false
}

func lease(seconds float64, now time.Time) (time.Duration, bool) {
	switch {
	case !(seconds >= 0), math.IsInf(seconds, 1): // nor a number
		return 0, false
	case seconds >= 1000*leastUnixTime: // in milliseconds
		return lease(seconds/1000, now)
	case seconds >= leastUnixTime:
		return exchange.Seconds(seconds - float64(now.Unix())), true
	default:
		return exchange.Seconds(seconds), true
	}
}
