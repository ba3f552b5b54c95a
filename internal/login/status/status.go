// Package status is what a login says of itself in a file next to its result,
// for whoever asks whether the result is there. It holds no token.
package status

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/truncate"
)

// Status is the state of a login.
type Status struct {
	// Address is the URL of the relying party.
	Address string `json:"address,omitempty"`
	// InPlace reports whether a token is in the output file.
	InPlace bool `json:"inPlace"`
	// Expires is when that token ends; zero means never, or, with Unknown, that
	// nobody knows.
	Expires time.Time `json:"expires,omitzero"`
	Unknown bool      `json:"expiryUnknown,omitempty"`
	// Origin tells the JWT that has given the token from others. It is the beginning
	// of a hash.
	Origin string `json:"origin,omitempty"`
	// Dead means that the relying party does not know that token any more.
	Dead bool `json:"dead,omitempty"`
	// Failing is set while the last attempt was a failure.
	Failing *Failing `json:"failing,omitempty"`
	// Stopped tells that the program has ended, and has revoked the token.
	Stopped bool `json:"stopped,omitempty"`
}

// Failing is what goes wrong.
type Failing struct {
	Class    failure.Class `json:"class"`
	Text     string        `json:"text"`
	Attempt  int           `json:"attempt"`
	NextTime time.Time     `json:"next"`
}

// Path is where the status of an output file is.
func Path(outputFile string) string {
	dir, name := filepath.Split(outputFile)
	return dir + "." + name + ".status"
}

// Encode writes a status.
func Encode(s Status) []byte {
	data, _ := json.Marshal(s) //nolint:errchkjson // a struct of strings and times cannot fail
	return append(data, '\n')
}

// maxText bounds what is shown of a status file that is not ours.
const maxText = 4 << 10

// Decode reads a status.
func Decode(data []byte) (Status, error) {
	var s Status
	if err := json.Unmarshal(data, &s); err != nil {
		return Status{}, errors.New("it is not the status of a login")
	}
	s.Address = oneLine(s.Address)
	if s.Failing != nil {
		s.Failing.Text = oneLine(s.Failing.Text)
	}
	return s, nil
}

// oneLine bounds a text and makes a line of it.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, truncate.Prefix(s, maxText))
}

// Of reads the status of an output file and says in one line whether a token is
// there that works, as far as this machine knows.
func Of(outputFile string, now time.Time) (bool, string) {
	path := Path(outputFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Sprintf("not logged in yet: the login has not begun, as there is no %s", path)
	}
	if err != nil {
		return false, fmt.Sprintf("not known: could not read the status: %v", err)
	}
	s, err := Decode(data)
	if err != nil {
		return false, fmt.Sprintf("not known: could not read %s: %v", path, err)
	}
	ok, line := s.Say(now)
	if !ok {
		return false, line
	}
	if _, err := os.Stat(outputFile); err != nil {
		return false, fmt.Sprintf("logged in, but the token is not in its file: %v", err)
	}
	return true, line
}

// Say tells in one line whether there is a token that works at that time.
func (s Status) Say(now time.Time) (bool, string) {
	expired := !s.Expires.IsZero() && !now.Before(s.Expires)
	switch {
	case s.Stopped:
		return false, "not logged in any more: the program has ended and has revoked the token"
	case s.InPlace && !expired && !s.Dead:
		return true, "logged in" + s.left(now) + s.but(now)
	case expired:
		return false, fmt.Sprintf("not logged in any more: the token expired %s ago%s", short(now.Sub(s.Expires)), s.why(now))
	case s.InPlace:
		return false, "not logged in any more: the token is not valid any more" + s.why(now)
	default:
		return false, "not logged in yet" + s.why(now)
	}
}

func (s Status) left(now time.Time) string {
	if s.Unknown {
		return ", it is not known when the token expires"
	}
	if s.Expires.IsZero() {
		return ", the token does not expire"
	}
	return fmt.Sprintf(", the token expires in %s", short(s.Expires.Sub(now)))
}

func (s Status) but(now time.Time) string {
	if s.Failing == nil {
		return ""
	}
	return "; but: " + s.Failing.say(now)
}

func (s Status) why(now time.Time) string {
	if s.Failing == nil {
		return ": still waiting for an answer of " + s.Address
	}
	return ": " + s.Failing.say(now)
}

func (f Failing) say(now time.Time) string {
	next := "now"
	if wait := f.NextTime.Sub(now); wait >= time.Second {
		next = "in " + short(wait)
	}
	return fmt.Sprintf("%s (attempt %d, next %s)", f.Text, f.Attempt, next)
}

// short writes a duration in whole seconds.
func short(d time.Duration) string { return d.Round(time.Second).String() }
