package wipe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"salvor/rescue/blockdev/sysblock"
)

// kindOf says how far salvor knows a type of file system. Only the two that were
// measured to overwrite in place, and to tell where, are InPlace. What is not
// named here is Unknown, since it might write elsewhere.
func kindOf(fstype string) Kind {
	name, _, _ := strings.Cut(fstype, ".") // "fuse.sshfs"
	switch name {
	case "ext4", "xfs":
		return InPlace
	case "btrfs", "zfs", "bcachefs", "nilfs2", "f2fs", "overlay", "aufs", "unionfs", "jffs2", "ubifs", "logfs", "apfs", "reiser4":
		return CopyFirst
	case "tmpfs", "ramfs", "devtmpfs", "hugetlbfs", "rootfs":
		return Memory
	case "ext2", "ext3", "vfat", "msdos", "exfat", "ntfs", "ntfs3", "hfs", "hfsplus", "udf",
		"nfs", "nfs4", "cifs", "smb3", "fuse", "fuseblk", "9p", "virtiofs", "ceph", "afs", "vboxsf":
		return Somewhere
	}
	return Unknown
}

// site is a Place with what only this process needs to know of it.
type site struct {
	Place
	mount sysblock.Mount
	block int64  // unit in which space is handed out, bytes
	node  string // path of the block device; empty when there is none
	raw   bool   // node holds the blocks at the offsets that FIEMAP tells

	journals bool // an ext4 that journals content
}

// siteOf finds out what storage a directory lies on.
func siteOf(d *dir, above []string) (site, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return site{}, fmt.Errorf("find the file system: %w", err)
	}
	mounts, err := sysblock.ParseMounts(f)
	f.Close()
	if err != nil {
		return site{}, err
	}
	i := slices.IndexFunc(mounts, func(m sysblock.Mount) bool { return d.id.mount != 0 && m.ID == d.id.mount })
	if i < 0 {
		i = slices.IndexFunc(mounts, func(m sysblock.Mount) bool { return m.Dev == d.id.dev })
	}
	if i < 0 {
		return site{}, fmt.Errorf("find the file system: it is not among the mounts: %w", ErrVanished)
	}
	s := site{mount: mounts[i]}
	s.FS = s.mount.FS
	s.Kind = kindOf(s.FS)
	s.ReadOnly = slices.Contains(s.mount.Options, "ro")
	s.Options = writing(s.mount.Options)

	var st unix.Statfs_t
	if err := unix.Fstatfs(int(d.f.Fd()), &st); err != nil {
		return site{}, fmt.Errorf("find the file system: %w", err)
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		s.ReadOnly = true
	}
	s.block = min(max(st.Bsize, 512), 1<<20)

	s.device(d)
	s.journals = s.FS == "ext4" && journalsData(&s)
	for _, m := range mounts {
		// A part of the file system may be mounted by itself, as services do.
		if m.Dev == s.mount.Dev {
			above = append(above[:len(above):len(above)], m.Point)
		}
	}
	s.Snapshots, s.Unanswered = snapshots(d, s.mount, above)
	return s, nil
}

