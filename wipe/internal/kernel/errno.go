package kernel

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Kind is what an error of the storage means to whoever erases.
type Kind int

// The kinds of error.
const (
	Fatal    Kind = iota // stop
	Medium               // these bytes cannot be had; others may
	Full                 // no space
	Sealed               // read-only
	Vanished             // the storage is gone
)

// Sort tells the kind of an error by the errno in its chain.
func Sort(err error) Kind {
	for _, e := range []unix.Errno{unix.EIO, unix.ENODATA, unix.EREMOTEIO, unix.EILSEQ, unix.ETIMEDOUT} {
		if errors.Is(err, e) {
			return Medium
		}
	}
	for _, e := range []unix.Errno{unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, e) {
			return Full
		}
	}
	for _, e := range []unix.Errno{unix.EROFS, unix.EPERM, unix.EACCES, unix.ETXTBSY} {
		if errors.Is(err, e) {
			return Sealed
		}
	}
	for _, e := range []unix.Errno{unix.ENODEV, unix.ENXIO, unix.ESTALE, unix.ENOTCONN, unix.EHOSTDOWN, unix.ENOLINK, unix.ESHUTDOWN, unix.ENOMEDIUM} {
		if errors.Is(err, e) {
			return Vanished
		}
	}
	return Fatal
}
