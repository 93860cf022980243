package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// openPlain opens a file that is no link, and does not wait for one that is a pipe.
func openPlain(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%w: %w", ErrLinked, err)
	}
	return f, err
}

// createPrivate makes a new file that only its owner can read, before anybody
// writes a byte into it. Whatever the umask, the mode is 0600.
func createPrivate(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%w: %w", ErrExists, err)
	}
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(0o600); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return f, nil
}

// checkFile refuses a file that is not a plain one with one name, that
// others may read or write, or that belongs to somebody else. Root may open a
// user's files.
func checkFile(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &fs.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	err := checkPlain(st)
	switch {
	case err != nil:
	case st.Mode&0o077 != 0:
		err = fmt.Errorf("%w: mode %04o, want 0600", ErrPermissions, st.Mode&0o7777)
	default:
		err = checkOwner(st.Uid)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	return nil
}

func checkPlain(st unix.Stat_t) error {
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 {
		return ErrLinked
	}
	return nil
}

// checkBeside refuses what lies where SQLite looks for its journals and is no plain file:
// it would wait for a pipe for ever.
func checkBeside(path string) error {
	for _, name := range []string{path + "-journal", path + "-wal"} {
		var st unix.Stat_t
		err := unix.Lstat(name, &st)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err == nil {
			err = checkPlain(st)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// checkDir refuses a directory that others may read or write: who can write it
// can put another journal beside the ledger, and SQLite would play that back.
func checkDir(path string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return &fs.PathError{Op: "stat", Path: path, Err: unix.ENOTDIR}
	case st.Mode&0o077 != 0:
		return fmt.Errorf("%w: directory has mode %04o, want 0700", ErrPermissions, st.Mode&0o7777)
	}
	return checkOwner(st.Uid)
}

func checkOwner(uid uint32) error {
	if euid := os.Geteuid(); euid != 0 && int64(uid) != int64(euid) {
		return ErrOwner
	}
	return nil
}

// checkLocal refuses a directory on a file system whose locks SQLite cannot
// trust.
func checkLocal(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if name := networkFS(uint32(st.Type)); name != "" {
		return fmt.Errorf("%w (%s)", ErrNetworkFS, name)
	}
	return nil
}

// networkFS names the file systems on which the ledger refuses to live, by the
// type that statfs gives. FUSE is among them, since nothing tells whether sshfs
// or a local file system is behind it.
func networkFS(magic uint32) string {
	switch magic {
	case unix.NFS_SUPER_MAGIC:
		return "nfs"
	case unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC:
		return "smb"
	case unix.FUSE_SUPER_MAGIC:
		return "fuse"
	case unix.V9FS_MAGIC:
		return "9p"
	case unix.CEPH_SUPER_MAGIC:
		return "ceph"
	case unix.AFS_SUPER_MAGIC, unix.AFS_FS_MAGIC:
		return "afs"
	case unix.CODA_SUPER_MAGIC:
		return "coda"
	case unix.NCP_SUPER_MAGIC:
		return "ncp"
	case 0x01161970:
		return "gfs2"
	case unix.OCFS2_SUPER_MAGIC:
		return "ocfs2"
	case 0x0BD00BD0:
		return "lustre"
	case 0x47504653:
		return "gpfs"
	case 0x19830326:
		return "beegfs"
	case 0x786F4256:
		return "vboxsf"
	case 0xBACBACBC:
		return "vmhgfs"
	}
	return ""
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
