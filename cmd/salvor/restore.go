package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/vault"
	"salvor/rescue/blockdev"
)

// opener opens images with the shop's keys.
type opener struct {
	s       *station
	ids     []age.Identity
	salvage bool // take what still verifies of a damaged image
}

func (o *opener) open(ctx context.Context, v *openedVault, no custody.CaseNo, i custody.Image) (*vault.Reader, func(), error) {
	open := o.s.openContainer
	if o.salvage {
		open = o.s.openDamaged
	}
	c, err := open(ctx, v, no, i)
	if err != nil {
		return nil, nil, err
	}
	keys := o.s.imageKeys(ctx, v, c.Ref(), i)
	defer keys.close() // what they hold is read before this returns
	r, err := keys.unlock(ctx, c, o.ids)
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	o.s.warnOf(keys)
	return r, func() { r.Close(); c.Close() }, nil
}

type restoreOptions struct {
	image, reason, serial string
	identities            []string
	passphrase            ui.SecretFrom
	fill                  uint8
	handover              bool
	salvage               bool
	force                 bool
	original              bool
}

func newRestore(p *program) *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "restore CASE TARGET",
		Short: "write an image back to a file or a disk, and compare",
		Long: `Writes the content of an image to a file or a disk, reads it back and compares.
What could not be read from the source is written as zeros (--fill for another
byte), counted, and makes the command exit with 3.

An image that was damaged in the vault is refused; --salvage gives back every record
of it that still verifies, and counts the rest as not read.

A disk is overwritten only when its serial number is typed on the terminal, or
given with --confirm-serial; one that a customer has handed in only with
--over-original as well. Every opening of an image is recorded with its reason.

What is written is not encrypted. To a medium that can be carried away (USB, memory
card, or nobody can tell) it goes only as the hand-over to the customer, --handover,
which is recorded. Every copy stands in the inventory of its case until "salvor
return", "erased" or "destroyed" ends it.`,
		Example: `  salvor restore T1-2026-0001 /dev/sdc --handover --identity counter.key \
    --reason "new disk for the customer"
  salvor restore T1-2026-0001 out.img --identity counter.key --reason test`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error { return s.restore(ctx, args[0], args[1], o) }),
	}
	f := cmd.Flags()
	f.StringVar(&o.image, "image", "", "which image of the case, such as image-01")
	f.StringArrayVar(&o.identities, "identity", nil, "identity `FILE` of a shop key; may be repeated")
	f.StringVar(&o.reason, "reason", "", "why the data are opened; recorded")
	f.BoolVar(&o.handover, "handover", false, "the copy is made to be handed over to the customer")
	f.Uint8Var(&o.fill, "fill", 0, "`BYTE` to write where the source could not be read")
	f.BoolVar(&o.salvage, "salvage", false, "from an image that is damaged: everything that still verifies")
	f.BoolVar(&o.force, "force", false, "replace a file that exists")
	f.StringVar(&o.serial, "confirm-serial", "", "serial number of the disk to overwrite")
	f.BoolVar(&o.original, "over-original", false, "the disk is one that a customer has handed in, and may be overwritten")
	passphraseFlags(cmd, &o.passphrase)
	return cmd
}

// target is where an image is restored to.
type target struct {
	medium
	kind     custody.TargetKind
	size     int64        // of a disk; 0: it has the size of the image
	at       string       // a path that leads to what was opened, whatever is mounted over it
	nameless bool         // it goes with this process until it is kept
	keep     func() error // gives the target its name, once it was compared
	discard  func()       // takes away what a failed restore has begun
}

type medium interface {
	io.WriterAt
	io.ReaderAt
	// Sync makes what was written durable and drops it from the cache, so that the
	// comparison reads the medium.
	Sync() error
	Close() error
}

