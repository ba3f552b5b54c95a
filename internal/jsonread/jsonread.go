// Package jsonread reads the few members that matter out of large JSON
// documents, in one pass and without copies, following the rule of Kubernetes
// that null means the same as absence.
//
// It is as strict as RFC 8259 and RFC 7493 (I-JSON) together: what it does not
// return it still validates. docs/design/reading-reviews.md says why this is not
// a library's work.
package jsonread

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unsafe"
)

// ErrShape is matched by errors that are due to well-formed JSON of another
// shape than expected.
var ErrShape = errors.New("unexpected JSON value")

// Reader reads JSON values one after the other and keeps the first error, after
// which its methods do nothing: callers check [Reader.Err] once, at the end.
// Strings and raw values that it returns are pieces of the document's text.
type Reader struct {
	text string
	pos  int
	err  error

	// open are the objects and arrays around the position, the innermost last. few
	// has the names of those objects among them that have few so far, and many
	// those of each of the others.
	open []scope
	few  []uint32
	many []nameTable
	// plain holds what strings with escapes mean. It is only ever appended to, so
	// that pieces of it stay what they are.
	plain strings.Builder

	// Room for what nearly every document needs.
	openRoom [16]scope
	fewRoom  [64]uint32
}

// New returns a Reader of one document, to be closed after use. Invalid UTF-8
// and duplicate names are errors: two parsers could understand them differently.
//
// The document is the Reader's from now on: strings that the Reader returns are
// made of its very bytes, so it must never be written to again, not even after
// Close, and a buffer that holds it must not go back to a pool.
func New(document []byte) *Reader {
	text := unsafe.String(unsafe.SliceData(document), len(document)) //nolint:gosec // the comment above is the condition
	return NewString(text)
}

// NewString is New for a document that is a string, which nobody can write to.
func NewString(document string) *Reader {
	r := &Reader{text: document}
	r.open, r.few = r.openRoom[:0], r.fewRoom[:0]
	if len(document) > maxLength {
		r.fail(errTooLong)
	}
	return r
}

// Close ends the use of the Reader. What it returned stays valid.
func (r *Reader) Close() { r.fail(errClosed) }

// maxLength is up to where offsets of names are kept in 32 bits, those of names
// with escapes included.
const maxLength = 1 << 30

var (
	errClosed  = errors.New("the reader is closed")
	errTooLong = errors.New("the JSON document is too long")
)

// Unread is how many bytes of the document are still to be read.
func (r *Reader) Unread() int { return len(r.text) - r.pos }

// Err returns the first error. It matches [ErrShape] or is a syntax error, and
// says where in the document it is, never what is there.
func (r *Reader) Err() error { return r.err }

func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// invalid records that the text at an offset is no JSON.
func (r *Reader) invalid(offset int) {
	if offset >= len(r.text) {
		r.fail(errors.New("the JSON document ends too early"))
		return
	}
	r.fail(fmt.Errorf("invalid JSON near offset %d", offset))
}

// peek passes over white space and returns the byte behind it, or zero, which
// is never valid there, at the end of the document.
func (r *Reader) peek() byte {
	if r.pos < len(r.text) && r.text[r.pos] > ' ' {
		return r.text[r.pos]
	}
	return r.passSpace()
}

