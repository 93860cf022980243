package sim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"salvor/rescue"
	"salvor/rescue/mapfile"
)

// Strategy is what Drive asks of a planner.
type Strategy interface {
	rescue.Planner
	Retier([]rescue.Region)
}

// Make makes the strategy to be driven.
type Make func(*mapfile.Map, rescue.Info) Strategy

// ErrPlanner is a planner that breaks its contract.
var ErrPlanner = errors.New("the planner breaks its contract")

// Drive lets a strategy rescue the disk, until it is done or limit has passed on the
// virtual clock. The tiers become known as on a real disk: the tables first, the
// metadata with them, the rest when the metadata was tried.
func Drive(d *Disk, newStrategy Make, limit time.Duration) (Score, *mapfile.Map, error) {
	d.Rewind()
	m := mapfile.New(d.info.Sectors())
	p := newStrategy(m, d.info)
	s := newScorer(d)
	level := 0
	p.Retier(d.Known(level))
	oracle, _ := p.(rescue.Forecaster)
	var flying []rescue.Read
	for d.now < limit {
		s.forecast.ask(d.now, oracle)
		for r, ok := p.Next(); ok; r, ok = p.Next() {
			if r.First < 0 || r.Sectors <= 0 || r.Sectors > rescue.MaxRead/Sector || r.End() > m.Sectors() {
				return s.finish(false), m, fmt.Errorf("%w: %+v", ErrPlanner, r)
			}
			flying = append(flying, r)
		}
		if len(flying) == 0 {
			return s.finish(true), m, nil
		}
		r := flying[0]
		flying = flying[1:]
		res := d.Read(r.First, r.Sectors, r.Deadline)
		s.took(r.First, r.Sectors, res.Good, res.Class != rescue.OK)
		p.Done(r, res)
		if res.Class == rescue.Gone {
			return s.finish(false), m, nil
		}
		if fresh, ok := p.(rescue.Refresher); ok && fresh.Stale() {
			d.Reopen()
			s.score.Reopened++
		}
		if level < 2 && (r.Pass != rescue.PassScout && r.Pass != rescue.PassMetadata || d.tried(m, level)) {
			level++
			p.Retier(d.Known(level))
		}
	}
	return s.finish(false), m, nil
}

// tried reports whether all of a tier was asked for.
func (d *Disk) tried(m *mapfile.Map, level int) bool {
	for _, t := range d.tiers {
		if int(t.Tier) != level {
			continue
		}
		if r, ok := m.Next(t.First, mapfile.Untried); ok && r.First < t.First+t.Sectors {
			return false
		}
	}
	return true
}

// ErrLog is a read log that does not fit the disk.
var ErrLog = errors.New("read log")

// Replay is another tool's rescue, read by read.
type Replay struct {
	d     *Disk
	s     *scorer
	limit time.Duration
}

// NewReplay begins a replay on the disk.
func NewReplay(d *Disk, limit time.Duration) *Replay {
	d.Rewind()
	return &Replay{d: d, s: newScorer(d), limit: limit}
}

// Log takes the lines of a read log of GNU ddrescue (--log-reads): position, size, bytes
// copied, bytes failed. It returns true when the time limit has passed, and an error
// when the tool has copied other bytes than the disk can give.
func (p *Replay) Log(r io.Reader) (bool, error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if p.d.now >= p.limit {
			return true, nil
		}
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		var field [4]int64
		parts := strings.Fields(line)
		if len(parts) != len(field) {
			return false, fmt.Errorf("%w: line %q", ErrLog, line)
		}
		for i, text := range parts {
			v, err := strconv.ParseInt(text, 0, 64)
			if err != nil {
				return false, fmt.Errorf("%w: line %q: %w", ErrLog, line, err)
			}
			field[i] = v
		}
		first, n, good := field[0]/Sector, field[1]/Sector, field[2]/Sector
		if first < 0 || n <= 0 || first+n > p.d.info.Sectors() || field[1]%Sector != 0 {
			return false, fmt.Errorf("%w: line %q", ErrLog, line)
		}
		res := p.d.Read(first, n, 0)
		failed := res.Class != rescue.OK
		if readable := min(max(p.d.nextBad(first)-first, 0), n); failed != (field[2] < field[1]) || good > readable {
			return false, fmt.Errorf("%w: line %q: the disk gives %d sectors", ErrLog, line, readable)
		}
		p.s.took(first, n, good, failed)
		if res.Class == rescue.Gone {
			return true, nil
		}
	}
	return p.d.now >= p.limit, lines.Err()
}

// Finish ends the replay.
func (p *Replay) Finish(finished bool) Score { return p.s.finish(finished) }
