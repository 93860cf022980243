package report

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sampleDevice() DeviceAttest {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	return DeviceAttest{
		V: 1, Kind: KindDevice, ID: "0123456789abcdef0123456789abcdef", Shop: "01arz3ndektsv4rrffq69g5fav", Station: "T1", Issued: at,
		Device: DeviceFacts{Name: "sdb", Model: "Spinner", Serial: "S1", Media: "hard disk", Bytes: 1 << 20, Sector: 512, Physical: 4096, Rotational: "yes", Hidden: "0", Confirmed: BySerial},
		Class:  MediaPurged, Technique: TechniqueDevice, Passes: 1, StreamKey: strings.Repeat("ab", 32), Tool: "salvor", Version: "1", Started: at, Ended: at,
		Sanitize:    DeviceSanitize{Action: "overwrite", Outcome: "succeeded", Looked: 3},
		Content:     DeviceContent{Total: 1 << 20, Overwritten: 1 << 20, Equal: 1 << 20},
		PerformedBy: "op-068a5c37", NotCovered: []string{"x"}, Checkpoint: Checkpoint{Size: 3, Code: "AAAA AAAA AAAA AAAA AAAA AAAA AAAA AAAA"},
	}
}

func TestDeviceAttestHasOneSpelling(t *testing.T) {
	a := sampleDevice()
	text, err := a.Text()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseDeviceAttest(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, again); diff != "" {
		t.Error(diff)
	}
	for _, change := range [][2]string{
		{`"v":1`, `"v":2`},
		{`"v":1`, `"v":1 `},
		{`"class":"PURGE-DEVICE"`, `"class":"PERFECT"`},
		{`"kind":"device"`, `"kind":"device","more":1`},
		{`"serial":"S1"`, `"serial":"S1\u0007"`},
		{`"left":0`, ``},
	} {
		changed := strings.Replace(string(text), change[0], change[1], 1)
		if _, err := ParseDeviceAttest([]byte(changed)); changed != string(text) && !errors.Is(err, ErrAttest) {
			t.Errorf("%s: %v", change[1], err)
		}
	}
	if _, err := ParseAttest(text); err == nil {
		t.Error("the attest of a device was read as that of an image")
	}
}

// TestDeviceAttestClaimsNoMoreThanItsFigures: a better word than the figures beside it
// is refused, whoever writes it.
func TestDeviceAttestClaimsNoMoreThanItsFigures(t *testing.T) {
	whole := DeviceRanges{Bytes: 512, List: []DeviceRange{{0, 512}}}
	for name, put := range map[string]func(*DeviceAttest){
		"a byte not overwritten":      func(a *DeviceAttest) { a.Content.Overwritten-- },
		"a byte not equal":            func(a *DeviceAttest) { a.Content.Equal-- },
		"more than there is":          func(a *DeviceAttest) { a.Content.Equal++ },
		"a sector different":          func(a *DeviceAttest) { a.Content.Different = whole },
		"a sector unreadable":         func(a *DeviceAttest) { a.Content.Unreadable = whole },
		"a sector unwritten":          func(a *DeviceAttest) { a.Content.Unwritten = whole },
		"a purge without sanitize":    func(a *DeviceAttest) { a.Sanitize = DeviceSanitize{} },
		"a purge that was refused":    func(a *DeviceAttest) { a.Sanitize.Outcome = "refused" },
		"a purge with old content":    func(a *DeviceAttest) { a.Sanitize.Left = 1 },
		"a purge of a virtual device": func(a *DeviceAttest) { a.Virtual = true },
		"a virtual device not said":   func(a *DeviceAttest) { a.Class, a.Reasons, a.Device.Layers = MediaRaw, []string{"x"}, []string{"loop"} },
		"no reason":                   func(a *DeviceAttest) { a.Class = MediaRaw },
	} {
		a := sampleDevice()
		put(&a)
		if _, err := a.Text(); !errors.Is(err, ErrContradiction) {
			t.Errorf("%s: %v", name, err)
		}
		if err := a.Check(); err == nil {
			t.Errorf("%s: passed", name)
		}
	}
	a := sampleDevice()
	a.Class, a.Reasons, a.Content.Different, a.Content.Equal = MediaFailed, []string{"x"}, whole, 1<<20-512
	if _, err := a.Text(); err != nil {
		t.Errorf("a failure may be said: %v", err)
	}
}

func FuzzParseDeviceAttest(f *testing.F) {
	text, err := sampleDevice().Text()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"v":1,"kind":"device"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := ParseDeviceAttest(text)
		if err != nil {
			return
		}
		again, err := a.Text()
		if err != nil || string(again) != string(text) {
			t.Errorf("%q is read and written as %q: %v", text, again, err)
		}
	})
}