// writing keeps the mount options that say how a file system writes and caches. Only
// those that are known go on: others hold addresses, paths and names of users.
func writing(options []string) []string {
	var list []string
	for _, o := range options {
		key, _, _ := strings.Cut(o, "=")
		switch key {
		case "ro", "rw", "sync", "async", "dirsync", "noatime", "relatime", "data", "barrier", "nobarrier", "discard", "nodiscard",
			"delalloc", "nodelalloc", "journal_checksum", "journal_async_commit", "commit", "dax", "datacow", "nodatacow", "datasum",
			"nodatasum", "compress", "compress-force", "ssd", "space_cache", "reflink", "hard", "soft", "vers", "cache", "proto",
			"cow", "autodefrag", "noquota":
			list = append(list, o)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// device finds the block device under the file system, and what it is made of.
func (s *site) device(d *dir) {
	dev := d.id.dev
	if s.Kind != InPlace {
		// The device number of such a file system is made up, but its source may
		// be a block device: good enough to look for residue on.
		var st unix.Stat_t
		if unix.Stat(s.mount.Source, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
			return
		}
		dev = st.Rdev
	}
	sys, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(dev), unix.Minor(dev)))
	if err != nil {
		return
	}
	s.Device = filepath.Base(sys)
	s.Virtual, s.Rotating = layers(sys)
	if slices.Contains(s.Virtual, snapshotLayer) {
		s.Virtual = slices.DeleteFunc(s.Virtual, func(l string) bool { return l == snapshotLayer })
		s.Snapshots = append(s.Snapshots, "dm")
	}
	node := "/dev/" + strings.ReplaceAll(s.Device, "!", "/")
	f, err := openNode(node, dev)
	if err != nil {
		return
	}
	f.Close()
	s.node = node
	s.raw = s.Kind == InPlace
	s.RawReady = s.raw
}

// openNode opens a block device for reading past the cache.
func openNode(node string, dev uint64) (*os.File, error) {
	fd, err := unix.Open(node, unix.O_RDONLY|unix.O_DIRECT|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: node, Err: err}
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err == nil && (st.Mode&unix.S_IFMT != unix.S_IFBLK || dev != 0 && st.Rdev != dev) {
		err = unix.ENODEV
	}
	if err == nil {
		err = unix.SetNonblock(fd, false)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, &fs.PathError{Op: "open", Path: node, Err: err}
	}
	return os.NewFile(uintptr(fd), node), nil
}

// snapshotLayer stands for a device mapper volume that has snapshots; it never
// leaves this file.
const snapshotLayer = "\x00snapshot"

// Layers walks down from a block device, given by its directory below /sys/devices,
// and returns the kinds of virtual layers on the way ("loop", "dm", "virtual disk"),
// and whether what is at the bottom spins.
func Layers(sys string) (virtual []string, rotating Answer) {
	virtual, rotating = layers(sys)
	return slices.DeleteFunc(virtual, func(l string) bool { return l == snapshotLayer }), rotating
}

func layers(sys string) (virtual []string, rotating Answer) {
	// A partition has no queue of its own.
	if _, err := os.Stat(filepath.Join(sys, "partition")); err == nil {
		sys = filepath.Dir(sys)
	}
	kind := virtualKind(sys)
	if kind != "" {
		virtual = append(virtual, kind)
	}
	if kind == "dm" && strings.HasSuffix(line(sys, "dm/uuid"), "-real") {
		// LVM puts such a volume under an origin that has snapshots.
		virtual = append(virtual, snapshotLayer)
	}
	below, _ := filepath.Glob(filepath.Join(sys, "slaves", "*"))
	for i, b := range below {
		lower, err := filepath.EvalSymlinks(b)
		if err != nil {
			return virtual, NotKnown
		}
		v, r := layers(lower)
		for _, l := range v {
			if !slices.Contains(virtual, l) {
				virtual = append(virtual, l)
			}
		}
		switch {
		case i == 0:
			rotating = r
		case r == No || rotating == No:
			rotating = No
		case r != rotating:
			rotating = NotKnown
		}
	}
	if len(below) > 0 {
		return virtual, rotating
	}
	if kind != "" {
		return virtual, NotKnown
	}
	return virtual, spins(sys)
}

// virtualKind names the virtual device at a directory of /sys, or returns "" for
// one that is a drive of its own as far as this host can see.
func virtualKind(sys string) string {
	name := filepath.Base(sys)
	for _, k := range []struct{ prefix, kind string }{
		{"loop", "loop"},
		{"vd", "virtio"},
		{"xvd", "xen"},
		{"nbd", "nbd"},
		{"rbd", "rbd"},
		{"dm-", "dm"},
		{"md", "md"},
		{"zram", "zram"},
		{"ram", "ram"},
		{"drbd", "drbd"},
		{"bcache", "bcache"},
		{"ublkb", "ublk"},
		{"zd", "zvol"},
		{"pmem", "pmem"},
	} {
		if rest, ok := strings.CutPrefix(name, k.prefix); ok && rest != "" {
			return k.kind
		}
	}
	if strings.Contains(sys, "/session") && strings.Contains(sys, "/target") {
		return "iscsi"
	}
	if strings.Contains(sys, "/devices/virtual/") {
		// The head of an NVMe drive with several paths is listed as virtual too.
		subsystem := filepath.Dir(sys)
		local := false
		transports, _ := filepath.Glob(filepath.Join(subsystem, "nvme*", "transport"))
		for _, t := range transports {
			local = line(filepath.Dir(t), "transport") == "pcie"
			if !local {
				break
			}
		}
		if !local {
			return "virtual"
		}
	}
	who := strings.ToUpper(line(sys, "device/vendor") + " " + line(sys, "device/model"))
	for _, v := range []string{"QEMU", "VMWARE", "VBOX", "MSFT", "VIRTUAL", "LIO-ORG", "AMAZON EL", "GOOGLE", "PERSISTENTDISK", "XEN", "IET", "SCSI_DEBUG"} {
		if strings.Contains(who, v) {
			return "virtual disk"
		}
	}
	return ""
}

// spins answers whether a drive has spinning disks. A USB bridge that says
// nothing is listed by the kernel as rotating, sticks included; only a drive that
// names its speed is believed there (VPD page B1h, bytes 4 and 5; SBC-4, 6.6.2).
func spins(sys string) Answer {
	switch line(sys, "queue/rotational") {
	case "0":
		return No
	case "1":
	default:
		return NotKnown
	}
	name := filepath.Base(sys)
	if strings.HasPrefix(name, "mmcblk") || strings.HasPrefix(name, "nvme") {
		return No
	}
	if strings.Contains(sys, "/usb") {
		page, err := os.ReadFile(filepath.Join(sys, "device", "vpd_pgb1"))
		if err != nil || len(page) < 6 {
			return NotKnown
		}
		switch rate := int(page[4])<<8 | int(page[5]); {
		case rate == 1:
			return No
		case rate < 0x0401 || rate == 0xFFFF:
			return NotKnown
		}
	}
	return Yes
}

// line is the first line of a file in /sys or /proc, or "".
func line(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	s, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(s)
}

// snapshotNames are the directories under which storage shows snapshots, and the
// recycle bins in which a deleted file stays.
var snapshotNames = []string{
	"#snapshot", ".snapshot", ".snapshots", ".zfs/snapshot", "~snapshot", "@Recently-Snapshot", "#recycle", "@Recycle",
}

// snapshots looks for signs of snapshots: in the directory itself and in those given
// above it, mount points included. It looks by name, since several servers leave the
// directory out of listings. unanswered: one of the places said neither yes nor no.
func snapshots(d *dir, m sysblock.Mount, above []string) (found []string, unanswered bool) {
	for _, name := range snapshotNames {
		var st unix.Stat_t
		seen := lookedUp(unix.Fstatat(int(d.f.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW))
		for _, p := range above {
			seen = worse(seen, lookedUp(unix.Lstat(filepath.Join(p, name), &st)))
		}
		switch seen {
		case Yes:
			found = append(found, name)
		case NotKnown:
			unanswered = true
		}
	}
	if m.FS == "cifs" || m.FS == "smb3" {
		switch serverCounts(d) {
		case Yes:
			found = append(found, "smb")
		case NotKnown:
			unanswered = true
		}
	}
	return found, unanswered
}

// lookedUp reads whether a file is there from what stat(2) answered.
func lookedUp(err error) Answer {
	switch {
	case err == nil:
		return Yes
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return No
	}
	return NotKnown
}

// worse is yes when one of two answers is, and no when both are.
func worse(a, b Answer) Answer {
	switch {
	case a == Yes || b == Yes:
		return Yes
	case a == No && b == No:
		return No
	}
	return NotKnown
}

// serverCounts asks an SMB server whether it keeps snapshots of what lies in a directory.
// The kernel takes the question on a file that the server holds open, which a directory
// is not. A server without that function, such as Samba without shadow copies, has not
// answered: what its own file system keeps it does not know.
func serverCounts(d *dir) Answer {
	names, err := d.names()
	if err != nil {
		return NotKnown
	}
	for _, name := range names {
		f, id, err := d.open(name, unix.O_RDONLY)
		if err != nil {
			continue
		}
		if !id.regular() {
			f.Close()
			continue
		}
		ask := askSnapshots()
		const cifsEnumerateSnapshots = 0x800CCF06
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), cifsEnumerateSnapshots, uintptr(unsafe.Pointer(&ask)))
		f.Close()
		if errno != 0 {
			return NotKnown
		}
		return ask.answer()
	}
	return NotKnown // nothing to ask by
}

