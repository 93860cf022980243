package rescue

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"salvor/rescue/mapfile"
)

// A disk that has lost its firmware, its bus or its power fails every read, and fails
// it faster than any head can seek. Whoever believes it marks the rest of the disk bad
// within seconds. A bridge may take longer to say the same. So a row of failures is only
// believed when sectors known to be good still read well.

const (
	// tooFast is less than a disk needs to try to read and fail.
	tooFast = 5 * time.Millisecond
	// rowLimit failures in a row that came too fast are allowed; one more is checked.
	rowLimit = 20
	// rowLimitMax bounds how far the limit doubles when checks keep passing.
	rowLimitMax = 1280
	// slowLimit failures in a row that took their time are allowed. To check after so many
	// costs nothing beside them, and no more are taken back when the device goes away.
	slowLimit = 16
	// checkDeadline is for the reads of a check. The kernel retries a bad sector for up to
	// some 30 s before it answers, and cannot be stopped.
	checkDeadline = 30 * time.Second
)

// What a check of the source's health found.
var (
	ErrDeviceFault  = errors.New("every read fails at once")
	ErrInconsistent = errors.New("a sector reads differently than before")
)

// canary is a physical sector that was read well in this run, or a place where that
// may still happen (data nil).
type canary struct {
	first, n int64
	data     []byte
}

// suspect is a read that failed, when its answer was in, and what was made of it.
type suspect struct {
	first, n int64
	at       time.Duration
	fast     bool
	claims   []mapfile.Run
}

// health watches the failures of a run for signs that it is the device that fails and
// not the medium.
type health struct {
	info    Info
	limit   int
	row     []suspect // reads that failed since one succeeded, or a check passed
	lastErr error
	good    int  // reads that succeeded, in a row
	total   int  // reads that succeeded
	doubt   bool // a read has failed, and no data since then shows that the source still reads

	// The first good sector, one read at every doubling of the good reads, and the newest.
	canaries [3]canary

	// A check under way: what is still to be read, and what was found so far.
	checking bool
	todo     []canary
	answered bool
}

func newHealth(info Info) *health { return &health{info: info, limit: rowLimit} }

// saw takes note of a result. data is what was read well, from sector first.
func (h *health) saw(r Read, res Result, data []byte) {
	switch {
	case res.Known:
	case res.Class != OK:
		h.doubt = true
	case h.doubt && !constant(data):
		h.doubt = false
	}
	switch {
	case res.Known:
	case res.Good > 0:
		// It vouches for the device only from when it was begun.
		h.row = slices.DeleteFunc(h.row, func(s suspect) bool { return s.at < res.Began })
		h.good, h.total = h.good+1, h.total+1
		if h.good >= trusted {
			h.limit = rowLimit
		}
		h.keep(r, res.Good, data)
	default:
		h.good, h.lastErr = 0, res.Err
		h.suspect(r.First, r.Sectors, res)
	}
}

// suspect adds a failure to the row.
func (h *health) suspect(first, n int64, res Result) {
	fast := res.Class == HostError || res.Class != Timeout && res.Took < tooFast
	h.row = append(h.row, suspect{first: first, n: n, at: res.Began + res.Took, fast: fast})
}

// claimed takes note of what the planner made of a failure, to be taken back if the
// device is at fault: a planner that jumps over a bad run claims far more than it read.
func (h *health) claimed(r Read, changed []mapfile.Run) {
	if n := len(h.row); n > 0 && h.row[n-1].first == r.First && h.row[n-1].n == r.Sectors {
		h.row[n-1].claims = append(h.row[n-1].claims, changed...)
	}
}

// doubts reports whether a good read must wait until a canary has vouched for it. A bridge
// whose disk has failed may go on answering, with zeros.
func (h *health) doubts(res Result, data []byte) bool {
	return h.doubt && res.Good > 0 && h.canaries[0].data != nil && constant(data)
}

// constant reports whether all bytes are the same.
func constant(data []byte) bool {
	return len(data) == 0 || bytes.Equal(data[1:], data[:len(data)-1])
}

// keep stores a whole physical sector of what was read as a canary, if it differs from
// what a device may make up.
func (h *health) keep(r Read, good int64, data []byte) {
	g := h.info.Grain()
	end := r.First + good
	end -= mod(end-h.info.Offset, g)
	first := end - g
	s := int64(h.info.Sector)
	if first < r.First || constant(data[(first-r.First)*s:(end-r.First)*s]) {
		return
	}
	slot := func(i int) {
		c := &h.canaries[i]
		c.first, c.n = first, g
		// A copy of its own: a check that is under way still compares with the old one.
		c.data = bytes.Clone(data[(first-r.First)*s : (end-r.First)*s])
	}
	slot(2)
	if h.total&(h.total-1) == 0 {
		slot(1)
	}
	if h.canaries[0].data == nil {
		slot(0)
	}
}

// suspicious reports whether the row is long enough to be checked.
func (h *health) suspicious() bool {
	fast := 0
	for _, f := range h.row {
		if f.fast {
			fast++
		}
	}
	return fast > h.limit || len(h.row)-fast > slowLimit
}

// begin starts a check. Without a sector known to be good, some places over the whole
// source are asked that m does not know to have failed.
func (h *health) begin(m *mapfile.Map) {
	h.checking, h.answered, h.todo = true, false, nil
	for _, c := range h.canaries {
		if c.data != nil && (len(h.todo) == 0 || h.todo[len(h.todo)-1].first != c.first) {
			h.todo = append(h.todo, c)
		}
	}
	if len(h.todo) > 0 {
		return
	}
	g := h.info.Grain()
	for _, eighth := range []int64{4, 7, 2, 6, 1, 5, 3, 0} {
		at := m.Sectors() / 8 * eighth
		at = max(at-mod(at-h.info.Offset, g), 0)
		if s := m.Get(at).Status; s == mapfile.Untried || s == mapfile.Rescued {
			h.todo = append(h.todo, canary{first: at, n: min(g, m.Sectors()-at)})
		}
	}
}

// next gives the next sector to ask for, while a check is under way and undecided.
func (h *health) next() (canary, bool) {
	if !h.checking || len(h.todo) == 0 {
		return canary{}, false
	}
	c := h.todo[0]
	h.todo = h.todo[1:]
	return c, true
}

// heard takes the answer for c. It returns an error when the source gives other data
// than before.
func (h *health) heard(c canary, res Result, data []byte) error {
	if res.Good < c.n {
		if res.Err != nil {
			h.lastErr = res.Err
		}
		if c.data == nil {
			h.suspect(c.first, c.n, res)
		}
		return nil
	}
	if c.data != nil && !bytes.Equal(c.data, data) {
		return fmt.Errorf("sector %d: %w", c.first, ErrInconsistent)
	}
	h.answered, h.todo = true, nil
	return nil
}

// verdict ends the check. An error says that the device is at fault.
func (h *health) verdict() error {
	h.checking = false
	if !h.answered {
		return fmt.Errorf("%d reads in a row: %w: %w", len(h.row), ErrDeviceFault, cmp.Or(h.lastErr, errNothing))
	}
	if len(h.row) > h.limit {
		h.limit = min(h.limit*2, rowLimitMax)
	}
	h.row, h.doubt = nil, false
	return nil
}
