package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"salvor/wipe"
)

// ATA commands, from ACS-4.
const (
	ataIdentify     = 0xEC // IDENTIFY DEVICE
	ataReadMax      = 0x27 // READ NATIVE MAX ADDRESS EXT, up to ACS-2
	ataGetMax       = 0x78 // GET NATIVE MAX ADDRESS EXT, from ACS-3
	ataOverlay      = 0xB1 // DEVICE CONFIGURATION
	ataOverlayIs    = 0xC2 // its feature IDENTIFY
	ataSanitize     = 0xB4
	sanitizeStatus  = 0x0000
	sanitizeCrypto  = 0x0011
	sanitizeBlock   = 0x0012
	sanitizeOver    = 0x0014
	sanitizeMayExit = 1 << 4 // COUNT: a sanitize that failed does not lock the drive for ever
	sanitizeClear   = 1 << 0 // COUNT, of the status: forget that it failed
)

// ataCommand is an ATA command with the registers of the answer.
type ataCommand struct {
	command  uint8
	features uint16
	count    uint16
	lba      uint64 // 48 bits
	data     []byte // what the drive sends

	status, fault uint8  // registers STATUS and ERROR
	answered      bool   // the registers came back
	outCount      uint16 // COUNT
	outLBA        uint64 // LBA, 48 bits
}

// errAborted: the drive refused a command. Nothing was done.
var errAborted = errors.New("the drive refused the command")

// ata gives an ATA command by ATA PASS-THROUGH (16), SAT-4 12.2.
func (d *Device) ata(c *ataCommand) error {
	const (
		nonData, pioIn = 3 << 1, 4 << 1
		extend         = 1
		wantRegisters  = 1 << 5
		fromDrive      = 1 << 3
		inBlocks       = 1 << 2
		lengthInCount  = 2
	)
	cdb := make([]byte, 16)
	cdb[0], cdb[1], cdb[2] = 0x85, nonData|extend, wantRegisters
	if len(c.data) > 0 { // the data are the answer
		cdb[1], cdb[2] = pioIn|extend, fromDrive|inBlocks|lengthInCount
	}
	binary.BigEndian.PutUint16(cdb[3:], c.features)
	binary.BigEndian.PutUint16(cdb[5:], c.count)
	b := func(n int) byte { return byte(c.lba >> (8 * n)) }
	cdb[7], cdb[8], cdb[9], cdb[10], cdb[11], cdb[12] = b(3), b(0), b(4), b(1), b(5), b(2)
	cdb[13], cdb[14] = 0x40, c.command
	s := &scsiCommand{cdb: cdb, data: c.data, timeout: 30 * time.Second}
	if err := d.pass.scsi(s); err != nil {
		return err
	}
	if s.host != 0 {
		return fmt.Errorf("command %#02x did not reach the drive: host status %#x", c.command, s.host)
	}
	c.registers(s.sense)
	switch {
	case c.answered && c.status&0x21 != 0: // device fault, error
		return fmt.Errorf("command %#02x: status %#02x, error %#02x: %w", c.command, c.status, c.fault, errAborted)
	case c.answered, s.status == 0:
		return nil
	}
	return fmt.Errorf("command %#02x: %w", c.command, errAborted)
}

// registers reads the ATA Status Return descriptor, SAT-4 12.2.7.
func (c *ataCommand) registers(sense []byte) {
	if len(sense) < 8 || sense[0]&0x7F != 0x72 {
		return // fixed format leaves out half of every register
	}
	for at := 8; at+2 <= len(sense); at += int(sense[at+1]) + 2 {
		r := sense[at:]
		if r[0] != 0x09 || len(r) < 14 {
			continue
		}
		c.answered = true
		c.fault, c.status = r[3], r[13]
		c.outCount = uint16(r[4])<<8 | uint16(r[5])
		c.outLBA = uint64(r[10])<<40 | uint64(r[8])<<32 | uint64(r[6])<<24 | uint64(r[11])<<16 | uint64(r[9])<<8 | uint64(r[7])
		return
	}
}

