package rescue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"salvor/rescue/mapfile"
)

// Options adjusts [Run]. The zero value of every field but Now and After is usable.
type Options struct {
	// Now is the clock; it is asked from several goroutines. After is time.After or
	// its like on the same clock. Both are required.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time

	// InFlight is how many reads a healthy source is given at once: 1 to 16, default 2.
	InFlight int
	// Planner makes the planner; nil is [NewStrategy] with InFlight.
	Planner func(*mapfile.Map, Info) Planner
	// Progress is told how things stand every Every (default 500 ms, to within a
	// quarter of a second) and once at the end, whatever hangs meanwhile. It is called
	// by the goroutine of Run: it must not block.
	Progress func(Status)
	Every    time.Duration
	// Grace is how long, after ctx ends, reads under way and data not yet handed over
	// are waited for. Default 2 s.
	Grace time.Duration
	// GiveUp is how long every reader may hang before the run ends as [NotAnswering].
	// Default 5 min; negative is never.
	GiveUp time.Duration
}

// Stop says why a run ended.
type Stop uint8

const (
	// Finished means: the planner had nothing more to ask for. Sectors may still be unread.
	Finished Stop = iota
	// Cancelled means: ctx ended.
	Cancelled
	// SourceGone means: the source vanished, or has no medium. What was not read is untried.
	SourceGone
	// SourceChanged means: the source is not what it was: another size, or other data.
	SourceChanged
	// DeviceFault means: the source fails everything at once. The failures that showed it
	// are untried again, since they say nothing about the medium.
	DeviceFault
	// NotAnswering means: every reader hangs.
	NotAnswering
	// SinkFailed means: the sink refused data; [Run] returns its error.
	SinkFailed
)

// String gives the reason in words.
func (s Stop) String() string {
	switch s {
	case Finished:
		return "finished"
	case Cancelled:
		return "cancelled"
	case SourceGone:
		return "source gone"
	case SourceChanged:
		return "source changed"
	case DeviceFault:
		return "device fault"
	case NotAnswering:
		return "not answering"
	case SinkFailed:
		return "sink failed"
	}
	return "unknown"
}

// Status is how a run stands. Bytes count whole sectors, the last one in full.
type Status struct {
	Stage string // of the newest read
	Pass  uint8
	At    int64 // first sector of the newest read

	Bytes   int64 // of the source
	Rescued int64 // bytes, with those of earlier runs
	Bad     int64 // bytes read alone and lost
	Failed  int64 // bytes in failed blocks that are not yet narrowed
	Untried int64 // bytes
	Areas   int64 // separate bad runs

	Fresh     int64         // bytes rescued by this run
	Rate      float64       // bytes per second, lately
	Elapsed   time.Duration // since the run began
	SinceGood time.Duration // since a sector was last read; Elapsed while none was
	Reads     int64         // reads answered
	Errors    int64         // of them failed
	InFlight  int           // reads under way and in time
	Hung      int           // reads past their deadline and not back

	Outlook Outlook // what the planner expects of the rest
}

// Outcome is what a run achieved.
type Outcome struct {
	Stop Stop
	Err  error // what the source said last, when it is the reason
	Status
}

// Complete reports whether every sector of the source is rescued.
func (o Outcome) Complete() bool { return o.Untried+o.Failed+o.Bad == 0 }

// Errors of [Run] besides those of the sink.
var (
	// ErrOptions is a call that cannot work: what it was given does not fit together.
	ErrOptions = errors.New("rescue options")
	// ErrSinkHangs is a sink that took no more data and did not give up when told to.
	ErrSinkHangs = errors.New("the image takes no data")
	// ErrDeadline is why a read that hangs counts as a timeout.
	ErrDeadline = errors.New("no answer before the deadline")
)

// errNothing is a source that delivered nothing and said no reason.
var errNothing = errors.New("no data and no error")

