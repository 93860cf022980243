package vault

import "context"

// A Reader gives the source's content back. Every byte it returns was authenticated. Its methods may be called from
// several goroutines.
type Reader struct{}

// Size is the size of the source in bytes.
func (r *Reader) Size() int64 { return 0 }

// ReadAt reads the source's content. Where the source was not read it returns what lies before and an [*UnreadError];
// at the end io.EOF; an [ErrCorrupt] where a record does not authenticate.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) { return 0, errNotYet }

// A Chunk is a stretch of the source.
type Chunk struct {
	Off  int64
	Len  int64
	Data []byte // nil: not read from the source. Valid until the callback returns
	Fill bool   // Data is one byte that is repeated Len times
}

// Chunks calls fn for the whole source from its first byte to its last, in order and without gaps, decrypting ahead on
// several processors. It ends at the first error.
func (r *Reader) Chunks(ctx context.Context, fn func(Chunk) error) error { return errNotYet }

// Extents calls fn for every stretch of the source that was read, in order; neighbours are not joined.
func (r *Reader) Extents(fn func(first, sectors int64) error) error { return errNotYet }

// Metas returns the plaintext of all META records, in order.
func (r *Reader) Metas(ctx context.Context) ([][]byte, error) { return nil, errNotYet }

// A Content is what Deep found out about a source's content.
type Content struct {
	SHA256 [32]byte // of the whole source, with zeros where it was not read
	Bytes  int64    // of the source
	Unread int64    // bytes that were not read, counted as zeros in SHA256
}

// Deep opens every live record and computes the SHA-256 of the whole source. The hash is personal data: in public it
// would confirm guesses.
func (r *Reader) Deep(ctx context.Context, progress func(done, total int64)) (Content, error) {
	return Content{}, errNotYet
}

// Close forgets the keys.
func (r *Reader) Close() error { return errNotYet }