// askATA asks a SATA drive what it is. Words are those of IDENTIFY DEVICE, ACS-4 7.13.
func (d *Device) askATA() {
	c := &ataCommand{command: ataIdentify, count: 1, data: make([]byte, 512)}
	if err := d.ata(c); err != nil {
		return
	}
	word := func(n int) uint16 { return binary.LittleEndian.Uint16(c.data[2*n:]) }
	if word(0)&0x8000 != 0 {
		return // no ATA disk
	}
	if fw := swapped(c.data[46:54]); fw != "" {
		d.id.Firmware = fw
	}
	switch rate := word(217); {
	case rate == 1:
		d.id.Rotating = wipe.No
	case rate > 0x0400 && rate < 0xFFFF:
		d.id.Rotating = wipe.Yes
	}
	sanitize := word(59)
	d.id.Abilities = Abilities{
		Known: true, Block: sanitize&(1<<12|1<<15) == 1<<12|1<<15,
		Overwrite: sanitize&(1<<12|1<<14) == 1<<12|1<<14, Crypto: sanitize&(1<<12|1<<13) == 1<<12|1<<13,
	}
	d.askHidden(word)
}

// askHidden compares how many sectors there are with how many can be reached.
func (d *Device) askHidden(word func(int) uint16) {
	visible := uint64(word(100)) | uint64(word(101))<<16 | uint64(word(102))<<32 | uint64(word(103))<<48
	if visible == 0 {
		return
	}
	var most uint64
	known := true
	area := func(command uint8) {
		c := &ataCommand{command: command}
		if err := d.ata(c); err != nil || !c.answered {
			known = false
			return
		}
		most = max(most, c.outLBA+1)
	}
	switch {
	case word(119)&(1<<8) != 0: // accessible max address configuration
		area(ataGetMax)
	case word(82)&(1<<10) != 0: // host protected area
		area(ataReadMax)
	}
	if word(83)&(1<<11) != 0 { // device configuration overlay
		c := &ataCommand{command: ataOverlay, features: ataOverlayIs, count: 1, data: make([]byte, 512)}
		if err := d.ata(c); err != nil {
			known = false
		} else {
			most = max(most, binary.LittleEndian.Uint64(c.data[6:])&(1<<48-1)+1) // words 3 to 6
		}
	}
	d.id.Hidden = Hidden{Known: known}
	if most > visible {
		d.id.Hidden = Hidden{Known: true, Sectors: int64(most - visible)}
	}
}

// ataSanitizer sanitizes by the SANITIZE DEVICE feature set, ACS-4 7.36.
type ataSanitizer struct{ d *Device }

func (s ataSanitizer) start(a Action) error {
	c := &ataCommand{command: ataSanitize, count: sanitizeMayExit}
	switch a { // the LBA holds a key word, so that nothing starts by mistake
	case CryptoErase:
		c.features, c.lba = sanitizeCrypto, 0x43727970 // "Cryp"
	case BlockErase:
		c.features, c.lba = sanitizeBlock, 0x426B4572 // "BkEr"
	case OverwriteErase:
		c.features, c.lba = sanitizeOver, 0x4F57_0000_0000 // "OW", pattern 0
		c.count |= 1                                       // once
	default:
		return fmt.Errorf("sanitize %q: %w", a, errNoWay)
	}
	return s.d.ata(c)
}

func (s ataSanitizer) status() (sanitizing, error) {
	c := &ataCommand{command: ataSanitize, features: sanitizeStatus}
	err := s.d.ata(c)
	switch {
	case c.answered && c.outCount&(1<<14) != 0:
		return sanitizing{state: running, progress: float64(c.outLBA&0xFFFF) / 0x10000}, nil
	case errors.Is(err, errAborted) && c.answered:
		return sanitizing{state: failed}, nil
	case err != nil:
		return sanitizing{}, err
	case !c.answered:
		return sanitizing{}, fmt.Errorf("sanitize status: the registers did not come back: %w", errNoWay)
	case c.outCount&(1<<15) != 0:
		return sanitizing{state: done, progress: 1}, nil
	}
	return sanitizing{state: idle}, nil
}

func (s ataSanitizer) leave() error {
	return s.d.ata(&ataCommand{command: ataSanitize, features: sanitizeStatus, count: sanitizeClear})
}
