package sysblock

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestMountinfo(t *testing.T) {
	const text = `27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
30 25 0:27 /a\040b /mnt/my\040disk ro,relatime master:2 propagate_from:3 - fuse.sshfs u@h:/x\134y rw,user_id=0
31 25 8:17 / /media/\303\251 rw - xfs /dev/sdb1
`
	all, err := ParseMounts(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []Mount{
		{27, unix.Mkdev(254, 0), "/", "ext4", "/dev/vda", []string{"rw", "relatime", "rw", "discard"}},
		{30, unix.Mkdev(0, 27), "/mnt/my disk", "fuse.sshfs", `u@h:/x\y`, []string{"ro", "relatime", "rw", "user_id=0"}},
		{31, unix.Mkdev(8, 17), "/media/é", "xfs", "/dev/sdb1", []string{"rw"}},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"x", "1 2 3:4 / / rw ext4 /dev/vda rw", "a 1 254:0 / / rw - ext4 x", "1 1 254 / / rw - ext4 x", "1 1 b:0 / / rw - ext4 x"} {
		if _, err := ParseMounts(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func FuzzMountinfo(f *testing.F) {
	f.Add("27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n")
	f.Add("30 25 0:27 / /mnt/my\\040disk ro - fuse.sshfs u@h:/x\\134y rw\n")
	f.Add("1 1 0:0 / \\\\0 x - a b")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseMounts(strings.NewReader(text))
		if err == nil && len(all) > strings.Count(text, "\n")+1 {
			t.Errorf("%d mounts in %q", len(all), text)
		}
	})
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{`/a\040b\134c`: `/a b\c`, `\`: `\`, `\04`: `\04`, `\999x`: `\999x`, ``: ``} {
		if got := Unescape(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
