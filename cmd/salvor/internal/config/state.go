package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// StateEnv is the variable that names the state directory.
const StateEnv = "SALVOR_STATE"

// StateDir returns the directory in which this station lives: the flag --state, else
// SALVOR_STATE, else /var/lib/salvor for root, else $XDG_STATE_HOME/salvor, where an
// unset or relative XDG_STATE_HOME means $HOME/.local/state (XDG Base Directory
// Specification 0.8). The result is absolute. euid is the effective user.
func StateDir(flag string, flagSet bool, lookup func(string) (string, bool), euid int) (string, error) {
	if lookup == nil {
		lookup = func(string) (string, bool) { return "", false }
	}
	if dir, from := (Setting{Flag: flag, FlagSet: flagSet, Env: StateEnv}).Resolve(lookup); from != FromDefault {
		if dir == "" {
			return "", errors.New("state directory: --state is empty")
		}
		return filepath.Abs(dir)
	}
	if euid == 0 {
		return "/var/lib/salvor", nil
	}
	if dir, ok := lookup("XDG_STATE_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, "salvor"), nil
	}
	if home, ok := lookup("HOME"); ok && filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "salvor"), nil
	}
	return "", errors.New("state directory: neither XDG_STATE_HOME nor HOME is set")
}

// MakeState makes the state directory for a station that is being set up, with mode
// 0700. One that exists is kept, if it passes [CheckState].
func MakeState(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	err := os.Mkdir(dir, 0o700)
	switch {
	case errors.Is(err, fs.ErrExist):
	case err != nil:
		return fmt.Errorf("state directory: %w", err)
	default:
		// A setgid parent or an odd umask must not open or close it.
		if err := os.Chmod(dir, 0o700); err != nil {
			return fmt.Errorf("state directory: %w", err)
		}
	}
	return CheckState(dir)
}

// CheckState refuses a state directory that somebody else could read or own, with
// [ErrPermissions]; it returns an error that is [fs.ErrNotExist] when there is none.
// The directory itself may not be a symbolic link.
func CheckState(dir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return fmt.Errorf("state directory: %w", &fs.PathError{Op: "lstat", Path: dir, Err: err})
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("state directory %s: %w", dir, ErrNotDir)
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("state directory %s: it belongs to another user (uid %d): %w", dir, st.Uid, ErrOwner)
	case st.Mode&0o077 != 0:
		return fmt.Errorf("state directory %s: others can enter it (mode %04o, must be 0700): %w", dir, st.Mode&0o777, ErrPermissions)
	}
	return nil
}
