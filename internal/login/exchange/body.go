package exchange

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/oidc-injector/oidc-injector/internal/login/secret"
)

// maxBody bounds an answer, before and after it is decompressed.
const maxBody = 1 << 20

var (
	errTooLarge = errors.New("it is larger than 1 MiB")
	errCoding   = errors.New("it is not decompressed")
)

// isUnreadable reports whether an answer is complete, and of no use. A refusal counts
// all the same.
func isUnreadable(err error) bool { return errors.Is(err, errTooLarge) || errors.Is(err, errCoding) }

func readAll(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = errTooLarge
	}
	return body, err
}

const (
	gzipMagic = "\x1f\x8b\x08"
	// byteOrderMark is in front of what some Windows servers write. It is no part of
	// JSON (RFC 8259 section 8.1), nor of a token.
	byteOrderMark = "\ufeff"
)

// decode is the text of a body, or the body as it is, with an error. None is asked to be compressed, and some are all the
// same: what is gzip is known by itself, with a header or without. Another coding
// matters where the body is no text: there are headers that name what is none.
func decode(body []byte, codings []string) ([]byte, error) {
	switch {
	case bytes.HasPrefix(body, []byte(gzipMagic)):
		plain, err := inflate(body)
		if err != nil {
			return body, fmt.Errorf("%w: %w", errCoding, err)
		}
		body = plain
	case len(codings) > 0 && !strings.EqualFold(codings[0], "identity") && !isText(body):
		return body, fmt.Errorf("%w, as its Content-Encoding is %s", errCoding, secret.Quote(strings.Join(codings, ", ")))
	}
	return bytes.TrimPrefix(body, []byte(byteOrderMark)), nil
}

func inflate(body []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return readAll(r)
}

// isText reports whether a body can be shown.
func isText(body []byte) bool {
	return utf8.Valid(body) && !bytes.ContainsFunc(body, func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) })
}
