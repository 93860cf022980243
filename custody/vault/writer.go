package vault

import (
	"context"
	"io"
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
	// Workers is how many goroutines seal; 0: one per processor.
	Workers int
	// Unacked is how many bytes of source data may wait to become durable; 0: 64 MiB. Their buffers are not
	// released before. An fsync begins at half of it.
	Unacked int64
	// OnKey is called when the run's key file is durable and was read back, before the first record. An error
	// aborts the run; nothing has been written then that the key would open.
	OnKey func(KeyFile) error
	// OnAck is called with every acknowledged position, in order, from one goroutine.
	OnAck func(Position)
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

// A Writer writes one image. Its methods may be called from several goroutines; records are ordered as the calls are.
type Writer struct{}

// Start begins a new image: superblock, key file, first segment. It fails with [ErrExists], [ErrRecipients],
// [ErrEraseBy], [ErrNoSpace] before it writes anything.
func Start(ctx context.Context, st, keys Store, ref ImageRef, sb Superblock, o Options) (*Writer, error) {
	return nil, errNotYet
}

// Resume continues an image in a new session with a new secret. It reads what is there past the cache, and fails with
// [ErrShort] when that is less than acked, and with [ErrSealed] when there is nothing to continue. The container shows
// the map so far; it stays as it is and need not be closed before the writer.
func Resume(ctx context.Context, st, keys Store, ref ImageRef, acked Position, o Options) (*Writer, *Container, error) {
	return nil, nil, errNotYet
}

// UUID identifies the image.
func (w *Writer) UUID() [16]byte { return [16]byte{} }

// NoFlush tells whether the file system has refused to flush.
func (w *Writer) NoFlush() bool { return false }

// Acked is the newest acknowledged position.
func (w *Writer) Acked() Position { return Position{} }

// Write appends what was read from the source at sector first: a whole number of sectors, at most MaxRecord bytes.
// It returns as soon as the data has its place in the order, waiting only while too much is unacknowledged. The writer
// owns p until it calls release, once, from any goroutine, and calls it whatever happens, also when Write fails.
// Runs of at least 64 KiB of one byte value take no space.
func (w *Writer) Write(ctx context.Context, first int64, p []byte, pass uint8, release func()) error {
	return errNotYet
}

// Mark records that n sectors have the given status: '?', '*', '/' or '-' as in a map of GNU ddrescue. It never hides
// data.
func (w *Writer) Mark(ctx context.Context, first, n int64, status byte, pass uint8) error {
	return errNotYet
}

// Meta appends an encrypted note about the source, at most MaxRecord bytes: model, serial number, SMART values.
func (w *Writer) Meta(ctx context.Context, p []byte) error { return errNotYet }

// Sync returns when everything written before the call is durable and acknowledged.
func (w *Writer) Sync(ctx context.Context) error { return errNotYet }

// Pause syncs and ends the run; [Resume] continues. The writer is closed afterwards, whatever the error.
func (w *Writer) Pause(ctx context.Context) error { return errNotYet }

// Seal syncs, ends the image and signs what belongs to it. The writer is closed afterwards, whatever the error; after
// an error the image can be resumed.
func (w *Writer) Seal(ctx context.Context) (Seal, error) { return Seal{}, errNotYet }

// WorstCase is how many bytes an image of a source may take in the vault when nothing in it can be left out.
func WorstCase(bytes int64) int64 { return 0 }