// Run reads src into sink until the planner is satisfied, and keeps m. A run that
// was cut short is resumed by calling Run again with the same map, or one rebuilt
// from what the sink made durable.
//
// The error is the sink's, wrapped with the sectors it was about, or [ErrOptions]
// or [ErrSinkHangs]; what happens to the source is in the Outcome, with a nil error.
// After an error of the sink the map no longer claims what the sink did not accept;
// what it accepted and lost, only the sink knows.
//
// When ctx ends, no further read is begun, what was read is handed over, and the
// Outcome says [Cancelled]; that is no error.
//
// Run does not close src. It returns although reads may still hang; those keep
// their buffers and end on their own.
func Run(ctx context.Context, src Source, sink Sink, m *mapfile.Map, o Options) (Outcome, error) {
	r, err := prepare(ctx, src, m, o)
	if err != nil {
		return Outcome{}, err
	}
	sinkCtx, stopSink := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSink()
	r.out = newHandover(sinkCtx, sink, r.info)
	defer r.pool.close()
	defer close(r.ended)

	r.loop()
	r.drain()
	return r.settle(stopSink)
}

// spareReaders is how many reads may hang before the source is given no more.
const spareReaders = 2

// heartbeat is how often deadlines are looked at.
const heartbeat = 250 * time.Millisecond

// run is one call of Run. All of it belongs to the goroutine of Run, but for what
// readers and handover are given.
type run struct {
	ctx     context.Context
	src     Source
	m       *mapfile.Map
	o       Options
	info    Info
	planner Planner
	start   time.Time

	pool    *pool
	spare   []byte       // a buffer that found no read
	flights []*flight    // reads begun and not back, hung ones included
	answers chan *flight // unbuffered: whoever sends knows that it was received
	ended   chan struct{}
	out     *handover
	health  *health
	held    []*flight // back with good data that a check has still to vouch for
	renewal renewal
	woken   chan struct{} // the planner has something to read again
	pending parcel        // a status that may still grow
	series  series        // data that may still grow

	stop     Stop
	stopping bool
	cause    error // why, in the source's words
	fail     error // why, when it is Run's error

	stat     Status
	lastGood time.Duration
	stuck    time.Duration // since when every reader hangs; -1 while one does not
	tick     <-chan time.Time
	told     time.Duration // when Progress was last called
	noted    time.Duration // when the pending status was last sent on
	rate     meter
}

// flight is a read under way.
type flight struct {
	read   Read
	buf    []byte
	began  time.Duration
	res    Result
	hung   bool   // the planner was told Timeout
	check  bool   // asked for by health
	canary canary // then what for
}

func prepare(ctx context.Context, src Source, m *mapfile.Map, o Options) (*run, error) {
	info := src.Info()
	switch {
	case o.Now == nil || o.After == nil:
		return nil, fmt.Errorf("no clock: %w", ErrOptions)
	case info.Sector <= 0 || info.Physical%info.Sector != 0 || info.Physical > MaxRead || MaxRead%info.Sector != 0:
		return nil, fmt.Errorf("sectors of %d bytes in physical ones of %d: %w", info.Sector, info.Physical, ErrOptions)
	case info.Bytes <= 0 || m.Sectors() != info.Sectors():
		return nil, fmt.Errorf("map of %d sectors for a source of %d: %w", m.Sectors(), info.Sectors(), ErrOptions)
	}
	if o.InFlight == 0 {
		o.InFlight = 2
	}
	o.InFlight = min(max(o.InFlight, 1), 16)
	if o.Every <= 0 {
		o.Every = 500 * time.Millisecond
	}
	if o.Grace <= 0 {
		o.Grace = 2 * time.Second
	}
	if o.GiveUp == 0 {
		o.GiveUp = 5 * time.Minute
	}
	pool, err := newPool(poolBuffers)
	if err != nil {
		return nil, err
	}
	r := &run{
		ctx: ctx, src: src, m: m, o: o, info: info, pool: pool, start: o.Now(), stuck: -1,
		woken: make(chan struct{}, 1), answers: make(chan *flight), ended: make(chan struct{}), health: newHealth(info),
	}
	if o.Planner != nil {
		r.planner = o.Planner(m, info)
	} else {
		r.planner = NewStrategy(m, info, StrategyOptions{InFlight: o.InFlight})
	}
	if w, ok := r.planner.(Waiter); ok {
		w.Wake(func() { notify(r.woken) })
	}
	r.tick = o.After(heartbeat)
	return r, nil
}

