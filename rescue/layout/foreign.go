package layout

import (
	"bytes"
	"encoding/binary"
)

// mark is what a volume that no parser reads is known by.
type mark struct {
	at   int
	sign string
	kind Kind
	name string
}

// containers hold something else within, whatever file system seems to begin with them.
var containers = []mark{
	{0, "LUKS\xba\xbe", Encrypted, "luks"},
	{0x4000, "SKUL\xba\xbe", Encrypted, "luks"}, // the second header of LUKS2, the first gone
	{3, "-FVE-FS-", Encrypted, "bitlocker"},
	{0x1A8, "\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01", Encrypted, "bitlocker"}, // To Go
	{8, "\x01\x00\x10\x00", Encrypted, "filevault"},                                                     // and "CS" further on
	{0, "\xfc\x4e\x2b\xa9", Member, "linux raid"},
	{4096, "\xfc\x4e\x2b\xa9", Member, "linux raid"},
	{24, "LVM2 001", Member, "lvm2"},
	{512 + 24, "LVM2 001", Member, "lvm2"},
	{1024 + 24, "LVM2 001", Member, "lvm2"},
	{1536 + 24, "LVM2 001", Member, "lvm2"},
	{4096 + 24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81", Member, "bcache"},
}

// container reports whether the volume holds another one that is locked, or shared
// out over several disks.
func container(head []byte) (identity, bool) {
	for _, m := range containers {
		if !m.fits(head) || m.name == "filevault" && (len(head) < 90 || string(head[88:90]) != "CS") {
			continue
		}
		return identity{kind: m.kind, name: m.name}, true
	}
	return identity{}, false
}

// foreigners are file systems that are known by name only.
var foreigners = []mark{
	{4086, "SWAPSPACE2", Swap, "swap"},
	{4086, "SWAP-SPACE", Swap, "swap"},
	{4086, "S1SUSPEND", Swap, "swap"},
	{65526, "SWAPSPACE2", Swap, "swap"},
	{32, "NXSB", Recognised, "apfs"},
	{65536 + 64, "_BHRfS_M", Recognised, "btrfs"},
	{3, "ReFS\x00\x00\x00\x00", Recognised, "refs"},
	{1024, "\x10\x20\xf5\xf2", Recognised, "f2fs"},
	{65536 + 52, "ReIsEr", Recognised, "reiserfs"},
	{8192 + 52, "ReIsEr", Recognised, "reiserfs"},
	{32768, "JFS1", Recognised, "jfs"},
	{1024 + 6, "\x34\x34", Recognised, "nilfs2"},
	{32769, "BEA01", Recognised, "udf"},
	{32769, "CD001", Recognised, "iso9660"},
	{0, "hsqs", Recognised, "squashfs"},
	{1024, "BD", Recognised, "hfs"},
	{512, "PM\x00\x00", Recognised, "apple partition map"},
	{4096 + 24, "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef", Recognised, "bcachefs"},
}

// foreign reports whether the volume is one of those that are known by name only.
func foreign(head []byte) (identity, bool) {
	for _, m := range foreigners {
		if m.fits(head) {
			return identity{kind: m.kind, name: m.name}, true
		}
	}
	return identity{}, false
}

func (m mark) fits(head []byte) bool {
	return len(head) >= m.at+len(m.sign) && bytes.Equal(head[m.at:m.at+len(m.sign)], []byte(m.sign))
}

// tailMember reports whether the volume carries the mark of a RAID at its end. A
// mirror's half shows its file system at the beginning and was recognised by that.
func tailMember(r *reader) (identity, bool) {
	found := func(at int64, sign string) bool {
		p := make([]byte, len(sign))
		return at > 0 && r.near(p, at, T0) && string(p) == sign
	}
	const md = "\xfc\x4e\x2b\xa9"
	switch {
	case found(r.size/65536*65536-65536, md), found((r.size-8192)/4096*4096, md):
		return identity{kind: Member, name: "linux raid"}, true
	case found(r.size-1024, "Intel Raid ISM Cfg Sig. "):
		return identity{kind: Member, name: "intel raid"}, true
	}
	var p [4]byte
	if r.near(p[:], r.size-512, T0) && binary.BigEndian.Uint32(p[:]) == 0xDE11DE11 {
		return identity{kind: Member, name: "ddf raid"}, true
	}
	return identity{}, false
}
