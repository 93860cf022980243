package device

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Why a device is refused. There is no way around any of them.
var (
	ErrNotDevice  = errors.New("not a block device")
	ErrPartition  = errors.New("a partition: only whole devices are wiped")
	ErrVolume     = errors.New("made of other devices: wipe those")
	ErrSystemDisk = errors.New("holds the running system")
	ErrMounted    = errors.New("mounted")
	ErrInUse      = errors.New("in use") // swap, RAID, LVM, dm-crypt, another program
	ErrKept       = errors.New("holds the ledger or a vault")
	ErrTwin       = errors.New("the same disk is there under two names")
	ErrReadOnly   = errors.New("write-protected")
	ErrEmpty      = errors.New("no medium")
	ErrPermission = errors.New("permission denied")
	// ErrSerial: what was typed is not what this device has to be confirmed by.
	ErrSerial = errors.New("not confirmed")
	// ErrOther: it is not the device that it was.
	ErrOther = errors.New("another device than before")
	// ErrVanished: the device went away. Plug it in again and run the job again.
	ErrVanished = errors.New("the device went away")
	// ErrJob: the job cannot be used.
	ErrJob = errors.New("the wipe job does not fit")
)

// RefusedError is a device that is refused. It wraps one of the reasons.
type RefusedError struct {
	Path string // as it was asked for
	By   string // what uses it: a mount point, "swap", the name of a holder or partition; may be empty
	Err  error
}

func (e *RefusedError) Error() string {
	s := e.Path + ": " + e.Err.Error()
	if e.By != "" {
		s += " (" + e.By + ")"
	}
	return s
}

// Unwrap gives the reason.
func (e *RefusedError) Unwrap() error { return e.Err }

// systemMounts are where the running system lives.
var systemMounts = []string{"/", "/usr", "/boot", "/boot/efi", "/efi", "/var", "/home", "/etc", "/opt", "/nix", "/sysroot", "/ostree"}

// find says which device of /sys a path is.
func (h host) find(path string) (node, error) {
	st, err := os.Stat(path)
	if err != nil {
		return node{}, err
	}
	if m := st.Mode(); m&os.ModeDevice == 0 || m&os.ModeCharDevice != 0 {
		return node{}, &RefusedError{Path: path, Err: ErrNotDevice}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return node{}, err
	}
	dev, ok := blockNumber(abs)
	if !ok {
		return node{}, &RefusedError{Path: path, Err: ErrNotDevice}
	}
	return h.node(dev)
}

// look describes a device, and refuses it when any interlock holds. keep are paths
// whose disks must not be wiped.
func (h host) look(path string, keep []string) (Identity, node, error) {
	n, err := h.find(path)
	if err != nil {
		return Identity{}, n, err
	}
	// The system disk comes first: it is the answer that matters, also for a partition.
	if err := h.notSystem(path, n); err != nil {
		return Identity{}, n, err
	}
	if !n.whole() {
		return Identity{}, n, &RefusedError{Path: path, By: "of " + n.disk, Err: ErrPartition}
	}
	if err := h.notKept(path, n, keep); err != nil {
		return Identity{}, n, err
	}
	if err := h.notUsed(path, n); err != nil {
		return Identity{}, n, err
	}
	if below := entries(filepath.Join(n.dir, "slaves")); len(below) > 0 {
		return Identity{}, n, &RefusedError{Path: path, By: strings.Join(below, ", "), Err: ErrVolume}
	}
	id := h.describe(n)
	for _, twin := range id.Twins {
		dir, err := filepath.EvalSymlinks(filepath.Join(h.sys, "block", twin))
		if err != nil {
			continue // gone meanwhile
		}
		// Two cheap sticks may share a number. With its size and its world wide name
		// it is one disk on two ways, and only one of them would be held.
		if count(dir, "size")*512 == id.Bytes && id.WWN != "" && id.WWN == first(text(dir, "device/wwid"), text(dir, "wwid")) {
			return id, n, &RefusedError{Path: path, By: twin, Err: ErrTwin}
		}
	}
	switch {
	case id.Bytes == 0:
		return id, n, &RefusedError{Path: path, Err: ErrEmpty}
	case count(n.dir, "ro") == 1:
		return id, n, &RefusedError{Path: path, Err: ErrReadOnly}
	}
	return id, n, nil
}

