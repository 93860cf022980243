package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/rescue/blockdev"
	"salvor/wipe/device"
)

// onDesk looks for a disk among what is in the shop.
func (b *bench) onDesk(d seenDisk) (found, unknown []handedIn) {
	b.t.Helper()
	b.ledger(func(ctx context.Context, l *ledger.Ledger) {
		var err error
		if found, unknown, err = (&station{ledger: l}).customersDisk(ctx, d); err != nil {
			b.t.Fatal(err)
		}
	})
	return found, unknown
}

// mayWipe is what a wipe of a disk is answered that names an item, or none.
func (b *bench) mayWipe(serial, item string) error {
	b.t.Helper()
	return b.mayWipeThe(device.Identity{Serial: serial}, item)
}

func (b *bench) mayWipeThe(id device.Identity, item string) error {
	b.t.Helper()
	var err error
	b.ledger(func(ctx context.Context, l *ledger.Ledger) {
		w := &wiping{station: &station{program: &program{now: time.Now}, ledger: l, dir: b.state}, path: "/dev/sdx"}
		if item != "" {
			w.of(&device.Job{Ref: item})
		}
		_, err = w.free(ctx, id)
	})
	return err
}

func (b *bench) handIn(more ...string) {
	b.t.Helper()
	b.must(append([]string{"intake", "--customer", "An", "--purpose", "crash", "--agreed", "--item", "hdd", "--condition", "used", "--fault", "clicks"}, more...)...)
}

// A disk that was handed in is the customer's until it was given back, also when its
// serial number was first taken down wrong.
func TestADiskThatWasHandedInIsTheCustomers(t *testing.T) {
	b := newBench(t, 1<<16)
	b.handIn("--serial", "WX-1")
	b.must("correct", caseNo(1)+"/1", "--serial", "WX-2", "--reason", "misread")
	is := func(serial string, want bool) {
		t.Helper()
		found, unknown := b.onDesk(seen(serial, "", 1000, os.DevNull))
		if (len(found) == 1 && found[0] == handedIn{custody.CaseNo(caseNo(1)), "1"}) != want || len(unknown) > 0 {
			t.Errorf("%q: found %v, unknown %v", serial, found, unknown)
		}
		b.ledger(func(ctx context.Context, l *ledger.Ledger) {
			s, ident := &station{ledger: l}, blockdev.Identity{Path: os.DevNull, Serial: serial, Bytes: 1000}
			if err := s.notOriginal(ctx, ident, false); (err != nil) != want || want && ui.ExitCode(err) != ui.Refused {
				t.Errorf("%q over the original: %v", serial, err)
			}
			if err := s.notOriginal(ctx, ident, true); err != nil {
				t.Errorf("%q over the original, as asked: %v", serial, err)
			}
		})
	}
	is("", false)
	is("WX-1", false)
	is(" wx-2", true)
	b.must("return", caseNo(1)+"/1", "--to", "owner", "--identity-shown")
	is("WX-2", false)
}

// Only the item that the disk is may be named: not another one of its case, of which
// nobody knows the serial number. Of two cases that name the same disk, either.
func TestAWipeNamesTheItemThatTheDiskIs(t *testing.T) {
	b := newBench(t, 1<<16)
	b.handIn("--serial", "WX-1")
	b.handIn("--serial", "wx1")
	b.handIn()
	first, second, third := caseNo(1)+"/1", caseNo(2)+"/1", caseNo(3)+"/1"
	for _, c := range []struct {
		serial, item string
		may          bool
	}{
		{"WX-1", "", false},
		{"WX-1", first, true},
		{"WX-1", second, true},
		{"WX-1", third, false},
		{"WX-1", caseNo(1) + "/2", false},
		{"WX-9", "", true},
		{"WX-9", third, true},
		{"", "", true},
	} {
		if err := b.mayWipe(c.serial, c.item); (err == nil) != c.may || err != nil && ui.ExitCode(err) != ui.Refused {
			t.Errorf("%q as %q: %v", c.serial, c.item, err)
		}
	}
	// Of the third any disk may be it, and that is said.
	if _, unknown := b.onDesk(seen("WX-9", "", 1000, os.DevNull)); len(unknown) != 1 || unknown[0].String() != third {
		t.Errorf("unknown are %v", unknown)
	}
	// A hold stops it under whatever way of writing.
	b.must("hold", "add", caseNo(2), "--kind", "legal", "--reason", "claim", "--review", "90d")
	if err := b.mayWipe("Wx 1", first); !errors.Is(err, custody.ErrHeld) {
		t.Errorf("a disk that is held: %v", err)
	}
}

