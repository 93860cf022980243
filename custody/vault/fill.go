package vault

import "bytes"

const (
	fillUnit = 4 << 10  // runs of one byte value are looked for in pieces of this size
	fillMin  = 64 << 10 // a shorter run stays in its DATA record: a record of its own would cost more
)

// uniform tells whether b is one byte repeated. Random data fails on the first look; a uniform block is compared with
// itself moved by one, at the speed of memory.
func uniform(b []byte) bool {
	last := len(b) - 1
	if b[0] != b[last] || b[0] != b[last/2] {
		return false
	}
	return bytes.Equal(b[1:], b[:last])
}

// A piece is a stretch of a buffer: data, or one byte repeated.
type piece struct {
	off, n int
	fill   bool
}

// pieces cuts a buffer of whole sectors into data and runs of one byte value of at least fillMin. A run at the very
// front that continues joins (a byte value, or -1) counts whatever its length.
func pieces(p []byte, sector, joins int, out []piece) []piece {
	unit := max(fillUnit, sector)
	data := 0 // where the data not yet cut off begins
	for off := 0; off < len(p); {
		end := min(off+unit, len(p))
		if !uniform(p[off:end]) {
			off = end
			continue
		}
		run := off
		for end < len(p) {
			next := min(end+unit, len(p))
			if p[end] != p[run] || !uniform(p[end:next]) {
				break
			}
			end = next
		}
		off = end
		if end-run < fillMin && (run != 0 || int(p[0]) != joins) {
			continue
		}
		if run > data {
			out = append(out, piece{data, run - data, false})
		}
		out = append(out, piece{run, end - run, true})
		data = end
	}
	if data < len(p) {
		out = append(out, piece{data, len(p) - data, false})
	}
	return out
}