func (s *station) restore(ctx context.Context, no, path string, o restoreOptions) error {
	op, err := s.operator(ctx, custody.TypeDataOpened)
	if err != nil {
		return err
	}
	c, err := s.findCase(ctx, no)
	if err != nil {
		return err
	}
	images, err := pick(c, o.image)
	if err != nil {
		return err
	}
	if len(images) > 1 {
		return usage("restore", "the case has more than one image", "--image NAME; salvor show "+no)
	}
	i := images[0]
	if err := c.MayOpen(i.Name); err != nil {
		return err
	}
	if _, err := s.leaves(carriedBy(path), o.handover); err != nil {
		return err
	}
	if o.reason, err = s.text(ctx, o.reason, "--reason", "why are the data opened"); err != nil {
		return err
	}
	ids, err := s.identities(ctx, o.identities, o.passphrase)
	if err != nil {
		return err
	}
	v, err := s.openVault(ctx, i.Vault)
	if err != nil {
		return err
	}
	defer v.close()
	r, done, err := (&opener{s, ids, o.salvage}).open(ctx, v, c.No, i)
	if err != nil {
		return err
	}
	defer done()
	if i.Seal == nil {
		s.term.Warn("this image is not sealed: every record is authentic, but the end may be missing")
	}
	t, err := s.openTarget(ctx, path, i, r.Size(), o)
	if err != nil {
		return err
	}
	defer func() { _ = t.Close() }() // what was written is synced and compared by then
	// What is mounted there may have changed since.
	export, err := s.leaves(t.at, o.handover)
	if err != nil {
		t.discard()
		return err
	}
	export.Copy = shortID("c")
	opening := custody.DataOpened{Image: i.Name, Use: custody.UseRestore, Export: export}
	if t.nameless {
		opening.Copy = "" // a run that is cut off leaves no copy
	}
	// The opening is recorded before the first byte leaves the image.
	if _, err := s.ledger.Append(ctx, op.ID, ledger.Entry{Case: c.No, Item: i.Item, Pub: opening, Private: because(o.reason)}); err != nil {
		t.discard()
		return err
	}
	var sum [sha256.Size]byte
	bad, err := s.writeOut(ctx, r, t, o.fill)
	if err == nil {
		sum, err = s.compare(ctx, r, t, o.fill)
	}
	if err != nil {
		t.discard()
		return s.cutOff(c.No, opening, fmt.Errorf("restore %s: %w", c.No, err))
	}
	behind := t.behind(r.Size())
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	// It is on the record before it has its name: no copy appears without one.
	if _, err = s.happened(context.WithoutCancel(ctx), op.ID, ledger.Entry{
		Case: c.No, Item: i.Item, Pub: custody.DataRestored{Image: i.Name, Target: t.kind, Bytes: r.Size(), Unread: bad.bytes(), Export: export},
		Private: map[string]string{custody.FieldReason: o.reason, custody.FieldTarget: abs, custody.FieldSHA256: hex.EncodeToString(sum[:])},
	}); err == nil {
		err = t.keep()
	}
	if err != nil {
		t.discard()
		return err
	}
	return s.restored(c.No, export, r.Size(), behind, bad)
}

// cutOff says that a restore which failed may have left part of the data on its target.
func (s *station) cutOff(no custody.CaseNo, opening custody.DataOpened, err error) error {
	if opening.Copy != "" {
		s.term.Warn("part of the data may be on the target: it stands in the inventory of %s as copy %s", no, opening.Copy)
	}
	return err
}

// carriedBy is what decides whether a target can be carried away: the device, or the
// directory of a file that may not be there yet.
func carriedBy(path string) string {
	if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeDevice != 0 {
		return path
	}
	return filepath.Dir(path)
}

