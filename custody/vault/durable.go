package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
)

// readFull reads as much of p as the file has: fewer bytes than len(p) is no error but the end.
func readFull(f io.ReaderAt, p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		k, err := f.ReadAt(p[n:], off+int64(n))
		n += k
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if k == 0 {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}

// leave closes what was only read, or a directory: nothing can be lost by it, and there is nothing to say.
func leave(c io.Closer) { _ = c.Close() }

// syncFile syncs, and tells apart a file system that cannot flush from one that failed to.
func syncFile(f interface{ Sync() error }) (noFlush bool, err error) {
	switch err := f.Sync(); {
	case errors.Is(err, ErrNoFlush):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("fsync: %w", err)
	}
	return false, nil
}

func syncDir(st Store, dir string) (noFlush bool, err error) {
	switch err := st.SyncDir(dir); {
	case errors.Is(err, ErrNoFlush):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("fsync of the directory: %w", err)
	}
	return false, nil
}

// writeDurably makes a small new file, flushes it and its name, and reads it back from the medium. It never goes by way
// of a rename, which would leave the blocks of the first version behind.
func writeDurably(st Store, name string, content []byte) (noFlush bool, err error) {
	f, err := st.Create(name)
	if err != nil {
		return false, err
	}
	if _, err := f.WriteAt(content, 0); err != nil {
		return false, errors.Join(fmt.Errorf("write: %w", err), f.Close())
	}
	noFlush, err = syncFile(f)
	if err != nil {
		return false, errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return false, fmt.Errorf("close: %w", err)
	}
	dirNoFlush, err := syncDir(st, path.Dir(name))
	if err != nil {
		return false, err
	}
	back, err := st.OpenMedia(name)
	if err != nil {
		return false, fmt.Errorf("reading back: %w", err)
	}
	defer leave(back)
	got := make([]byte, len(content)+1)
	n, err := readFull(back, got, 0)
	if err != nil {
		return false, fmt.Errorf("reading back: %w", err)
	}
	if !bytes.Equal(got[:n], content) {
		return false, errors.New("reading back: content differs")
	}
	return noFlush || dirNoFlush, nil
}