// notSystem refuses a disk below the running system, and, where it cannot be found
// out what is below it, everything that could be.
func (h host) notSystem(path string, n node) error {
	mounts, err := h.mounts()
	if err != nil {
		return err
	}
	var system footing
	root := false
	for _, m := range mounts {
		if slices.Contains(systemMounts, m.Point) {
			root = root || m.Point == "/"
			h.mounted(m, &system, 0)
		}
	}
	if !root {
		h.under("/", &system, 0)
	}
	if slices.Contains(system.names, n.disk) {
		return &RefusedError{Path: path, Err: ErrSystemDisk}
	}
	if system.unknown && !standsOnFile(n) {
		return &RefusedError{Path: path, By: "what is below the running system cannot be found out", Err: ErrSystemDisk}
	}
	return nil
}

// standsOnFile: a loop device is certainly no disk of the system.
func standsOnFile(n node) bool { return text(n.diskDir(), "loop/backing_file") != "" }

// notKept refuses the disks below what the caller keeps, and a loop device that
// stands on a file in it.
func (h host) notKept(path string, n node, keep []string) error {
	file := text(n.diskDir(), "loop/backing_file")
	for _, dir := range keep {
		var below footing
		h.under(dir, &below, 0)
		if slices.Contains(below.names, n.disk) {
			return &RefusedError{Path: path, By: dir, Err: ErrKept}
		}
		if below.unknown && !standsOnFile(n) {
			return &RefusedError{Path: path, By: "what " + dir + " lies on cannot be found out", Err: ErrKept}
		}
		if rel, err := filepath.Rel(dir, file); file != "" && err == nil && filepath.IsLocal(rel) {
			return &RefusedError{Path: path, By: dir, Err: ErrKept}
		}
	}
	return nil
}

// notUsed refuses a device that is used, or of which a partition is.
func (h host) notUsed(path string, n node) error {
	mounts, err := h.mounts()
	if err != nil {
		return err
	}
	swaps, err := h.swaps()
	if err != nil {
		return err
	}
	pools := h.pools()
	family := []node{n}
	for _, name := range entries(n.dir) {
		if p := nodeAt(filepath.Join(n.dir, name)); !p.whole() {
			family = append(family, p)
		}
	}
	for _, m := range family {
		what := ""
		if m.name != n.name {
			what = m.name + ": "
		}
		refuse := func(by string, err error) error { return &RefusedError{Path: path, By: what + by, Err: err} }
		for _, on := range mounts {
			source, _ := blockNumber(on.Source) // btrfs and others count their mounts under numbers of their own
			if number(on.Dev) == m.dev || source == m.dev {
				return refuse(on.Point, ErrMounted)
			}
		}
		if slices.Contains(pools, m.name) {
			return refuse("btrfs", ErrMounted)
		}
		if slices.Contains(swaps, m.dev) {
			return refuse("swap", ErrInUse)
		}
		if holders := entries(filepath.Join(m.dir, "holders")); len(holders) > 0 {
			return refuse(strings.Join(holders, ", "), ErrInUse)
		}
	}
	return nil
}

// opening gives an error of open(2) the word that callers decide by.
func opening(path string, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return &RefusedError{Path: path, By: "held by the kernel or another program", Err: ErrInUse}
	case errors.Is(err, unix.ENOMEDIUM):
		return &RefusedError{Path: path, Err: ErrEmpty}
	case errors.Is(err, unix.EROFS):
		return &RefusedError{Path: path, Err: ErrReadOnly}
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%s: %w: %w", path, ErrVanished, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", ErrPermission, err)
	}
	return err
}