// snapshotArray is the kernel's struct smb_snapshot_array: the question, and the answer
// in its place.
type snapshotArray struct {
	there    uint32
	returned uint32
	bytes    uint32 // of the names that follow: here for none of them
}

// untouched is in the field that the kernel only writes: a server that sent nothing
// leaves it.
const untouched = ^uint32(0)

// askSnapshots is the question how many there are. That is asked by room for none: some
// servers answer a first question only when it is of the least size (MS-SMB2, 3.3.5.15.1).
func askSnapshots() snapshotArray {
	return snapshotArray{returned: untouched, bytes: uint32(unsafe.Sizeof(snapshotArray{}))}
}

// answer reads the answer; the worse reading of one that contradicts itself.
func (a snapshotArray) answer() Answer {
	const token = 2 * (len("@GMT-2006.01.02-15.04.05") + 1) // bytes of a name, in UTF-16
	switch {
	case a.returned == untouched:
		return NotKnown
	case a.there > 0, a.returned > 0, a.bytes >= uint32(token):
		return Yes
	}
	return No
}

// attributes of a file that the block map does not show.
type attributes struct {
	fixed   bool // immutable or append-only: it cannot be overwritten
	journal bool // its content goes through the journal
	encoded bool // compressed, encrypted or sealed by the file system
	apart   bool // its blocks lie on another device (the realtime part of an xfs)
}

