package vault

import (
	"context"
	crand "crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"runtime"
	"sync"
	"time"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Options say how an image is written.
type Options struct {
	// Recipients open the image later: at least two different ones. None of them is needed now.
	Recipients []age.Recipient
	// Signer signs the seal: the station's key.
	Signer note.Signer
	// Now is the clock.
	Now func() time.Time
	// After starts a timer; nil: time.After. It drives the fsync at least every ten seconds.
	After func(time.Duration) <-chan time.Time
	// Rand is where secrets and ids come from; nil: crypto/rand. Nonces always come from crypto/rand.
	Rand io.Reader
	// Compress packs records with zstd where that saves at least 4096 bytes of the vault each. It costs several times
	// the processor time of everything else, and the size of each record then tells how well its content packs.
	Compress bool
	// Workers is how many goroutines seal; 0: one per processor.
	Workers int
	// Unacked is how many bytes of source data may wait to become durable; 0: 64 MiB. Their buffers are not
	// released before. An fsync begins at half of it.
	Unacked int64
	// OnKey is called when the run's key file is durable and was read back, before the first record. An error
	// aborts the run; nothing has been written then that the key would open.
	OnKey func(KeyFile) error
	// Keys is the highest number of a key file that was recorded for the image. The next gets a higher one though that
	// file be lost: under its name another key would hide that.
	Keys int
	// OnAck is called with every acknowledged position, in order, from one goroutine. It must not call the writer.
	OnAck func(Position)
	// Unseal lets Resume continue an image that is sealed and not whole: a disk with bad sectors is tried once more. Its
	// seal note is taken away first; who asks for that has recorded it, because an image without its seal counts as not
	// sealed from then on. The next seal covers every record of the one before.
	Unseal bool
}

// A KeyFile describes the wrapped secret of one run.
type KeyFile struct {
	Session    int      // number of the run, from 1
	ID         [16]byte // session id, as in the segment headers
	File       string   // path below the keystore
	SHA256     [32]byte // of the file
	Recipients int
}

// A Position is how much of an image is durable.
type Position struct {
	Segment int   // number of the newest segment that has a durable record
	Records int   // durable records of the whole image
	Bytes   int64 // rescued bytes of the source among them, each counted once
}

// A Seal is what is known of an image once it is complete. All of it but the note is also in the note.
type Seal struct {
	UUID     [16]byte
	Root     tlog.Hash // RFC 6962 root over the leaves of all records
	Records  int64
	Segments int
	Stored   int64 // bytes of all files of the image in the vault but the note
	Rescued  int64 // bytes of the source that were read
	Bad      int64 // bytes of the source that were found unreadable
	Untried  int64 // bytes of the source that were neither read nor found unreadable
	NoFlush  bool  // the file system could not flush, so that nobody can promise what a power cut leaves
	Note     []byte
}

const (
	defaultUnacked = 64 << 20
	syncEvery      = 10 * time.Second
	syncItems      = 4096 // unacknowledged records after which an fsync begins, however small they are
	maxItems       = 4 * syncItems
	batchSize      = 4 << 20 // bytes of one write
	batchCount     = 6
	maxTries       = 3 // segments in a row in which nothing could be made durable
)

// A Writer writes one image. Its methods may be called from several goroutines; records are ordered as the calls are.
//
// Between Write and the medium stands one queue: every record that is not acknowledged, in order. The log goroutine
// (log.go) takes them from its front into a segment, and the acknowledgement takes them off. When a segment breaks,
// the log goes back to the front of the queue and writes the same records into the next.
type Writer struct {
	st      Store
	ref     ImageRef
	sb      Superblock
	sum     [32]byte // of the superblock
	o       Options
	session *session
	packer  *packer       // nil: records are kept as they are
	done    chan struct{} // the log goroutine has ended

	mu      sync.Mutex
	wake    sync.Cond // anything below changed
	queue   []*item   // accepted and not acknowledged, in order
	placed  int       // how many of them are in the segment being written
	seq     int64     // of the newest item
	ackSeq  int64     // of the newest acknowledged item
	askSeq  int64     // up to here somebody wants it durable now
	held    int64     // bytes of source buffers not released
	run     *item     // a fill or status that may still grow; not in the queue
	status  statusMap
	stalled int // callers that wait for room in the window
	closing bool
	ended   bool
	err     error
	noFlush bool

	// What is acknowledged. The log goroutine alone changes it, under mu.
	acked    Position
	tree     tree
	index    hash.Hash
	segments []sealedSegment
	stored   int64
	header   [32]byte // SHA-256 of the header of the newest segment that counts
	next     int      // number of the next segment
}

// An item is a record that is to be written, without a place yet.
type item struct {
	kind    uint8
	status  byte
	pass    uint8
	value   byte // of a fill
	first   int64
	sectors int64
	gain    int64  // bytes of the source that it adds to what is rescued
	data    []byte // of DATA and META
	buffer  *buffer
	seq     int64
}

// A buffer is what a caller gave to Write. It goes back when all records made of it are durable.
type buffer struct {
	size    int64
	left    int
	release func()
}

func (o *Options) complete() error {
	if err := checkRecipients(o.Recipients); err != nil {
		return err
	}
	if o.Now == nil || o.Signer == nil {
		return fmt.Errorf("%w: options without clock or signer", ErrRange)
	}
	if o.After == nil {
		o.After = time.After
	}
	if o.Rand == nil {
		o.Rand = crand.Reader
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Unacked <= 0 {
		o.Unacked = defaultUnacked
	}
	return nil
}

// Start begins a new image: superblock, then key file; the first segment comes with the first record. It fails with
// [ErrExists], [ErrRecipients], [ErrEraseBy], [ErrNoSpace] before it writes anything. The run does not depend on ctx
// afterwards.
func Start(ctx context.Context, st, keys Store, ref ImageRef, sb Superblock, o Options) (*Writer, error) {
	if err := ref.Valid(); err != nil {
		return nil, err
	}
	if err := o.complete(); err != nil {
		return nil, err
	}
	if sb.UUID == [16]byte{} {
		if _, err := io.ReadFull(o.Rand, sb.UUID[:]); err != nil {
			return nil, fmt.Errorf("drawing an image id: %w", err)
		}
	}
	if sb.Physical == 0 {
		sb.Physical = sb.Sector
	}
	if sb.MaxRecord == 0 {
		sb.MaxRecord = MaxRecord
	}
	if sb.MaxSegment == 0 {
		sb.MaxSegment = MaxSegment
	}
	sb.Created, sb.EraseBy = sb.Created.UTC().Truncate(time.Second), sb.EraseBy.UTC().Truncate(time.Second)
	if err := sb.check(); err != nil {
		return nil, err
	}
	if there, err := exists(st, ref); err != nil {
		return nil, err
	} else if there {
		return nil, fmt.Errorf("%s: %w", ref, ErrExists)
	}
	if err := enoughSpace(st, sb.Bytes); err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// A superblock that a crash cut short is all there is of an attempt that never began.
	if err := st.Remove(ref.file(superblockName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: clearing a torn superblock: %w", ref, err)
	}
	block := sb.marshal()
	noFlush, err := writeDurably(st, ref.file(superblockName), append(block[:len(block):len(block)], block...))
	if err != nil {
		return nil, fmt.Errorf("%s: superblock: %w", ref, err)
	}
	w := &Writer{
		st: st, ref: ref, sb: sb, sum: sha256.Sum256(block), o: o, noFlush: noFlush,
		index: sha256.New(), status: newStatusMap(&sb),
	}
	if err := w.begin(keys); err != nil {
		return nil, err
	}
	return w, nil
}

// Resume continues an image in a new session with a new secret. It reads what is there past the cache, and fails with
// [ErrShort] when that is less than acked, and with [ErrSealed] when there is nothing to continue: see Options.Unseal.
// The container shows the map so far. The run does not depend on ctx afterwards.
func Resume(ctx context.Context, st, keys Store, ref ImageRef, acked Position, o Options) (*Writer, *Container, error) {
	if err := o.complete(); err != nil {
		return nil, nil, err
	}
	c, err := openImage(ctx, st, ref, opening{media: true, flush: true})
	if err != nil {
		return nil, nil, err
	}
	if c.seal != nil && (!o.Unseal || c.rescued == c.sb.Bytes) {
		return nil, nil, fmt.Errorf("%s: %w", ref, ErrSealed)
	}
	if err := c.Check(acked); err != nil {
		return nil, nil, err
	}
	if err := enoughSpace(st, c.sb.Bytes-c.rescued); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", ref, err)
	}
	if c, err = unseal(ctx, st, c); err != nil {
		return nil, nil, err
	}
	w := &Writer{
		st: st, ref: ref, sb: c.sb, sum: c.sum, o: o,
		status: newStatusMap(&c.sb), tree: c.tree.clone(), stored: c.stored, next: c.free, acked: c.Position(),
	}
	for _, r := range c.Runs() {
		if r.Status != statusUntried {
			w.status.set(r.First, r.Sectors, r.Status)
		}
	}
	if w.index, err = cloneHash(c.index); err != nil {
		return nil, nil, err
	}
	for _, s := range c.segments {
		w.segments = append(w.segments, sealedSegment{s.number, s.count})
		w.header = s.header.sum()
	}
	if err := w.begin(keys); err != nil {
		return nil, nil, err
	}
	return w, c, nil
}

// unseal takes away the seal note of c, torn or whole, so that the name is free for the one that comes. It returns the
// image as it is without.
func unseal(ctx context.Context, st Store, c *Container) (*Container, error) {
	if c.seal == nil && c.torn == nil {
		return c, nil
	}
	if err := st.Remove(c.ref.file(noteName)); err != nil {
		return nil, fmt.Errorf("%s: taking the seal away: %w", c.ref, err)
	}
	if _, err := syncDir(st, c.ref.Dir()); err != nil {
		return nil, fmt.Errorf("%s: taking the seal away: %w", c.ref, err)
	}
	if c.seal == nil {
		return c, nil // a torn note counted nothing
	}
	open, err := openImage(ctx, st, c.ref, opening{media: true, flush: true})
	if err != nil {
		return nil, err
	}
	return open, open.Check(c.Position())
}

// cloneHash copies a running SHA-256.
func cloneHash(h hash.Hash) (hash.Hash, error) {
	c, ok := h.(hash.Cloner)
	if !ok {
		return nil, errors.New("vault: SHA-256 cannot be cloned")
	}
	return c.Clone()
}

// begin makes the key file and starts the log.
func (w *Writer) begin(keys Store) error {
	var err error
	if w.o.Compress {
		if w.packer, err = newPacker(w.o.Workers); err != nil {
			return err
		}
	}
	if w.session, err = newSession(w.sb.UUID, w.o.Rand); err != nil {
		return err
	}
	key, noFlush, err := writeKey(keys, w.ref, w.session, w.o.Recipients, w.o.Keys+1)
	if err != nil {
		w.session.forget()
		return fmt.Errorf("%s: %w", w.ref, err)
	}
	w.noFlush = w.noFlush || noFlush
	if w.o.OnKey != nil {
		if err := w.o.OnKey(key); err != nil {
			w.session.forget()
			return fmt.Errorf("%s: key file %s: %w", w.ref, key.File, err)
		}
	}
	w.wake.L = &w.mu
	w.done = make(chan struct{})
	go w.log()
	go w.clock()
	return nil
}

// clock asks for an fsync every ten seconds, so that a slow source does not keep its data in memory for long.
func (w *Writer) clock() {
	for {
		select {
		case <-w.o.After(syncEvery):
			w.mu.Lock()
			w.ask()
			w.mu.Unlock()
		case <-w.done:
			return
		}
	}
}

// ask wants everything accepted so far to become durable. Call it with mu held.
func (w *Writer) ask() {
	w.endRun()
	w.askSeq = w.seq
	w.wake.Broadcast()
}

// UUID identifies the image.
func (w *Writer) UUID() [16]byte { return w.sb.UUID }

// Superblock is what the image was started with.
func (w *Writer) Superblock() Superblock { return w.sb }

// NoFlush tells whether the file system has refused to flush.
func (w *Writer) NoFlush() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.noFlush
}

// Acked is the newest acknowledged position.
func (w *Writer) Acked() Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.acked
}

