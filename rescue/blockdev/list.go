package blockdev

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Device is a disk of this machine.
type Device struct {
	Identity
	Use *InUseError // what uses it or a partition of it; nil when nothing is known to
}

// List gives the disks of this machine, sorted by name: neither partitions, nor
// memory, nor volumes made of other devices, nor drives without a medium. No device
// is opened for it.
func List() ([]Device, error) { return this().list() }

func (h host) list() ([]Device, error) {
	if _, err := os.Stat(filepath.Join(h.Sys, "block")); err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	var out []Device
	for _, n := range h.Disks() {
		if strings.HasPrefix(n.Name, "ram") || strings.HasPrefix(n.Name, "zram") || len(n.Slaves()) > 0 {
			continue
		}
		d := Device{Identity: h.describe(n)}
		if d.Bytes == 0 {
			continue
		}
		var err error
		if d.Use, err = h.use(d.Path, n); err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Device) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
