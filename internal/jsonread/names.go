package jsonread

import (
	"hash/maphash"
	"strings"
)

// Two members of one name are an error, so the names of all objects around a
// place are kept. A document can be made of little else, hence in four bytes
// each: the offset of the name's text, or behind the document's length an offset
// in Reader.plain.
//
// A document that has names of every length stays linear: a comparison costs no
// more than the new name's length, and the hashes cannot be foreseen.

const (
	// fewNames is up to how many names of an object are compared one by one.
	fewNames = 32
	// endOfName stands behind a name in Reader.plain, as the quote does in the
	// document. It is no byte of UTF-8.
	endOfName = 0xff
)

// names are those of one object so far.
type names struct {
	// many says that they are in the last of Reader.many. Else they are those of
	// Reader.few from index from on, and filter has a bit for each.
	many   bool
	from   uint32
	filter uint64
}

// addName adds a name unless the innermost object has it already, which it
// reports.
func (r *Reader) addName(n *names, name string, at uint32) (added bool) {
	if n.many {
		return r.many[len(r.many)-1].add(r, name, at)
	}
	// Nearly every name of an object differs from the others by its length or by
	// its ends, so that the names themselves are seldom compared.
	bit := uint64(1)
	if l := len(name); l > 0 {
		bit <<= (uint(l) + 7*uint(name[0]) + 3*uint(name[l-1])) % 64
	}
	if n.filter&bit != 0 {
		for _, other := range r.few[n.from:] {
			if r.isName(other, name) {
				return false
			}
		}
	}
	n.filter |= bit
	r.few = append(r.few, at)
	if len(r.few)-int(n.from) > fewNames {
		var table nameTable
		for _, at := range r.few[n.from:] {
			table.add(r, r.nameAt(at), at)
		}
		r.many = append(r.many, table)
		r.few = r.few[:n.from]
		n.many = true
	}
	return true
}

// dropNames forgets the names of the innermost object.
func (r *Reader) dropNames(n *names) {
	r.few = r.few[:n.from]
	if n.many {
		last := len(r.many) - 1
		r.many[last] = nameTable{}
		r.many = r.many[:last]
	}
}

// nameAt returns the name at an offset.
func (r *Reader) nameAt(at uint32) string {
	text, end := r.text, byte('"')
	if int(at) >= len(text) {
		text, at, end = r.plain.String(), at-uint32(len(text)), endOfName //nolint:gosec // maxLength
	}
	text = text[at:]
	return text[:strings.IndexByte(text, end)]
}

// isName reports whether this is the name at an offset.
func (r *Reader) isName(at uint32, name string) bool {
	if int(at) >= len(r.text) {
		rest := r.plain.String()[int(at)-len(r.text):]
		return len(rest) > len(name) && rest[len(name)] == endOfName && rest[:len(name)] == name
	}
	rest := r.text[at:]
	return len(rest) > len(name) && rest[len(name)] == '"' && rest[:len(name)] == name &&
		strings.IndexByte(name, '"') < 0 // or it would go beyond the name that is there
}

// nameTable is a hash table with open addressing of the offsets of names, zero
// for an empty slot: no name begins there.
type nameTable struct {
	slots []uint32 // a power of two of them, at most half of them taken
	taken int
}

var seed = maphash.MakeSeed()

func (t *nameTable) add(r *Reader, name string, at uint32) (added bool) {
	if 2*(t.taken+1) > len(t.slots) {
		larger := nameTable{slots: make([]uint32, max(4*fewNames, 2*len(t.slots)))}
		for _, at := range t.slots {
			if at != 0 {
				larger.add(r, r.nameAt(at), at)
			}
		}
		*t = larger
	}
	mask := len(t.slots) - 1
	i := int(maphash.String(seed, name)) & mask //nolint:gosec // the lower bits do
	for ; t.slots[i] != 0; i = (i + 1) & mask {
		if r.isName(t.slots[i], name) {
			return false
		}
	}
	t.slots[i] = at
	t.taken++
	return true
}
