// Package blockdev finds, describes and opens block devices, and the files that
// stand for them.
//
// A device is asked about before it is touched, and held while it is used:
//
//	path ──▶ which device ──▶ does anything use it, a partition of it, its disk?
//	                              │ no
//	                              ▼
//	         O_EXCL: the kernel lets nobody mount it meanwhile ──▶ read-only flag ──▶ read
//
// While it is read, the kernel is kept from repeating what fails:
//
//	                 ┌─ SG_IO, NVMe commands: one attempt, its own time, sense data
//	ReadAt ──▶ way ──┤
//	                 └─ pread past the page cache, where the device takes no commands
//
// A disk that vanishes is waited for, and taken back when serial, size and what it
// holds are the same. Everything that was changed of the machine for it is put back,
// by Close or, after a crash, by the next run.
//
// Two packages below this one know no disk of a customer, and are shared with the erasing
// of disks: sysblock, the questions to /proc and /sys, and passthrough, the commands.
//
// The questions to /proc and /sys say who uses a device, so that the refusal can
// name it. The exclusive open is what holds: it also knows of mounts in other
// namespaces and of holders that these files do not show.
package blockdev
