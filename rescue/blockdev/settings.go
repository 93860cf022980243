package blockdev

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"salvor/rescue/blockdev/sysblock"
)

// setting is a value of the kernel's for one disk that is changed while it is read.
type setting struct {
	Name string `json:"name"` // below the disk's directory in sysfs
	Old  string `json:"old"`
	New  string `json:"new"`
}

// lowered is what the kernel's patience with a disk is lowered to. What is lower
// already stays.
//
// The kernel repeats a read six times, waits 30 s for each, and reads ahead into what
// is bad. A disk gives up on a sector by itself after 7 s at most, if it is one that
// does; 10 s does not cut that short.
var lowered = [...]struct {
	name string // a pattern of path.Match
	want int64
}{
	{"device/timeout", 10},                // s, of a command
	{"device/eh_timeout", 5},              // s, of a command of the error recovery
	{"device/scsi_disk/*/max_retries", 0}, // of a command
	{"queue/read_ahead_kb", 0},
}

// lowerable says what of a disk can be lowered: disk is its directory in sysfs.
func lowerable(disk string) (out []setting) {
	for _, l := range lowered {
		files, err := filepath.Glob(filepath.Join(disk, l.name))
		if err != nil {
			continue
		}
		for _, file := range files {
			name, err := filepath.Rel(disk, file)
			if err != nil {
				continue
			}
			old := sysblock.Text(disk, name)
			if n, err := strconv.ParseInt(old, 10, 64); err == nil && n > l.want {
				out = append(out, setting{Name: name, Old: old, New: strconv.FormatInt(l.want, 10)})
			}
		}
	}
	return out
}

// apply sets the new values. None of them is needed for a rescue: one that the
// kernel refuses stays as it is.
func apply(disk string, settings []setting) {
	for _, s := range settings {
		_ = set(disk, s.Name, s.New)
	}
}

// unapply puts the old values back, where the new ones still stand: what somebody
// else has set meanwhile is theirs. It returns what could not be put back.
func unapply(disk string, settings []setting) (left []setting, err error) {
	for _, s := range slices.Backward(settings) {
		if !known(s) || sysblock.Text(disk, s.Name) != s.New {
			continue
		}
		if e := set(disk, s.Name, s.Old); e != nil && !os.IsNotExist(e) {
			left, err = append(left, s), e
		}
	}
	return left, err
}

// known tells whether a recorded setting is one of those that are changed here. The
// record is a file, and what it says is written as root.
func known(s setting) bool {
	if _, err := strconv.ParseUint(s.Old, 10, 32); err != nil || strings.Contains(s.Name, "..") {
		return false
	}
	return slices.ContainsFunc(lowered[:], func(l struct {
		name string
		want int64
	},
	) bool {
		ok, err := path.Match(l.name, s.Name)
		return err == nil && ok
	})
}

// set writes a file of sysfs, which must be there.
func set(disk, name, value string) error {
	f, err := os.OpenFile(filepath.Join(disk, name), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	if _, err = f.WriteString(value + "\n"); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
