// Package jsonread reads the few members that matter out of large JSON
// documents, in one pass and without copies, following the rule of Kubernetes
// that null means the same as absence.
package jsonread

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrShape is matched by errors that are due to well-formed JSON of another
// shape than expected.
var ErrShape = errors.New("unexpected JSON value")

// Reader reads JSON values one after the other and keeps the first error, after
// which its methods do nothing: callers check [Reader.Err] once, at the end.
// Strings and raw values that it returns are pieces of the document's text.
type Reader struct {
	dec  *jsontext.Decoder
	text string
	err  error
}

// decoders are used again, because the tables by which a decoder finds duplicate
// names are most of what it allocates.
var decoders = sync.Pool{New: func() any { return jsontext.NewDecoder(new(bytes.Buffer)) }}

// New returns a Reader of one document, to be closed after use. Invalid UTF-8
// and duplicate names are errors: two parsers could understand them differently.
func New(document []byte) *Reader {
	dec := decoders.Get().(*jsontext.Decoder) //nolint:errcheck,forcetypeassert // nothing else is ever put there
	dec.Reset(bytes.NewBuffer(document))
	return &Reader{dec: dec, text: string(document)}
}

// Close ends the use of the Reader. What it returned stays valid.
func (r *Reader) Close() {
	r.fail(errClosed)
	r.dec.Reset(new(bytes.Buffer)) // the document is not to be held on to
	decoders.Put(r.dec)
	r.dec = nil
}

var errClosed = errors.New("the reader is closed")

// Err returns the first error. It matches [ErrShape] or is a syntax error, and
// tells where in the document it is, never what is there.
func (r *Reader) Err() error { return r.err }

// fail keeps the first error, without the snippets of the document that the
// decoder's own texts quote.
func (r *Reader) fail(err error) {
	if err == nil || r.err != nil {
		return
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = errors.New("the JSON document ends too early")
	} else if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		err = fmt.Errorf("invalid JSON near offset %d", syntax.ByteOffset)
	}
	r.err = err
}

// expect consumes the next token if it opens a value of the given kind. It is
// false for null, which means the same as absence throughout Kubernetes.
func (r *Reader) expect(open jsontext.Kind) bool {
	if r.err != nil {
		return false
	}
	switch kind := r.dec.PeekKind(); kind {
	case open:
		_, err := r.dec.ReadToken()
		r.fail(err)
		return err == nil
	case 'n':
		r.Skip()
		return false
	default:
		r.mismatch(kind)
		return false
	}
}

// mismatch records that a value of another kind stands here, or, where there
// is no value at all, what is wrong with the syntax.
func (r *Reader) mismatch(kind jsontext.Kind) {
	if err := r.dec.SkipValue(); err != nil {
		r.fail(err)
		return
	}
	r.fail(fmt.Errorf("%w: unexpected %s before offset %d", ErrShape, kind, r.dec.InputOffset()))
}

// Object calls member for each member of an object, with its name. It must
// consume the member's value.
func (r *Reader) Object(member func(name string)) {
	if !r.expect('{') {
		return
	}
	for r.err == nil && r.dec.PeekKind() != '}' {
		name := r.String()
		if r.err == nil {
			member(name)
		}
	}
	r.end()
}

// Array calls element for each element of an array, with its index. It is
// false where there is no array.
func (r *Reader) Array(element func(i int)) bool {
	if !r.expect('[') {
		return false
	}
	for i := 0; r.err == nil && r.dec.PeekKind() != ']'; i++ {
		element(i)
	}
	r.end()
	return r.err == nil
}

func (r *Reader) end() {
	if r.err == nil {
		_, err := r.dec.ReadToken()
		r.fail(err)
	}
}

// Skip consumes the next value, whatever it is.
func (r *Reader) Skip() {
	if r.err == nil {
		r.fail(r.dec.SkipValue())
	}
}

// value consumes the next value if it has the given kind; nil where it is null.
func (r *Reader) value(want jsontext.Kind) jsontext.Value {
	if r.err != nil {
		return nil
	}
	switch kind := r.dec.PeekKind(); kind {
	case want:
		v, err := r.dec.ReadValue()
		r.fail(err)
		return v
	case 'n':
		r.Skip()
		return nil
	default:
		r.mismatch(kind)
		return nil
	}
}

// String reads a string; null is empty. It is a piece of the text, unless it
// has escapes.
func (r *Reader) String() string {
	v := r.value('"')
	if r.err != nil || v == nil {
		return ""
	}
	if bytes.IndexByte(v, '\\') < 0 {
		end := r.dec.InputOffset()
		return r.text[end-int64(len(v))+1 : end-1]
	}
	plain, err := jsontext.AppendUnquote(nil, v)
	r.fail(err)
	return string(plain)
}

// Int64 reads a whole number; nil where it is null.
func (r *Reader) Int64() *int64 {
	v := r.value('0')
	if r.err != nil || v == nil {
		return nil
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		r.fail(fmt.Errorf("%w: not a whole number before offset %d", ErrShape, r.dec.InputOffset()))
		return nil
	}
	return &n
}

// StringMap reads an object of strings; nil where it is null.
func (r *Reader) StringMap() map[string]string {
	if r.err != nil || r.Null() {
		r.Skip()
		return nil
	}
	m := make(map[string]string, 8)
	r.Object(func(name string) { m[name] = r.String() })
	return m
}

// Raw calls read for the next value, which must consume it, and returns the
// value's text.
func (r *Reader) Raw(read func()) string {
	if r.err != nil {
		return ""
	}
	r.dec.PeekKind() // fills the buffer up to the value
	unread := r.dec.UnreadBuffer()
	start := r.dec.InputOffset() + int64(len(unread)-len(bytes.TrimLeft(unread, " \t\r\n,:")))
	read()
	if r.err != nil {
		return ""
	}
	return r.text[start:r.dec.InputOffset()]
}

// Null tells whether the next value is null, without consuming it.
func (r *Reader) Null() bool { return r.err == nil && r.dec.PeekKind() == 'n' }

// End reports an error where anything but white space follows the document.
func (r *Reader) End() {
	if r.err != nil {
		return
	}
	if _, err := r.dec.ReadToken(); !errors.Is(err, io.EOF) {
		r.fail(fmt.Errorf("%w: more after the document", ErrShape))
	}
}

// Bool reads a boolean; null is false.
func (r *Reader) Bool() bool {
	if r.err != nil {
		return false
	}
	switch kind := r.dec.PeekKind(); kind {
	case 't', 'f':
		r.Skip()
		return kind == 't' && r.err == nil
	case 'n':
		r.Skip()
	default:
		r.mismatch(kind)
	}
	return false
}
