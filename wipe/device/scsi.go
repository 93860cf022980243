package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"salvor/rescue/blockdev/passthrough"
	"salvor/rescue/blockdev/sysblock"
	"salvor/wipe"
)

// SCSI commands, from SPC-5 and SBC-4.
const (
	scsiReady        = 0x00 // TEST UNIT READY
	scsiSense        = 0x03 // REQUEST SENSE
	scsiInquiry      = 0x12
	scsiSanitize     = 0x48
	scsiIn           = 0xA3 // MAINTENANCE IN
	scsiReport       = 0x0C // its service action REPORT SUPPORTED OPERATION CODES
	scsiCharacter    = 0xB1 // vital product data: block device characteristics
	scsiSerial       = 0x80 // vital product data: unit serial number
	scsiOverwrite    = 0x01 // service actions of SANITIZE
	scsiBlockErase   = 0x02
	scsiCryptoErase  = 0x03
	scsiExitFailure  = 0x1F
	scsiImmediately  = 1 << 7 // IMMED: the answer comes when it has begun
	scsiUnrestricted = 1 << 5 // AUSE: a sanitize that failed does not lock the drive for ever
)

// errAttention is a drive that did not execute a command because it had to say first that
// it was reset, or the like.
var errAttention = errors.New("unit attention")

// command gives a SCSI command. What the drive said instead of doing it is in the chain of
// the error, as [passthrough.Sense]; a refusal is errAborted too.
func (d *Device) command(c *scsiCommand) error {
	if err := d.pass.scsi(c); err != nil {
		return err
	}
	said, ok := passthrough.ParseSense(c.sense)
	switch {
	case c.host != 0:
		return fmt.Errorf("command %#02x did not reach the drive: host status %#x", c.cdb[0], c.host)
	case c.status == 0:
		return nil
	case c.status != 2 || !ok: // busy, or reserved for another host
		return fmt.Errorf("command %#02x: status %#02x: %w", c.cdb[0], c.status, errAborted)
	case said.Key == passthrough.KeyRecovered:
		return nil
	case said.Key == passthrough.KeyUnitAttention:
		return fmt.Errorf("command %#02x: %w: %w", c.cdb[0], errAttention, said)
	}
	return fmt.Errorf("command %#02x: %w: %w", c.cdb[0], errAborted, said)
}

// inquire reads a page of vital product data, SPC-5 6.7.
func (d *Device) inquire(page byte) ([]byte, error) {
	c := &scsiCommand{cdb: []byte{scsiInquiry, 1, page, 0, 252, 0}, data: make([]byte, 252), timeout: quick}
	if err := d.command(c); err != nil {
		return nil, err
	}
	if c.data[1] != page {
		return nil, fmt.Errorf("page %#02x: %w", page, errNoWay)
	}
	n := 4 + int(binary.BigEndian.Uint16(c.data[2:]))
	return c.data[:min(n, len(c.data))], nil
}

// speaksATA tells whether the drive is an ATA one, whatever it hangs on.
func (d *Device) speaksATA() bool {
	return d.id.Transport == "sata" || sysblock.Text(d.n.Dir, "device/vendor") == "ATA"
}

// speaksSCSI tells whether the drive is a SCSI one that this host speaks to directly.
func (d *Device) speaksSCSI() bool {
	if d.speaksATA() || d.id.Bridged() {
		return false
	}
	return d.id.Transport == "sas" || len(sysblock.Entries(filepath.Join(d.n.Dir, "device/scsi_disk"))) > 0
}

// askSCSI asks a SAS drive, or what is presented as one, what it is.
func (d *Device) askSCSI() {
	if page, err := d.inquire(scsiCharacter); err == nil && len(page) >= 6 {
		switch rate := binary.BigEndian.Uint16(page[4:]); { // SBC-4, 6.6.2
		case rate == 1:
			d.id.Rotating = wipe.No
		case rate > 0x0400 && rate < 0xFFFF:
			d.id.Rotating = wipe.Yes
		}
	}
	a := &d.id.Abilities
	for action, can := range map[byte]*bool{scsiOverwrite: &a.Overwrite, scsiBlockErase: &a.Block, scsiCryptoErase: &a.Crypto} {
		supported, err := d.supports(scsiSanitize, action)
		if err != nil {
			*a = Abilities{}
			return // a drive that does not say what it takes is not tried
		}
		a.Known, *can = true, supported
	}
}

