package journal

import "io"

// A Store holds the files of a journal. Names are slash-separated paths that
// satisfy fs.ValidPath, relative to the tree's top. Directories are made as they
// are needed. An error keeps the errno of the operating system; a file or
// directory that is not there is fs.ErrNotExist.
//
// [Dir] is the one for a vault in a directory. Package journaltest has the
// suite that every Store passes.
type Store interface {
	// List returns what a directory holds, by name.
	List(dir string) ([]Entry, error)
	// Read returns the content of a plain file: [ErrTooLarge] when it has more
	// than most bytes, [ErrHostile] when it is no plain file.
	Read(name string, most int64) ([]byte, error)
	// Open opens a directory of which many files are to be read. The caller closes
	// it.
	Open(dir string) (Folder, error)
	// Write puts a file in its place as a whole, instead of what was there. It
	// is durable once Sync has returned for its directory.
	Write(name string, data []byte) error
	// Create writes a new file under its final name and makes it durable with
	// its name. No byte of it lies anywhere else. What a failed Create has
	// written stays, for Erase. It returns fs.ErrExist when the name is taken.
	Create(name string, data []byte) error
	// Sync makes the names in a directory durable.
	Sync(dir string) error
	// Erase overwrites a file in place, makes that durable, and removes it. A
	// file that is not there is no error.
	Erase(name string) error
	// Remove takes a public file away. A file that is not there is no error.
	Remove(name string) error
}

// A Folder is an open directory of a [Store]. Several goroutines may read from it.
type Folder interface {
	// Read is [Store.Read] for a file that lies in the directory itself.
	Read(base string, most int64) ([]byte, error)
	io.Closer
}

// An Entry is one name in a directory.
type Entry struct {
	Name string
	Dir  bool
	Size int64
}
