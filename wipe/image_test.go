package wipe

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"salvor/rescue/blockdev/sysblock"
)

// image is an invented image in a vault of its own: the marks are those of the
// container's format, the rest is noise.
type image struct {
	dir    string // of the vault
	target Target
}

const (
	testDir    = "cases/T1-2026-0001/image-01"
	testCase   = "cases/T1-2026-0001"
	testKeyDir = "keystore/T1-2026-0001/image-01"
)

type shape struct {
	segments []int // their sizes in bytes, beside the header
	keys     int
	born     time.Time // what the segments' headers say; zero is the real time
}

func noise(seed uint64, n int) []byte {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	_, _ = mrand.NewChaCha8(key).Read(b)
	return b
}

func testUUID() [16]byte { return [16]byte(noise(99, 16)) }

func block(magic string, uuid [16]byte, session byte, created time.Time) []byte {
	b := make([]byte, markBlock)
	copy(b, magic)
	copy(b[16:], uuid[:])
	if magic == segmentMagic {
		b[32] = session
		binary.LittleEndian.PutUint64(b[80:], uint64(created.Unix()))
	} else {
		binary.LittleEndian.PutUint64(b[56:], uint64(created.Unix()))
	}
	sum := sha256.Sum256(b[:markBlock-sha256.Size])
	copy(b[markBlock-sha256.Size:], sum[:])
	return b
}

// content is what a named file of the image holds.
func (s shape) content(name string) []byte {
	born := s.born
	if born.IsZero() {
		born = time.Now()
	}
	switch {
	case name == superblockName:
		b := block(superblockMagic, testUUID(), 0, born)
		return append(b, b...)
	case name == sealName:
		return []byte("salvor/test seal\n\n— salvor/test/T1 c2lnbmF0dXJl\n")
	case keyName.MatchString(name):
		return append([]byte("age-encryption.org/v1\n-> X25519 "), noise(uint64(len(name))+uint64(name[3]), 4600)...)
	}
	n, _ := segmentNumber(name)
	return append(block(segmentMagic, testUUID(), 1+byte(n%max(1, s.keys)), born), noise(uint64(n)+1, s.segments[n])...)
}

// put makes the image below dir and says what the ledger would know of it.
func (s shape) put(t testing.TB, dir string) *image {
	t.Helper()
	im := &image{dir: dir}
	if !im.exists(markerName) {
		im.write(t, markerName, []byte(`{"vault":"test"}`))
	}
	im.write(t, testDir+"/"+superblockName, s.content(superblockName))
	im.write(t, testDir+"/"+sealName, s.content(sealName))
	for n := range s.segments {
		name := fmt.Sprintf("%06d.seg", n)
		im.write(t, testDir+"/"+name, s.content(name))
	}
	var keys []KeyCopy
	for n := range s.keys {
		name := fmt.Sprintf("%04d.age", n+1)
		im.write(t, testKeyDir+"/"+name, s.content(name))
		keys = append(keys, KeyCopy{File: name, SHA256: sha256.Sum256(s.content(name)), Session: [16]byte{1 + byte(n)}})
	}
	im.target = s.openTarget(t, dir)
	im.target.ExpectedKeys = keys
	return im
}

func (s shape) openTarget(t testing.TB, dir string) Target {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return Target{
		Vault: root, Dir: testDir, CaseDir: testCase, Keystore: root, KeyDir: testKeyDir,
		UUID: testUUID(), Segments: len(s.segments),
	}
}

func (im *image) path(name string) string { return filepath.Join(im.dir, name) }

