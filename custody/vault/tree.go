package vault

import (
	"crypto/sha256"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// A tree computes the RFC 6962 root of a growing list of leaves from the roots of its complete subtrees, at most one a
// level: 40 hashes for any image. It equals tlog.TreeHash over the same leaves.
type tree struct {
	size  int64
	peaks []tlog.Hash // of the complete subtrees, largest first
}

func (t *tree) add(leaf tlog.Hash) {
	for n := t.size; n&1 == 1; n >>= 1 {
		last := len(t.peaks) - 1
		leaf = tlog.NodeHash(t.peaks[last], leaf)
		t.peaks = t.peaks[:last]
	}
	t.peaks = append(t.peaks, leaf)
	t.size++
}

func (t *tree) root() tlog.Hash {
	if t.size == 0 {
		return sha256.Sum256(nil)
	}
	root := t.peaks[len(t.peaks)-1]
	for _, p := range slices.Backward(t.peaks[:len(t.peaks)-1]) {
		root = tlog.NodeHash(p, root)
	}
	return root
}

func (t *tree) clone() tree { return tree{t.size, slices.Clone(t.peaks)} }