// wait blocks until ready, the writer's end, or the end of ctx. Call it with mu held.
func (w *Writer) wait(ctx context.Context, ready func() bool) error {
	if w.err == nil && !ready() && ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.wake.Broadcast()
		})
		defer stop()
	}
	for w.err == nil && !ready() {
		if err := ctx.Err(); err != nil {
			return err
		}
		w.wake.Wait()
	}
	return w.err
}

// accept waits until a record may enter the queue. Call it with mu held.
func (w *Writer) accept(ctx context.Context, size int64) error {
	room := func() bool {
		return w.closing || (len(w.queue) < maxItems && (w.held == 0 || w.held+size <= w.o.Unacked))
	}
	if w.err == nil && !room() {
		w.stalled++
		w.wake.Broadcast()
		defer func() { w.stalled-- }()
	}
	if err := w.wait(ctx, room); err != nil {
		return err
	}
	if w.closing {
		return ErrClosed
	}
	return nil
}

// inSource refuses sectors outside the source.
func (w *Writer) inSource(first, n int64) error {
	if total := w.sb.Sectors(); first < 0 || n <= 0 || n > total || first > total-n {
		return fmt.Errorf("%w: %d sectors at %d of a source of %d", ErrRange, n, first, total)
	}
	return nil
}

// Write appends what was read from the source at sector first: a whole number of sectors, at most MaxRecord bytes.
// It returns as soon as the data has its place in the order, waiting only while too much is unacknowledged. The writer
// owns p until it calls release, once, from any goroutine, and calls it whatever happens, also when Write fails.
// Runs of at least 64 KiB of one byte value take no space. release must not call the writer.
func (w *Writer) Write(ctx context.Context, first int64, p []byte, pass uint8, release func()) error {
	if release == nil {
		release = func() {}
	}
	freed, err := w.write(ctx, first, p, pass, release)
	if freed {
		release()
	}
	return err
}

