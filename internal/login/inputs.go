package login

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/oidc-injector/oidc-injector/internal/login/exchange"
	"github.com/oidc-injector/oidc-injector/internal/login/jwtfile"
	"github.com/oidc-injector/oidc-injector/internal/login/output"
	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

// change is what has happened to an input since it was looked at last.
type change int

const (
	unchanged change = iota
	// usable: it was read for the first time, or again.
	usable
	// replaced: there was another one before.
	replaced
)

// jwtInput is the file with the JWT. Of the JWT itself nothing is kept but what
// tells it from the next one.
type jwtInput struct {
	path  string
	stamp jwtfile.Stamp
	sum   [sha256.Size]byte
	times jwtfile.Times
}

// look reports what has become of the JWT. A file that cannot be used is left to
// the next login, which says what is wrong with it.
func (j *jwtInput) look() change {
	stamp := jwtfile.Look(j.path)
	if j.stamp.Same(stamp) {
		return unchanged
	}
	jwt, err := jwtfile.Read(j.path)
	if err != nil {
		return unchanged
	}
	j.stamp = stamp
	before := j.sum
	j.note(jwt)
	if before == jwt.Sum || before == [sha256.Size]byte{} {
		return usable
	}
	return replaced
}

// id tells the JWT from others, in the status file, where nothing of it may be.
func (j *jwtInput) id() string { return hex.EncodeToString(j.sum[:8]) }

// read reads the JWT for a login.
func (j *jwtInput) read() (secret.Text, error) {
	j.stamp = jwtfile.Look(j.path)
	jwt, err := jwtfile.Read(j.path)
	if err != nil {
		return "", err
	}
	j.note(jwt)
	return jwt.Token, nil
}

func (j *jwtInput) note(jwt jwtfile.JWT) { j.sum, j.times = jwt.Sum, jwt.Times }

// caInput is where the certificate authorities come from, and the copy of them
// for the workload. Without a source nothing is looked at.
type caInput struct {
	source *exchange.CA
	copy   output.File
	sum    [sha256.Size]byte
}

// look reports what has become of the certificate authorities. One of the errors
// is that of reading them, the other that of copying them.
func (c *caInput) look() (what change, unread, uncopied error) {
	if c.source == nil {
		return unchanged, nil, nil
	}
	authorities, unread := c.source.PEM()
	if len(authorities) == 0 {
		return unchanged, unread, nil
	}
	before := c.sum
	c.sum = sha256.Sum256(authorities)
	if c.copy.Path != "" {
		uncopied = c.copy.Write(authorities)
	}
	switch before {
	case c.sum:
		return unchanged, unread, uncopied
	case [sha256.Size]byte{}:
		return usable, unread, uncopied
	default:
		return replaced, unread, uncopied
	}
}
