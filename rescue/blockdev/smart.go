package blockdev

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"salvor/rescue/blockdev/passthrough"
)

// ErrNoHealth is a disk that does not tell its health, or not in time.
var ErrNoHealth = errors.New("tells no health")

// Health is what a disk says of itself (SMART). What it does not say is -1. As JSON it
// is an object of what is known, with the names given here.
type Health struct {
	Temperature  int64 // degrees Celsius: "temperature"
	PowerOnHours int64 // "hours"
	Reallocated  int64 // sectors replaced by spare ones: "reallocated"
	Pending      int64 // sectors that could not be read and wait to be replaced: "pending"
	Unreadable   int64 // sectors, or errors, that were given up: "uncorrectable"
	LinkErrors   int64 // on the cable: "link_errors"
	WornPercent  int64 // of the life of a solid-state disk; may be above 100: "percent_used"
	Warning      uint8 // NVMe's critical warning, a set of bits; 0 is none: "critical_warning"
}

// unknownHealth is that of a disk that has said nothing.
var unknownHealth = Health{
	Temperature: -1, PowerOnHours: -1, Reallocated: -1, Pending: -1, Unreadable: -1, LinkErrors: -1, WornPercent: -1,
}

// healthFields are the fields of a Health by their names in JSON.
func (h *Health) fields() map[string]*int64 {
	return map[string]*int64{
		"temperature": &h.Temperature, "hours": &h.PowerOnHours, "reallocated": &h.Reallocated, "pending": &h.Pending,
		"uncorrectable": &h.Unreadable, "link_errors": &h.LinkErrors, "percent_used": &h.WornPercent,
	}
}

// MarshalJSON implements [json.Marshaler].
func (h Health) MarshalJSON() ([]byte, error) {
	known := map[string]int64{}
	for name, v := range h.fields() {
		if *v >= 0 {
			known[name] = *v
		}
	}
	if h.Warning != 0 {
		known["critical_warning"] = int64(h.Warning)
	}
	return json.Marshal(known)
}

// UnmarshalJSON implements [json.Unmarshaler]. Names it does not know are ignored.
func (h *Health) UnmarshalJSON(b []byte) error {
	var known map[string]int64
	if err := json.Unmarshal(b, &known); err != nil {
		return err
	}
	*h = unknownHealth
	for name, v := range h.fields() {
		if n, ok := known[name]; ok {
			*v = n
		}
	}
	h.Warning = uint8(known["critical_warning"])
	return nil
}

// String gives what is known, for people.
func (h Health) String() string {
	var out []string
	say := func(n int64, format string) {
		if n >= 0 {
			out = append(out, fmt.Sprintf(format, n))
		}
	}
	say(h.Temperature, "%d °C")
	say(h.PowerOnHours, "%d h")
	say(h.Reallocated, "%d reallocated")
	say(h.Pending, "%d pending")
	say(h.Unreadable, "%d unreadable")
	say(h.LinkErrors, "%d link errors")
	say(h.WornPercent, "%d %% worn")
	if h.Warning != 0 {
		out = append(out, fmt.Sprintf("warning %#x", h.Warning))
	}
	return strings.Join(out, ", ")
}

// healthLimit is how long a disk may take to tell its health. One that is ill may
// never answer, and has better things to do.
const healthLimit = 2 * time.Second

// Health asks the disk how it is: SATA disks, also behind USB bridges that pass it on,
// and NVMe ones. It gives up after 2 s with [ErrNoHealth], and never asks that disk
// again; it needs [Options.After] for it. Ask before the first read and after the last.
func (s *Source) Health(ctx context.Context) (Health, error) {
	s.mu.Lock()
	a, deaf := s.at, s.deaf
	s.mu.Unlock()
	if a == nil || a.health == nil || deaf || s.o.After == nil {
		return Health{}, ErrNoHealth
	}
	type answer struct {
		h   Health
		err error
	}
	got := make(chan answer, 1)
	limit := s.o.After(healthLimit)
	go func() {
		h, err := a.health()
		got <- answer{h, err}
	}()
	select {
	case r := <-got:
		if r.err != nil {
			return Health{}, fmt.Errorf("%w: %w", ErrNoHealth, r.err)
		}
		return r.h, nil
	case <-ctx.Done():
		return Health{}, context.Cause(ctx)
	case <-limit:
		s.mu.Lock()
		s.deaf = true
		s.mu.Unlock()
		return Health{}, fmt.Errorf("%w within %v", ErrNoHealth, healthLimit)
	}
}