func (r *Reader) passSpace() byte {
	for ; r.pos < len(r.text); r.pos++ {
		switch c := r.text[r.pos]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// expect enters the next value if it is an object or an array, as the bracket
// says. It is false for null, which means the same as absence throughout
// Kubernetes.
func (r *Reader) expect(bracket byte) bool {
	return r.have(bracket) && r.enter(bracket)
}

// have reports whether the next value begins with a certain byte. It consumes
// null, and fails for anything else.
func (r *Reader) have(first byte) bool {
	if r.err != nil {
		return false
	}
	switch c := r.peek(); c {
	case first:
		return true
	case 'n':
		r.literal("null")
	default:
		r.mismatch()
	}
	return false
}

// mismatch records that a value of another kind stands here, or, where there
// is no value at all, what is wrong with the syntax.
func (r *Reader) mismatch() {
	kind := kindOf(r.peek())
	r.Skip()
	r.fail(fmt.Errorf("%w: unexpected %s before offset %d", ErrShape, kind, r.pos))
}

// kindOf names a value by its first byte.
func kindOf(first byte) string {
	switch first {
	case '"':
		return "string"
	case 'n':
		return "null"
	case 't':
		return "true"
	case 'f':
		return "false"
	case '{', '[':
		return string(rune(first))
	default:
		return "number"
	}
}

// Object calls member for each member of an object, with its name. It must
// consume the member's value.
func (r *Reader) Object(member func(name string)) {
	if !r.expect('{') {
		return
	}
	for name, ok := r.next(); ok; name, ok = r.next() {
		member(name)
	}
}

// Array calls element for each element of an array, with its index. It is
// false where there is no array.
func (r *Reader) Array(element func(i int)) bool {
	if !r.expect('[') {
		return false
	}
	for i := 0; ; i++ {
		if _, ok := r.next(); !ok {
			return r.err == nil
		}
		element(i)
	}
}

// Skip consumes the next value, whatever it is. It does not call itself: the
// stack of a goroutine that has once grown by a deep document stays large for
// long.
func (r *Reader) Skip() {
	if r.err != nil {
		return
	}
	outside := len(r.open)
	for more := true; more; {
		if c := r.peek(); c == '{' || c == '[' {
			r.enter(c)
		} else {
			r.scalar(c)
		}
		for more = false; !more && r.err == nil && len(r.open) > outside; {
			_, more = r.next()
		}
	}
}

// String reads a string; null is empty. It is a piece of the text, unless it
// has escapes.
func (r *Reader) String() string {
	if !r.have('"') {
		return ""
	}
	start := r.pos + 1
	escaped := r.quoted()
	switch text := r.text[start:max(start, r.pos-1)]; {
	case r.err != nil:
		return ""
	case escaped:
		return r.unquote(text)
	default:
		return text
	}
}

// Int64 reads a whole number; nil where it is null.
func (r *Reader) Int64() *int64 {
	n, ok := r.Int()
	if !ok {
		return nil
	}
	return &n
}

// Int reads a whole number; it is false where it is null.
func (r *Reader) Int() (int64, bool) {
	if r.err != nil {
		return 0, false
	}
	if c := r.peek(); c != '-' && (c < '0' || c > '9') {
		r.have('0') // null, or a mismatch
		return 0, false
	}
	start := r.pos
	r.number()
	if r.err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(r.text[start:r.pos], 10, 64)
	if err != nil {
		r.fail(fmt.Errorf("%w: not a whole number before offset %d", ErrShape, r.pos))
		return 0, false
	}
	return n, true
}

// Raw calls read for the next value, which must consume it, and returns the
// value's text.
func (r *Reader) Raw(read func()) string {
	if r.err != nil {
		return ""
	}
	r.peek() // the text begins behind the white space
	start := r.pos
	read()
	if r.err != nil {
		return ""
	}
	return r.text[start:r.pos]
}

// Null reports whether the next value is null, without consuming it.
func (r *Reader) Null() bool { return r.err == nil && r.peek() == 'n' }

// Bool reads a boolean; null is false.
func (r *Reader) Bool() bool {
	if r.err != nil {
		return false
	}
	switch r.peek() {
	case 't':
		return r.literal("true")
	case 'f':
		r.literal("false")
	case 'n':
		r.literal("null")
	default:
		r.mismatch()
	}
	return false
}

// End reports an error where anything but white space follows the document.
func (r *Reader) End() {
	if r.err == nil && (r.peek() != 0 || r.pos < len(r.text)) {
		r.fail(fmt.Errorf("%w: trailing data", ErrShape))
	}
}
