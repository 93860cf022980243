package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// writeNew writes a new file with mode 0600, durably, and leaves none behind when it
// fails. Never by rename: the old blocks of a secret would stay.
func writeNew(path string, content []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			os.Remove(path)
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// writeWhole writes a file whole or not at all. record, which may be nil, is called when
// the content is durable and not yet there: no file appears without a record.
func writeWhole(path string, content []byte, replace bool, record func() error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".salvor-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if record != nil {
		if err := record(); err != nil {
			return err
		}
	}
	return rename(f.Name(), path, replace)
}

// syncDir makes a new name durable: fsync(2) of the file does not (fsync(2), NOTES).
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// rename gives a finished file its name, durably. Without replace it never takes the
// place of another file, also not of one that appeared a moment ago; with it never that
// of a device or pipe, which would be gone.
func rename(from, to string, replace bool) error {
	flags := uint(unix.RENAME_NOREPLACE)
	if replace {
		flags = 0
		if info, err := os.Lstat(to); err == nil && !info.Mode().IsRegular() {
			return refuse("write", to+" is there and is no file", "use another name")
		}
	}
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags)
	if errors.Is(err, unix.EINVAL) && !replace { // a file system without RENAME_NOREPLACE
		if err = os.Link(from, to); err == nil {
			err = os.Remove(from)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return refuse("write", "the file "+to+" exists", "use another name, or --force to replace it")
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", to, err)
	}
	return syncDir(filepath.Dir(to))
}