// From linux/fs.h.
const (
	flagCompressed  = 0x00000004
	flagImmutable   = 0x00000010
	flagAppend      = 0x00000020
	flagEncrypted   = 0x00000800
	flagJournalData = 0x00004000
	flagVerity      = 0x00100000

	fsIocFsGetXattr = 0x801C581F
	xflagRealtime   = 0x00000001
)

func attributesOf(f *os.File, s *site) attributes {
	var a attributes
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err == nil {
		a.fixed = flags&(flagImmutable|flagAppend) != 0
		a.journal = flags&flagJournalData != 0
		a.encoded = flags&(flagCompressed|flagEncrypted|flagVerity) != 0
	}
	switch s.FS {
	case "ext4":
		a.journal = a.journal || err != nil || s.journals
	case "xfs":
		// struct fsxattr: flags, extent size, extents, project, CoW extent size, padding.
		var x [7]uint32
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), fsIocFsGetXattr, uintptr(unsafe.Pointer(&x)))
		a.apart = errno != 0 || x[0]&xflagRealtime != 0
	}
	return a
}

// journalsData reports whether an ext4 writes content to its journal. The list of
// mounts leaves the option out when it is the file system's own default, so the
// full list is read; when that cannot be read, the answer is yes.
func journalsData(s *site) bool {
	if slices.Contains(s.mount.Options, "data=journal") {
		return true
	}
	b, err := os.ReadFile(filepath.Join("/proc/fs/ext4", s.Device, "options"))
	if err != nil {
		return true
	}
	return slices.Contains(strings.Split(string(b), "\n"), "data=journal")
}
