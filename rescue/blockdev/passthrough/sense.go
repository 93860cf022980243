package passthrough

import (
	"encoding/binary"
	"fmt"
)

// Sense is what a SCSI device says of a command that did not go well (SPC-4, 4.5).
// It is an error, so that it can be carried in a chain.
type Sense struct {
	Key  uint8 // what kind of thing happened: 3 is a medium error
	ASC  uint8 // what in particular
	ASCQ uint8
	// Info is the INFORMATION field, for a read the logical block that failed, as the
	// device counts them; -1 when it says none.
	Info int64
	// Deferred is a report about some earlier command, not the one it came with.
	Deferred bool
}

// Sense keys (SPC-4, table 48) that somebody tells apart.
const (
	KeyNone           = 0x0
	KeyRecovered      = 0x1
	KeyNotReady       = 0x2
	KeyMedium         = 0x3
	KeyHardware       = 0x4
	KeyIllegalRequest = 0x5
	KeyUnitAttention  = 0x6
	KeyDataProtect    = 0x7
	KeyBlankCheck     = 0x8
	KeyAborted        = 0xB
)

var keyNames = [16]string{
	"no sense", "recovered error", "not ready", "medium error", "hardware error", "illegal request", "unit attention",
	"data protect", "blank check", "vendor specific", "copy aborted", "aborted command", "reserved", "volume overflow",
	"miscompare", "completed",
}

func (s Sense) Error() string {
	text := fmt.Sprintf("%s (sense %x/%02x/%02x)", keyNames[s.Key&0xF], s.Key, s.ASC, s.ASCQ)
	if s.Deferred {
		return text + " of an earlier command"
	}
	if s.Info >= 0 {
		text += fmt.Sprintf(" at block %d", s.Info)
	}
	return text
}

// ParseSense reads sense data in fixed or descriptor format (SPC-4, 4.5.2 and
// 4.5.3). It is false when there is none. Bridges cut it short anywhere: what is cut
// off counts as not said.
func ParseSense(b []byte) (Sense, bool) {
	if len(b) < 3 {
		return Sense{}, false
	}
	s := Sense{Info: -1}
	switch b[0] & 0x7F {
	case 0x70, 0x71:
		s.Deferred = b[0]&0x7F == 0x71
		s.fixed(b)
	case 0x72, 0x73:
		s.Deferred = b[0]&0x7F == 0x73
		s.descriptors(b)
	default:
		return Sense{}, false
	}
	if s.Deferred {
		s.Info = -1
	}
	return s, true
}

func (s *Sense) fixed(b []byte) {
	s.Key = b[2] & 0x0F
	if len(b) > 7 { // the device says how much of the rest it filled in
		b = b[:min(len(b), 8+int(b[7]))]
	}
	if len(b) >= 7 && b[0]&0x80 != 0 {
		s.Info = int64(binary.BigEndian.Uint32(b[3:7]))
	}
	if len(b) > 12 {
		s.ASC = b[12]
	}
	if len(b) > 13 {
		s.ASCQ = b[13]
	}
}

func (s *Sense) descriptors(b []byte) {
	s.Key, s.ASC = b[1]&0x0F, b[2]
	if len(b) > 3 {
		s.ASCQ = b[3]
	}
	if len(b) < 8 {
		return
	}
	b = b[8:min(len(b), 8+int(b[7]))]
	for len(b) >= 2 {
		n := 2 + int(b[1])
		if n > len(b) {
			return
		}
		// The information descriptor; bit 7 of its third byte says that it is valid.
		if b[0] == 0x00 && n >= 12 && b[2]&0x80 != 0 {
			if v := binary.BigEndian.Uint64(b[4:12]); v < 1<<63 {
				s.Info = int64(v)
			}
		}
		b = b[n:]
	}
}

// Progress is how far a device says it has come with what keeps it from being ready, 0 to
// 1 (SPC-4, 4.5.2.4.4); false when it says nothing of it.
func Progress(b []byte) (float64, bool) {
	const valid = 0x80
	if len(b) < 8 {
		return 0, false
	}
	at := func(p []byte) (float64, bool) {
		if len(p) < 3 || p[0]&valid == 0 {
			return 0, false
		}
		return float64(binary.BigEndian.Uint16(p[1:])) / 0x10000, true
	}
	switch b[0] & 0x7F {
	case 0x70:
		if len(b) < 18 || int(b[7]) < 10 {
			return 0, false
		}
		return at(b[15:18])
	case 0x72:
		for rest := b[8:min(len(b), 8+int(b[7]))]; len(rest) >= 2; {
			n := 2 + int(rest[1])
			if n > len(rest) {
				break
			}
			if rest[0] == 0x02 && n >= 7 { // the sense key specific descriptor
				return at(rest[4:7])
			}
			rest = rest[n:]
		}
	}
	return 0, false
}
