package blockdev

import (
	"path/filepath"

	"salvor/rescue/blockdev/sysblock"
)

// host is the machine; tests have one of their own.
type host struct{ sysblock.Host }

func this() host { return host{sysblock.This()} }

// family is the device and all whose use is use of it: of a disk its partitions, of
// a partition its disk. A sibling partition is somebody else's.
func family(n sysblock.Node) []sysblock.Node {
	if n.Partition {
		return []sysblock.Node{n, sysblock.At(filepath.Dir(n.Dir))}
	}
	return append([]sysblock.Node{n}, n.Partitions()...)
}

// use says what uses the device, its disk or a partition of it; nil is nothing that
// is known here. It fails rather than answer without having looked.
func (h host) use(path string, n sysblock.Node) (*InUseError, error) {
	use, err := h.Use(family(n))
	if use == nil || err != nil {
		return nil, err
	}
	in := &InUseError{Path: path, Node: h.Path(use.Node.Name), By: use.By, Err: ErrInUse}
	if use.Node.Name == n.Name {
		in.Node = path
	}
	if use.Mounted {
		in.Err = ErrMounted
	}
	return in, nil
}
