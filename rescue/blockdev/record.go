package blockdev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"salvor/rescue/blockdev/sysblock"
)

// ErrRecord is a record of changed settings that cannot be understood.
var ErrRecord = errors.New("no record of changed disk settings")

// record is what was changed of a device while it is read, written down before it is
// changed, so that a later run can put it back after a crash. A restart of the
// machine forgets all of it by itself.
type record struct {
	Version  int       `json:"version"`
	Boot     string    `json:"boot"`      // the kernel's identifier of this start of the machine
	Name     string    `json:"name"`      // "sdb1"
	Number   string    `json:"number"`    // "8:17"
	Seq      int64     `json:"seq"`       // of the disk: no two have the same since the start; 0 before Linux 5.15
	Bytes    int64     `json:"bytes"`     // of the device, as sysfs has it
	ReadOnly bool      `json:"read_only"` // its read-only flag was set for the time
	Settings []setting `json:"settings"`
}

const recordVersion = 1

// describeChange begins the record of a device.
func (h host) describeChange(n sysblock.Node) record {
	return record{
		Version: recordVersion, Boot: h.boot(), Name: n.Name, Number: n.Dev,
		Seq: n.Seq(), Bytes: n.Bytes(),
	}
}

// boot is the kernel's identifier of this start of the machine.
func (h host) boot() string { return sysblock.Text(h.Proc, "sys/kernel/random/boot_id") }

// save writes the record. It is complete or not there.
func (r record) save(file string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return renameio.WriteFile(file, append(b, '\n'), 0o600, renameio.WithTempDir(filepath.Dir(file)))
}

// is tells whether a file is the record of this device: the disk may have come back
// meanwhile as another, and have one of its own.
func (r record) is(file string) bool {
	b, err := os.ReadFile(file)
	var now record
	return err == nil && json.Unmarshal(b, &now) == nil && now.Number == r.Number && now.Seq == r.Seq
}

// PutBack puts back what an earlier run changed of a device, and removes its record:
// file is what that run was given as [Options.Restore]. It does nothing when there is
// no such file, or when the device is gone or the machine was restarted since, which
// puts everything back by itself.
//
// It refuses with [ErrInUse] while another run reads the device, and with
// [ErrRecord] a file that it does not understand; the file then stays.
func PutBack(file string) error { return this().putBack(file, nil) }

// PutBackAll puts back what earlier runs changed of any disk and left behind: dir is
// where the files of [Options.Restore] are, all with names that end in ".json". It is
// for every start of a program. A disk that something uses, such as another run, is
// left as it is, and so is the record of one that is away and may come back as it was
// left. A dir that is not there holds no records.
//
// The error joins those of the disks that could not be put back ([ErrPermission] for
// want of root, [ErrRecord] for what is no record); their records stay. A disk that does
// not answer keeps it waiting until ctx ends, and no longer.
func PutBackAll(ctx context.Context, dir string) error { return this().putBackAll(ctx, dir) }

func (h host) putBackAll(ctx context.Context, dir string) error {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("disk settings to put back: %w", err)
	}
	answers := make(chan error, len(list))
	asked := 0
	for _, e := range list {
		file := filepath.Join(dir, e.Name())
		if filepath.Ext(file) != ".json" || !e.Type().IsRegular() {
			continue
		}
		asked++
		go func() {
			if strings.HasPrefix(e.Name(), recoveryPrefix) {
				answers <- h.putBackRecovery(file)
			} else {
				answers <- h.putBack(file, nil)
			}
		}()
	}
	var all error
	for range asked {
		select {
		case err := <-answers:
			if !errors.Is(err, ErrInUse) {
				all = errors.Join(all, err)
			}
		case <-ctx.Done():
			return errors.Join(all, fmt.Errorf("disk settings to put back: %w", context.Cause(ctx)))
		}
	}
	return all
}

func (h host) putBack(file string, after func(time.Duration) <-chan time.Time) error {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("disk settings to put back: %w", err)
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("%s: %w: %w", file, ErrRecord, err)
	}
	if r.Version != recordVersion || filepath.Base(r.Name) != r.Name {
		return fmt.Errorf("%s: %w", file, ErrRecord)
	}
	if n, ok := h.same(r); ok {
		// Whoever holds it now relies on how it is set.
		if err := h.mend(n, after, func(f *os.File) error { return h.undo(f, n, r) }); err != nil {
			return err
		}
	}
	if !r.is(file) {
		return nil // another run has begun its own meanwhile
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("disk settings that are put back: %w", err)
	}
	return nil
}

// same finds the very device that a record is about, if it is still there.
func (h host) same(r record) (sysblock.Node, bool) {
	if r.Boot == "" || r.Boot != h.boot() {
		return sysblock.Node{}, false
	}
	n, err := h.Node(r.Number)
	if err != nil {
		return sysblock.Node{}, false
	}
	now := h.describeChange(n)
	return n, now.Name == r.Name && now.Seq == r.Seq && now.Bytes == r.Bytes
}

// undo puts back what a record says was changed.
func (h host) undo(f *os.File, n sysblock.Node, r record) error {
	left, err := unapply(n.DiskDir(), r.Settings)
	if err != nil {
		err = fmt.Errorf("%s is still %s and was %s: %w", left[0].Name, left[0].New, left[0].Old, err)
	}
	if r.ReadOnly {
		err = errors.Join(err, setReadOnly(f, 0))
	}
	return err
}
