// Package sim is a failing disk of any size that takes no time: it answers reads
// by a cost model and a failure model, on a virtual clock, and keeps score of what a
// strategy has rescued by when.
//
//	rescue.Planner ──▶ Drive ──▶ Disk ──▶ Score
//	read log of another tool ──▶ Replay ──▶ Disk ──▶ Score
//
// The strategy under test is the very one of the real run; another tool's reads go
// through the same disk. All of it is decided by a model, a size and a seed, so that
// a result can be had again.
//
// Nothing here moves data. A disk is its list of bad physical sectors, so that a
// rescue of two terabytes is simulated in seconds.
package sim

import (
	"errors"
	"math"
	"sort"
	"time"

	"salvor/rescue"
)

// Sizes of the simulated disks, in bytes: 512e, as most disks are.
const (
	Sector   = 512
	Physical = 4096
	grain    = Physical / Sector
)

// The cost model.
const (
	outerRate = 150e6 // bytes per second at the outer edge
	innerRate = 75e6  // and at the inner one

	seekLeast = 6 * time.Millisecond // with the rotation
	seekMost  = 16 * time.Millisecond

	badLeast = time.Second // a bad sector takes its own time, between these
	badMost  = 7 * time.Second

	resetLeast = 300 * time.Millisecond // one failure in resetOdds costs a reset besides
	resetMost  = 2100 * time.Millisecond
	resetOdds  = 8

	hangOdds = 200              // one bad sector in so many hangs, on a disk that hangs
	hangCost = 90 * time.Second // until the disk is gone
	backCost = 10 * time.Second // until it is back under another name

	sickOdds   = 20              // one failure in so many makes a sick disk slow, until it is reopened
	reopenCost = 3 * time.Second // to close and open it

	freezeEach = 2000    // flash freezes in one of so many pieces of freezeSize
	freezeSize = 1 << 20 // bytes
	flashRate  = 500e6   // bytes per second
	flashWait  = 80 * time.Microsecond
	flashFail  = 50 * time.Millisecond // a bad page, with the controller's own retries
)

// errMedium and errHang are what a simulated disk says.
var (
	errMedium = errors.New("medium error")
	errHang   = errors.New("no answer, and the disk was gone")
)

// span is a run of sectors, half open.
type span struct{ first, end int64 }

// Disk is a failing disk. It is not safe for concurrent use.
type Disk struct {
	info rescue.Info
	seed uint64

	bad   []span // physical sectors that cannot be read, in order, whole grains
	slow  []span // sectors that read at slowRate
	hangs bool   // some bad sectors hang
	sense bool   // names the failing sector, and delivers what is before it
	fatal time.Duration
	sick  bool // a failure may make it slow everywhere
	flash bool // no seeks, and it freezes wherever

	tiers []rescue.Region
	alloc []span // sectors of tiers 0 to 4
	below []int64

	now      time.Duration
	errors   time.Duration // of now, spent on failures
	head     int64         // where the last read ended
	failures int64
	slowed   bool           // by a failure, until it is reopened
	thawed   map[int64]bool // places where flash froze, and will not again
}

const slowRate = 2e6 // bytes per second of a slow head

// Info describes the disk.
func (d *Disk) Info() rescue.Info { return d.info }

// Tiers is what an understanding of the partitions and file systems would say.
func (d *Disk) Tiers() []rescue.Region { return d.tiers }

// Sense sets whether failures come with sense data: the failing sector, and what was
// read before it. Without, a failed read delivers nothing, as pread with O_DIRECT.
func (d *Disk) Sense(on bool) { d.sense = on }

// Rewind forgets every read, so that another strategy can be tried on the same disk.
func (d *Disk) Rewind() {
	d.now, d.errors, d.head, d.failures, d.slowed, d.thawed = 0, 0, 0, 0, false, map[int64]bool{}
}

// Reopen closes the disk and opens it again.
func (d *Disk) Reopen() { d.now, d.head, d.slowed = d.now+reopenCost, -1, false }

// Bad is the number of physical sectors that cannot be read.
func (d *Disk) Bad() int64 {
	var n int64
	for _, s := range d.bad {
		n += (s.end - s.first + grain - 1) / grain
	}
	return n
}

