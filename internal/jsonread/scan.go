package jsonread

import (
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep objects and arrays may nest: as deep as with
// encoding/json, and with the API server.
const maxDepth = 10_000

// scope is an object or an array whose end is not reached yet. There can be many
// around a place, so it is small.
type scope struct {
	end   byte // the bracket that closes it
	begun bool // whether it has a member or an element already
	names
}

// enter begins an object or an array.
func (r *Reader) enter(bracket byte) bool {
	if len(r.open) == maxDepth {
		r.invalid(r.pos)
		return false
	}
	r.pos++
	from := uint32(len(r.few))                                                 //nolint:gosec // at most as many as the document has bytes
	r.open = append(r.open, scope{end: bracket + 2, names: names{from: from}}) // ASCII: {|} and [\]
	return true
}

// next moves to the next value of the innermost object or array, and returns its
// name in an object. It is false at the end, which it passes.
func (r *Reader) next() (name string, ok bool) {
	if r.err != nil {
		return "", false
	}
	s := &r.open[len(r.open)-1]
	c := r.peek()
	if c == s.end {
		r.pos++
		r.dropNames(&s.names)
		r.open = r.open[:len(r.open)-1]
		return "", false
	}
	if s.begun {
		comma := r.pos
		if c != ',' {
			r.invalid(r.pos)
			return "", false
		}
		r.pos++
		if c = r.peek(); c == s.end {
			r.invalid(comma)
			return "", false
		}
	}
	s.begun = true
	if s.end == ']' {
		return "", true
	}
	return r.name(s, c)
}

// name reads a member's name and the colon behind it.
func (r *Reader) name(s *scope, first byte) (name string, ok bool) {
	start := r.pos
	if first != '"' {
		r.invalid(start)
		return "", false
	}
	escaped := r.quoted()
	if r.err != nil {
		return "", false
	}
	at := start + 1
	name = r.text[at : r.pos-1]
	if escaped {
		name = r.unquote(name)
		at = len(r.text) + r.plain.Len() - len(name)
		r.plain.WriteByte(endOfName)
	}
	if !r.addName(&s.names, name, uint32(at)) { //nolint:gosec // maxLength
		r.invalid(start)
		return "", false
	}
	if r.peek() != ':' {
		r.invalid(r.pos)
		return "", false
	}
	r.pos++
	return name, true
}

// scalar passes over a value that is no object and no array.
func (r *Reader) scalar(first byte) {
	switch first {
	case '"':
		r.quoted()
	case 'n':
		r.literal("null")
	case 't':
		r.literal("true")
	case 'f':
		r.literal("false")
	default:
		r.number()
	}
}

func (r *Reader) literal(want string) bool {
	for i := range len(want) {
		if r.pos+i >= len(r.text) || r.text[r.pos+i] != want[i] {
			r.invalid(r.pos + i)
			return false
		}
	}
	r.pos += len(want)
	return true
}

// number passes over a number (RFC 8259 section 6).
func (r *Reader) number() {
	if r.is('-') {
		r.pos++
	}
	if r.is('0') {
		r.pos++
	} else if !r.digits() {
		return
	}
	if r.is('.') {
		r.pos++
		if !r.digits() {
			return
		}
	}
	if r.is('e') || r.is('E') {
		r.pos++
		if r.is('+') || r.is('-') {
			r.pos++
		}
		r.digits()
	}
}

func (r *Reader) is(c byte) bool { return r.pos < len(r.text) && r.text[r.pos] == c }

// digits passes over one digit or more.
func (r *Reader) digits() bool {
	start := r.pos
	for r.pos < len(r.text) && '0' <= r.text[r.pos] && r.text[r.pos] <= '9' {
		r.pos++
	}
	if r.pos == start {
		r.invalid(start)
	}
	return r.pos > start
}

// quoted passes over a string (RFC 8259 section 7), which begins here, and
// reports whether it has escapes.
func (r *Reader) quoted() (escaped bool) {
	text := r.text
	for i := r.pos + 1; ; {
		if i = ordinaryEnd(text, i); i >= len(text) {
			r.invalid(i)
			return false
		}
		n := 0
		switch c := text[i]; {
		case c == '"':
			r.pos = i + 1
			return escaped
		case c == '\\':
			_, n = unescape(text[i:])
			escaped = true
		case c >= utf8.RuneSelf:
			if _, n = utf8.DecodeRuneInString(text[i:]); n == 1 {
				n = 0
			}
		}
		if n == 0 { // no escape, not UTF-8, or a control character
			r.invalid(i)
			return false
		}
		i += n
	}
}

// ordinaryEnd returns the offset of the first byte from i on that does not stand for
// itself in a string, or is no character of its own: a quote, a backslash, a control
// character, a byte of a longer character. Eight bytes are looked at together.
func ordinaryEnd(text string, i int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(text); i += 8 {
		b := text[i : i+8] // which the compiler makes one load of
		word := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		// A byte's top bit comes to be set where the byte has it, or where the
		// subtraction borrows: from a byte below ' ', or one that is a quote or a
		// backslash. What a borrow does to the bytes behind does not matter.
		found := (word | (word - ' '*ones) | ((word ^ '"'*ones) - ones) | ((word ^ '\\'*ones) - ones)) & tops
		if found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(text) && text[i] >= ' ' && text[i] < utf8.RuneSelf && text[i] != '"' && text[i] != '\\' {
		i++
	}
	return i
}

// unquote returns the string that stands between quotes, in valid text with
// escapes.
func (r *Reader) unquote(text string) string {
	r.plain.Grow(len(text) + 1) // no character is longer than its escape
	begin, done := r.plain.Len(), 0
	for i := 0; i < len(text); {
		if text[i] != '\\' {
			i++
			continue
		}
		char, n := unescape(text[i:])
		r.plain.WriteString(text[done:i])
		r.plain.WriteRune(char)
		i += n
		done = i
	}
	r.plain.WriteString(text[done:])
	return r.plain.String()[begin:]
}

// unescape reads the escape at the beginning of a text. Its length is zero where
// it is not valid.
func unescape(text string) (char rune, length int) {
	if len(text) < 2 {
		return 0, 0
	}
	switch c := text[1]; c {
	case '"', '\\', '/':
		return rune(c), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	const one, pair = len(`\uXXXX`), len(`\uXXXX\uXXXX`)
	high, ok := codeUnit(text)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(high) {
		return high, one
	}
	low, ok := codeUnit(text[one:])
	char = utf16.DecodeRune(high, low)
	if !ok || char == utf8.RuneError {
		return 0, 0
	}
	return char, pair
}

// codeUnit reads \uXXXX.
func codeUnit(text string) (unit rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(text[2:6], 16, 16)
	return rune(n), err == nil
}
