// Package testvolume makes volumes with the file systems' own programs, and unpacks the
// small ones that lie in testdata. Only tests import it.
package testvolume

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Need skips the test when a tool is missing, and names the Debian package that has it.
func Need(t testing.TB, pkg string, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed (Debian package %s)", tool, pkg)
		}
	}
}

// NeedRoot skips the test for anybody who may not mount.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
}

// Run runs a tool, which must end well, and returns what it printed.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...)
	cmd.Env = append(cmd.Environ(), "LC_ALL=C.UTF-8", "MTOOLS_SKIP_CHECK=1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, errs.String())
	}
	return string(out)
}

// Blank makes a sparse file of so many MiB.
func Blank(t testing.TB, mib int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "volume.img")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, mib<<20)); err != nil {
		t.Fatal(err)
	}
	return path
}

// Loop attaches a file as a block device for as long as do runs, or for as long as what do
// mounts stays mounted. One losetup at a time, in all tests: another, which was told of the
// same free device, would have it open for writing for a moment.
func Loop(t testing.TB, path string, do func(device string), options ...string) {
	t.Helper()
	device := strings.TrimSpace(Run(t, "flock", append(append([]string{"/dev/loop-control", "losetup"}, options...), "--find", "--show", path)...))
	defer Run(t, "losetup", "--detach", device)
	do(device)
}

// Mounted mounts a volume, calls do, and unmounts it.
func Mounted(t testing.TB, mount, do func(dir string)) {
	t.Helper()
	dir := t.TempDir()
	mount(dir)
	defer Run(t, "umount", dir)
	do(dir)
}

// Write writes files, by path, below dir.
func Write(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	for path, content := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// HFSPlus packs what lies below src into an HFS+ volume: cut out of a hybrid ISO image,
// for want of a mkfs. Nothing in it was ever deleted.
func HFSPlus(t testing.TB, src string) string {
	t.Helper()
	Need(t, "xorriso", "xorriso")
	dir := t.TempDir()
	iso := filepath.Join(dir, "h.iso")
	Run(t, "xorriso", "-as", "mkisofs", "-quiet", "-hfsplus", "-V", "H", "-o", iso, src)
	said := Run(t, "xorriso", "-indev", iso, "-report_system_area", "plain")
	kind := regexp.MustCompile(`APM partition type *: *(\d+) +Apple_HFS\b`).FindStringSubmatch(said)
	if kind == nil {
		t.Fatal("no HFS+ in the image")
	}
	place := regexp.MustCompile(`APM start and size *: *` + kind[1] + ` +(\d+) +(\d+)`).FindStringSubmatch(said)
	first, _ := strconv.ParseInt(place[1], 10, 64) // digits, says the pattern
	count, _ := strconv.ParseInt(place[2], 10, 64)
	data, err := os.ReadFile(iso)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "volume.img")
	if err := os.WriteFile(path, data[first*512:(first+count)*512], 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Block is how many bytes the pieces of a packed volume have.
const Block = 4096

// Pack keeps of a volume the blocks that are not zero: its size, then each block behind
// its number, little-endian, the whole gzipped.
func Pack(t testing.TB, file string, data []byte) {
	t.Helper()
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err == nil {
		err = binary.Write(z, binary.LittleEndian, int64(len(data)))
	}
	zero := make([]byte, Block)
	for at := 0; at < len(data) && err == nil; at += Block {
		block := make([]byte, Block)
		copy(block, data[at:])
		if !bytes.Equal(block, zero) {
			err = errors.Join(binary.Write(z, binary.LittleEndian, int64(at/Block)), binary.Write(z, binary.LittleEndian, block))
		}
	}
	if err == nil {
		err = errors.Join(z.Close(), os.WriteFile(file, out.Bytes(), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d bytes", file, out.Len())
}

// Unpack reads what [Pack] kept: the size of the volume, and its blocks in order.
func Unpack(t testing.TB, file string, yield func(number int64, block []byte)) (size int64) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err == nil {
		err = binary.Read(z, binary.LittleEndian, &size)
	}
	for err == nil {
		var number int64
		if err = binary.Read(z, binary.LittleEndian, &number); err != nil {
			break
		}
		block := make([]byte, Block)
		if _, err = io.ReadFull(z, block); err == nil {
			yield(number, block)
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatalf("%s: %v", file, err)
	}
	return size
}