// A disk that hides its serial number is known by its beginning, as it was imaged.
func TestADiskWithoutASerialNumberIsKnownByItsBeginning(t *testing.T) {
	b := newBench(t, 1<<16)
	dev, file, confirm := b.oldDisk(1 << 20)
	b.must("image", dev, "--customer", "An", "--purpose", "crash", "--agreed", "--keep", "90d")
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if found, _ := b.onDesk(seen("", "", 1<<20, dev)); len(found) != 1 {
		t.Errorf("found %v", found)
	}
	if found, _ := b.onDesk(seen("", "", 1<<21, dev)); len(found) != 0 {
		t.Errorf("a disk of another size: found %v", found)
	}
	other := filepath.Join(b.dir, "other.img")
	if err := os.WriteFile(other, append([]byte("another"), old[7:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if found, _ := b.onDesk(seen("", "", 1<<20, other)); len(found) != 0 {
		t.Errorf("a disk that begins otherwise: found %v", found)
	}
	if code, out := b.run("wipe", dev, "--confirm-serial", confirm); code != ui.Refused {
		t.Errorf("wiped as the shop's own: %d\n%s", code, out)
	}
	if now, err := os.ReadFile(file); err != nil || string(now) != string(old) {
		t.Fatalf("it was written to: %v", err)
	}
	b.must("agree", caseNo(1), "--allow", "erase", "--agreed")
	b.must("wipe", dev, "--confirm-serial", confirm, "--case", caseNo(1)+"/1")
}

func TestSerialNumbersAreComparedAsPeopleWriteThem(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"S4EWNX0R123456", " s4ew nx0r-12.3456\t", true},
		{"WD-WX11A1234567", "WX11A1234567", true}, // the drive says the first, its label the second
		{"000000001234567", "1234567", true},
		{"A00000001234567", "1234567", false}, // too short to tell
		{"0000", "000000", true},
		{"0000", "0001", false},
		{"0000", "", false},
		{"WX-1", "WX-2", false},
		{"WX-1", "X1", false},
		{"", "", false},
		{"--", "..", false},
		{"WX-1", "", false},
		{"S4EWNX0R123456", "S4EWNX0R123457", false},
		{"S4EWNX0R123456", "S4EWNX0R12345", false},
	} {
		if sameSerial(c.a, c.b) != c.same || sameSerial(c.b, c.a) != c.same {
			t.Errorf("%q and %q: not %v", c.a, c.b, c.same)
		}
	}
}

// Who takes a disk in may take down the number that is larger on the label.
func TestADiskIsKnownByItsWorldWideName(t *testing.T) {
	b := newBench(t, 1<<16)
	b.handIn("--serial", "WWN: 5000C500 A1B2C3D4")
	b.handIn("--serial", "ZFL-001")
	for _, c := range []struct {
		serial, wwn string
		free        bool
	}{
		{"ZX1", "naa.5000c500a1b2c3d4", false},
		{"", "naa.5000c500a1b2c3d4", false},
		{"ZX1", "5000c500a1b2c3d4", false},
		{"ZX1", "naa.5000c500a1b2c3d5", true},
		{"ZX1", "t10.ATA     Spinner 9000                        ZX1", true},
		{"", "t10.ATA     Spinner 9000                        ZFL-001", true}, // too short to tell
		{"ZX1", "", true},
		{"ZX1", ".", true},
	} {
		if err := b.mayWipeThe(device.Identity{Serial: c.serial, WWN: c.wwn}, ""); (err == nil) != c.free || err != nil && ui.ExitCode(err) != ui.Refused {
			t.Errorf("%+v: %v", c, err)
		}
	}
	b.must("hold", "add", caseNo(1), "--kind", "legal", "--reason", "claim", "--review", "90d")
	if err := b.mayWipeThe(device.Identity{Serial: "ZX1", WWN: "naa.5000c500a1b2c3d4"}, caseNo(1)+"/1"); !errors.Is(err, custody.ErrHeld) {
		t.Errorf("held: %v", err)
	}
}

// The disk of a vault is not in use while it is not mounted, and nothing on it says what it
// is; the station knows.
func TestTheDiskOfAVaultThatIsAwayIsNotWiped(t *testing.T) {
	b := newBench(t, 1<<16)
	note := func() {
		t.Helper()
		s := &station{dir: b.state}
		disks, err := s.vaultDisks()
		if err != nil || len(disks) != 1 {
			t.Fatalf("%v, %v", disks, err)
		}
		for id, d := range disks {
			d.Serial = "VLT-12345678"
			disks[id] = d
		}
		text, err := json.Marshal(disks)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(b.state, vaultDisksFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	may := func(what, serial string, want bool) {
		t.Helper()
		if err := b.mayWipe(serial, ""); (err == nil) != want || err != nil && ui.ExitCode(err) != ui.Refused {
			t.Errorf("%s: %v", what, err)
		}
		b.ledger(func(ctx context.Context, l *ledger.Ledger) { // what restore asks too
			s := &station{program: &program{now: time.Now}, ledger: l, dir: b.state}
			if err := s.notVaultDisk(ctx, "/dev/sdx", "sdx", serial); (err == nil) != want {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	away := func(is bool) {
		t.Helper()
		from, to := b.vault, b.vault+".away"
		if !is {
			from, to = to, from
		}
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	note()
	away(true)
	may("nothing was ever in it", "VLT-12345678", true)
	away(false)
	b.must("image", b.source, "--customer", "An", "--purpose", "crash", "--agreed", "--keep", "0d")
	note()
	may("it is mounted, and another disk has its number", "VLT-12345678", true)
	away(true)
	may("it is away", "vlt12345678", false)
	may("another disk", "VLT-12345679", true)
	if err := os.Mkdir(b.vault, 0o700); err != nil { // the mount point of a disk that is itself the vault
		t.Fatal(err)
	}
	may("it is away, and its mount point is there", "VLT-12345678", false)
	if err := os.Remove(b.vault); err != nil {
		t.Fatal(err)
	}
	away(false)
	b.must("purge")
	note()
	away(true)
	may("nothing is left on it", "VLT-12345678", true)
}

// A wipe with a case does not take another disk for its item, also when only the image knows
// the serial number.
func TestAnotherDiskIsNotTheItem(t *testing.T) {
	ref := func(seq int64) custody.Ref { return custody.Ref{Station: "T1", Seq: seq} }
	for _, c := range []struct {
		name             string
		kind             custody.ItemKind
		own, imaged, now string
		another          bool
	}{
		{"as taken in", custody.ItemHDD, "ABC", "", "abc", false},
		{"as imaged", custody.ItemHDD, "", "ABC", "abc", false},
		{"taken in wrong, imaged right", custody.ItemHDD, "X", "ABC", "abc", false},
		{"another than taken in", custody.ItemHDD, "ABC", "", "DEF", true},
		{"another than imaged", custody.ItemHDD, "", "ABC", "DEF", true},
		{"another than both", custody.ItemHDD, "ABC", "ABC", "DEF", true},
		{"nothing is known of the item", custody.ItemHDD, "", "", "DEF", false},
		{"nothing is known of the disk", custody.ItemHDD, "ABC", "ABC", "", false},
		{"the disk of a computer", custody.ItemComputer, "PC-1", "ABC", "abc", false},
		{"the disk of a computer, not imaged", custody.ItemComputer, "PC-1", "", "abc", false},
		{"another than that of the computer", custody.ItemComputer, "PC-1", "ABC", "DEF", true},
	} {
		item := custody.Item{Ref: ref(1)}
		item.Item, item.Kind = "1", c.kind
		image := custody.Image{Ref: ref(2)}
		image.Item = "1"
		other := custody.Image{Ref: ref(3)}
		other.Item = "2"
		private := map[custody.Ref]map[string]string{
			ref(1): {custody.FieldSerial: c.own}, ref(2): {custody.FieldSerial: c.imaged}, ref(3): {custody.FieldSerial: "DEF"},
		}
		of := custody.Case{Images: []custody.Image{image, other}}
		if got := seen(c.now, "", 1000, os.DevNull).another(of, item, private); got != c.another {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
