package ui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/sys/unix"
)

// SecretFrom says where a secret comes from. At most one place may be given; with
// none it is asked on the terminal. A secret never comes from a flag's value or from
// the environment: both are seen by other programs and kept in histories.
type SecretFrom struct {
	File       string // a file, or a pipe such as /dev/fd/3
	FD         string // the number of an inherited file descriptor, as the flag gave it
	Credential string // the name of a systemd credential (LoadCredential=)
}

// maxSecret bounds a secret, in bytes.
const maxSecret = 64 << 10

// Given tells whether a place was named.
func (s SecretFrom) Given() bool { return s != SecretFrom{} }

var credentialName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,254}$`)

// ReadSecret fetches a secret from where from says, or asks q. One line break at its
// end is cut. A secret file that others can read is refused with [Refused].
func (t *Terminal) ReadSecret(ctx context.Context, from SecretFrom, q Question) ([]byte, error) {
	return t.readSecret(from, func() ([]byte, error) { return t.Secret(ctx, q) })
}

// ReadNewSecret is ReadSecret for a secret that is being chosen: a prompt asks twice,
// and check judges it wherever it comes from.
func (t *Terminal) ReadNewSecret(ctx context.Context, from SecretFrom, q Question, check func([]byte) error) ([]byte, error) {
	if !from.Given() {
		return t.NewSecret(ctx, q, check)
	}
	secret, err := t.readSecret(from, nil)
	if err != nil || check == nil {
		return secret, err
	}
	if err := check(secret); err != nil {
		return nil, &Error{Code: Usage, What: q.Text, Err: err}
	}
	return secret, nil
}

func (t *Terminal) readSecret(from SecretFrom, ask func() ([]byte, error)) ([]byte, error) {
	places := 0
	for _, given := range []string{from.File, from.FD, from.Credential} {
		if given != "" {
			places++
		}
	}
	switch {
	case places > 1:
		return nil, &Error{Code: Usage, What: "secret", Why: "given in more than one way", Hint: "name a file, a file descriptor or a credential, not several"}
	case from.File != "":
		return secretFile(from.File, 0o077)
	case from.FD != "":
		return t.secretFD(from.FD)
	case from.Credential != "":
		return t.secretCredential(from.Credential)
	}
	return ask()
}

// secretFile reads path and refuses it when its mode has a bit of forbidden.
func secretFile(path string, forbidden fs.FileMode) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		code := Other
		if errors.Is(err, fs.ErrNotExist) {
			code = NotFound
		}
		return nil, &Error{Code: code, What: "secret file", Err: err}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, &Error{Code: Other, What: "secret file", Err: err}
	}
	if info.IsDir() {
		return nil, &Error{Code: Usage, What: "secret file", Why: path + " is a directory"}
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&forbidden != 0 {
		return nil, &Error{
			Code: Refused, What: "secret file", Why: fmt.Sprintf("others can read %s (mode %04o)", path, info.Mode().Perm()),
			Hint: "chmod 600 " + path,
		}
	}
	return secretFrom(f)
}

func (t *Terminal) secretFD(number string) ([]byte, error) {
	var fd int
	if n, err := fmt.Sscanf(number+"\n", "%d\n", &fd); n != 1 || err != nil || fd < 0 || fd > 1<<16 || fmt.Sprint(fd) != number {
		return nil, &Error{Code: Usage, What: "secret", Why: "not the number of a file descriptor"}
	}
	switch fd {
	case 0:
		if t.StdinIsTerminal() {
			return nil, &Error{Code: Usage, What: "secret", Why: "standard input is a terminal and would show it", Hint: "leave the flag out to be asked for it"}
		}
		return secretFrom(t.In)
	case 1, 2:
		return nil, &Error{Code: Usage, What: "secret", Why: "descriptors 1 and 2 are for what salvor prints"}
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, &Error{Code: Usage, What: "secret", Why: fmt.Sprintf("file descriptor %d is not open", fd), Err: err}
	}
	f := os.NewFile(uintptr(own), "secret")
	defer f.Close()
	return secretFrom(f)
}

func (t *Terminal) secretCredential(name string) ([]byte, error) {
	if !credentialName.MatchString(name) {
		return nil, &Error{Code: Usage, What: "credential", Why: "not a credential's name"}
	}
	dir, ok := t.env("CREDENTIALS_DIRECTORY")
	if !ok || !filepath.IsAbs(dir) {
		return nil, &Error{
			Code: NotFound, What: "credential " + name, Why: "systemd gave this run no credentials",
			Hint: "LoadCredential= in the unit hands them over",
		}
	}
	// systemd lets the unit's user in by an access list, which shows as group bits.
	return secretFile(filepath.Join(dir, name), 0o007)
}

// secretFrom reads a whole secret and cuts the one line break that editors add.
func secretFrom(r io.Reader) ([]byte, error) {
	secret, err := io.ReadAll(io.LimitReader(r, maxSecret+1))
	if err != nil {
		return nil, &Error{Code: Other, What: "read the secret", Err: err}
	}
	if len(secret) > maxSecret {
		return nil, &Error{Code: Usage, What: "secret", Why: "longer than 64 KiB"}
	}
	secret = bytes.TrimSuffix(secret, []byte("\n"))
	secret = bytes.TrimSuffix(secret, []byte("\r"))
	if len(secret) == 0 {
		return nil, &Error{Code: Usage, What: "secret", Why: "it is empty"}
	}
	return secret, nil
}
