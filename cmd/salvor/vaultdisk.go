package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"salvor/cmd/salvor/internal/ui"
	"salvor/rescue/blockdev"
	"salvor/rescue/blockdev/sysblock"
)

// vaultDisksFile lies in the state directory: on which disk each vault was, and when
// this station saw it last. It is this machine's own, like where a vault is mounted.
const vaultDisksFile = "vault-disks.json"

// seenEvery is how much older the time of the last sight may be than the truth, so that
// not every command writes it.
const seenEvery = time.Hour

// vaultDisk tells the disk of a vault from another one that carries a copy of it.
type vaultDisk struct {
	Seen       time.Time `json:"seen"`                  // UTC
	FileSystem string    `json:"file_system,omitempty"` // type, as the kernel names it
	ID         string    `json:"id,omitempty"`          // of the file system, or the share; "" where it has none
	Model      string    `json:"model,omitempty"`       // of the disk
	Serial     string    `json:"serial,omitempty"`
	Plugged    string    `json:"plugged,omitempty"` // changes when a disk is plugged in anew; "" where the kernel does not say
}

// name says which disk it is, for whoever looks for it on a shelf.
func (d vaultDisk) name() string {
	return strings.TrimSpace(strings.Join([]string{d.Model, d.Serial}, " "))
}

// another says how the disk that is there differs from the one that was known; "" when
// nothing shows that it does. A copy of a whole disk has the same file system on it.
func (d vaultDisk) another(now vaultDisk) string {
	switch {
	case d.ID != "" && now.ID != "" && d.ID != now.ID, d.Serial != "" && now.Serial != "" && !sameSerial(d.Serial, now.Serial):
	default:
		return ""
	}
	if n := d.name(); n != "" {
		return "another disk than " + n + ", which was added"
	}
	return "another disk than the one that was added"
}

// vaultDisks are what this station knows of the disks of the vaults, by vault.
func (s *station) vaultDisks() (map[string]vaultDisk, error) {
	disks := make(map[string]vaultDisk)
	file := filepath.Join(s.dir, vaultDisksFile)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return disks, nil
	}
	if err != nil {
		return nil, fmt.Errorf("disks of the vaults: %w", err)
	}
	if err := json.Unmarshal(text, &disks); err != nil {
		return nil, &ui.Error{
			Code: ui.Refused, What: "disks of the vaults", Why: file + " is damaged: " + err.Error(), Err: err,
			Hint: "look whether each vault is on its own disk; then take that file away: it is written anew",
		}
	}
	return disks, nil
}

// sawVault compares the disk at a path with the one on which the vault was, and notes
// that it was seen. With moved, the vault is where it is by somebody's word.
func (s *station) sawVault(id, name, path string, moved bool) error {
	disks, err := s.vaultDisks()
	if err != nil {
		return err
	}
	was, known := disks[id]
	now := diskAt(path)
	if known && !moved && now.Plugged == was.Plugged && now.Plugged != "" && now.ID == was.ID {
		now.Model, now.Serial = was.Model, was.Serial // it has been there all the time
	} else {
		now.Model, now.Serial = hardware(path)
	}
	if known && !moved {
		if what := was.another(now); what != "" {
			return refuse("vault "+name, "its marker is at "+path+", but on "+what+": a copy of the vault?",
				"mount the right disk; where the vault has moved for good, or its disk has another case: salvor vault add "+path)
		}
		now.keep(was)
	}
	now.Seen = s.now().UTC().Truncate(time.Second)
	if since := now.Seen.Sub(was.Seen); known && !moved && now.Plugged == was.Plugged && since >= 0 && since < seenEvery {
		return nil
	}
	if err := s.noteDisk(id, now); err != nil && moved {
		return fmt.Errorf("disks of the vaults: %w", err)
	}
	return nil // a sight that cannot be noted keeps nobody from working
}

// keep: what does not say what it is takes nothing away.
func (d *vaultDisk) keep(was vaultDisk) {
	if d.ID == "" {
		d.FileSystem, d.ID = was.FileSystem, was.ID
	}
	if d.Serial == "" {
		d.Model, d.Serial = was.Model, was.Serial
	}
}

// noteDisk writes down on which disk a vault is. Another command may do the same for
// another vault.
func (s *station) noteDisk(id string, d vaultDisk) error {
	file := filepath.Join(s.dir, vaultDisksFile)
	l := flock.New(file+".lock", flock.SetPermissions(0o600))
	if err := l.Lock(); err != nil {
		return err
	}
	defer l.Unlock()
	disks, err := s.vaultDisks()
	if err != nil {
		return err
	}
	disks[id] = d
	text, err := json.MarshalIndent(disks, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(file, append(text, '\n'), 0o600, renameio.WithTempDir(filepath.Dir(file)))
}

// diskAt describes the storage under a directory, as far as this host tells.
func diskAt(path string) vaultDisk {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return vaultDisk{}
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return vaultDisk{}
	}
	defer f.Close()
	mounts, err := sysblock.ParseMounts(f)
	if err != nil {
		return vaultDisk{}
	}
	i := slices.IndexFunc(mounts, func(m sysblock.Mount) bool { return m.Dev == st.Dev })
	if i < 0 {
		return vaultDisk{}
	}
	m := mounts[i]
	return vaultDisk{FileSystem: m.FS, ID: fileSystemID(path, m, st.Dev), Plugged: plugged(st.Dev)}
}

// plugged tells one plugging in of a disk from the next, over restarts too.
func plugged(dev uint64) string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	n, err := sysblock.This().Node(sysblock.Dev(dev))
	if err != nil || n.Seq() == 0 {
		return ""
	}
	return fmt.Sprintf("%s %d", strings.TrimSpace(string(boot)), n.Seq())
}

// hardware is the model and the serial number of the disk under a directory, where the
// file system lies on one disk and says which.
func hardware(path string) (model, serial string) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return "", ""
	}
	sys, err := filepath.EvalSymlinks("/sys/dev/block/" + sysblock.Dev(st.Dev))
	if err != nil {
		return "", ""
	}
	if _, err := os.Stat(filepath.Join(sys, "partition")); err == nil {
		sys = filepath.Dir(sys)
	}
	devices, err := blockdev.List()
	if err != nil {
		return "", ""
	}
	for _, d := range devices {
		if d.Name == filepath.Base(sys) {
			return d.Model, d.Serial
		}
	}
	return "", ""
}

// fileSystemID is what a file system keeps of itself wherever it is mounted: its UUID,
// what ext4 derives from it, or the name of the share. Others have none.
func fileSystemID(path string, m sysblock.Mount, dev uint64) string {
	switch m.FS {
	case "nfs", "nfs4", "cifs", "smb3":
		return m.Source
	}
	links, _ := filepath.Glob("/dev/disk/by-uuid/*")
	for _, l := range links {
		var st unix.Stat_t
		if unix.Stat(l, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK && st.Rdev == dev {
			return "uuid " + filepath.Base(l)
		}
	}
	var st unix.Statfs_t
	if unix.Statfs(path, &st) == nil && m.FS == "ext4" {
		return fmt.Sprintf("ext4 %08x%08x", uint32(st.Fsid.Val[0]), uint32(st.Fsid.Val[1]))
	}
	return ""
}
