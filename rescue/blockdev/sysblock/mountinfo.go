package sysblock

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Mount is one line of /proc/self/mountinfo.
type Mount struct {
	ID      uint64
	Dev     uint64
	Point   string // where it is mounted
	FS      string // type, "ext4", "fuse.sshfs"
	Source  string
	Options []string // of the mount and of the file system
}

// ParseMounts reads the format of proc_pid_mountinfo(5). A line that it cannot
// read is an error: an unknown mount could be the one that matters.
func ParseMounts(r io.Reader) ([]Mount, error) {
	var all []Mount
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		m, err := parseMount(lines.Text())
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the list of mounts: %w", err)
	}
	return all, nil
}

func parseMount(line string) (Mount, error) {
	bad := func() (Mount, error) { return Mount{}, fmt.Errorf("read the list of mounts: unknown line") }
	front, back, ok := strings.Cut(line, " - ")
	if !ok {
		return bad()
	}
	f, b := strings.Fields(front), strings.Fields(back)
	if len(f) < 6 || len(b) < 2 {
		return bad()
	}
	id, err := strconv.ParseUint(f[0], 10, 64)
	if err != nil {
		return bad()
	}
	major, minor, ok := strings.Cut(f[2], ":")
	if !ok {
		return bad()
	}
	maj, err1 := strconv.ParseUint(major, 10, 32)
	mnr, err2 := strconv.ParseUint(minor, 10, 32)
	if err1 != nil || err2 != nil {
		return bad()
	}
	m := Mount{
		ID: id, Dev: unix.Mkdev(uint32(maj), uint32(mnr)),
		Point: Unescape(f[4]), FS: b[0], Source: Unescape(b[1]),
		Options: strings.Split(f[5], ","),
	}
	if len(b) > 2 {
		m.Options = append(m.Options, strings.Split(b[2], ",")...)
	}
	return m, nil
}

// Unescape undoes the \040 of the kernel's tables.
func Unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
