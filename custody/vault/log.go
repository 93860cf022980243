package vault

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"
)

// log is the goroutine that owns the log: it writes segment after segment until the writer is closed or nothing helps
// any more. A segment that breaks is left alone for good; what it did not acknowledge is still in the queue.
func (w *Writer) log() {
	defer close(w.done)
	batches := make([]*batch, batchCount)
	size := max(min(batchSize, int(padded(w.o.Unacked/batchCount))), int(storedSize(int(w.sb.MaxRecord))))
	for i := range batches {
		batches[i] = &batch{buf: alignedBuffer(size)}
	}
	tries := 0
	for w.more() {
		before := w.Acked().Records
		err := w.writeSegment(batches)
		if err == nil {
			tries = 0
			continue
		}
		if w.Acked().Records > before {
			tries = 0
		}
		if tries++; tries == maxTries || hopeless(err) {
			w.fail(fmt.Errorf("%s: %w", w.ref, err))
			break
		}
	}
	// Nobody seals any more: what is left goes back to its owner.
	var free []func()
	w.mu.Lock()
	for _, it := range w.queue {
		free = w.letGo(it, free)
	}
	w.queue, w.run = nil, nil
	w.session.forget()
	w.ended = true
	w.wake.Broadcast()
	w.mu.Unlock()
	for _, release := range free {
		release()
	}
}

// hopeless names the errors that the next segment meets too.
func hopeless(err error) bool {
	for _, no := range []error{unix.ENOSPC, unix.EDQUOT, unix.EROFS, ErrHostile, ErrClosed, ErrRange, ErrLocked} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// more waits for a record, and tells whether there is one.
func (w *Writer) more() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.err == nil && len(w.queue) == 0 && !w.closing {
		w.wake.Wait()
	}
	w.placed = 0
	return w.err == nil && len(w.queue) > 0
}

// fail ends the run with an error, unless it has one.
func (w *Writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	w.wake.Broadcast()
}

// letGo forgets an item that is not needed any more, and adds to free what releases its buffer once all items of
// that are gone. Call it with mu held, and what it returns without.
func (w *Writer) letGo(it *item, free []func()) []func() {
	it.data = nil
	b := it.buffer
	if b == nil {
		return free
	}
	if b.left--; b.left > 0 {
		return free
	}
	w.held -= b.size
	return append(free, b.release)
}

// A batch is a stretch of a segment on its way: records sealed side by side, written with one call.
type batch struct {
	buf     []byte
	n       int64 // bytes of buf in use
	records []placed
	sealing sync.WaitGroup
	seq     int64 // of the newest item in it
}

// A placed record has its place in a batch. The leaf is there when it is sealed.
type placed struct {
	header recordHeader
	at     int64 // in the batch; there is room for the record as it would be without a codec
	item   *item // nil: a checkpoint
}

// A segmentWriter writes one segment. Three parties share it: the log goroutine places records into batches, the
// appender writes batches in order, the syncer makes them durable and acknowledges them. Sealing goes on meanwhile.
type segmentWriter struct {
	w      *Writer
	number int
	header segmentHeader
	block  []byte // the header
	cipher *recordCipher
	file   File

	free   chan *batch
	filled chan *batch
	seals  chan seal

	// Of the log goroutine.
	cur        *batch
	placed     int   // records
	size       int64 // of the segment when everything placed is written
	checkpoint int64 // size at the last checkpoint
	begun      bool

	// Of the appender.
	tree   tree // over everything appended
	offset int64

	broken chan struct{} // closed when err is set

	// Under the writer's mu, and told by its wake.
	err      error
	finish   bool   // no more batches come
	entries  []byte // of everything appended
	appended int64  // seq of the newest item appended
	written  int64  // bytes appended
	synced   int64  // bytes acknowledged
	count    int    // records acknowledged
}

// A seal is one record to be sealed by a worker.
type seal struct {
	b *batch
	r *placed
}

// writeSegment opens the next segment and writes records into it until it is full, the writer is closed, or it breaks.
func (w *Writer) writeSegment(batches []*batch) error {
	s, err := w.newSegment()
	if err != nil {
		return err
	}
	for _, b := range batches {
		s.free <- b
	}
	var workers, parties sync.WaitGroup
	for range w.o.Workers {
		workers.Go(s.work)
	}
	parties.Go(s.append)
	parties.Go(s.sync)

	s.place()
	close(s.seals)
	workers.Wait()
	close(s.filled)
	parties.Wait()

	if s.err == nil {
		s.close()
		return s.err
	}
	// The segment is over. Closing it may fail as well; what counts was said before.
	_ = s.file.Close()
	return s.err
}

