package vault

import (
	"context"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Run is a stretch of the source with one status: '+' read, '-' bad, '*' failed block, '/' not scraped, '?' untried.
type Run struct {
	First, Sectors int64
	Status         byte
}

// A Container is an image as far as it can be seen without a secret.
type Container struct{}

// OpenImage opens an image: superblock, segment headers, footers or else a scan, and the seal where there is one. It
// needs no secret. [ErrNotFound] when there is no such image; an [ErrCorrupt] when what is there does not fit together.
func OpenImage(ctx context.Context, st Store, ref ImageRef) (*Container, error) {
	return nil, errNotYet
}

// Ref addresses the image.
func (c *Container) Ref() ImageRef { return ImageRef{} }

// Superblock is what was known at the start.
func (c *Container) Superblock() Superblock { return Superblock{} }

// Sealed tells whether the image has a seal; whether it is signed by the right station only the verifications tell.
func (c *Container) Sealed() bool { return false }

// Seal is the content of the seal note; zero when the image is not sealed.
func (c *Container) Seal() Seal { return Seal{} }

// Position is how far the log reaches.
func (c *Container) Position() Position { return Position{} }

// Check compares the log with an acknowledged position: [ErrShort] when it reaches less far.
func (c *Container) Check(acked Position) error { return errNotYet }

// Runs is the map of the source: sorted, without gaps, from sector 0 to the end.
func (c *Container) Runs() []Run { return nil }

// Root is the root over all records, computed from the leaves in footers and headers.
func (c *Container) Root() tlog.Hash { return tlog.Hash{} }

// Close closes the files.
func (c *Container) Close() error { return errNotYet }

// A Verified says what a verification looked at and found whole.
type Verified struct {
	Sealed   bool
	Root     tlog.Hash
	Segments int
	Records  int64
	Bytes    int64 // of the container that were read
}

// VerifyQuick checks that superblock, headers, footers, tree and seal agree and that the seal is signed by verifier. It
// returns [ErrUnsealed] for an image without a seal, after checking the rest; the image may still be resumed.
func (c *Container) VerifyQuick(ctx context.Context, verifier note.Verifier, progress func(done, total int64)) (Verified, error) {
	return Verified{}, errNotYet
}

// VerifyMedia checks what VerifyQuick does, and reads every byte of every record past the cache and computes its leaf
// again.
func (c *Container) VerifyMedia(ctx context.Context, verifier note.Verifier, progress func(done, total int64)) (Verified, error) {
	return Verified{}, errNotYet
}

// Unlock opens the key files with the identities. [ErrWrongKey] when none of them opens one, [ErrKeyFile] when the
// key file of a session is missing or damaged.
func (c *Container) Unlock(ctx context.Context, keys Store, ids ...age.Identity) (*Reader, error) {
	return nil, errNotYet
}
