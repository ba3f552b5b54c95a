// Package manifest reads streams of Kubernetes objects, in YAML or JSON, as people
// keep them in files: every byte of a stream is in one of its documents, so that what
// is not to be changed can be passed on as it is.
package manifest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// MaxDocument is the largest document that is read, in bytes. An API server takes
// objects of up to 3 MiB; a list of several is one document.
const MaxDocument = 16 << 20

// Document is a document of a stream (YAML 1.2, section 9), or one of its JSON values,
// with the lines that begin and end it and the comments around it.
type Document struct {
	// Text is the document as it stands. Documents in their order are the stream.
	Text []byte
	// Line is that of the first byte, and the first one of a stream is 1.
	Line int
	// JSON is true where the document is a JSON object.
	JSON bool
	// object is that.
	object []byte
}

// Reader splits a stream. It holds one document at a time.
type Reader struct {
	from *bufio.Reader
	err  error
	// text is what was read of the next document, from line on.
	text []byte
	line int
	// begun is true once there is more in it than comments and directives.
	begun bool
	json  scan
}

// NewReader returns a reader of the stream. UTF-16, which Windows PowerShell writes for > FILE,
// is read as kubectl reads it: where a byte order mark says so.
func NewReader(from io.Reader) *Reader {
	buffered := bufio.NewReaderSize(from, 64<<10)
	switch mark, _ := buffered.Peek(2); string(mark) { // its error comes again when it is read
	case "\xff\xfe", "\xfe\xff":
		decoded := transform.NewReader(buffered, unicode.UTF16(unicode.BigEndian, unicode.ExpectBOM).NewDecoder())
		buffered = bufio.NewReaderSize(decoded, 64<<10)
	}
	return &Reader{from: buffered, line: 1}
}

// Next returns the next document, or [io.EOF]. Its text is the caller's.
func (r *Reader) Next() (Document, error) {
	for {
		// Objects in JSON may follow one another without anything between them.
		if end := r.endOfJSON(); end > 0 {
			return r.take(end), nil
		}
		if r.err != nil {
			break
		}
		line, err := r.readLine()
		r.err = err
		switch {
		case len(r.text)+len(line) > MaxDocument:
			r.err = fmt.Errorf("line %d: the document is larger than %d MiB", r.line, MaxDocument>>20)
		case r.begun && isMarker(line, "---"):
			d := r.take(len(r.text))
			r.keep(line)
			return d, nil
		default:
			r.keep(line)
			if isMarker(line, "...") {
				return r.take(len(r.text)), nil
			}
		}
	}
	if errors.Is(r.err, io.EOF) && len(r.text) > 0 {
		return r.take(len(r.text)), nil
	}
	return Document{}, r.err //nolint:wrapcheck // the caller says which file it is
}

// readLine reads a line with its end, or of a longer one more than a document may have.
func (r *Reader) readLine() ([]byte, error) {
	var line []byte
	for {
		part, err := r.from.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) || len(line) > MaxDocument {
			return line, err //nolint:wrapcheck // the caller says which file it is
		}
	}
}

// keep adds a line.
func (r *Reader) keep(line []byte) {
	at := len(r.text)
	r.text = append(r.text, line...)
	r.look(at)
}

// look says by the line that begins at an index, or by what is left of one, what the document is.
func (r *Reader) look(at int) {
	text := r.text[at:]
	content := bytes.TrimLeft(text, space)
	switch {
	case r.json.state != before, len(content) == 0, content[0] == '#':
		return
	case !r.begun && text[0] == '%': // a directive
		return
	}
	r.begun = true
	if rest, marked := bytes.CutPrefix(content, []byte("---")); marked && isMarker(text, "---") {
		if rest = bytes.TrimSpace(rest); len(rest) > 0 && rest[0] != '#' {
			r.json.state = elsewhere
		}
		return
	}
	r.json.state = elsewhere
	if content[0] == '{' {
		start := at + bytes.IndexByte(text, '{')
		r.json = scan{state: inside, start: start, next: start}
	}
}

// endOfJSON returns the index behind the JSON object that the text begins with, and
// behind its line where nothing else is on it. It is 0 where there is none.
func (r *Reader) endOfJSON() int {
	if r.json.state != inside {
		return 0
	}
	end := r.json.end(r.text)
	switch {
	case end == 0:
		return 0
	case !json.Valid(r.text[r.json.start:end]): // but perhaps YAML
		r.json.state = elsewhere
		return 0
	}
	// No further than that, for the same reason as in take.
	if rest := bytes.TrimLeft(r.text[end:], " \t\r"); len(rest) > 0 && rest[0] == '\n' {
		return len(r.text) - len(rest) + 1
	}
	return end
}

// space is white space between the tokens of JSON (RFC 8259, section 2), which is what
// begins lines of YAML, too.
const space = " \t\r\n"

// take cuts the document off, and begins with what is behind it.
func (r *Reader) take(end int) Document {
	d := Document{Text: r.text[:end:end], Line: r.line}
	if r.json.state == inside && r.json.depth == 0 {
		d.JSON, d.object = true, r.text[r.json.start:r.json.next:r.json.next]
	}
	rest := r.text[end:]
	r.line += bytes.Count(d.Text, []byte("\n"))
	r.text, r.begun, r.json = nil, false, scan{}
	if len(rest) > 0 {
		r.text = rest // without a copy, as a long line may have many objects
		r.look(0)
	}
	return d
}

// isMarker reports whether a line begins with a marker of documents: at its very
// beginning, and with nothing but white space behind it or content after that.
func isMarker(line []byte, marker string) bool {
	rest, found := bytes.CutPrefix(line, []byte(marker))
	return found && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// scan looks for the end of a JSON object, from where it was before.
type scan struct {
	state       scanState
	start, next int
	depth       int
	quoted      bool
	escaped     bool
}

type scanState int

const (
	before scanState = iota
	inside
	// elsewhere: what begins here is no JSON object, or was one that did not end where
	// its brackets do.
	elsewhere
)

// end returns the index behind the object, or 0 where it is not complete.
func (s *scan) end(text []byte) int {
	for ; s.next < len(text); s.next++ {
		c := text[s.next]
		switch {
		case s.escaped:
			s.escaped = false
		case s.quoted:
			s.escaped, s.quoted = c == '\\', c != '"'
		case c == '"':
			s.quoted = true
		case c == '{' || c == '[':
			s.depth++
		case c == '}' || c == ']':
			s.depth--
			if s.depth == 0 {
				s.next++
				return s.next
			}
		}
	}
	return 0
}
