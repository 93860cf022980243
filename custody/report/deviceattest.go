package report

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"salvor/custody"
)

// MediaPurged is the one class that only a whole device can have: its own sanitize,
// with evidence, and after it every byte overwritten and read back.
const MediaPurged = "PURGE-DEVICE"

// KindDevice tells the attest of a device from that of an image.
const KindDevice = "device"

// TechniqueDevice is how devices are wiped: one AES-256-CTR stream over every byte, in
// one pass or two, then everything read back past the cache and compared.
const TechniqueDevice = "aes256ctr-compare"

// How the device was confirmed by the person who had it wiped.
const (
	BySerial = "serial number"
	ByName   = "name and size" // it has no serial number of its own
)

// DeviceAttest is the statement that one whole device was wiped. It is signed: the
// bytes that [DeviceAttest.Text] returns become the text of a note. Anybody can repeat
// the comparison with what stands in it: the device holds the key stream of
// AES-256-CTR under StreamKey, its counter block zero at the first byte of the device.
type DeviceAttest struct {
	V       int       `json:"v"`      // 1
	Kind    string    `json:"kind"`   // KindDevice
	ID      string    `json:"attest"` // id of this attest
	Shop    string    `json:"shop"`
	Station string    `json:"station"`
	Issued  time.Time `json:"issued"`
	Case    string    `json:"case,omitempty"` // "T1-2026-0001"; empty for a device of the shop

	Device DeviceFacts `json:"device"`

	// What was proved. Taken from the one function that classifies evidence.
	Class   string   `json:"class"`   // MediaPurged, MediaRaw, MediaNotAssured or MediaFailed
	Virtual bool     `json:"virtual"` // on a virtual device
	Reasons []string `json:"reasons,omitempty"`

	Technique string    `json:"technique"` // TechniqueDevice
	Passes    int       `json:"passes"`
	StreamKey string    `json:"stream_key"` // 64 hexadecimal digits
	Tool      string    `json:"tool"`
	Version   string    `json:"version"`
	Started   time.Time `json:"started"`
	Ended     time.Time `json:"ended"`
	Resumed   int       `json:"resumed,omitempty"` // how often it was interrupted and taken up again

	Sanitize  DeviceSanitize `json:"sanitize,omitzero"`
	Content   DeviceContent  `json:"content"`
	Discarded string         `json:"discarded,omitempty"` // "done" or "refused", after the reading back

	NotCovered  []string   `json:"not_covered"`
	PerformedBy string     `json:"performed_by"` // operator id
	Checkpoint  Checkpoint `json:"checkpoint"`
}

// DeviceFacts is the device as this computer saw it.
type DeviceFacts struct {
	Name       string   `json:"name"` // the kernel's: "sdb"
	ByID       []string `json:"by_id,omitempty"`
	Vendor     string   `json:"vendor,omitempty"`
	Model      string   `json:"model,omitempty"`
	Serial     string   `json:"serial,omitempty"`
	WWN        string   `json:"wwn,omitempty"`
	Firmware   string   `json:"firmware,omitempty"`
	Transport  string   `json:"transport,omitempty"`
	Media      string   `json:"media"` // "hard disk", "SSD", "USB stick" …
	Bytes      int64    `json:"bytes"`
	Sector     int      `json:"sector"`
	Physical   int      `json:"physical"`
	Rotational string   `json:"rotational"` // "yes", "no" or "unknown"
	Layers     []string `json:"layers,omitempty"`
	Hidden     string   `json:"hidden"` // sectors that the drive hides: a number, or "unknown"
	Confirmed  string   `json:"confirmed"`
}

// DeviceSanitize is what became of asking the drive to sanitize itself.
type DeviceSanitize struct {
	Action  string `json:"action,omitempty"`
	Outcome string `json:"outcome,omitempty"` // "refused", "failed" or "succeeded"
	Looked  int    `json:"looked,omitempty"`  // samples of the old content that were looked for after it
	Left    int    `json:"left,omitempty"`    // and found
}

// DeviceContent counts the bytes of the device.
type DeviceContent struct {
	Total       int64        `json:"total"`
	Overwritten int64        `json:"overwritten"`
	Equal       int64        `json:"equal"` // read back from the device, equal to what was written
	Different   DeviceRanges `json:"different,omitzero"`
	Unreadable  DeviceRanges `json:"unreadable,omitzero"`
	Unwritten   DeviceRanges `json:"unwritten,omitzero"`
}

// DeviceRanges lists parts of a device, the first MaxRanges of them.
type DeviceRanges struct {
	Bytes int64         `json:"bytes,omitempty"` // that count, in all of them
	List  []DeviceRange `json:"list,omitempty"`
	More  int64         `json:"more,omitempty"` // that are not listed
}

// MaxRanges is how many ranges an attest lists.
const MaxRanges = 1000

// DeviceRange is a part of a device, in bytes.
type DeviceRange struct {
	Off int64 `json:"off"`
	Len int64 `json:"len"`
}

// Check judges a as [Attest.Check] does.
func (a DeviceAttest) Check() error {
	if err := a.checkForm(); err != nil {
		return err
	}
	return a.checkClaims()
}

