package blockdev

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/rescue"
	"salvor/rescue/blockdev/passthrough"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSenseSaysWhatTheDeviceSaid(t *testing.T) {
	for _, tc := range []struct {
		name, sense string
		want        passthrough.Sense
		class       rescue.Class
	}{
		{"unrecovered read error", "f0 00 03 00001234 0a 00000000 11 00 00 0000 00", passthrough.Sense{Key: 3, ASC: 0x11, Info: 0x1234}, rescue.Medium},
		{"the same without a sector", "70 00 03 00001234 0a 00000000 11 00 00 0000 00", passthrough.Sense{Key: 3, ASC: 0x11, Info: -1}, rescue.Medium},
		{"the same as descriptors", "72 03 11 00 00 00 00 0c 00 0a 80 00 0000000123456789", passthrough.Sense{Key: 3, ASC: 0x11, Info: 0x123456789}, rescue.Medium},
		{"a descriptor that is not valid", "72 03 11 00 00 00 00 0c 00 0a 00 00 0000000123456789", passthrough.Sense{Key: 3, ASC: 0x11, Info: -1}, rescue.Medium},
		{"behind a foreign descriptor", "72 03 11 04 00 00 00 10 01 02 0000 00 0a 80 00 0000000000000007", passthrough.Sense{Key: 3, ASC: 0x11, ASCQ: 4, Info: 7}, rescue.Medium},
		{"a sector no disk has", "72 03 11 00 00 00 00 0c 00 0a 80 00 ffffffffffffffff", passthrough.Sense{Key: 3, ASC: 0x11, Info: -1}, rescue.Medium},
		{"of an earlier command", "f1 00 03 00001234 0a 00000000 11 00 00 0000 00", passthrough.Sense{Key: 3, ASC: 0x11, Info: -1, Deferred: true}, rescue.HostError},
		{"recovered", "70 00 01 00000000 0a 00000000 17 01 00 0000 00", passthrough.Sense{Key: 1, ASC: 0x17, ASCQ: 1, Info: -1}, rescue.OK},
		{"no medium", "70 00 02 00000000 0a 00000000 3a 00 00 0000 00", passthrough.Sense{Key: 2, ASC: 0x3A, Info: -1}, rescue.NotReady},
		{"spinning up", "70 00 02 00000000 0a 00000000 04 01 00 0000 00", passthrough.Sense{Key: 2, ASC: 4, ASCQ: 1, Info: -1}, rescue.NotReady},
		{"heads that do not find the track", "70 00 04 00000000 0a 00000000 15 01 00 0000 00", passthrough.Sense{Key: 4, ASC: 0x15, ASCQ: 1, Info: -1}, rescue.Medium},
		{"internal failure", "70 00 04 00000000 0a 00000000 44 00 00 0000 00", passthrough.Sense{Key: 4, ASC: 0x44, Info: -1}, rescue.HostError},
		{"medium changed", "70 00 06 00000000 0a 00000000 28 00 00 0000 00", passthrough.Sense{Key: 6, ASC: 0x28, Info: -1}, rescue.Gone},
		{"reset", "70 00 06 00000000 0a 00000000 29 00 00 0000 00", passthrough.Sense{Key: 6, ASC: 0x29, Info: -1}, rescue.HostError},
		{"locked", "70 00 07 00000000 0a 00000000 20 02 00 0000 00", passthrough.Sense{Key: 7, ASC: 0x20, ASCQ: 2, Info: -1}, rescue.HostError},
		{"never written", "70 00 08 00000000 0a 00000000 00 00 00 0000 00", passthrough.Sense{Key: 8, Info: -1}, rescue.Medium},
		{"aborted", "70 00 0b 00000000 0a 00000000 00 06 00 0000 00", passthrough.Sense{Key: 0xB, ASCQ: 6, Info: -1}, rescue.HostError},
		{"cut behind the key", "f0 00 03", passthrough.Sense{Key: 3, Info: -1}, rescue.Medium},
		{"cut in the sector", "f0 00 03 0000", passthrough.Sense{Key: 3, Info: -1}, rescue.Medium},
		{"cut by its own length", "f0 00 03 00000007 00 00000000 11 00 00 0000 00", passthrough.Sense{Key: 3, Info: 7}, rescue.Medium},
		{"a descriptor cut short", "72 03 11 00 00 00 00 0c 00 0a 80 00 00000001", passthrough.Sense{Key: 3, ASC: 0x11, Info: -1}, rescue.Medium},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := passthrough.ParseSense(unhex(t, tc.sense))
			if !ok {
				t.Fatal("not understood")
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			if _, class := verdictOf(got); class != tc.class {
				t.Errorf("%v: %v, want %v", got, class, tc.class)
			}
		})
	}
	for _, none := range []string{"", "70", "0000000000000000", "7f00030000000000", "f000"} {
		if s, ok := passthrough.ParseSense(unhex(t, none)); ok {
			t.Errorf("%q: understood as %v", none, s)
		}
	}
}

func FuzzSense(f *testing.F) {
	for _, s := range []string{
		"f000030000123400000000001100000000", "72031100000000 0c000a80000000000123456789", "720311000000001001020000 000a80000000000000000007",
		"70000b000000000a00000000000600000000", "7203", "f1", "72031100000000ff00ff",
	} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := append([]byte(nil), b...)
		s, ok := passthrough.ParseSense(b)
		if string(whole) != string(b) {
			t.Fatal("it changed its input")
		}
		if !ok {
			return
		}
		if s.Info < -1 || s.Key > 0xF || s.Deferred && s.Info != -1 {
			t.Errorf("%+v", s)
		}
		if v, class := verdictOf(s); (v == delivered) != (class == rescue.OK) {
			t.Errorf("%+v: %v and %v", s, v, class)
		}
		if done, ok := passthrough.Progress(b); done < 0 || done >= 1 || !ok && done != 0 {
			t.Errorf("%f done", done)
		}
		if s.Error() == "" {
			t.Error("no words for it")
		}
		// What is cut off is not said: it never turns into another sector.
		for n := range b {
			if cut, ok := passthrough.ParseSense(b[:n]); ok && cut.Info != -1 && cut.Info != s.Info && b[0]&0x7E == 0x70 {
				t.Errorf("cut at %d: block %d instead of %d", n, cut.Info, s.Info)
			}
		}
	})
}