func (w *Writer) newSegment() (*segmentWriter, error) {
	number := w.next
	if number >= maxSegments {
		return nil, fmt.Errorf("%w: more than %d segments", ErrRange, maxSegments)
	}
	s := &segmentWriter{
		w: w, number: number,
		header: segmentHeader{
			number: number, uuid: w.sb.UUID, session: w.session.id, commitment: w.session.commitment(),
			created: w.o.Now().UTC().Truncate(time.Second), previous: w.header,
		},
		cipher: w.session.segmentKey(number),
		free:   make(chan *batch, batchCount), filled: make(chan *batch, batchCount), seals: make(chan seal, 64),
		tree: w.tree.clone(), offset: firstRecordOffset, size: firstRecordOffset, broken: make(chan struct{}),
	}
	s.block = s.header.marshal()
	f, err := w.st.Create(w.segmentPath(number))
	w.next = number + 1 // whatever became of it, the name is not tried again
	if errors.Is(err, fs.ErrExist) && w.rival(number) {
		return nil, fmt.Errorf("segment %d: %w: somebody else has made it: %w", number, ErrLocked, err)
	}
	if err != nil {
		return nil, fmt.Errorf("segment %d: %w", number, err)
	}
	s.file = f
	if _, err := f.WriteAt(s.block, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("segment %d: write: %w", number, err), f.Close())
	}
	return s, nil
}

// rival tells whether the segment that has taken a name is of another run that is writing to this image, or about to
// be. This run has not tried the name before. To go on behind such a segment would leave two logs that do not follow one
// another, and an image that does not open. Anything else that lies there is no part of the image.
func (w *Writer) rival(number int) bool {
	f, err := w.st.Open(w.segmentPath(number))
	if err != nil {
		return false
	}
	defer leave(f)
	b := make([]byte, blockSize)
	n, err := readFull(f, b, 0)
	if err != nil || n < blockSize {
		return true
	}
	h, err := parseSegmentHeader(b)
	return err == nil && h.uuid == w.sb.UUID
}

// breaks ends the segment with an error.
func (s *segmentWriter) breaks(err error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.stop(fmt.Errorf("segment %d: %w", s.number, err))
}

// stop is breaks with mu held.
func (s *segmentWriter) stop(err error) {
	if s.err == nil {
		s.err = err
		close(s.broken)
		s.w.wake.Broadcast()
	}
}

func (s *segmentWriter) isBroken() bool {
	select {
	case <-s.broken:
		return true
	default:
		return false
	}
}

// place puts records into batches, in order, until the segment is full, broken, or there will be no more. When it
// returns nil is left in cur.
func (s *segmentWriter) place() {
	for {
		it, flush, end := s.next()
		if end {
			s.push()
			return
		}
		if flush {
			s.push()
			continue
		}
		if !s.put(it) {
			return
		}
	}
}

// next returns the record to place, or that the batch should be written as it is, or that this was the end.
func (s *segmentWriter) next() (it *item, flush, end bool) {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		if w.err != nil {
			s.stop(w.err)
		}
		if s.err != nil {
			return nil, false, true
		}
		if w.placed < len(w.queue) {
			it := w.queue[w.placed]
			if !s.fits(it) {
				return nil, false, true
			}
			w.placed++
			return it, false, false
		}
		// Nothing more to add just now. What waits in the batch goes out when somebody asked for it, or when the
		// window is full and nothing more can come before it is durable.
		if s.cur != nil && (w.askSeq >= s.cur.seq || w.stalled > 0) {
			return nil, true, false
		}
		if w.closing {
			return nil, false, true
		}
		w.wake.Wait()
	}
}

// fits tells whether a record, a checkpoint before it and the footer still fit into the segment.
func (s *segmentWriter) fits(it *item) bool {
	size := s.size + storedSize(it.plain()) + storedSize(checkpointSize) + footerSize(s.placed+2)
	return s.placed+2 <= maxSegmentRecords && size <= s.w.sb.MaxSegment
}

func (it *item) plain() int {
	switch it.kind {
	case typeData, typeMeta:
		return len(it.data)
	case typeFill:
		return 1
	}
	return 0
}

