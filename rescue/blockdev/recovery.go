package blockdev

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"salvor/rescue/blockdev/sysblock"
)

// A disk itself decides how long it tries to read a sector, many for minutes. Where it
// takes SCT error recovery control (ACS-3, 8.3), through ATA PASS-THROUGH (SAT-3, 12.2),
// it is told to answer in time. What it is told here it forgets when its power goes;
// until then it keeps it, wherever it is plugged in. So the record of it is the disk's,
// not that of a device name, and is kept while the disk is away.

// patience is the longest that a disk may try to read a sector, in tenths of a second:
// what disks for arrays are set to by their makers, and less than the kernel waits.
const patience = 70

// recovery is the record of a disk's own patience, which was changed.
type recovery struct {
	Version int    `json:"version"`
	Boot    string `json:"boot"`
	Disk    string `json:"disk"` // [diskHash]
	Old     uint16 `json:"old"`  // tenths of a second; 0 is as long as it likes
	New     uint16 `json:"new"`
}

// recoveryPrefix begins the names of such records, beside the record of the settings.
const recoveryPrefix = "recovery-"

// diskHash names a disk without telling anything about it; empty when it has no serial
// number to know it by.
func diskHash(id Identity) string {
	if id.Serial == "" {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s", id.Model, id.Serial))
	return hex.EncodeToString(sum[:8])
}

// speaksATA tells whether a disk may know ATA's commands. Sticks and cards do not, and
// some hang when they are asked.
func speaksATA(n sysblock.Node, id Identity) bool {
	disk := n.DiskDir()
	return isDir(disk+"/device/scsi_disk") && sysblock.Text(disk, "device/type") == "0" &&
		(sysblock.Text(disk, "device/vendor") == "ATA" || id.Transport == "usb" && !id.Removable)
}

// hurry makes a disk answer within [patience] where it takes that, and keeps a record in
// dir of what it was set to. It returns what puts that back, or nil.
func (h host) hurry(do func(*sgCommand) error, id Identity, dir string) (undo func() error) {
	disk := diskHash(id)
	if disk == "" || !hasERC(do) {
		return nil
	}
	now, err := readERC(do)
	if err != nil {
		return nil
	}
	file := filepath.Join(dir, recoveryPrefix+disk+".json")
	r, err := loadRecovery(file)
	if err != nil || r.Disk != disk || r.New != now {
		// Not what an earlier run left behind: it is the disk's own.
		if now > 0 && now <= patience {
			return nil
		}
		r = recovery{Version: recordVersion, Disk: disk, Old: now, New: patience}
	}
	r.Boot = h.boot()
	if r.save(file) != nil {
		return nil
	}
	if now != r.New && setERC(do, r.New) != nil {
		_ = os.Remove(file)
		return nil
	}
	return func() error { return r.putBack(do, file) }
}

// putBack gives the disk its own patience back, where the changed one still stands, and
// removes the record.
func (r recovery) putBack(do func(*sgCommand) error, file string) error {
	now, err := readERC(do)
	if err == nil && now == r.New {
		err = setERC(do, r.Old)
	}
	if err != nil {
		return fmt.Errorf("error recovery time is still %d and was %d tenths of a second: %w", r.New, r.Old, err)
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the record of its error recovery time: %w", err)
	}
	return nil
}

func (r recovery) save(file string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return renameio.WriteFile(file, append(b, '\n'), 0o600, renameio.WithTempDir(filepath.Dir(file)))
}

func loadRecovery(file string) (r recovery, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("%s: %w: %w", file, ErrRecord, err)
	}
	if r.Version != recordVersion || r.New == 0 {
		return r, fmt.Errorf("%s: %w", file, ErrRecord)
	}
	return r, nil
}