// leaves says what the record says of unencrypted data that are written to path, or to
// what lies below it, and refuses what the shop's duties forbid: to a medium that can be
// carried away they go only for the customer.
func (s *station) leaves(path string, handover bool) (custody.Export, error) {
	on, err := s.carrier(path)
	if err != nil {
		return custody.Export{}, fmt.Errorf("target: %w", err)
	}
	if on.Portable && !handover {
		why := fmt.Sprintf("%s can be carried away (%s), and what is written is not encrypted", on.On, on.Why)
		if !on.Known {
			why = fmt.Sprintf("nobody can tell whether %s can be carried away, and what is written is not encrypted", on.On)
		}
		return custody.Export{}, &ui.Error{Code: ui.Refused, What: "target", Why: why, Hint: "only as the hand-over to the customer: --handover", Err: custody.ErrPlainCopy}
	}
	return custody.Export{Removable: on.Portable, Plain: true, Handover: handover}, nil
}

// span is a stretch of the source in bytes.
type span struct{ off, n int64 }

type unread []span

func (u unread) bytes() (n int64) {
	for _, s := range u {
		n += s.n
	}
	return n
}

func (s *station) restored(no custody.CaseNo, export custody.Export, size int64, behind rest, bad unread) error {
	list := make([]map[string]int64, 0, len(bad))
	for _, b := range bad {
		list = append(list, map[string]int64{"offset": b.off, "bytes": b.n})
	}
	if s.json {
		if err := s.term.Message("summary", map[string]any{
			"case": no, "copy": export.Copy, "removable": export.Removable, "handover": export.Handover,
			"bytes": size, "unread": bad.bytes(), "unread_areas": list, "compared": true,
			"not_written": behind.bytes, "not_blank": !behind.blank,
		}); err != nil {
			return err
		}
	} else {
		s.term.Say("%s written, read back and equal", ui.Size(size))
		if behind.bytes > 0 && behind.blank {
			s.term.Say("%s behind it were not written to; they are blank wherever they were looked at", ui.Size(behind.bytes))
		}
		if len(bad) > 0 {
			t := s.term.Table(">offset", ">bytes")
			for _, b := range bad {
				t.Row(b.off, b.n)
			}
			s.term.Say("not read from the source, and filled:")
			if err := t.Flush(); err != nil {
				return err
			}
		}
		s.term.Say("it stands in the inventory as copy %s", export.Copy)
		if export.Handover {
			s.term.Say("next: salvor return %s", no)
		} else {
			s.term.Say("it keeps the case open until salvor return %s --copy %s, or until its disk is wiped or destroyed: salvor erased, salvor destroyed", no, export.Copy)
		}
	}
	if !behind.blank {
		s.term.Warn("%s behind it were not written to, and may hold what was on the disk before: wipe a used disk first, or the customer gets somebody else's data with it", ui.Size(behind.bytes))
	}
	if len(bad) > 0 {
		return &ui.Error{
			Code: ui.Incomplete, What: "restore " + string(no),
			Why:  fmt.Sprintf("%s in %s never read from the source and filled", ui.Size(bad.bytes()), counted(len(bad), "area was", "areas were")),
			Hint: "everything else is the customer's data, byte for byte",
		}
	}
	return nil
}

// rest is what lies on a disk behind what was written to it.
type rest struct {
	bytes int64
	blank bool // zeros or ones, wherever it was looked at
}

// restLooks is in how many places the rest of a disk is looked at.
const restLooks = 256

// behind looks at the rest of a disk that is larger than the image. What was on it before
// is handed over with it.
func (t *target) behind(size int64) rest {
	left := rest{bytes: max(t.size-size, 0), blank: true}
	p := make([]byte, min(left.bytes, 64<<10))
	for k := range int64(restLooks) {
		if len(p) == 0 || !left.blank {
			break
		}
		off := size + (left.bytes-int64(len(p)))*k/(restLooks-1)
		_, err := t.ReadAt(p, off)
		left.blank = err == nil && (p[0] == 0 || p[0] == 0xff) && bytes.Count(p, p[:1]) == len(p)
	}
	return left
}