func (im *image) write(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(im.path(name)), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(im.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
}

func (im *image) exists(name string) bool {
	_, err := os.Lstat(im.path(name))
	return err == nil
}

// untouched fails the test when a byte of the image is not what it was.
func (im *image) untouched(t testing.TB, s shape, but ...string) {
	t.Helper()
	names := []string{testDir + "/" + superblockName, testDir + "/" + sealName}
	for n := range s.segments {
		names = append(names, fmt.Sprintf("%s/%06d.seg", testDir, n))
	}
	for n := range s.keys {
		names = append(names, fmt.Sprintf("%s/%04d.age", testKeyDir, n+1))
	}
	for _, name := range names {
		if slices.Contains(but, filepath.Base(name)) {
			continue
		}
		b, err := os.ReadFile(im.path(name))
		if err != nil {
			t.Errorf("a refused erase took %s away: %v", name, err)
			continue
		}
		want := s.content(filepath.Base(name))
		if bytes.HasPrefix(want, []byte(superblockMagic)) || bytes.HasPrefix(want, []byte(segmentMagic)) {
			// The time of birth in a mark is not part of what is compared.
			b, want = b[:len(magicOf(want))], want[:len(magicOf(want))]
		}
		if !bytes.Equal(b, want) {
			t.Errorf("a refused erase changed %s", name)
		}
	}
}

func magicOf(b []byte) []byte { return b[:48] }

func (im *image) plan(t testing.TB) *Job {
	t.Helper()
	j, err := Plan(t.Context(), im.target, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// memory is a journal that keeps jobs as the ledger would: as JSON.
type memory struct {
	saved [][]byte
	fail  func(n int) error // asked before the n-th save
}

func (m *memory) Save(_ context.Context, j *Job) error {
	if m.fail != nil {
		if err := m.fail(len(m.saved)); err != nil {
			return err
		}
	}
	b, err := json.Marshal(j)
	if err != nil {
		return err
	}
	m.saved = append(m.saved, b)
	return nil
}

// last is the newest job that was saved, as a resumed run would find it.
func (m *memory) last(t testing.TB) *Job {
	t.Helper()
	return decode(t, m.saved[len(m.saved)-1])
}

func decode(t testing.TB, b []byte) *Job {
	t.Helper()
	j := new(Job)
	if err := json.Unmarshal(b, j); err != nil {
		t.Fatal(err)
	}
	return j
}

func clock() time.Time { return time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC) }

func options(m *memory) Options { return Options{Journal: m, Now: clock} }

// asRoot skips a test that needs devices.
func asRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for loop devices and mounts")
	}
}

// mustBe fails unless err has the sentinel want in its chain.
func mustBe(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// disk is a file system on a loop device, and the file under it.
//
//	t.TempDir()/disk  ──loop──▶ /dev/loopN ──mkfs, mount──▶ t.TempDir()/mnt
type disk struct {
	file, dev, mnt string
}

func newDisk(t testing.TB, mib int, options string, mkfs ...string) *disk {
	t.Helper()
	asRoot(t)
	d := &disk{file: filepath.Join(t.TempDir(), "disk"), mnt: filepath.Join(t.TempDir(), "mnt")}
	f, err := os.Create(d.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(int64(mib) << 20); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.Mkdir(d.mnt, 0o700); err != nil {
		t.Fatal(err)
	}
	d.dev = shell(t, "flock", "/dev/loop-control", "losetup", "-f", "--show", d.file)
	t.Cleanup(func() { shell(t, "losetup", "-d", d.dev) })
	shell(t, mkfs[0], append(mkfs[1:], d.dev)...)
	d.mount(t, options)
	t.Cleanup(func() {
		if mounted(d.mnt) {
			shell(t, "umount", d.mnt)
		}
	})
	return d
}

func (d *disk) mount(t testing.TB, options string) {
	t.Helper()
	args := []string{d.dev, d.mnt}
	if options != "" {
		args = append(args, "-o", options)
	}
	shell(t, "mount", args...)
}

func mounted(point string) bool {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	defer f.Close()
	all, _ := sysblock.ParseMounts(f)
	return slices.ContainsFunc(all, func(m sysblock.Mount) bool { return m.Point == point })
}

// holds counts how many of the given 4 KiB blocks of old content lie anywhere on
// the device, by looking at the file under it.
func (d *disk) holds(t testing.TB, old ...[]byte) int {
	t.Helper()
	unix.Sync()
	whole, err := os.ReadFile(d.file)
	if err != nil {
		t.Fatal(err)
	}
	wanted := make(map[[64]byte]bool)
	for _, o := range old {
		for at := 0; at+4096 <= len(o); at += 4096 {
			wanted[[64]byte(o[at+200:])] = true
		}
	}
	n := 0
	for at := 0; at+512 <= len(whole); at += 512 {
		if wanted[[64]byte(whole[at+200:])] {
			n++
		}
	}
	return n
}

func sha256Of(b []byte) [32]byte { return sha256.Sum256(b) }

func (j *Job) clone() ([]byte, error) { return json.Marshal(j) }