// put places one record, after a checkpoint where one is due, and gives it to the workers. It returns false when the
// segment broke.
func (s *segmentWriter) put(it *item) bool {
	if !s.begun || s.size-s.checkpoint >= checkpointInterval {
		s.begun = true
		// Its count of records before it is known only when it is appended, like its content.
		if !s.reserve(recordHeader{kind: typeCheckpoint, plain: checkpointSize}, nil) {
			return false
		}
		s.checkpoint = s.size
	}
	return s.reserve(recordHeader{
		kind: it.kind, status: it.status, pass: it.pass, first: it.first, sectors: it.sectors, plain: uint32(it.plain()),
	}, it)
}

func (s *segmentWriter) reserve(h recordHeader, it *item) bool {
	size := h.stored()
	if s.cur != nil && s.cur.n+size > int64(len(s.cur.buf)) {
		s.push()
	}
	if s.cur == nil {
		select {
		case s.cur = <-s.free:
			s.cur.n, s.cur.records, s.cur.seq = 0, s.cur.records[:0], 0
		case <-s.broken:
			return false
		}
		// The workers hold pointers into it: it must not grow while it is filled.
		s.cur.records = slices.Grow(s.cur.records, len(s.cur.buf)/blockSize)
	}
	h.ordinal, h.segment, h.session = uint64(s.placed), uint32(s.number), s.header.session
	b := s.cur
	b.records = append(b.records, placed{header: h, at: b.n, item: it})
	b.n += size
	s.placed++
	s.size += size
	if it != nil {
		b.seq = it.seq
		b.sealing.Add(1)
		s.seals <- seal{b, &b.records[len(b.records)-1]}
	}
	return true
}

// push hands the current batch to the appender.
func (s *segmentWriter) push() {
	if s.cur == nil {
		return
	}
	s.filled <- s.cur // there is room for all batches
	s.cur = nil
}

// work seals records until there are no more.
func (s *segmentWriter) work() {
	var fill [1]byte
	var room []byte
	for j := range s.seals {
		plain := j.r.item.data
		switch {
		case j.r.item.kind == typeFill:
			fill[0] = j.r.item.value
			plain = fill[:]
		case j.r.item.kind == typeData && s.w.packer != nil:
			var ok bool
			if room, ok = s.w.packer.pack(plain, room); ok {
				j.r.header.codec, j.r.header.packed = codecZstd, uint32(len(room))
				plain = room
			}
		}
		s.seal(j.b, j.r, plain)
		j.b.sealing.Done()
	}
}

// seal encrypts a record into its place in the batch.
func (s *segmentWriter) seal(b *batch, r *placed, plain []byte) {
	raw := b.buf[r.at : r.at+r.header.stored()]
	r.header.put(raw)
	payload := s.cipher.seal(raw, plain)
	r.header.leaf = recordLeaf(raw, payload)
	finishHeader(raw, r.header.leaf)
	clear(raw[headerSize+len(payload):])
}

// append writes the batches in order.
func (s *segmentWriter) append() {
	for b := range s.filled {
		b.sealing.Wait()
		if s.isBroken() {
			continue
		}
		entries := s.list(b)
		if _, err := s.file.WriteAt(b.buf[:b.n], s.offset); err != nil {
			s.breaks(fmt.Errorf("write: %w", err))
			continue
		}
		s.file.Flushing(s.offset, b.n)
		s.offset += b.n
		s.w.mu.Lock()
		s.entries = append(s.entries, entries...)
		s.appended = b.seq
		s.written += b.n
		s.w.wake.Broadcast()
		s.w.mu.Unlock()
		s.free <- b
	}
	s.w.mu.Lock()
	s.finish = true
	s.w.wake.Broadcast()
	s.w.mu.Unlock()
}

// list adds a batch's records to the tree and returns their entries. Checkpoints are sealed here, for only here is it
// known what comes before them. Packed records leave room behind them: the next ones move up.
func (s *segmentWriter) list(b *batch) []byte {
	var entries []byte
	b.n = 0
	for i := range b.records {
		r := &b.records[i]
		if r.item == nil {
			r.header.first = s.tree.size
			c := checkpoint{s.tree.root(), s.w.sum, sha256.Sum256(s.block)}
			s.seal(b, r, c.marshal())
		}
		s.tree.add(r.header.leaf)
		size := r.header.stored()
		if b.n < r.at {
			copy(b.buf[b.n:], b.buf[r.at:r.at+size])
		}
		e := entryOf(&r.header, s.offset+b.n)
		b.n += size
		entries = e.append(entries)
		r.item = nil
	}
	return entries
}

