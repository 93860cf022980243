package sysblock

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Mounts is the table of mounts. It fails rather than leave one out.
func (h Host) Mounts() ([]Mount, error) {
	f, err := os.Open(filepath.Join(h.Proc, "self/mountinfo"))
	if err != nil {
		return nil, fmt.Errorf("what is mounted: %w", err)
	}
	defer f.Close()
	return ParseMounts(f)
}

// Swaps gives the numbers of the devices that are swapped to.
func (h Host) Swaps() ([]string, error) {
	b, err := os.ReadFile(filepath.Join(h.Proc, "swaps"))
	if os.IsNotExist(err) {
		return nil, nil // a kernel without swap
	}
	if err != nil {
		return nil, fmt.Errorf("what is swapped to: %w", err)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] != "Filename" {
			if dev, ok := DevAt(Unescape(f[0])); ok {
				out = append(out, dev)
			}
		}
	}
	return out, nil
}

// Pools gives the kernel names of the devices of all mounted btrfs: the table of mounts
// shows only one of each.
func (h Host) Pools() (out []string) {
	for _, id := range Entries(filepath.Join(h.Sys, "fs/btrfs")) {
		out = append(out, Entries(filepath.Join(h.Sys, "fs/btrfs", id, "devices"))...)
	}
	return out
}

// loops gives the loop devices that stand on other devices, by the number of what they
// stand on. They hold it, and are not among its holders.
func (h Host) loops() map[string]string {
	out := map[string]string{}
	for _, n := range h.Disks() {
		if dev, ok := DevAt(n.Backing()); ok {
			out[dev] = n.Name
		}
	}
	return out
}

// Use is what uses a device.
type Use struct {
	Node    Node
	By      string // a mount point, "btrfs", "swap", the names of the holders, a loop device
	Mounted bool
}

// Use says what uses one of the devices; nil is nothing that /sys and /proc show. It fails
// rather than answer without having looked.
func (h Host) Use(of []Node) (*Use, error) {
	mounts, err := h.Mounts()
	if err != nil {
		return nil, err
	}
	swaps, err := h.Swaps()
	if err != nil {
		return nil, err
	}
	pools, loops := h.Pools(), h.loops()
	for _, n := range of {
		for _, m := range mounts {
			// btrfs and others count their mounts under numbers of their own; the source is
			// the device.
			source, _ := DevAt(m.Source)
			if Dev(m.Dev) == n.Dev || source == n.Dev {
				return &Use{n, m.Point, true}, nil
			}
		}
		if slices.Contains(pools, n.Name) {
			return &Use{n, "btrfs", true}, nil
		}
		if slices.Contains(swaps, n.Dev) {
			return &Use{n, "swap", false}, nil
		}
		if holders := Entries(filepath.Join(n.Dir, "holders")); len(holders) > 0 {
			return &Use{n, strings.Join(holders, ", "), false}, nil
		}
		if loop, ok := loops[n.Dev]; ok {
			return &Use{n, loop, false}, nil
		}
	}
	return nil, nil
}
