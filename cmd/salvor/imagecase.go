package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/vault"
	"salvor/rescue/blockdev"
)

// findOrOpen finds the unfinished image that this command continues, else begins one,
// in the case that was named or in a new one.
func (g *imaging) findOrOpen(ctx context.Context) error {
	if g.o.caseNo != "" {
		return g.inCase(ctx)
	}
	if found, err := g.findUnfinished(ctx); err != nil || found {
		return err
	}
	in, err := g.o.customer.complete(ctx, g.station)
	if err != nil {
		return err
	}
	if err := g.ready(ctx, g.ident.Bytes); err != nil {
		return err
	}
	g.no, err = g.ledger.OpenCase(ctx, g.op.ID, g.now().In(g.term.Zone).Year(), func(no custody.CaseNo) []ledger.Entry {
		return append(in.entries(no), g.entries(no, "image-01", "1", true, in.deadline.Deadline.Time, in.at)...)
	})
	if err != nil {
		return err
	}
	return g.loadImage(ctx)
}

// ready checks what would stop an image at once, before a case is opened or a seal taken
// away for it: two keys, and room in the vault for so many bytes of a disk on which
// nothing can be left out.
func (g *imaging) ready(ctx context.Context, bytes int64) error {
	if _, _, err := g.recipients(ctx); err != nil {
		return err
	}
	if err := unix.Access(g.vault.path, unix.W_OK); err != nil {
		return fmt.Errorf("vault %s: %w", g.vault.name, err)
	}
	free, err := g.vault.dir.Free()
	if err != nil {
		return fmt.Errorf("vault %s: %w", g.vault.name, err)
	}
	if need := vault.WorstCase(bytes); free < need {
		return fmt.Errorf("vault %s: %w: %s free, %s needed in the worst case", g.vault.name, vault.ErrNoSpace, ui.Size(free), ui.Size(need))
	}
	return nil
}

func (g *imaging) loadImage(ctx context.Context) error {
	c, err := g.ledger.Case(ctx, g.no)
	if err != nil {
		return err
	}
	i, ok := c.Image(g.image.Name)
	if !ok {
		return fmt.Errorf("image %s/%s: %w", g.no, g.image.Name, custody.ErrNoImage)
	}
	g.image = i
	return nil
}

// inCase continues the unfinished image of this source in a case, or begins another.
func (g *imaging) inCase(ctx context.Context) error {
	c, item, err := g.caseOf(ctx, g.o.caseNo)
	if err != nil {
		return err
	}
	g.no, g.item = c.No, item
	if err := g.lockCase(); err != nil {
		return err
	}
	if c, err = g.ledger.Case(ctx, c.No); err != nil { // another run may have ended just now
		return err
	}
	found, err := g.continues(ctx, c)
	if err != nil || found {
		return err
	}
	switch {
	case c.Due(g.now()):
		return refuse("case "+string(g.no), "its deadline has come", "open a new case")
	case c.Erased():
		return refuse("case "+string(g.no), "everything of it is erased", "open a new case")
	}
	if err := g.clockPlausible(ctx, "image", g.o.customer.clockChecked); err != nil {
		return err
	}
	if err := g.ready(ctx, g.ident.Bytes); err != nil {
		return err
	}
	begin, err := g.begin(ctx, g.no, c, c.Deadline, custody.At(g.now()))
	if err != nil {
		return err
	}
	if _, err := g.ledger.Append(ctx, g.op.ID, begin...); err != nil {
		return err
	}
	return g.loadImage(ctx)
}

// findUnfinished looks for an image of this source and customer, in this vault, that
// an earlier run left unfinished. A source without a serial number is never taken for
// the same on the word of its path alone: the customer has to be named.
func (g *imaging) findUnfinished(ctx context.Context) (bool, error) {
	if g.ident.Serial == "" && g.o.customer.customer == "" {
		return false, nil
	}
	cases, err := g.ledger.Cases(ctx, ledger.Filter{})
	if err != nil {
		return false, err
	}
	for _, c := range cases {
		if c.Copies() == 0 {
			continue
		}
		private, err := g.ledger.PrivateOfCase(ctx, c.No)
		if err != nil {
			return false, err
		}
		name := customerOf(private)[custody.FieldCustomer]
		if g.o.customer.customer != "" && name != g.o.customer.customer {
			continue
		}
		g.no = c.No
		found, err := g.continues(ctx, c)
		if err != nil || found {
			return found, err
		}
	}
	return false, nil
}

