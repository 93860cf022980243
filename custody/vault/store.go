package vault

import "io"

// A Store is where vaults and keystores live: today a directory ([Dir]), one day an object store. Names are
// slash-separated paths below the store; a name that is not [io/fs.ValidPath], or that meets anything but plain
// directories and plain files on its way, is refused with [ErrHostile].
//
// Every store passes storetest.Test.
type Store interface {
	// Create makes a new file, readable and writable by its owner alone, and the directories above it. It fails
	// with fs.ErrExist when the name is taken, whatever by. The name is durable after SyncDir.
	Create(name string) (File, error)
	// Open opens a file for reading. It fails with fs.ErrNotExist when there is none.
	Open(name string) (File, error)
	// OpenMedia opens a file for reading from the medium, past whatever the host has cached, so that a check
	// checks what a reader will find after the power is gone. Where the file system cannot do that, cached
	// content is dropped before each read as well as the system allows.
	OpenMedia(name string) (File, error)
	// Update opens a file for reading and writing in place. Only the lock is ever updated.
	Update(name string) (File, error)
	// List names what is in a directory, sorted. A directory that does not exist is fs.ErrNotExist.
	List(dir string) ([]Entry, error)
	// SyncDir makes the names in a directory, and the directory's own name and those above it, durable.
	// It returns ErrNoFlush where the file system cannot.
	SyncDir(dir string) error
	// Remove removes a file that is not part of an image (the lock). It is no way to erase anything.
	Remove(name string) error
	// Free is how many bytes can still be written.
	Free() (int64, error)
}

// A File is an open file of a [Store]. All methods may be called from several goroutines.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Sync returns when everything written before the call is durable. After any other error than ErrNoFlush the
	// content written since the last successful Sync is lost or unknown: a second Sync would lie.
	Sync() error
	// Flushing asks the system to begin writing the range to the medium, so that a later Sync has less to wait for.
	// It is advice.
	Flushing(off, n int64)
	// DropCache tells the system that a range which is already durable will not be read soon. It is advice.
	DropCache(off, n int64)
	// Size is the length in bytes.
	Size() (int64, error)
	// Close closes the file. An error means that what was written since the last Sync may be lost.
	Close() error
}

// An Entry is one name in a directory of a [Store].
type Entry struct {
	Name string
	Dir  bool // a directory
	File bool // a plain file with one name; neither Dir nor File: something that salvor did not make
	Size int64
}