// health is how a device is asked; nil where there is no use in it.
func (h host) health(a *attachment) func() (Health, error) {
	switch {
	case a.id.Transport == "nvme":
		return func() (Health, error) { return nvmeHealth(nvmePassThrough(a.f)) }
	case speaksATA(a.node, a.id):
		return func() (Health, error) { return ataHealth(passThrough(a.f)) }
	}
	return nil
}

// ataHealth asks with SMART READ DATA (ACS-3, 7.48.6) inside ATA PASS-THROUGH(16).
func ataHealth(do func(*sgCommand) error) (Health, error) {
	b := make([]byte, 512)
	c := &sgCommand{
		cdb:  []byte{0x85, 0x08, 0x0E, 0, 0xD0, 0, 1, 0, 0, 0, 0x4F, 0, 0xC2, 0, 0xB0, 0},
		data: b, timeout: quick,
	}
	if err := do(c); err != nil {
		return Health{}, err
	}
	if v, _, err := judge(c); v != delivered {
		return Health{}, err
	}
	if c.missing != 0 {
		return Health{}, fmt.Errorf("%d bytes missing", c.missing)
	}
	return parseSMART(b)
}

var errChecksum = errors.New("wrong checksum")

// parseSMART reads the attributes that vendors agree on. Their numbers are nobody's
// standard; the layout and the checksum are those of ATA/ATAPI-5 and since.
func parseSMART(b []byte) (Health, error) {
	sum, blank := byte(0), true
	for _, c := range b {
		sum, blank = sum+c, blank && c == 0
	}
	if len(b) != 512 || sum != 0 || blank {
		return Health{}, errChecksum
	}
	h := unknownHealth
	for at := 2; at < 2+30*12; at += 12 {
		raw := b[at+5 : at+11]
		count := int64(binary.LittleEndian.Uint32(raw)) // above it some keep other things
		switch b[at] {
		case 5:
			h.Reallocated = count
		case 9:
			h.PowerOnHours = int64(raw[0]) | int64(raw[1])<<8 | int64(raw[2])<<16
		case 187:
			h.Unreadable = max(h.Unreadable, int64(binary.LittleEndian.Uint16(raw)))
		case 190:
			if h.Temperature < 0 {
				h.Temperature = int64(raw[0])
			}
		case 194:
			h.Temperature = int64(raw[0])
		case 197:
			h.Pending = count
		case 198:
			h.Unreadable = max(h.Unreadable, count)
		case 199:
			h.LinkErrors = count
		}
	}
	return h, nil
}

// nvmeHealth reads the SMART log page (NVM Express base specification 2.0, 5.16.1.3).
func nvmeHealth(do nvmeWay) (Health, error) {
	b := make([]byte, 512)
	c := passthrough.NVMeCommand{
		Opcode: 0x02, Namespace: 0xFFFFFFFF, Data: b, Timeout: quick,
		CDW: [6]uint32{uint32(len(b)/4-1)<<16 | 0x02},
	}
	switch s, err := do(passthrough.Admin, c); {
	case err != nil:
		return Health{}, err
	case s != 0:
		return Health{}, s
	}
	return parseNVMeHealth(b), nil
}

func parseNVMeHealth(b []byte) Health {
	h := unknownHealth
	h.Temperature = int64(binary.LittleEndian.Uint16(b[1:])) - 273
	h.PowerOnHours, h.Unreadable = count128(b[128:]), count128(b[160:])
	h.WornPercent, h.Warning = int64(b[5]), b[0]
	if h.Temperature < 0 {
		h.Temperature = -1 // not measured
	}
	return h
}

// count128 is a counter of 128 bits, of which no real one needs more than 62.
func count128(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b) & (1<<62 - 1)) }