// sync makes what is appended durable and acknowledges it, beside sealing and appending.
func (s *segmentWriter) sync() {
	named := false
	for {
		seq, written, count, ok := s.awaitSync()
		if !ok {
			return
		}
		noFlush, err := syncFile(s.file)
		if err == nil && !named {
			// The name has to last as well as the content.
			var no bool
			no, err = syncDir(s.w.st, s.w.ref.Dir())
			noFlush, named = noFlush || no, true
		}
		if err != nil {
			s.breaks(err)
			return
		}
		s.acknowledge(seq, written, count, noFlush)
	}
}

// awaitSync waits until there is something to sync and a reason to, and returns how far it goes.
func (s *segmentWriter) awaitSync() (seq, written int64, count int, ok bool) {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	for s.err == nil && !s.due() && (!s.finish || s.synced != s.written) {
		w.wake.Wait()
	}
	if s.err != nil || s.synced == s.written {
		return 0, 0, 0, false
	}
	return s.appended, s.written, len(s.entries) / entrySize, true
}

// due tells whether to sync now: half the window is written, the end, what somebody asked for is written, or nothing
// more can come before. mu is held.
func (s *segmentWriter) due() bool {
	w := s.w
	switch unsynced := s.written - s.synced; {
	case unsynced == 0:
		return false
	case unsynced >= w.o.Unacked/2 || s.finish:
		return true
	case w.askSeq > w.ackSeq && s.appended >= w.askSeq:
		return true
	}
	return w.stalled > 0 && w.placed == len(w.queue) && s.appended == w.seq
}

// acknowledge takes off the queue what is durable now, and tells.
func (s *segmentWriter) acknowledge(seq, written int64, count int, noFlush bool) {
	w := s.w
	w.mu.Lock()
	entries := s.entries[s.count*entrySize : count*entrySize]
	dropped := s.synced
	s.synced, s.count = written, count
	for i := 0; i < len(entries); i += entrySize {
		w.tree.add(tlog.Hash(entries[i+32 : i+64]))
	}
	w.index.Write(entries)
	if k := len(w.segments); k == 0 || w.segments[k-1].number != s.number {
		w.segments = append(w.segments, sealedSegment{number: s.number})
		w.header = sha256.Sum256(s.block)
		w.stored += firstRecordOffset
	}
	w.segments[len(w.segments)-1].records = count
	w.stored += written - dropped
	var free []func()
	k := 0
	for ; k < len(w.queue) && w.queue[k].seq <= seq; k++ {
		w.acked.Bytes += w.queue[k].gain
		free = w.letGo(w.queue[k], free)
	}
	w.queue = slices.Delete(w.queue, 0, k)
	w.placed -= k
	w.acked.Segment, w.acked.Records = s.number, int(w.tree.size)
	w.noFlush = w.noFlush || noFlush
	acked := w.acked
	w.wake.Broadcast()
	w.mu.Unlock()

	for _, release := range free {
		release()
	}
	s.file.DropCache(firstRecordOffset+dropped, written-dropped)
	if w.o.OnAck != nil {
		w.o.OnAck(acked)
	}
	// Only now: who waits for durable also waits until it was told.
	w.mu.Lock()
	w.ackSeq = seq
	w.wake.Broadcast()
	w.mu.Unlock()
}

// close ends a segment of which everything is acknowledged: footer, fsync, close. A footer that cannot be written is
// no loss; the segment will be scanned. A close that fails is one where nothing was flushed before it.
func (s *segmentWriter) close() {
	if s.count > 0 {
		t := trailer{
			segment: s.number, offset: s.offset, treeSize: s.tree.size, root: s.tree.root(),
			uuid: s.header.uuid, session: s.header.session,
		}
		footer := marshalFooter(t, s.entries)
		if _, err := s.file.WriteAt(footer, s.offset); err == nil {
			if _, err := syncFile(s.file); err == nil {
				s.w.mu.Lock()
				s.w.stored += int64(len(footer))
				s.w.mu.Unlock()
			}
		}
	}
	if err := s.file.Close(); err != nil && s.w.NoFlush() {
		s.err = fmt.Errorf("segment %d: close: %w", s.number, err)
		// What was acknowledged without a flush may be gone: no new segment can mend that.
		s.w.fail(fmt.Errorf("%s: %w", s.w.ref, s.err))
	}
}