// continues looks in a case for the image of this source that is not finished: not
// sealed, or sealed and never checked since. A finished one is not made twice by
// mistake, and a source that has changed is not mixed into the image of what it was.
// Where it may be the same and nothing proves it, somebody has to look.
func (g *imaging) continues(ctx context.Context, c custody.Case) (bool, error) {
	private, err := g.ledger.PrivateOfCase(ctx, c.No)
	if err != nil {
		return false, err
	}
	doubt := ""
	for _, i := range c.Images {
		if i.Vault != g.vault.id || g.o.image != "" && g.o.image != i.Name ||
			i.State == custody.ImageIsErased || i.State == custody.ImageIsErasing || i.State == custody.ImageIsFailed {
			continue
		}
		ref := fmt.Sprintf("%s/%s", c.No, i.Name)
		like := g.likeness(i, private[i.Ref])
		content, err := g.comparePrint(private[i.Ref], like)
		if err != nil {
			return false, err
		}
		finished := i.State == custody.ImageIsSealed && checked(c, i) && (g.o.again || !g.triesMore(i))
		switch {
		case like == otherSource:
			continue
		case like == sameSource || g.o.image != "":
		case finished && content != samePrint:
			continue
		case !finished && g.o.again:
			continue
		case !finished:
			doubt = i.Name
			continue
		}
		switch {
		case finished && g.o.again:
			continue
		case finished:
			hint := "--again makes another image of it"
			if i.Rescued < i.Bytes {
				hint = "--retries 1 tries once more what is missing; " + hint
			}
			return false, refuse("image", "this source is "+ref+" already, finished on "+g.term.DateTime(i.Sealed), hint)
		case content == samePrint, content == noPrint && g.o.image != "":
		case g.o.again:
			continue
		case content == noPrint:
			return false, g.mayBe(c.No, i.Name, "its beginning cannot be compared")
		default:
			return false, refuse("image", "the source is not what it was when "+ref+" was begun", "put the right one in, with the --map that it had; or --again begins another image")
		}
		reopens := i.State == custody.ImageIsSealed && checked(c, i)
		if i.State != custody.ImageIsSealed || reopens { // else nothing is read of it
			if another, err := g.mayGoOn(ctx, ref, i); err != nil {
				return false, err
			} else if another {
				continue
			}
		}
		g.image, g.reopens = i, reopens
		g.term.Say("going on with %s", ref)
		return true, nil
	}
	switch {
	case doubt != "":
		return false, g.mayBe(c.No, doubt, "of the same size, and no serial number proves it")
	case g.o.image != "":
		return false, refuse("image", "this source cannot go on with "+string(c.No)+"/"+g.o.image, "salvor show "+string(c.No)+": size, serial number and vault must agree")
	}
	return false, nil
}

// mayBe asks somebody to look whether a source is that of an image: to begin another
// would cost a failing disk all that was read of it, to go on with the wrong one would mix
// two disks.
func (g *imaging) mayBe(no custody.CaseNo, image, why string) error {
	return usage("image", fmt.Sprintf("the source may be the one of %s/%s: %s", no, image, why), fmt.Sprintf(
		"look at the disk: --case %s --image %s goes on with it, --again begins another image", no, image))
}

// checked reports whether an image was checked since it was sealed.
func checked(c custody.Case, i custody.Image) bool {
	return slices.ContainsFunc(c.Checks, func(check custody.Check) bool {
		return check.Image == i.Name && !check.At.Before(i.Sealed)
	})
}

// triesMore reports whether this command may bring something that a sealed image lacks:
// free space that was left out, or sectors that are to be tried again.
func (g *imaging) triesMore(i custody.Image) bool {
	left := i.Bytes - i.Rescued
	return left > 0 && (g.o.plan.retries > 0 || left > i.Bad && !g.o.plan.used())
}

// likeness is how sure it is that an image is of a source.
type likeness uint8

const (
	otherSource likeness = iota
	perhapsSource
	sameSource
)

// likeness tells whether an image was made of this source, as far as its size, its serial
// number and its path say. A bridge that hides the serial number, or gives one of its own,
// leaves doubt.
func (g *imaging) likeness(i custody.Image, private map[string]string) likeness {
	serial, source := private[custody.FieldSerial], private[custody.FieldSource]
	switch {
	case i.Bytes != g.ident.Bytes, source == "", g.item != "" && g.item != i.Item:
		return otherSource
	case g.ident.Kind == blockdev.Partition && partition(source) != partition(g.ident.Path):
		// Two of one size have the serial number of their disk.
		if partition(source) == "" || partition(g.ident.Path) == "" {
			return perhapsSource
		}
		return otherSource
	case serial != "" && g.ident.Serial != "":
		if serial == g.ident.Serial && private[custody.FieldModel] == g.ident.Model {
			return sameSource
		}
		return otherSource
	case serial == "" && g.ident.Serial == "" && source == sourcePath(g.ident):
		return sameSource
	}
	return perhapsSource
}