// putBackRecovery puts back what a record of a disk's patience says, if the disk is there.
// It is [ErrInUse] when something holds it. A disk that is away keeps its record until
// the machine is started anew, which the disk's power seldom survives.
func (h host) putBackRecovery(file string) error {
	r, err := loadRecovery(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, n := range h.Disks() {
		if id := h.describe(n); diskHash(id) == r.Disk && speaksATA(n, id) {
			return h.mend(n, nil, func(f *os.File) error { return r.putBack(passThrough(f), file) })
		}
	}
	if r.Boot != h.boot() {
		err = os.Remove(file)
	}
	return err
}

// mend holds a device while something is put back. One that vanishes meanwhile is no error.
func (h host) mend(n sysblock.Node, after func(time.Duration) <-chan time.Time, what func(*os.File) error) error {
	f, err := holdSoon(h.Path(n.Name), n, os.O_RDONLY|unix.O_NONBLOCK, after)
	switch {
	case err == nil:
		err = errors.Join(what(f), f.Close())
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return nil
	}
	if err != nil {
		return fmt.Errorf("put the settings of %s back: %w", h.Path(n.Name), err)
	}
	return nil
}

// hasERC asks a disk whether it takes error recovery control (ACS-3, 7.12.7.102).
func hasERC(do func(*sgCommand) error) bool {
	b := make([]byte, 512)
	c := &sgCommand{
		cdb:  []byte{0x85, 0x08, 0x0E, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xEC, 0}, // IDENTIFY DEVICE
		data: b, timeout: quick,
	}
	if do(c) != nil || c.missing != 0 {
		return false
	}
	if v, _, _ := judge(c); v != delivered {
		return false
	}
	const sct, erc = 1 << 0, 1 << 3
	word := binary.LittleEndian.Uint16(b[2*206:])
	return word != 0xFFFF && word&(sct|erc) == sct|erc
}

// errNoAnswer is a disk, or a bridge, that does not say what was asked.
var errNoAnswer = errors.New("no answer to it")

// readERC asks for the time that the disk takes to read a sector, in tenths of a second.
func readERC(do func(*sgCommand) error) (uint16, error) {
	c, err := sct(do, 2, 0)
	if err != nil {
		return 0, err
	}
	return registers(c.sense)
}

// setERC sets that time, until the disk's power goes, and looks whether it is set.
func setERC(do func(*sgCommand) error, value uint16) error {
	if _, err := sct(do, 1, value); err != nil {
		return err
	}
	switch now, err := readERC(do); {
	case err != nil:
		return err
	case now != value:
		return fmt.Errorf("%d does not stay set: it is %d", value, now)
	}
	return nil
}

// sct gives the SCT command for the read timer: function 1 sets, 2 returns. It is a
// page written to a log that only takes commands (ACS-3, 8.3.3), and not to the medium.
func sct(do func(*sgCommand) error, function, value uint16) (*sgCommand, error) {
	key := make([]byte, 512)
	for i, word := range []uint16{3, function, 1, value} { // error recovery control, ..., read timer
		binary.LittleEndian.PutUint16(key[2*i:], word)
	}
	c := &sgCommand{
		// SMART WRITE LOG of log E0h; PIO data-out; the registers come back as sense data.
		cdb:  []byte{0x85, 0x0A, 0x26, 0, 0xD6, 0, 1, 0, 0xE0, 0, 0x4F, 0, 0xC2, 0, 0xB0, 0},
		data: key, out: true, timeout: quick,
	}
	if err := do(c); err != nil {
		return nil, err
	}
	if v, _, err := judge(c); v != delivered {
		return nil, err
	}
	return c, nil
}

// registers finds the value of an SCT command in what the disk's registers hold after
// it: the count is the lower half, the lowest byte of the address the upper (SAT-3,
// 12.2.2.6 and 12.2.2.7: descriptor and fixed format).
func registers(sense []byte) (uint16, error) {
	const failed = 0x21 // ERR and DF of the status register
	switch {
	case len(sense) >= 22 && sense[0]&0x7F == 0x72 && sense[8] == 0x09 && sense[9] == 12:
		if d := sense[8:]; d[13]&failed == 0 {
			return uint16(d[5]) | uint16(d[7])<<8, nil
		}
	case len(sense) >= 14 && sense[0]&0x7F == 0x70 && sense[12] == 0x00 && sense[13] == 0x1D:
		if sense[4]&failed == 0 {
			return uint16(sense[6]) | uint16(sense[9])<<8, nil
		}
	}
	return 0, errNoAnswer
}