// loop reads until there is a reason to stop.
func (r *run) loop() {
	for !r.stopping {
		want := r.issue()
		if r.stopping {
			return
		}
		var free <-chan []byte
		if want {
			free = r.pool.free
		}
		select {
		case <-r.ctx.Done():
			r.halt(Cancelled, context.Cause(r.ctx))
		case f := <-r.answers:
			r.answer(f)
		case b := <-free:
			r.pool.took()
			r.spare = b
		case <-r.out.shrunk:
		case <-r.woken:
		case err := <-r.renewal.done:
			r.renewed(err)
		case <-r.out.done: // only an error ends it before it is told to finish
			r.halt(SinkFailed, nil)
		case <-r.tick:
			r.beat()
		}
	}
}

// issue begins the reads that may begin now. It reports whether it lacks a buffer.
func (r *run) issue() (want bool) {
	if r.refresh(); r.renewal.due || r.renewal.done != nil {
		return false
	}
	for len(r.flights) < r.o.InFlight+spareReaders && r.out.len() < backlog && r.ctx.Err() == nil {
		if r.spare == nil {
			if r.spare = r.pool.take(); r.spare == nil {
				return true
			}
		}
		f, ok := r.next()
		if !ok {
			return false
		}
		f.buf, r.spare = r.spare, nil
		f.began = r.since()
		r.flights = append(r.flights, f)
		go r.fly(f)
	}
	return false
}

// next is the read to begin now: the health check's, or the planner's. Without one,
// and with none under way, the run is at its end.
func (r *run) next() (*flight, bool) {
	live, _ := r.count()
	for {
		if r.health.checking {
			if live > 0 {
				return nil, false // one answer at a time: the first good one is enough
			}
			if c, ok := r.health.next(); ok {
				return &flight{check: true, canary: c, read: Read{
					First: c.first, Sectors: c.n, Stage: "check", Deadline: checkDeadline,
				}}, true
			}
			if err := r.health.verdict(); err != nil {
				r.halt(DeviceFault, err)
				return nil, false
			}
			r.release()
		}
		if r.health.suspicious() || len(r.held) > 0 {
			r.health.begin(r.m)
			continue
		}
		read, ok := r.planner.Next()
		switch {
		case !ok && (live > 0 || r.waits()):
			return nil, false
		case !ok && len(r.health.row) > 0:
			r.health.begin(r.m) // nothing vouched for the last failures yet
			continue
		case !ok:
			r.halt(Finished, nil)
			return nil, false
		}
		if read.First < 0 || read.Sectors <= 0 || read.Sectors > MaxRead/int64(r.info.Sector) || read.First > r.m.Sectors()-read.Sectors {
			r.fail = fmt.Errorf("planner asks for %d sectors from %d: %w", read.Sectors, read.First, ErrOptions)
			r.halt(Finished, nil)
			return nil, false
		}
		r.stat.Stage, r.stat.Pass, r.stat.At = read.Stage, read.Pass, read.First
		return &flight{read: read}, true
	}
}

// waits reports whether the planner has only nothing to read for now.
func (r *run) waits() bool {
	w, ok := r.planner.(Waiter)
	return ok && w.Waiting()
}