// supports asks whether the drive takes a command with a service action, SPC-5 6.35.
func (d *Device) supports(opcode, action byte) (bool, error) {
	const withAction = 2 // of one command that has service actions
	for range 3 {
		c := &scsiCommand{
			cdb:  []byte{scsiIn, scsiReport, withAction, opcode, 0, action, 0, 0, 0, 32, 0, 0},
			data: make([]byte, 32), timeout: quick,
		}
		err := d.command(c)
		if errors.Is(err, errAttention) {
			continue
		}
		if err != nil {
			return false, err
		}
		switch c.data[1] & 7 {
		case 1:
			return false, nil
		case 3: // as the standard says; 5 is in the maker's own way
			return true, nil
		}
		break
	}
	return false, errNoWay
}

// scsiSanitizer sanitizes by the SANITIZE command, SBC-4 5.30.
type scsiSanitizer struct{ d *Device }

func (s scsiSanitizer) start(a Action) error {
	c := &scsiCommand{cdb: make([]byte, 10), timeout: time.Minute}
	c.cdb[0], c.cdb[1] = scsiSanitize, scsiImmediately|scsiUnrestricted
	switch a {
	case BlockErase:
		c.cdb[1] |= scsiBlockErase
	case CryptoErase:
		c.cdb[1] |= scsiCryptoErase
	case OverwriteErase:
		c.cdb[1] |= scsiOverwrite
		c.out, c.data = true, []byte{1, 0, 0, 4, 0, 0, 0, 0} // once, with a pattern of 4 bytes: 0
		binary.BigEndian.PutUint16(c.cdb[7:], uint16(len(c.data)))
	default:
		return fmt.Errorf("sanitize %q: %w", a, errNoWay)
	}
	return s.insist(c)
}

// insist gives a command again while the drive has something else to say first. It has
// not executed it then.
func (s scsiSanitizer) insist(c *scsiCommand) error {
	for range 3 {
		c.sense, c.status = nil, 0
		if err := s.d.command(c); !errors.Is(err, errAttention) {
			return err
		}
	}
	return fmt.Errorf("command %#02x: it is not done with saying that it was reset: %w", c.cdb[0], errAborted)
}

// status asks for the sense data, in which a drive says how far it has come, and believes
// that it is done when it takes other commands again. A drive does not remember that an
// earlier sanitize went well, but it does remember for good that one failed: one that is
// neither running nor failed has done the last one that it accepted.
func (s scsiSanitizer) status() (now sanitizing, err error) {
	for range 3 {
		if now, err = s.look(); !errors.Is(err, errAttention) {
			break
		}
	}
	return now, err
}

func (s scsiSanitizer) look() (sanitizing, error) {
	c := &scsiCommand{cdb: []byte{scsiSense, 0, 0, 0, 252, 0}, data: make([]byte, 252), timeout: quick}
	sense := c.data
	if err := s.d.command(c); err != nil {
		if !errors.Is(err, errAborted) || len(c.sense) == 0 {
			return sanitizing{}, err
		}
		sense = c.sense // as the sense of REQUEST SENSE itself
	}
	said, ok := passthrough.ParseSense(sense)
	if !ok {
		return sanitizing{}, fmt.Errorf("sanitize status: no sense data: %w", errNoWay)
	}
	if now, known := sanitizeSays(said, sense); known {
		return now, nil
	}
	switch said.Key {
	case passthrough.KeyNone, passthrough.KeyRecovered:
	case passthrough.KeyUnitAttention:
		return sanitizing{}, fmt.Errorf("sanitize status: %w: %w", errAttention, said)
	default:
		return sanitizing{}, fmt.Errorf("sanitize status: %w", said)
	}
	ready := &scsiCommand{cdb: []byte{scsiReady, 0, 0, 0, 0, 0}, timeout: quick}
	err := s.d.command(ready)
	if err == nil {
		return sanitizing{state: done, progress: 1}, nil
	}
	if errors.As(err, &said) {
		if now, known := sanitizeSays(said, ready.sense); known {
			return now, nil
		}
	}
	return sanitizing{}, err
}

// sanitizeSays reads what the sense data of a drive says of a sanitize, if anything.
func sanitizeSays(s passthrough.Sense, sense []byte) (now sanitizing, known bool) {
	switch {
	case s.Key == passthrough.KeyNotReady && s.ASC == 0x04 && s.ASCQ == 0x1B: // sanitize in progress
		progress, _ := passthrough.Progress(sense)
		return sanitizing{state: running, progress: progress}, true
	case s.ASC == 0x31 && s.ASCQ == 0x03: // sanitize command failed
		return sanitizing{state: failed}, true
	}
	return sanitizing{}, false
}

func (s scsiSanitizer) leave() error {
	c := &scsiCommand{cdb: make([]byte, 10), timeout: time.Minute}
	c.cdb[0], c.cdb[1] = scsiSanitize, scsiExitFailure
	return s.insist(c)
}