// Read is a read of n sectors from first on.
func (d *Disk) Read(first, n int64, deadline time.Duration) rescue.Result {
	res := rescue.Result{Good: n, Fail: -1, Began: d.now}
	if first != d.head {
		d.now += d.seek(first)
	}
	at := d.nextBad(first)
	if d.flash && d.freezes(first, n) {
		d.now += hangCost + backCost
		d.errors += hangCost + backCost
		d.failures++
		res.Good, res.Class, res.Err, res.Took = 0, rescue.Timeout, errHang, d.now-res.Began
		return res
	}
	if at >= first+n {
		d.transfer(first, n)
		d.head = first + n
		res.Took = d.now - res.Began
		d.die(&res)
		return res
	}
	from := max(at, first) // the bad sector may begin before the read
	d.transfer(first, from-first)
	cost, class, why := d.recovery(at), rescue.Medium, errMedium
	if d.hangs && d.hash(at, 3)%hangOdds == 0 {
		cost, class, why = hangCost+backCost, rescue.Timeout, errHang
	} else if deadline > 0 && cost > deadline {
		cost, class, why = deadline+resetMost, rescue.Timeout, errHang
	}
	d.now += cost
	d.errors += cost
	d.failures++
	d.slowed = d.slowed || d.sick && d.hash(at, 4)%sickOdds == 0
	d.head = -1
	res.Good, res.Class, res.Err, res.Took = 0, class, why, d.now-res.Began
	if d.sense && class == rescue.Medium {
		res.Good, res.Fail, res.Lost = from-first, from, 1
	}
	d.die(&res)
	return res
}

// freezes reports whether flash freezes in a read: it does so once in a place.
func (d *Disk) freezes(first, n int64) bool {
	const piece = freezeSize / Sector
	for at := first / piece; at <= (first+n-1)/piece; at++ {
		if d.hash(at*grain, 5)%freezeEach == 0 && !d.thawed[at] {
			d.thawed[at] = true
			return true
		}
	}
	return false
}

// die makes a disk that wears out answer that it is gone.
func (d *Disk) die(res *rescue.Result) {
	if d.fatal > 0 && d.errors >= d.fatal {
		res.Good, res.Class, res.Err, res.Fail, res.Lost = 0, rescue.Gone, errHang, -1, 0
	}
}

// nextBad is the first sector of the bad physical sector at or behind at, or beyond the disk.
func (d *Disk) nextBad(at int64) int64 {
	i := sort.Search(len(d.bad), func(i int) bool { return d.bad[i].end > at })
	if i == len(d.bad) {
		return math.MaxInt64
	}
	return max(d.bad[i].first, at-at%grain)
}

// seek is what it costs to get to a sector from where the head is. Short ways forward
// are flown over at the speed of reading.
func (d *Disk) seek(to int64) time.Duration {
	if d.flash {
		return flashWait
	}
	if d.head < 0 {
		return seekLeast
	}
	way := to - d.head
	if way < 0 {
		way = -way
	}
	part := math.Sqrt(float64(way) / float64(d.info.Sectors()))
	cost := seekLeast + time.Duration(part*float64(seekMost-seekLeast))
	if to > d.head {
		cost = min(cost, d.passing(d.head, way))
	}
	return cost
}

// passing is how long n sectors take to pass below a head that reads them well.
func (d *Disk) passing(at, n int64) time.Duration {
	if d.flash {
		return time.Duration(float64(n*Sector) / flashRate * float64(time.Second))
	}
	part := float64(at) / float64(d.info.Sectors())
	rate := outerRate - (outerRate-innerRate)*part
	return time.Duration(float64(n*Sector) / rate * float64(time.Second))
}

func (d *Disk) transfer(first, n int64) {
	slow := overlap(d.slow, first, first+n)
	if d.slowed {
		slow = n
	}
	d.now += d.passing(first, n-slow) + time.Duration(float64(slow*Sector)/slowRate*float64(time.Second))
}

// recovery is what the bad sector at costs: always the same.
func (d *Disk) recovery(at int64) time.Duration {
	if d.flash {
		return flashFail
	}
	u := float64(d.hash(at, 1)%1e6) / 1e6
	cost := time.Duration(float64(badLeast) * math.Pow(float64(badMost)/float64(badLeast), u))
	if h := d.hash(at, 2); h%resetOdds == 0 {
		cost += resetLeast + time.Duration(h/resetOdds%uint64(resetMost-resetLeast))
	}
	return cost
}

// hash is a number that depends on the disk, the physical sector and a purpose.
func (d *Disk) hash(at int64, purpose uint64) uint64 {
	x := uint64(at/grain)*0x9E3779B97F4A7C15 ^ d.seed*0xD1B54A32D192ED03 ^ purpose<<56
	x ^= x >> 32
	x *= 0xD6E8FEB86659FD93
	x ^= x >> 32
	x *= 0xD6E8FEB86659FD93
	return x ^ x>>32
}

// overlap is how many sectors of [first, end) lie in spans.
func overlap(spans []span, first, end int64) (n int64) {
	i := sort.Search(len(spans), func(i int) bool { return spans[i].end > first })
	for ; i < len(spans) && spans[i].first < end; i++ {
		n += min(spans[i].end, end) - max(spans[i].first, first)
	}
	return n
}
