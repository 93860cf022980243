// Package passthrough gives commands past the block layer to the drive behind an open
// block device: SCSI commands, in which those of ATA travel too, by SG_IO, and those of
// NVMe by the ioctls of its driver. What a command means, and what its answer does, is
// the caller's.
//
// Every call is made once: the kernel retries none of them, and one that waits for a
// drive is not repeated because a signal came in between. None can be interrupted. An
// error is the kernel's, which then did not pass the command on, or lost the device
// meanwhile; what the drive made of it is in the answer.
package passthrough

import (
	"os"

	"golang.org/x/sys/unix"
)

// control runs fn on the descriptor. Unlike os.File.Fd it keeps the file open for the
// time of fn, whatever else is going on.
func control(f *os.File, fn func(fd uintptr) unix.Errno) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	if err := raw.Control(func(fd uintptr) { errno = fn(fd) }); err != nil {
		return err
	}
	if errno != 0 {
		return errno
	}
	return nil
}