// fly does one read in a goroutine of its own, which may hang as long as it likes.
func (r *run) fly(f *flight) {
	began := r.o.Now()
	p := f.buf[:f.read.Sectors*int64(r.info.Sector)]
	res := r.src.ReadAt(r.ctx, p, f.read.First, f.read.Deadline)
	res.Began, res.Took = began.Sub(r.start), r.o.Now().Sub(began)
	f.res = res
	select {
	case r.answers <- f:
	case <-r.ended:
		r.pool.put(f.buf)
	}
}

// answer takes a read that is back.
func (r *run) answer(f *flight) {
	i := slices.Index(r.flights, f)
	r.flights = slices.Delete(r.flights, i, i+1)
	r.stuck = -1
	res := r.plausible(f)
	// A late result, a check of the executor's own, and a read that was called off
	// bring data perhaps, but no news of what they did not bring.
	res.Late = f.hung || f.check || r.ctx.Err() != nil && errors.Is(res.Err, r.ctx.Err())
	r.stat.Reads++
	if res.Class != OK {
		r.stat.Errors++
	}
	data := f.buf[:res.Good*int64(r.info.Sector)]
	var changed error
	switch {
	case f.check:
		changed = r.health.heard(f.canary, res, data)
	case !res.Late && r.health.doubts(res, data):
		f.res = res
		r.held = append(r.held, f)
		return
	case !res.Late:
		r.health.saw(f.read, res, data)
	}
	r.accept(f, res)
	switch {
	case changed != nil:
		r.halt(SourceChanged, changed)
	case res.Class == Gone || res.Class == NotReady:
		r.halt(SourceGone, res.Err)
	case res.Class == SizeChanged || res.Class == Inconsistent:
		r.halt(SourceChanged, res.Err)
	}
}

// accept passes on what a read has brought.
func (r *run) accept(f *flight, res Result) {
	if f.check && f.canary.data != nil {
		r.pool.put(f.buf) // was rescued before
		return
	}
	if res.Good > 0 {
		r.lastGood = r.since()
	}
	r.hand(f, res.Good)
	r.enter(f.read, res)
}

// release accepts what was held back, now that a check has vouched for it.
func (r *run) release() {
	for _, f := range r.held {
		r.health.saw(f.read, f.res, f.buf[:f.res.Good*int64(r.info.Sector)])
		r.accept(f, f.res)
	}
	r.held = nil
}

// plausible makes of a source's answer one that keeps the contract of [Source].
func (r *run) plausible(f *flight) Result {
	res := f.res
	res.Good = min(max(res.Good, 0), f.read.Sectors)
	if res.Lost <= 0 || res.Fail < f.read.First || res.Fail >= f.read.End() {
		res.Fail, res.Lost = -1, 0
	}
	if res.Class == OK && res.Good == 0 {
		res.Class = HostError
	}
	if res.Class != OK && res.Err == nil {
		res.Err = errNothing
	}
	return res
}

// hand passes the good sectors of a read on to the sink.
func (r *run) hand(f *flight, good int64) {
	buf := f.buf
	if good == 0 {
		r.pool.put(buf)
		return
	}
	data := buf[:good*int64(r.info.Sector)]
	p := parcel{first: f.read.First, n: good, pass: f.read.Pass, data: data}
	if !r.series.takes(p) {
		r.endSeries()
	}
	switch {
	case len(data) == MaxRead:
		var once sync.Once
		p.release = func() { once.Do(func() { r.pool.put(buf) }) }
		r.out.add(p)
	case joins(p.pass):
		r.series.add(p)
		r.pool.put(buf)
	default:
		// A short piece must not keep a large buffer until it is durable.
		p.data, p.release = bytes.Clone(data), func() {}
		r.out.add(p)
		r.pool.put(buf)
	}
	r.stat.Fresh += int64(len(data))
}

// endSeries hands over what short reads have brought.
func (r *run) endSeries() {
	if r.series.n > 0 {
		r.out.add(r.series.parcel)
		r.series = series{}
	}
}

