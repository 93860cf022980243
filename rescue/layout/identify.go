package layout

import (
	"errors"
	"fmt"
)

const unknownName = "unknown file system"

// identity is what a volume was found to be.
type identity struct {
	kind   Kind
	name   string
	why    string
	unsure bool // something of where it would be recognised is not rescued
	family family
	open   func(*reader) (fileSystem, error)
}

// errNonsense is why a volume is not what a parser hoped for.
var errNonsense = errors.New("not this file system")

// nonsense says what makes no sense.
func nonsense(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errNonsense, fmt.Sprintf(format, args...))
}

// parser is a file system that this package reads. Its opener fails when the volume
// is another; a volume whose first structure is sound is opened, whatever else is missing.
type parser struct {
	name   string
	kind   Kind
	family family
	open   func(*reader) (fileSystem, error)
	// backup opens by what the file system keeps in a second place; nil when there is none.
	backup func(*reader) (fileSystem, error)
}

// bootParsers tell by the first sector. They alone may sit on a disk whose first
// sector could also be taken for a partition table.
func bootParsers() []parser {
	return []parser{
		{"ntfs", FileSystem, windows, openNTFS, openNTFSBackup},
		{"exfat", FileSystem, windows, openExFAT, openExFATBackup},
		{"fat", FileSystem, windows, openFAT, openFATBackup},
	}
}

// superParsers tell by a superblock further in.
func superParsers() []parser {
	return []parser{
		{"hfsplus", FileSystem, mac, openHFS, openHFSBackup},
		{"ext", FileSystem, unix, openExt, openExtBackup},
		{"xfs", Recognised, unix, openXFS, openXFSBackup},
	}
}

// headLen is how far into a volume it is looked: the superblock of btrfs lies last.
const headLen = 68 << 10

// headParts are where in a volume's beginning marks are kept; the rest is not asked for.
func headParts() []Extent {
	return []Extent{{0, 9 << 10}, {16 << 10, 512}, {32 << 10, 2 << 10}, {64 << 10, 4 << 10}}
}

// identify finds out what the volume is, by what its file system keeps in a second
// place too if backups is set. The file system is nil when there is none to be asked;
// the identity says what is known all the same.
func identify(r *reader, backups bool) (fileSystem, identity) {
	head := make([]byte, min(headLen, r.size))
	var holes []Extent
	for _, part := range headParts() {
		if part = part.within(Extent{0, r.size}); part.Len > 0 {
			holes = append(holes, r.fill(head[part.First:part.End()], part.First, T0)...)
		}
	}
	if id, ok := container(head); ok {
		return nil, id
	}
	parsers := append(bootParsers(), superParsers()...)
	if f, id := try(r, parsers, func(p parser) func(*reader) (fileSystem, error) { return p.open }); f != nil {
		return f, id
	}
	if id, ok := foreign(head); ok {
		return nil, id
	}
	if backups {
		if f, id := try(r, parsers, func(p parser) func(*reader) (fileSystem, error) { return p.backup }); f != nil {
			return f, id
		}
		if id, ok := tailMember(r); ok {
			return nil, id
		}
	}
	id := identity{name: unknownName, why: "nothing that is known begins here"}
	if len(holes) > 0 {
		id.why, id.unsure = "its beginning is not rescued", true
	}
	return nil, id
}

func try(r *reader, parsers []parser, opener func(parser) func(*reader) (fileSystem, error)) (fileSystem, identity) {
	for _, p := range parsers {
		open := opener(p)
		if open == nil {
			continue
		}
		if f, err := open(r); err == nil {
			id := identity{kind: p.kind, name: f.name(), family: p.family}
			if p.kind == FileSystem {
				id.open = open
			}
			return f, id
		}
	}
	return nil, identity{}
}