// write returns whether the buffer is not needed any more.
func (w *Writer) write(ctx context.Context, first int64, p []byte, pass uint8, release func()) (freed bool, err error) {
	sector := int64(w.sb.Sector)
	if len(p) == 0 || len(p) > int(w.sb.MaxRecord) || int64(len(p))%sector != 0 {
		return true, fmt.Errorf("%w: %d bytes in a write", ErrRange, len(p))
	}
	if err := w.inSource(first, int64(len(p))/sector); err != nil {
		return true, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.accept(ctx, int64(len(p))); err != nil {
		return true, err
	}
	joins := -1
	if r := w.run; r != nil && r.kind == typeFill && r.pass == pass && r.first+r.sectors == first {
		joins = int(r.value)
	}
	var cut [2*(MaxRecord/fillMin) + 2]piece
	b := &buffer{size: int64(len(p)), release: release}
	for _, c := range pieces(p, int(sector), joins, cut[:0]) {
		at, n := first+int64(c.off)/sector, int64(c.n)/sector
		if c.fill {
			w.extend(item{kind: typeFill, value: p[c.off], pass: pass, first: at, sectors: n})
			continue
		}
		b.left++
		w.append(&item{
			kind: typeData, pass: pass, first: at, sectors: n, data: p[c.off : c.off+c.n], buffer: b,
			gain: w.status.read(at, n),
		})
	}
	if b.left == 0 {
		return true, nil
	}
	w.held += b.size
	return false, nil
}

// Mark records that n sectors have the given status: '?', '*', '/' or '-' as in a map of GNU ddrescue. It never hides
// data.
func (w *Writer) Mark(ctx context.Context, first, n int64, status byte, pass uint8) error {
	if !statusLetter(status) {
		return fmt.Errorf("%w: status %q", ErrRange, status)
	}
	if err := w.inSource(first, n); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.accept(ctx, 0); err != nil {
		return err
	}
	w.extend(item{kind: typeStatus, status: status, pass: pass, first: first, sectors: n})
	return nil
}

// Meta appends an encrypted note about the source, at most MaxRecord bytes: model, serial number, SMART values.
func (w *Writer) Meta(ctx context.Context, p []byte) error {
	if len(p) == 0 || len(p) > int(w.sb.MaxRecord) {
		return fmt.Errorf("%w: %d bytes of meta", ErrRange, len(p))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.accept(ctx, int64(len(p))); err != nil {
		return err
	}
	b := &buffer{size: int64(len(p)), left: 1, release: func() {}}
	w.append(&item{kind: typeMeta, data: append([]byte(nil), p...), buffer: b})
	w.held += b.size
	return nil
}

// extend joins a fill or status to the run before it, or begins a new one. Call it with mu held.
func (w *Writer) extend(it item) {
	if r := w.run; r != nil && r.kind == it.kind && r.value == it.value && r.status == it.status &&
		r.pass == it.pass && r.first+r.sectors == it.first {
		r.sectors += it.sectors
		return
	}
	w.endRun()
	w.run = &it
}

// endRun puts the run that may still grow into the queue. Call it with mu held.
func (w *Writer) endRun() {
	r := w.run
	if r == nil {
		return
	}
	w.run = nil
	if r.kind == typeFill {
		r.gain = w.status.read(r.first, r.sectors)
	} else {
		w.status.mark(r.first, r.sectors, r.status)
	}
	w.enqueue(r)
}

func (w *Writer) append(it *item) {
	w.endRun()
	w.enqueue(it)
}

func (w *Writer) enqueue(it *item) {
	w.seq++
	it.seq = w.seq
	w.queue = append(w.queue, it)
	if w.seq-max(w.askSeq, w.ackSeq) >= syncItems {
		w.askSeq = w.seq
	}
	w.wake.Broadcast()
}

// Sync returns when everything written before the call is durable and acknowledged.
func (w *Writer) Sync(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ask()
	target := w.seq
	return w.wait(ctx, func() bool { return w.ackSeq >= target })
}

// Pause syncs and ends the run; [Resume] continues. The writer is closed afterwards, whatever the error.
func (w *Writer) Pause(ctx context.Context) error {
	if err := w.end(ctx); err != nil {
		return fmt.Errorf("%s: pausing: %w", w.ref, err)
	}
	return nil
}

// Abort ends the run at once. What is acknowledged stays; the rest is dropped, and its buffers are released once the
// system calls that are under way return. After Pause or Seal it does nothing.
func (w *Writer) Abort() {
	w.mu.Lock()
	if w.err == nil && !w.ended {
		w.err = ErrClosed
	}
	w.wake.Broadcast()
	w.mu.Unlock()
	<-w.done
}

// end makes everything durable and waits for the log to end.
func (w *Writer) end(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing && w.err == nil {
		return ErrClosed
	}
	w.ask()
	w.closing = true
	w.wake.Broadcast()
	err := w.wait(ctx, func() bool { return w.ended })
	if err != nil && w.err == nil {
		w.err = err
		w.wake.Broadcast()
	}
	return err
}

// Seal syncs, ends the image and signs what belongs to it. The writer is closed afterwards, whatever the error; after
// an error the image can be resumed.
func (w *Writer) Seal(ctx context.Context) (Seal, error) {
	if err := w.end(ctx); err != nil {
		return Seal{}, fmt.Errorf("%s: sealing: %w", w.ref, err)
	}
	t := sealText{
		uuid: w.sb.UUID, superblock: w.sum, sealed: w.o.Now().UTC().Truncate(time.Second),
		bytes: w.sb.Bytes, sector: w.sb.Sector, root: w.tree.root(), headers: w.header,
		index: [32]byte(w.index.Sum(nil)), stored: w.stored + 2*blockSize, noFlush: w.noFlush, segments: w.segments,
	}
	t.rescued, t.bad, t.untried = w.status.tally()
	msg, err := note.Sign(&note.Note{Text: string(t.marshal())}, w.o.Signer)
	if err != nil {
		return Seal{}, fmt.Errorf("%s: signing the seal: %w", w.ref, err)
	}
	if _, err := writeDurably(w.st, w.ref.file(noteName), msg); err != nil {
		return Seal{}, fmt.Errorf("%s: seal: %w", w.ref, err)
	}
	return t.seal(msg), nil
}

// WorstCase is how many bytes an image of a source may take in the vault when nothing in it can be left out and it is
// read in records of the largest size, with a reserve for areas that are read by the sector.
func WorstCase(bytes int64) int64 {
	records := (bytes + MaxRecord - 1) / MaxRecord
	segments := records*storedSize(MaxRecord)/MaxSegment + 1
	return records*(storedSize(MaxRecord)+entrySize) + segments*(4*blockSize) + spaceReserve
}

const spaceReserve = 64 << 20

func enoughSpace(st Store, bytes int64) error {
	free, err := st.Free()
	if err != nil {
		return err
	}
	if need := WorstCase(bytes); free < need {
		return fmt.Errorf("%w: %d bytes free, %d needed in the worst case", ErrNoSpace, free, need)
	}
	return nil
}

func (w *Writer) segmentPath(n int) string { return path.Join(w.ref.Dir(), segmentName(n)) }