// enter gives a result to the planner, and what it makes of it to the sink.
func (r *run) enter(read Read, res Result) {
	changed := r.planner.Done(read, res)
	r.health.claimed(read, changed)
	for _, c := range changed {
		r.mark(c, read.Pass)
	}
	if _, can := r.src.(Reopener); can {
		if p, ok := r.planner.(Refresher); ok && p.Stale() {
			r.renewal.due = true
		}
	}
}

// mark sends a status to the sink, joined with its neighbours where possible: each
// costs a record in the image. A status that a crash swallows costs a read more.
func (r *run) mark(c mapfile.Run, pass uint8) {
	p := &r.pending
	if p.n > 0 && p.status == c.Status && p.pass == pass && p.first+p.n == c.First {
		p.n += c.Sectors
		return
	}
	r.flush()
	*p = parcel{first: c.First, n: c.Sectors, status: c.Status, pass: pass}
}

func (r *run) flush() {
	r.noted = r.since()
	r.endSeries()
	if r.pending.n > 0 {
		r.out.add(r.pending)
		r.pending = parcel{}
	}
}

// beat looks at everything that depends on time alone.
func (r *run) beat() {
	r.expire()
	if r.since()-r.noted >= time.Second {
		r.flush()
	}
	r.pulse()
}

// expire gives up the reads that are past their deadline, and the source when none
// of its readers comes back.
func (r *run) expire() {
	now := r.since()
	for _, f := range r.flights {
		if f.hung || f.read.Deadline <= 0 || now-f.began < f.read.Deadline {
			continue
		}
		f.hung = true
		r.stat.Errors++
		res := Result{Class: Timeout, Err: ErrDeadline, Fail: -1, Began: f.began, Took: now - f.began}
		if f.check {
			_ = r.health.heard(f.canary, res, nil) // an answer without data contradicts nothing
		} else {
			r.health.saw(f.read, res, nil)
			r.enter(f.read, res)
		}
	}
	if n := r.renewal; n.done != nil && r.o.GiveUp > 0 && now-n.began >= r.o.GiveUp {
		r.halt(NotAnswering, ErrDeadline)
	}
	switch live, hung := r.count(); {
	case live > 0 || hung < r.o.InFlight+spareReaders:
		r.stuck = -1
	case r.stuck < 0:
		r.stuck = now
	case r.o.GiveUp > 0 && now-r.stuck >= r.o.GiveUp:
		r.halt(NotAnswering, ErrDeadline)
	}
}

// pulse keeps the status going.
func (r *run) pulse() {
	r.tick = r.o.After(heartbeat)
	now := r.since()
	r.rate.add(now, r.stat.Fresh)
	if now-r.told >= r.o.Every {
		r.tell()
	}
}

// tell reports how things stand.
func (r *run) tell() {
	r.told = r.since()
	if r.o.Progress != nil {
		r.o.Progress(r.status())
	}
}

func (r *run) status() Status {
	s, t, size := r.stat, r.m.Totals(), int64(r.info.Sector)
	s.Bytes = r.m.Sectors() * size
	s.Rescued = t.Sectors(mapfile.Rescued) * size
	s.Bad = t.Sectors(mapfile.Bad) * size
	s.Failed = (t.Sectors(mapfile.NonTrimmed) + t.Sectors(mapfile.NonScraped)) * size
	s.Untried = t.Sectors(mapfile.Untried) * size
	s.Areas = t.Runs(mapfile.Bad)
	s.Elapsed = r.since()
	s.SinceGood = s.Elapsed - r.lastGood
	s.Rate = r.rate.perSecond()
	s.InFlight, s.Hung = r.count()
	s.Outlook = r.outlook(s)
	return s
}

func (r *run) count() (live, hung int) {
	for _, f := range r.flights {
		if f.hung {
			hung++
		}
	}
	return len(r.flights) - hung, hung
}

func (r *run) since() time.Duration { return r.o.Now().Sub(r.start) }