// openTarget opens a file or, after the serial number was confirmed, a disk.
func (s *station) openTarget(ctx context.Context, path string, i custody.Image, size int64, o restoreOptions) (*target, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.Mode()&os.ModeDevice != 0 && info.Mode()&os.ModeCharDevice == 0:
		return s.openDisk(ctx, path, i, size, o)
	case err == nil && !info.Mode().IsRegular():
		return nil, usage("restore", "the target is neither a file nor a disk", "name a new file, or a disk such as /dev/sdc")
	case err == nil && !o.force:
		return nil, refuse("restore", "the target file exists", "use another name, or --force to replace it")
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("target: %w", err)
	}
	if err := s.keepOut(ctx, path); err != nil {
		return nil, err
	}
	t, err := createBeside(path, size, o.force)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	return t, nil
}

func (s *station) openDisk(ctx context.Context, path string, i custody.Image, size int64, o restoreOptions) (*target, error) {
	attached := attachedAs(path)
	ident, err := blockdev.CheckTarget(path)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	if ident.Bytes < size {
		return nil, refuse("target "+path, fmt.Sprintf("it is smaller than the image: %d of %d bytes", ident.Bytes, size), "use a disk of at least "+ui.Size(size))
	}
	if err := s.notOriginal(ctx, ident, o.original); err != nil {
		return nil, err
	}
	if err := s.notVaultDisk(ctx, path, ident.Name, ident.Serial); err != nil {
		return nil, err
	}
	if int64(ident.Sector) != i.Sector {
		s.term.Warn("%s has sectors of %d bytes, and %s has sectors of %d: systems will not understand the partitions on it; use a disk or an adapter with sectors of %[4]d",
			path, ident.Sector, i.Name, i.Sector)
	}
	want := ident.Serial
	what := "serial number"
	if want == "" { // a disk without one is named by its kernel name
		want, what = ident.Name, "kernel name (it has no serial number)"
	}
	if o.serial == "" {
		if err := s.term.ConfirmExact(ctx, ui.Question{
			Text: fmt.Sprintf("everything on %s (%s) will be overwritten; type its %s", path, joined(", ", ident.Model, ui.Size(ident.Bytes)), what),
			Flag: "--confirm-serial",
		}, want); err != nil {
			return nil, err
		}
	} else if o.serial != want {
		return nil, refuse("target "+path, "its "+what+" is not the one that was given", "look at the disk; salvor never overwrites another one")
	}
	t, opened, err := blockdev.OpenTarget(path)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	if opened.Serial != ident.Serial || opened.Name != ident.Name || opened.Bytes != ident.Bytes || attachedAs(path) != attached {
		return nil, errors.Join(t.Close(), refuse("target "+path, "another disk has taken its place", "look at the disks and try again"))
	}
	return &target{medium: t, kind: custody.TargetDevice, size: opened.Bytes, at: path, keep: func() error { return nil }, discard: func() {}}, nil
}

// file is a medium that is a regular file.
type file struct{ *os.File }