// partition is the number of a partition in its name, such as /dev/sdb2, /dev/nvme0n1p2 or
// /dev/disk/by-id/usb-…-part2; "" is a name that does not tell.
func partition(path string) string {
	if m := partitionName.FindStringSubmatch(path); m != nil {
		return m[1]
	}
	return ""
}

var partitionName = regexp.MustCompile(`^/dev/(?:[sv]d[a-z]+|(?:nvme\d+n|mmcblk|loop)\d+p|disk/by-(?:id|path)/.*-part)(\d+)$`)

// The print of a source compared with that of an image.
const (
	otherPrint = iota
	samePrint
	noPrint // one of them tells nothing
)

// comparePrint compares the source's fingerprint with that of an image. Of two disks whose
// beginnings are blank only their names can tell that they are the same.
func (g *imaging) comparePrint(private map[string]string, like likeness) (int, error) {
	then, now := private[custody.FieldFingerprint], g.print
	if serial := private[custody.FieldSerial]; (serial == "") != (g.ident.Serial == "") {
		if serial != "" {
			return noPrint, nil
		}
		of, err := contentPrint(g.ident)
		if err != nil {
			return noPrint, err
		}
		now = g.mapped(of)
	}
	vague := g.mapped(vaguePrint())
	switch {
	case then == now && (now != vague || like == sameSource):
		return samePrint, nil
	case then == vague, now == vague:
		return noPrint, nil
	}
	return otherPrint, nil
}

// fingerprint tells a source without a serial number from another of the same size
// under the same name. With a map it is another: what the map withholds is not data, and
// a run without it must not fill the same image with it.
func (g *imaging) fingerprint() (string, error) {
	if g.ident.Serial != "" {
		return g.mapped(""), nil
	}
	of, err := contentPrint(g.ident)
	return g.mapped(of), err
}

func (g *imaging) mapped(of string) string {
	if g.o.mapFile == "" {
		return of
	}
	return printWithMap(of)
}

func printWithMap(of string) string { return shortHash("map\x00" + of) }

// contentPrint is of a file its inode and the time of its last change, of a disk the
// beginning, where partition tables and file systems keep their random ids.
func contentPrint(ident blockdev.Identity) (string, error) {
	f, err := os.Open(ident.Path)
	if err != nil {
		return "", fmt.Errorf("source: %w", err)
	}
	defer f.Close()
	if ident.Kind != blockdev.File {
		head := make([]byte, 4096)
		if n, _ := f.ReadAt(head, 0); n < len(head) || bytes.Count(head, head[:1]) == len(head) {
			return vaguePrint(), nil
		}
		return shortHash(string(head)), nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return "", fmt.Errorf("source: %w", err)
	}
	return shortHash(fmt.Sprintf("%d %d %d.%09d", st.Dev, st.Ino, st.Mtim.Sec, st.Mtim.Nsec)), nil
}

// vaguePrint is that of a disk whose beginning cannot be read, or says nothing.
func vaguePrint() string { return shortHash("") }

// sourceInside names the vault or state directory that a source lies in: imaging what
// salvor keeps would feed on itself.
func (s *station) sourceInside(ctx context.Context, path string) (string, error) {
	taken, err := s.takenPlaces(ctx)
	if err != nil {
		return "", err
	}
	return inside(path, taken)
}

// deviceRecord is where the settings of a disk are kept that imaging changes, so that
// they are put back after a crash as well.
func (s *station) deviceRecord(path string) (string, error) {
	dir := filepath.Join(s.dir, "devices")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("device record: %w", err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("device record: %w", err)
	}
	return filepath.Join(dir, shortHash(abs)+".json"), nil
}

// putDisksBack puts back what killed runs changed of disks.
func (s *station) putDisksBack(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, putBackLimit)
	defer cancel()
	if err := blockdev.PutBackAll(limited, filepath.Join(s.dir, "devices")); err != nil {
		s.term.Warn("a disk was not put back as it was: %v", err)
	}
	return ctx.Err()
}

// putBackLimit is how long disks that do not answer may hold up a command.
const putBackLimit = 5 * time.Second