// halt ends the loop. The first reason stands.
func (r *run) halt(why Stop, cause error) {
	if !r.stopping {
		r.stopping, r.stop, r.cause = true, why, cause
	}
}

// drain waits a little for reads that are under way, since what they bring is paid for.
func (r *run) drain() {
	grace := r.o.After(r.o.Grace)
	for {
		if live, _ := r.count(); live == 0 {
			return
		}
		select {
		case f := <-r.answers:
			r.answer(f)
		case <-grace:
			return
		case <-r.out.done:
			return
		case <-r.tick:
			r.beat()
		}
	}
}

// settle hands over what is left and says how it went.
func (r *run) settle(stopSink func()) (Outcome, error) {
	if r.spare != nil {
		r.pool.put(r.spare)
	}
	for _, f := range r.held {
		r.pool.put(f.buf) // nobody vouches for it: it stays untried
	}
	if r.stop != Finished {
		r.distrust()
	}
	r.flush()
	accepted := r.finish(stopSink)

	err := r.fail
	switch sinkErr := r.out.failure(); {
	case accepted == sinkHangs:
		r.stop, err = SinkFailed, ErrSinkHangs
	case accepted == sinkCalledOff && len(r.out.refused()) > 0:
		r.stop = Cancelled
	case sinkErr != nil:
		r.stop, err = SinkFailed, sinkErr
	}
	for _, lost := range r.out.refused() {
		r.m.Set(lost.First, lost.Sectors, mapfile.Untried)
	}
	r.tell()
	return Outcome{Stop: r.stop, Err: r.cause, Status: r.status()}, err
}

// How the handing over came to its end.
const (
	sinkDone      = iota // by itself: all accepted, or an error
	sinkCalledOff        // it was told to give up, and did
	sinkHangs            // it was told to give up, and did not
)

// finish waits until the sink has taken everything; once ctx has ended, not for ever.
func (r *run) finish(stopSink func()) int {
	r.out.finish()
	ctxDone := r.ctx.Done()
	var grace <-chan time.Time
	end := sinkDone
	for {
		select {
		case <-r.out.done:
			return end
		case <-ctxDone:
			ctxDone, grace = nil, r.o.After(r.o.Grace)
		case <-grace:
			if end == sinkCalledOff {
				return sinkHangs
			}
			stopSink()
			end, grace = sinkCalledOff, r.o.After(r.o.Grace)
		case <-r.tick:
			r.pulse()
		}
	}
}

// distrust takes back what the last failures in a row were taken for, when nothing
// vouches that it was the medium that failed. A run that was only called off has no
// reason to doubt failures that took their time.
func (r *run) distrust() {
	lost := r.stop == SourceGone || r.stop == DeviceFault || r.stop == NotAnswering
	for _, failure := range r.health.row {
		if !failure.fast && !lost {
			continue
		}
		for _, claim := range failure.claims {
			for _, c := range slices.Collect(r.m.Within(claim.First, claim.Sectors)) {
				if c.Status != mapfile.Rescued && c.Status != mapfile.Untried {
					c.Status = mapfile.Untried
					r.m.Set(c.First, c.Sectors, c.Status)
					r.mark(c, r.stat.Pass)
				}
			}
		}
	}
}

// meter measures a rate over the last seconds.
type meter struct {
	at    [20]time.Duration
	bytes [20]int64
	n     int
}

func (m *meter) add(at time.Duration, bytes int64) {
	m.at[m.n%len(m.at)], m.bytes[m.n%len(m.at)] = at, bytes
	m.n++
}

func (m *meter) perSecond() float64 {
	if m.n < 2 {
		return 0
	}
	newest, oldest := (m.n-1)%len(m.at), max(m.n-len(m.at), 0)%len(m.at)
	d := m.at[newest] - m.at[oldest]
	if d <= 0 {
		return 0
	}
	return float64(m.bytes[newest]-m.bytes[oldest]) / d.Seconds()
}