// Sync implements medium.
func (f file) Sync() error {
	if err := f.File.Sync(); err != nil {
		return err
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// createBeside makes a file without a name in the directory of path. It gets its name
// only when it is whole and was compared, and a run that is killed before leaves
// nothing of the customer's data behind. Its space is reserved, so that a full disk is
// found before the first byte is decrypted.
func createBeside(path string, size int64, replace bool) (*target, error) {
	t, err := createNameless(path, replace)
	if err != nil {
		return nil, err
	}
	f, _ := t.medium.(file)
	err = unix.Fallocate(int(f.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		err = f.Truncate(size)
	}
	if err != nil {
		t.discard()
		return nil, errors.Join(err, f.Close())
	}
	return t, nil
}

func createNameless(path string, replace bool) (*target, error) {
	dir := filepath.Dir(path)
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		f := os.NewFile(uintptr(fd), path)
		return &target{
			medium: file{f}, kind: custody.TargetFile, at: opened(f), nameless: true, discard: func() {},
			keep: func() error { return nameIt(f, path, replace) },
		}, nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EINVAL) {
		return nil, &os.PathError{Op: "create a file in", Path: dir, Err: err}
	}
	// SMB, NFS, FAT and FUSE have no files without a name.
	f, err := os.CreateTemp(dir, ".salvor-restore-*")
	if err != nil {
		return nil, err
	}
	return &target{
		medium: file{f}, kind: custody.TargetFile, at: opened(f), discard: func() { os.Remove(f.Name()) },
		keep: func() error { return rename(f.Name(), path, replace) },
	}, nil
}

// opened is a path to an open file, whatever becomes of its name (proc(5)).
func opened(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// nameIt gives a file without a name its name (open(2), O_TMPFILE). To take another's
// place it first gets a name beside it: linkat never replaces.
func nameIt(f *os.File, path string, replace bool) error {
	to := path
	if replace {
		to = fmt.Sprintf("%s.salvor-%d", path, os.Getpid())
	}
	err := unix.Linkat(unix.AT_FDCWD, opened(f), unix.AT_FDCWD, to, unix.AT_SYMLINK_FOLLOW)
	if errors.Is(err, unix.EEXIST) {
		return refuse("restore", "the file "+to+" exists", "use another name, or --force to replace it")
	}
	if err != nil {
		return fmt.Errorf("name the target: %w", err)
	}
	if replace {
		return rename(to, path, true)
	}
	return syncDir(filepath.Dir(path))
}

// writeOut writes the whole source, and fills what was never read.
func (s *station) writeOut(ctx context.Context, r *vault.Reader, t *target, fill byte) (unread, error) {
	bar := s.term.Progress("restore", ui.Bytes)
	defer bar.End()
	var bad unread
	err := r.Chunks(ctx, func(c vault.Chunk) error {
		if c.Data == nil {
			if n := len(bad); n > 0 && bad[n-1].off+bad[n-1].n == c.Off {
				bad[n-1].n += c.Len
			} else {
				bad = append(bad, span{c.Off, c.Len})
			}
		}
		err := eachPiece(c, fill, func(p []byte, off int64) error {
			_, err := t.WriteAt(p, off)
			return err
		})
		bar.Set(c.Off+c.Len, r.Size(), ui.UnknownRate, "")
		return err
	})
	if err != nil {
		return nil, err
	}
	return bad, t.Sync()
}

// compare reads the target back and compares it with the image. It returns the SHA-256
// of what the target gave back.
func (s *station) compare(ctx context.Context, r *vault.Reader, t *target, fill byte) (sum [sha256.Size]byte, err error) {
	bar := s.term.Progress("compare", ui.Bytes)
	defer bar.End()
	have, hash := make([]byte, pieceSize), sha256.New()
	err = r.Chunks(ctx, func(c vault.Chunk) error {
		err := eachPiece(c, fill, func(want []byte, off int64) error {
			got := have[:len(want)]
			if _, err := t.ReadAt(got, off); err != nil {
				return fmt.Errorf("read the target back: %w", err)
			}
			if !bytes.Equal(got, want) {
				return &ui.Error{Code: ui.VerifyFailed, What: "restore", Why: fmt.Sprintf("the target gives back other data at byte %d", off), Hint: "the target is faulty: use another one"}
			}
			hash.Write(got)
			return nil
		})
		bar.Set(c.Off+c.Len, r.Size(), ui.UnknownRate, "")
		return err
	})
	return [sha256.Size]byte(hash.Sum(nil)), err
}

const pieceSize = 1 << 20

// eachPiece calls do for a chunk in pieces of bounded size, with runs of one byte and
// unread stretches written out.
func eachPiece(c vault.Chunk, fill byte, do func(p []byte, off int64) error) error {
	if c.Data != nil && !c.Fill {
		return do(c.Data, c.Off)
	}
	if c.Data != nil {
		fill = c.Data[0]
	}
	piece := bytes.Repeat([]byte{fill}, int(min(c.Len, pieceSize)))
	for off := int64(0); off < c.Len; off += pieceSize {
		if err := do(piece[:min(c.Len-off, pieceSize)], c.Off+off); err != nil {
			return err
		}
	}
	return nil
}