func sourcePath(ident blockdev.Identity) string {
	path, err := filepath.Abs(ident.Path)
	if err != nil {
		return ident.Path
	}
	return path
}

// sourceID names a source without telling anything about it: the name of a lock.
func sourceID(ident blockdev.Identity) string {
	if ident.Serial != "" {
		return shortHash(ident.Model + "\x00" + ident.Serial)
	}
	return shortHash(sourcePath(ident))
}

// begin records a new image in a case that is open, and its item where that is new.
func (g *imaging) begin(ctx context.Context, no custody.CaseNo, c custody.Case, deadline time.Time, created custody.Time) ([]ledger.Entry, error) {
	private, err := g.ledger.PrivateOfCase(ctx, no)
	if err != nil {
		return nil, err
	}
	for _, i := range c.Images {
		if g.likeness(i, private[i.Ref]) == sameSource {
			return g.entries(no, c.NextImage(), i.Item, false, deadline, created), nil
		}
	}
	item, err := g.itemAtDesk(c, private)
	if err != nil {
		return nil, err
	}
	if item != "" {
		return g.entries(no, c.NextImage(), item, false, deadline, created), nil
	}
	return g.entries(no, c.NextImage(), fmt.Sprint(len(c.Items)+1), true, deadline, created), nil
}

// itemAtDesk finds the item of the intake that the source is: the one that was named,
// the one with its serial number, or the only one without an image whose serial number
// nobody took down. "" is none of them: it was not handed in at the desk.
func (g *imaging) itemAtDesk(c custody.Case, private map[custody.Ref]map[string]string) (string, error) {
	var open []custody.Item
	for _, i := range c.Items {
		serial := private[i.Ref][custody.FieldSerial]
		switch {
		case g.item == i.Item && i.Ended():
			return "", refuse(fmt.Sprintf("case %s/%s", c.No, i.Item), "the item is not in the shop any more", "salvor show "+string(c.No))
		case g.item == i.Item, g.item == "" && serial != "" && serial == g.ident.Serial && !i.Ended():
			return i.Item, nil
		case i.Ended() || serial != "" || slices.ContainsFunc(c.Images, func(x custody.Image) bool { return x.Item == i.Item }):
		default:
			open = append(open, i)
		}
	}
	switch len(open) {
	case 0:
		return "", nil
	case 1:
		return open[0].Item, nil
	}
	return "", usage("case "+string(c.No), fmt.Sprintf("the disk may be one of %d items", len(open)), fmt.Sprintf("name it: --case %s/%s", c.No, open[0].Item))
}

// entries are the events that begin an image. Image and deadline of a new case are of
// one instant: an image that is due at once must not be a second younger than its
// deadline.
func (g *imaging) entries(no custody.CaseNo, image, item string, received bool, deadline time.Time, created custody.Time) []ledger.Entry {
	info := g.source.Info()
	g.image = custody.Image{Name: image}
	var list []ledger.Entry
	if received {
		list = append(list, ledger.Entry{
			Case: no, Item: item, Pub: custody.ItemReceived{Item: item, Kind: itemKind(g.ident), Bytes: info.Bytes},
			Private: map[string]string{custody.FieldModel: g.ident.Model, custody.FieldSerial: g.ident.Serial},
		})
	}
	return append(list, ledger.Entry{
		Case: no, Item: item, Pub: custody.ImageStarted{
			Image: image, UUID: newUUID(), Vault: g.vault.id, Item: item,
			Bytes: info.Bytes, Sector: int64(info.Sector), Physical: int64(max(info.Physical, info.Sector)),
			Created: created, EraseBy: custody.At(deadline),
		}, Private: map[string]string{
			custody.FieldSource: sourcePath(g.ident), custody.FieldModel: g.ident.Model, custody.FieldSerial: g.ident.Serial,
			custody.FieldFingerprint: g.print,
		},
	})
}

func itemKind(ident blockdev.Identity) custody.ItemKind {
	switch {
	case ident.Kind == blockdev.File:
		return custody.ItemFile
	case ident.Transport == "nvme":
		return custody.ItemNVMe
	case ident.Transport == "mmc":
		return custody.ItemCard
	case ident.Rotational && ident.Transport != "usb":
		return custody.ItemHDD
	case ident.Transport == "sata":
		return custody.ItemSSD
	}
	return custody.ItemDisk
}

// newUUID draws a random UUID (RFC 9562, version 4).
func newUUID() custody.UUID {
	var u custody.UUID
	rand.Read(u[:]) // never fails: crypto/rand
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return u
}