func (a DeviceAttest) checkForm() error {
	bad := func(what string) error { return fmt.Errorf("%s: %w", what, ErrAttest) }
	for _, err := range []error{custody.CheckID(a.ID), custody.CheckShop(a.Shop), custody.CheckStation(a.Station), custody.CheckOperator(a.PerformedBy)} {
		if err != nil {
			return fmt.Errorf("%w: %w", ErrAttest, err)
		}
	}
	if a.Case != "" {
		if _, err := custody.ParseCaseNo(a.Case); err != nil {
			return fmt.Errorf("%w: %w", ErrAttest, err)
		}
	}
	d, c, s := a.Device, a.Content, a.Sanitize
	texts := slices.Concat([]string{d.Vendor, d.Model, d.Serial, d.WWN, d.Firmware, d.Transport, s.Action}, d.ByID, d.Layers)
	for _, rule := range []struct {
		what string
		ok   bool
	}{
		{"version", a.V == 1 && a.Kind == KindDevice},
		{"times", usable(a.Issued) && usable(a.Started) && usable(a.Ended)},
		{"class", slices.Contains([]string{MediaPurged, MediaRaw, MediaNotAssured, MediaFailed}, a.Class)},
		{"technique", a.Technique == TechniqueDevice && a.Passes >= 1 && a.Passes <= 9 && a.Resumed >= 0},
		{"tool", oneLine(a.Tool, 1, 64) && oneLine(a.Version, 1, 64)},
		{"stream key", hex64.MatchString(a.StreamKey)},
		{"device", oneLine(d.Name, 1, 64) && oneLine(d.Media, 1, 64) && oneLine(d.Hidden, 1, 32) && d.Bytes > 0 && d.Sector > 0 && d.Physical >= 0},
		{"device's texts", !slices.ContainsFunc(texts, func(s string) bool { return !oneLine(s, 0, 255) })},
		{"rotational", slices.Contains([]string{"yes", "no", "unknown"}, d.Rotational)},
		{"confirmation", d.Confirmed == ByName || d.Confirmed == BySerial && d.Serial != ""},
		{"sanitize", slices.Contains([]string{"", "refused", "failed", "succeeded"}, s.Outcome) && s.Looked >= 0 && s.Left >= 0},
		{"counts", c.Total == d.Bytes && c.Overwritten >= 0 && c.Equal >= 0},
		{"ranges", c.Different.ok(c.Total) && c.Unreadable.ok(c.Total) && c.Unwritten.ok(c.Total)},
		{"discard", slices.Contains([]string{"", "done", "refused"}, a.Discarded)},
		{"checkpoint", a.Checkpoint.Size >= 0 && codeBase.MatchString(a.Checkpoint.Code)},
		{"reasons", sentences(a.Reasons) && sentences(a.NotCovered)},
	} {
		if !rule.ok {
			return bad(rule.what)
		}
	}
	return nil
}

// sentences tells a list of different sentences of one line each.
func sentences(list []string) bool {
	for i, s := range list {
		if !oneLine(s, 1, 300) || slices.Contains(list[:i], s) {
			return false
		}
	}
	return true
}

func (r DeviceRanges) ok(total int64) bool {
	if r.Bytes < 0 || r.More < 0 || len(r.List) > MaxRanges {
		return false
	}
	return !slices.ContainsFunc(r.List, func(x DeviceRange) bool { return x.Off < 0 || x.Len <= 0 || x.Off > total-x.Len })
}

func (r DeviceRanges) none() bool { return r.Bytes == 0 && r.More == 0 && len(r.List) == 0 }

func (a DeviceAttest) checkClaims() error {
	c, s := a.Content, a.Sanitize
	whole := c.Overwritten == c.Total && c.Equal == c.Total && c.Different.none() && c.Unreadable.none() && c.Unwritten.none()
	for _, rule := range []struct {
		claim string
		ok    bool
	}{
		{"more bytes than there are", c.Overwritten <= c.Total && c.Equal <= c.Total},
		{a.Class + " without every byte overwritten, read back and equal", whole || a.Class == MediaFailed},
		{"PURGE-DEVICE without a sanitize that succeeded", a.Class != MediaPurged || s.Action != "" && s.Outcome == "succeeded" && s.Looked > 0 && s.Left == 0},
		{"PURGE-DEVICE of a virtual device", a.Class != MediaPurged || !a.Virtual && len(a.Device.Layers) == 0},
		{"a class below the best without a reason", len(a.Reasons) > 0 || a.Class == MediaPurged},
		{"a virtual device that is not said", len(a.Device.Layers) == 0 || a.Virtual},
	} {
		if !rule.ok {
			return fmt.Errorf("%s: %w", rule.claim, ErrContradiction)
		}
	}
	return nil
}

// Text returns the exact text to be signed, as [Attest.Text] does.
func (a DeviceAttest) Text() ([]byte, error) { return textOfStatement(a) }

// ParseDeviceAttest reads the text of a note strictly, as [ParseAttest] does.
func ParseDeviceAttest(text []byte) (DeviceAttest, error) {
	return parseStatement[DeviceAttest](text)
}

// OpenDeviceAttest verifies a signed attest against the keys of known stations and
// reads it, as [OpenAttest] does.
func OpenDeviceAttest(signed []byte, known note.Verifiers) (DeviceAttest, *note.Note, error) {
	return openStatement[DeviceAttest](signed, known)
}
