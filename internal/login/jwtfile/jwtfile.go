// Package jwtfile reads the JWT that the kubelet keeps in a file. It never keeps
// it, writes it or removes it.
package jwtfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/login/failure"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

// maxSize is far above what an API server issues.
const maxSize = 64 << 10

// JWT is a token and the times it says of itself.
type JWT struct {
	Token secret.Text
	Times Times
	// Sum tells one token from another.
	Sum [sha256.Size]byte
}

// Times are the claims iat and exp; zero where they are missing.
type Times struct{ Issued, Expires time.Time }

// Next is when the kubelet is to replace a JWT with these times: at 80 % of its
// lifetime, or after a day (Kubernetes' pkg/kubelet/token). It is zero where one
// of the times is missing.
func (t Times) Next() time.Time {
	life := t.Expires.Sub(t.Issued)
	if t.Issued.IsZero() || life <= 0 {
		return time.Time{}
	}
	return t.Issued.Add(min(life*4/5, 24*time.Hour))
}

// Read reads the file and looks whether there is a JWT in it. Whether that is
// valid, and now is within its time, is for the relying party to say: its clock
// may be right where ours is not. An error is a *failure.Error of the class JWT.
func Read(path string) (JWT, error) {
	fail := func(cause error) (JWT, error) {
		return JWT{}, &failure.Error{Class: failure.JWT, Doing: "use the JWT in " + path, Cause: cause}
	}
	text, err := readSmall(path)
	if err != nil {
		return fail(err)
	}
	times, err := Parse(text)
	if err != nil {
		return fail(err)
	}
	return JWT{Token: secret.Text(text), Times: times, Sum: sha256.Sum256([]byte(text))}, nil
}

// readSmall reads a file of a sane size, without the blanks around its content.
func readSmall(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxSize {
		return "", errors.New("the file is larger than 64 KiB")
	}
	return string(bytes.TrimSpace(data)), nil
}

var (
	errEmpty   = errors.New("the file is empty")
	errNotJWT  = errors.New("it is not a JWT, which is three parts in base64url with dots between them")
	errPayload = errors.New("it is not a JWT: its second part is not a JSON object in base64url")
)

// Parse reads the times of a JWT. The signature is for the relying party to
// check. No part of the token gets into an error.
func Parse(text string) (Times, error) {
	if text == "" {
		return Times{}, errEmpty
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 || !secret.Text(text).Usable() {
		return Times{}, errNotJWT
	}
	for _, part := range parts {
		if _, err := base64.RawURLEncoding.DecodeString(part); part == "" || err != nil {
			return Times{}, errNotJWT
		}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Times{}, errNotJWT
	}
	var claims *struct {
		Issued  json.RawMessage `json:"iat"`
		Expires json.RawMessage `json:"exp"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims == nil {
		return Times{}, errPayload
	}
	return Times{Issued: numericDate(claims.Issued), Expires: numericDate(claims.Expires)}, nil
}

// numericDate reads a NumericDate of RFC 7519 section 2. What is none counts as
// missing: the times are for our comfort, the relying party decides.
func numericDate(raw json.RawMessage) time.Time {
	var seconds float64
	if json.Unmarshal(raw, &seconds) != nil || seconds <= 0 || seconds > maxDate {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

// maxDate is the end of the year 9999, the last that RFC 3339 can write.
const maxDate = 253402300799

// Stamp tells one state of a file from another without reading it. The kubelet
// changes a file by a swap of symbolic links, so the file behind them is
// compared.
type Stamp struct{ info os.FileInfo }

// Look takes the stamp of a file, which may be missing.
func Look(path string) Stamp {
	info, err := os.Stat(path)
	if err != nil {
		return Stamp{}
	}
	return Stamp{info}
}

// Same reports whether nothing has changed since the other stamp was taken.
func (s Stamp) Same(other Stamp) bool {
	if s.info == nil || other.info == nil {
		return s.info == other.info
	}
	return os.SameFile(s.info, other.info) && s.info.Size() == other.info.Size() && s.info.ModTime().Equal(other.info.ModTime())
}
