package device

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"salvor/rescue/blockdev/sysblock"
	"salvor/wipe"
)

// drive answers commands as the specifications say, in a real drive's place.
type drive struct {
	t *testing.T

	rotation uint16 // word 217
	sanitize uint16 // word 59 of an ATA drive
	sanicap  uint32 // of an NVMe drive
	spaces   []uint32
	native   uint64 // sectors that there are; 0: no such feature set
	visible  uint64
	serial   string

	refuses bool // the command, though the drive lists it
	fails   bool
	mute    int  // so many answers to status do not come
	fixed   bool // sense in fixed format, which cannot hold the registers
	polls   int  // until it is done
	log     uint16
	erase   func() // what the sanitize does to the content

	sas       bool // it is a SCSI drive: sanitize has a bit for each service action
	silent    bool // it does not say which commands it takes
	attention int  // so many commands are answered by saying that it was reset
	deaf      bool // REQUEST SENSE says nothing of a sanitize, only other commands do

	commands []string
	running  bool
	left     int
	stuck    bool // a sanitize failed: it takes no writes until it is left
}

func (d *drive) namespace() (uint32, error) { return d.spaces[0], nil }

func (d *drive) begin(what string) {
	d.commands = append(d.commands, what)
	d.running, d.left = true, d.polls
}

// poll is one step of a sanitize that is running.
func (d *drive) poll() (done bool) {
	if d.left > 0 {
		d.left--
		return false
	}
	if d.running {
		d.running, d.stuck = false, d.fails
		if d.erase != nil && !d.fails {
			d.erase()
		}
	}
	return true
}

func (d *drive) scsi(c *scsiCommand) error {
	if d.sas {
		return d.scsiDisk(c)
	}
	if c.cdb[0] == 0x12 {
		if d.serial == "" {
			c.status = 2
			return nil
		}
		c.data[1] = 0x80
		binary.BigEndian.PutUint16(c.data[2:], uint16(len(d.serial)))
		copy(c.data[4:], d.serial)
		return nil
	}
	if c.cdb[0] != 0x85 || c.cdb[1]&1 == 0 || (c.cdb[2]&0x20 == 0) != (len(c.data) > 0) {
		d.t.Errorf("no 48-bit pass-through that returns the registers: % x", c.cdb)
	}
	features := binary.BigEndian.Uint16(c.cdb[3:])
	count := binary.BigEndian.Uint16(c.cdb[5:])
	lba := uint64(c.cdb[11])<<40 | uint64(c.cdb[9])<<32 | uint64(c.cdb[7])<<24 | uint64(c.cdb[12])<<16 | uint64(c.cdb[10])<<8 | uint64(c.cdb[8])
	answer := func(status, fault uint8, count uint16, lba uint64) error {
		if len(c.data) > 0 {
			c.status = 0
			return nil
		}
		c.status = 2 // the registers come as sense of a check condition
		if d.fixed {
			c.sense = []byte{0x70, 0, 1, fault, status, 0xE0, byte(count), 10, 0, 0, 0, 0, 0, 0x1D}
			return nil
		}
		c.sense = []byte{
			0x72, 1, 0, 0x1D, 0, 0, 0, 14, 9, 12, 1, fault, byte(count >> 8), byte(count),
			byte(lba >> 24), byte(lba), byte(lba >> 32), byte(lba >> 8), byte(lba >> 40), byte(lba >> 16), 0xE0, status,
		}
		return nil
	}
	abort := func() error { return answer(0x51, 0x04, 0, 0) }
	switch c.cdb[14] {
	case ataIdentify:
		put := func(word int, v uint16) { binary.LittleEndian.PutUint16(c.data[2*word:], v) }
		put(59, d.sanitize)
		put(217, d.rotation)
		if d.native > 0 {
			put(82, 1<<10)
		}
		for i := range 4 {
			put(100+i, uint16(d.visible>>(16*i)))
		}
		copy(c.data[46:54], "WF1.0   ")
		return answer(0x50, 0, 0, 0)
	case ataReadMax:
		return answer(0x50, 0, 0, d.native-1)
	case ataSanitize:
		if features == sanitizeStatus {
			if count&sanitizeClear != 0 {
				d.stuck = false
				return answer(0x50, 0, 0, 0)
			}
			if d.mute > 0 && len(d.commands) > 0 {
				d.mute--
				return unix.EIO
			}
			done := d.poll()
			switch {
			case !done:
				return answer(0x50, 0, 1<<14, 0x8000)
			case d.fails && len(d.commands) > 0:
				return answer(0x51, 0x04, 0, 1)
			case len(d.commands) > 0:
				return answer(0x50, 0, 1<<15, 0xFFFF)
			}
			return answer(0x50, 0, d.log, 0xFFFF)
		}
		if count&sanitizeMayExit == 0 {
			d.t.Error("a sanitize that fails would lock the drive")
		}
		keys := map[uint16]uint64{sanitizeCrypto: 0x43727970, sanitizeBlock: 0x426B4572, sanitizeOver: 0x4F5700000000}
		if keys[features] != lba || d.refuses {
			return abort()
		}
		d.begin(map[uint16]string{sanitizeCrypto: "crypto", sanitizeBlock: "block", sanitizeOver: "overwrite"}[features])
		return answer(0x50, 0, 1<<14, 0)
	}
	d.t.Errorf("command %#02x", c.cdb[14])
	return abort()
}

// scsiDisk answers as a SAS drive.
func (d *drive) scsiDisk(c *scsiCommand) error {
	sense := func(key, asc, ascq byte, progress uint16) []byte {
		if d.fixed {
			return []byte{0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, asc, ascq, 0, 0x80, byte(progress >> 8), byte(progress)}
		}
		return []byte{0x72, key, asc, ascq, 0, 0, 0, 8, 2, 6, 0, 0, 0x80, byte(progress >> 8), byte(progress), 0}
	}
	check := func(key, asc, ascq byte) error {
		c.status, c.sense = 2, sense(key, asc, ascq, 0x4000)
		return nil
	}
	illegal := func() error { return check(5, 0x20, 0) }
	if d.attention > 0 && c.cdb[0] != scsiInquiry && c.cdb[0] != scsiSense {
		d.attention--
		return check(6, 0x29, 0)
	}
	switch c.cdb[0] {
	case scsiInquiry:
		c.data[1] = c.cdb[2]
		switch c.cdb[2] {
		case scsiSerial:
			binary.BigEndian.PutUint16(c.data[2:], uint16(len(d.serial)))
			copy(c.data[4:], d.serial)
		case scsiCharacter:
			binary.BigEndian.PutUint16(c.data[2:], 60)
			binary.BigEndian.PutUint16(c.data[4:], d.rotation)
		default:
			return illegal()
		}
		return nil
	case scsiIn:
		if d.silent {
			return illegal()
		}
		if c.cdb[1] != scsiReport || c.cdb[2] != 2 || c.cdb[3] != scsiSanitize {
			d.t.Errorf("asked for % x", c.cdb)
		}
		c.data[1] = 1
		if d.sanitize&(1<<c.cdb[5]) != 0 {
			c.data[1] = 3
		}
		return nil
	case scsiSense:
		if d.mute > 0 && len(d.commands) > 0 {
			d.mute--
			return unix.EIO
		}
		switch {
		case d.attention > 0:
			d.attention--
			copy(c.data, sense(6, 0x29, 0, 0))
		case d.deaf:
			copy(c.data, sense(0, 0, 0, 0))
		case d.running && !d.poll():
			copy(c.data, sense(2, 0x04, 0x1B, 0x8000))
		case d.stuck:
			copy(c.data, sense(3, 0x31, 0x03, 0))
		default:
			copy(c.data, sense(0, 0, 0, 0))
		}
		return nil
	case scsiReady:
		switch {
		case d.running && !d.poll():
			return check(2, 0x04, 0x1B)
		case d.stuck:
			return check(3, 0x31, 0x03)
		}
		return nil
	case scsiSanitize:
		action := c.cdb[1] & 0x1F
		if action == scsiExitFailure {
			d.stuck = false
			return nil
		}
		if c.cdb[1]&scsiImmediately == 0 || c.cdb[1]&scsiUnrestricted == 0 {
			d.t.Errorf("it would wait for the end, or lock the drive when it fails: % x", c.cdb)
		}
		if want := map[bool]int{true: 8}[action == scsiOverwrite]; len(c.data) != want || int(binary.BigEndian.Uint16(c.cdb[7:])) != want || c.out != (want > 0) {
			d.t.Errorf("parameters % x of % x", c.data, c.cdb)
		}
		if d.refuses || d.sanitize&(1<<action) == 0 {
			return illegal()
		}
		d.begin(map[byte]string{scsiCryptoErase: "crypto", scsiBlockErase: "block", scsiOverwrite: "overwrite"}[action])
		return nil
	}
	d.t.Errorf("command % x", c.cdb)
	return illegal()
}

func (d *drive) nvme(c *nvmeCommand) error {
	switch c.opcode {
	case nvmeIdentify:
		switch c.cdw10 {
		case nvmeController:
			copy(c.data[4:24], d.serial)
			copy(c.data[64:72], "NF2.0   ")
			binary.LittleEndian.PutUint32(c.data[328:], d.sanicap)
		case nvmeAllocated:
			if d.fixed { // here: no management of namespaces
				c.status = 0x2
				return nil
			}
			fallthrough
		case nvmeActive:
			for i, n := range d.spaces {
				binary.LittleEndian.PutUint32(c.data[4*i:], n)
			}
		default:
			d.t.Errorf("identify page %#x", c.cdw10)
		}
	case nvmeGetLog:
		if c.cdw10&0xFF != nvmeSanitizeLog || c.cdw10>>16 != 127 {
			d.t.Errorf("log %#x", c.cdw10)
		}
		if d.mute > 0 && len(d.commands) > 0 {
			d.mute--
			return unix.EIO
		}
		status := d.log
		if len(d.commands) > 0 {
			switch {
			case !d.poll():
				status = 2
			case d.fails:
				status = 3
			default:
				status = 1
			}
		}
		binary.LittleEndian.PutUint16(c.data, 0x8000)
		binary.LittleEndian.PutUint16(c.data[2:], status|1<<8)
	case nvmeSanitize:
		if c.cdw10 == 1 {
			d.stuck = false
			return nil
		}
		if c.cdw10&nvmeMayExit == 0 {
			d.t.Error("a sanitize that fails would lock the drive")
		}
		if d.refuses {
			c.status = 0x1
			return nil
		}
		d.begin(map[uint32]string{2: "block", 3: "overwrite", 4: "crypto"}[c.cdw10&7])
	default:
		d.t.Errorf("opcode %#x", c.opcode)
	}
	return nil
}

// emulated holds a loop device as if it were a drive of its own.
func emulated(t *testing.T, transport string, em *drive) (*Device, string) {
	t.Helper()
	dev, file := oldDisk(t, 4<<20)
	d := hold(t, dev)
	em.t = t
	d.pass = em
	d.id.Transport, d.id.Virtual, d.id.Rotating = transport, nil, wipe.NotKnown
	d.id.Serial, d.id.Twins = "", nil
	em.sas = transport == "sas"
	d.interview()
	d.before = func(s step) error {
		if em.stuck && (s.act == actWrite || s.act == actRead) {
			return unix.EIO
		}
		return nil
	}
	em.erase = cmpOr(em.erase, func() {
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		check(t, err)
		defer f.Close()
		if _, err := f.WriteAt(make([]byte, 4<<20), 0); err != nil {
			t.Error(err)
		}
		check(t, unix.IoctlSetInt(int(d.f.Fd()), unix.BLKFLSBUF, 0))
	})
	return d, file
}

func cmpOr(a, b func()) func() {
	if a != nil {
		return a
	}
	return b
}

// TestSanitize: what a drive says of itself becomes evidence, and nothing else does.
func TestSanitize(t *testing.T) {
	const allATA, allNVMe, allSCSI = 0xF000, 0x7, 1<<scsiOverwrite | 1<<scsiBlockErase | 1<<scsiCryptoErase
	never := func() {}
	for _, c := range []struct {
		name      string
		transport string
		drive     drive
		ask       Action
		class     Class
		outcome   Outcome
		gave      []string
		reason    string
	}{
		{name: "SATA SSD", transport: "sata", drive: drive{rotation: 1, sanitize: allATA, polls: 3}, class: Purge, outcome: Succeeded, gave: []string{"block"}},
		{name: "SATA SSD that can only scramble", transport: "sata", drive: drive{rotation: 1, sanitize: 1<<12 | 1<<13}, class: Purge, outcome: Succeeded, gave: []string{"crypto"}},
		{name: "hard disk", transport: "sata", drive: drive{rotation: 7200, sanitize: allATA, polls: 2}, class: Purge, outcome: Succeeded, gave: []string{"overwrite"}},
		{name: "hard disk without the feature set", transport: "sata", drive: drive{rotation: 7200, sanitize: 1 << 14}, class: Clear, reason: BecauseNotAsked},
		{name: "hard disk asked all the same", transport: "sata", drive: drive{rotation: 7200, refuses: true}, ask: OverwriteErase, class: Clear, outcome: Refused, reason: BecauseRefused},
		{name: "SATA drive that refuses what it lists", transport: "sata", drive: drive{rotation: 1, sanitize: allATA, refuses: true}, class: Clear, outcome: Refused, reason: BecauseRefused},
		{name: "SATA drive that fails", transport: "sata", drive: drive{rotation: 1, sanitize: allATA, fails: true, polls: 1}, class: NotAssured, outcome: Failed, gave: []string{"block"}, reason: BecauseFailed},
		{name: "SATA drive that lies", transport: "sata", drive: drive{rotation: 1, sanitize: allATA, erase: never}, class: NotAssured, outcome: Succeeded, gave: []string{"block"}, reason: BecauseLeft},
		{name: "SATA drive that is silent for a while", transport: "sata", drive: drive{rotation: 1, sanitize: allATA, mute: maxSilent, polls: 1}, class: Purge, outcome: Succeeded, gave: []string{"block"}},
		{name: "SATA drive that is silent for good", transport: "sata", drive: drive{rotation: 1, sanitize: allATA, mute: 1 << 20}, class: NotAssured, outcome: Failed, gave: []string{"block"}, reason: BecauseFailed},
		{name: "SATA drive behind a host that returns half the registers", transport: "sata", drive: drive{rotation: 1, sanitize: allATA, fixed: true}, class: Clear, outcome: Refused, gave: nil, reason: BecauseRefused},
		{name: "SATA drive with an earlier sanitize in its log", transport: "sata", drive: drive{rotation: 1, sanitize: allATA, log: 1 << 15, polls: 2}, class: Purge, outcome: Succeeded, gave: []string{"block"}},
		{name: "hard disk with a protected area", transport: "sata", drive: drive{rotation: 7200, native: 10000, visible: 8192}, class: NotAssured, reason: BecauseHidden},

		{name: "NVMe", transport: "nvme", drive: drive{sanicap: allNVMe, spaces: []uint32{1}, polls: 3}, class: Purge, outcome: Succeeded, gave: []string{"block"}},
		{name: "NVMe without management of namespaces", transport: "nvme", drive: drive{sanicap: allNVMe, spaces: []uint32{1}, fixed: true}, class: Purge, outcome: Succeeded, gave: []string{"block"}},
		{name: "NVMe that can only scramble", transport: "nvme", drive: drive{sanicap: 1, spaces: []uint32{1}}, class: Purge, outcome: Succeeded, gave: []string{"crypto"}},
		{name: "NVMe that can only overwrite", transport: "nvme", drive: drive{sanicap: 4, spaces: []uint32{1}}, class: Purge, outcome: Succeeded, gave: []string{"overwrite"}},
		{name: "NVMe with another namespace", transport: "nvme", drive: drive{sanicap: allNVMe, spaces: []uint32{1, 2}}, class: Clear, reason: BecauseNotAsked},
		{name: "NVMe without sanitize", transport: "nvme", drive: drive{spaces: []uint32{1}}, class: Clear, reason: BecauseNotAsked},
		{name: "NVMe that refuses", transport: "nvme", drive: drive{sanicap: allNVMe, spaces: []uint32{1}, refuses: true}, class: Clear, outcome: Refused, reason: BecauseRefused},
		{name: "NVMe that fails", transport: "nvme", drive: drive{sanicap: allNVMe, spaces: []uint32{1}, fails: true}, class: NotAssured, outcome: Failed, gave: []string{"block"}, reason: BecauseFailed},
		{name: "NVMe that lies", transport: "nvme", drive: drive{sanicap: allNVMe, spaces: []uint32{1}, erase: never}, class: NotAssured, outcome: Succeeded, gave: []string{"block"}, reason: BecauseLeft},
		{name: "NVMe with an earlier sanitize in its log", transport: "nvme", drive: drive{sanicap: allNVMe, spaces: []uint32{1}, log: 1, polls: 2}, class: Purge, outcome: Succeeded, gave: []string{"block"}},

		{name: "SAS hard disk", transport: "sas", drive: drive{rotation: 10000, sanitize: allSCSI, polls: 3}, class: Purge, outcome: Succeeded, gave: []string{"overwrite"}},
		{name: "SAS SSD", transport: "sas", drive: drive{rotation: 1, sanitize: allSCSI, polls: 3, fixed: true}, class: Purge, outcome: Succeeded, gave: []string{"block"}},
		{name: "SAS SSD that can only scramble", transport: "sas", drive: drive{rotation: 1, sanitize: 1 << scsiCryptoErase}, class: Purge, outcome: Succeeded, gave: []string{"crypto"}},
		{name: "SAS drive that says what goes on to other commands only", transport: "sas", drive: drive{rotation: 1, sanitize: allSCSI, polls: 4, deaf: true}, class: Purge, outcome: Succeeded, gave: []string{"block"}},
		{name: "SAS drive that was reset", transport: "sas", drive: drive{rotation: 1, sanitize: allSCSI, polls: 2, attention: 2}, class: Purge, outcome: Succeeded, gave: []string{"block"}},
		{name: "SAS drive that knows no such command", transport: "sas", drive: drive{rotation: 10000}, class: Clear, reason: BecauseNotAsked},
		{name: "SAS drive that does not say what it knows", transport: "sas", drive: drive{rotation: 10000, sanitize: allSCSI, silent: true}, class: Clear, reason: BecauseNotAsked},
		{name: "SAS drive asked all the same", transport: "sas", drive: drive{rotation: 10000, silent: true}, ask: OverwriteErase, class: Clear, outcome: Refused, reason: BecauseRefused},
		{name: "SAS drive that refuses what it lists", transport: "sas", drive: drive{rotation: 1, sanitize: allSCSI, refuses: true}, class: Clear, outcome: Refused, reason: BecauseRefused},
		{name: "SAS drive that fails", transport: "sas", drive: drive{rotation: 1, sanitize: allSCSI, fails: true, polls: 1}, class: NotAssured, outcome: Failed, gave: []string{"block"}, reason: BecauseFailed},
		{name: "SAS drive that fails, and says so to other commands only", transport: "sas", drive: drive{rotation: 1, sanitize: allSCSI, fails: true, deaf: true}, class: NotAssured, outcome: Failed, gave: []string{"block"}, reason: BecauseFailed},
		{name: "SAS drive that lies", transport: "sas", drive: drive{rotation: 1, sanitize: allSCSI, erase: never}, class: NotAssured, outcome: Succeeded, gave: []string{"block"}, reason: BecauseLeft},
		{name: "SAS drive that is silent for a while", transport: "sas", drive: drive{rotation: 1, sanitize: allSCSI, mute: maxSilent, polls: 1}, class: Purge, outcome: Succeeded, gave: []string{"block"}},
		{name: "SAS drive that is silent for good", transport: "sas", drive: drive{rotation: 1, sanitize: allSCSI, mute: 1 << 20}, class: NotAssured, outcome: Failed, gave: []string{"block"}, reason: BecauseFailed},

		{name: "behind USB", transport: "usb", drive: drive{rotation: 1, sanitize: allATA}, class: Clear, reason: BecauseBridge},
	} {
		t.Run(c.name, func(t *testing.T) {
			em := c.drive
			d, file := emulated(t, c.transport, &em)
			j, err := Plan(d, d.id.Confirmation(), PlanOptions{Sanitize: c.ask}, rand.Reader)
			check(t, err)
			j.Device.Virtual = nil
			m := &memory{}
			o := options(m)
			o.After = at
			e, err := Run(t.Context(), d, j, o)
			check(t, err)
			v := Classify(e)
			if v.Class != c.class || e.Sanitize.Outcome != c.outcome || !slices.Equal(em.commands, c.gave) {
				t.Errorf("%s because of %q, outcome %q, commands %q", v.Class, v.Reasons, e.Sanitize.Outcome, em.commands)
			}
			if c.reason != "" && !slices.Contains(v.Reasons, c.reason) {
				t.Errorf("because of %q, want %q", v.Reasons, c.reason)
			}
			check(t, d.Close())
			holdsStream(t, file, j)
		})
	}
}

// at is a clock on which no time passes.
func at(time.Duration) <-chan time.Time {
	c := make(chan time.Time, 1)
	c <- time.Time{}
	return c
}

// TestSanitizeGoesOnAfterAKill: whatever the moment, in the end the drive was asked,
// and its word is that of this sanitize and of no earlier one.
func TestSanitizeGoesOnAfterAKill(t *testing.T) {
	stop := errors.New("killed")
	for transport, made := range sanitizing3() {
		for at0 := 1; ; at0++ {
			em := made()
			d, file := emulated(t, transport, em)
			j := plan(t, d)
			m := &memory{}
			check(t, m.Save(t.Context(), j))
			n := 0
			d.before = func(s step) error {
				if s.act == actSave {
					if n++; n == at0 {
						return stop
					}
				}
				return nil
			}
			o := options(m)
			o.After = at
			_, err := Run(t.Context(), d, j, o)
			if err == nil {
				if at0 < 6 {
					t.Errorf("%s: only %d saves", transport, at0)
				}
				check(t, d.Close())
				break
			}
			mustBe(t, err, stop)
			d.before = nil
			j = m.last(t)
			e, err := Run(t.Context(), d, j, o)
			check(t, err)
			if v := Classify(e); v.Class != Purge || len(em.commands) == 0 {
				t.Errorf("%s killed at save %d: %+v, commands %q", transport, at0, v, em.commands)
			}
			check(t, d.Close())
			holdsStream(t, file, j)
		}
	}
}

// sanitizing3 makes a drive of each language that can sanitize itself, and has done so in
// an earlier life where it remembers that.
func sanitizing3() map[string]func() *drive {
	return map[string]func() *drive{
		"nvme": func() *drive { return &drive{sanicap: 7, spaces: []uint32{1}, polls: 3, log: 1} },
		"sata": func() *drive { return &drive{rotation: 1, sanitize: 0xF000, polls: 3, log: 1 << 15} },
		"sas":  func() *drive { return &drive{rotation: 1, sanitize: 1<<scsiBlockErase | 1<<scsiOverwrite, polls: 3} },
	}
}

// TestSanitizeGoesOnAfterAPowerCut: a drive that loses its power goes on by itself. The
// next run waits for it, asks it nothing twice, and believes it no sooner.
func TestSanitizeGoesOnAfterAPowerCut(t *testing.T) {
	for transport, made := range sanitizing3() {
		em := made()
		d, file := emulated(t, transport, em)
		j, m := plan(t, d), &memory{}
		gone := false
		d.before = func(s step) error {
			if gone && s.act == actCheck {
				return ErrVanished
			}
			return nil
		}
		o := options(m)
		o.After = func(d time.Duration) <-chan time.Time {
			gone, em.mute = true, 1 // its answer to the next question does not come
			return at(d)
		}
		_, err := Run(t.Context(), d, j, o)
		mustBe(t, err, ErrVanished)
		if j = m.last(t); j.Stage != Sanitizing || !j.Sanitize.Accepted || Classify(j.Evidence()).Class != NotWiped {
			t.Errorf("%s: %s, %+v", transport, j.Stage, j.Sanitize)
		}
		gone, em.mute, em.attention = false, 0, 2 // a SCSI drive says first that its power was gone
		o.After = at
		e, err := Run(t.Context(), d, j, o)
		check(t, err)
		if v := Classify(e); v.Class != Purge || len(em.commands) != 1 || em.running {
			t.Errorf("%s: %+v, commands %q", transport, v, em.commands)
		}
		check(t, d.Close())
		holdsStream(t, file, j)
	}
}

func TestSanitizeIsCancelled(t *testing.T) {
	em := &drive{sanicap: 7, spaces: []uint32{1}, polls: 1 << 30}
	d, _ := emulated(t, "nvme", em)
	ctx, cancel := context.WithCancel(t.Context())
	o := options(&memory{})
	o.After = func(time.Duration) <-chan time.Time { cancel(); return nil }
	j := plan(t, d)
	_, err := Run(ctx, d, j, o)
	mustBe(t, err, context.Canceled)
	if j.Stage != Sanitizing || !j.Sanitize.Accepted || Classify(j.Evidence()).Class != NotWiped {
		t.Errorf("%s %+v", j.Stage, j.Sanitize)
	}
	check(t, d.Close())
}

func TestSanitizeIsNotAskedOfMore(t *testing.T) {
	for transport, em := range map[string]*drive{"usb": {}, "nvme": {sanicap: 7, spaces: []uint32{1, 2}}} {
		d, _ := emulated(t, transport, em)
		if _, err := Plan(d, d.id.Confirmation(), PlanOptions{Sanitize: BlockErase}, rand.Reader); !errors.Is(err, ErrJob) {
			t.Errorf("%s: %v", transport, err)
		}
		check(t, d.Close())
	}
}

// TestTheDriveIsAskedForItsSerialNumber: what the drive says just before the first
// write has to be what was confirmed.
func TestTheDriveIsAskedForItsSerialNumber(t *testing.T) {
	em := &drive{sanicap: 7, spaces: []uint32{1}, serial: "OTHER"}
	d, _ := emulated(t, "nvme", em)
	em.serial = "CHANGED"
	_, err := Run(t.Context(), d, plan(t, d), options(&memory{}))
	mustBe(t, err, ErrOther)
	check(t, d.Close())
}

// fakeHost is a machine made of files.
func fakeHost(t *testing.T, mountinfo string, files map[string]string, links map[string]string) host {
	t.Helper()
	root := t.TempDir()
	h := host{sysblock.Host{Sys: filepath.Join(root, "sys"), Proc: filepath.Join(root, "proc"), Dev: filepath.Join(root, "dev")}}
	put := func(name, content string) {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700))
		check(t, os.WriteFile(filepath.Join(root, name), []byte(content), 0o600))
	}
	put("proc/self/mountinfo", mountinfo)
	put("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n")
	for name, content := range files {
		put(name, content)
	}
	for name, to := range links {
		check(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700))
		check(t, os.Symlink(filepath.Join(root, to), filepath.Join(root, name)))
	}
	return h
}

// TestTheSystemDiskIsFound below volumes, loop devices and overlays; what cannot be
// found out counts as the system disk.
func TestTheSystemDiskIsFound(t *testing.T) {
	files := map[string]string{
		"sys/devices/pci/ata1/block/sda/dev": "8:0\n", "sys/devices/pci/ata1/block/sda/sda2/dev": "8:2\n", "sys/devices/pci/ata1/block/sda/sda2/partition": "2\n",
		"sys/devices/pci/ata1/block/sda/sda2/holders/dm-0": "",
		"sys/devices/pci/ata2/block/sdb/dev":               "8:16\n", "sys/devices/pci/ata2/block/sdb/sdb1/dev": "8:17\n", "sys/devices/pci/ata2/block/sdb/sdb1/partition": "1\n",
		"sys/devices/virtual/block/dm-0/dev": "253:0\n", "sys/devices/virtual/block/loop0/dev": "7:0\n", "sys/devices/virtual/block/loop0/loop/backing_file": "/nowhere/at/all\n",
	}
	links := map[string]string{
		"sys/dev/block/8:0": "sys/devices/pci/ata1/block/sda", "sys/dev/block/8:2": "sys/devices/pci/ata1/block/sda/sda2",
		"sys/dev/block/8:16": "sys/devices/pci/ata2/block/sdb", "sys/dev/block/8:17": "sys/devices/pci/ata2/block/sdb/sdb1",
		"sys/dev/block/253:0": "sys/devices/virtual/block/dm-0", "sys/dev/block/7:0": "sys/devices/virtual/block/loop0",
		"sys/class/block/sda2": "sys/devices/pci/ata1/block/sda/sda2", "sys/devices/virtual/block/dm-0/slaves/sda2": "sys/devices/pci/ata1/block/sda/sda2",
	}
	at := func(h host, name string) sysblock.Node {
		for _, dir := range []string{"devices/pci/ata1/block/sda", "devices/pci/ata2/block/sdb", "devices/pci/ata2/block/sdb/sdb1", "devices/virtual/block/loop0"} {
			if filepath.Base(dir) == name {
				return sysblock.At(filepath.Join(h.Sys, dir))
			}
		}
		return sysblock.Node{}
	}
	for _, c := range []struct {
		name   string
		mounts string
		free   []string
		system []string
	}{
		{"a partition", "1 0 8:2 / / rw - ext4 /dev/sda2 rw\n", []string{"sdb", "sdb1", "loop0"}, []string{"sda"}},
		{"a volume", "1 0 253:0 / / rw - ext4 /dev/mapper/root rw\n", []string{"sdb", "loop0"}, []string{"sda"}},
		{"home on another disk", "1 0 8:2 / / rw - ext4 x rw\n2 1 8:17 / /home rw - xfs x rw\n", []string{"loop0"}, []string{"sda", "sdb", "sdb1"}},
		{"memory", "1 0 0:2 / / rw - rootfs rootfs rw\n", []string{"sda", "sdb", "loop0"}, nil},
		{"a network", "1 0 0:2 / / rw - nfs4 server:/root rw\n", []string{"sda", "sdb", "loop0"}, nil},
		{"what nobody knows", "1 0 0:2 / / rw - zfs tank/root rw\n", []string{"loop0"}, []string{"sda", "sdb", "sdb1"}},
		{"an overlay whose layers cannot be seen", "1 0 0:2 / / rw - overlay overlay rw,lowerdir=/nowhere/l,upperdir=/nowhere/u\n", []string{"loop0"}, []string{"sda", "sdb"}},
		{"a loop device on a file that cannot be seen", "1 0 7:0 / / rw - ext4 /dev/loop0 rw\n", nil, []string{"loop0", "sda", "sdb"}},
	} {
		h := fakeHost(t, c.mounts, files, links)
		for _, name := range c.free {
			if err := h.notSystem("/dev/"+name, at(h, name)); err != nil {
				t.Errorf("%s: %s: %v", c.name, name, err)
			}
		}
		for _, name := range c.system {
			if err := h.notSystem("/dev/"+name, at(h, name)); !errors.Is(err, ErrSystemDisk) {
				t.Errorf("%s: %s: %v", c.name, name, err)
			}
		}
	}
	h := fakeHost(t, "1 0 8:17 / /mnt rw - xfs x rw\n", files, links)
	for name, want := range map[string]error{"sda": ErrInUse, "sdb": ErrMounted, "loop0": nil} {
		if err := h.notUsed("/dev/"+name, at(h, name)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	h = fakeHost(t, "nonsense\n", files, links)
	if h.notSystem("/dev/sdb", at(h, "sdb")) == nil || h.notUsed("/dev/sdb", at(h, "sdb")) == nil {
		t.Error("a table of mounts that cannot be read means nothing is mounted")
	}
}

// TestIdentities: what /sys says of drives of every kind.
func TestIdentities(t *testing.T) {
	vpd := "\x00\x80\x00\x08  SER 1 "
	files := map[string]string{
		"sys/devices/pci0/ata1/host0/target0/0:0:0:0/block/sda/size": "2048\n", "sys/devices/pci0/ata1/host0/target0/0:0:0:0/block/sda/diskseq": "9\n",
		"sys/devices/pci0/ata1/host0/target0/0:0:0:0/block/sda/device/vendor": "ATA     \n", "sys/devices/pci0/ata1/host0/target0/0:0:0:0/block/sda/device/model": "Spinner 9000\n",
		"sys/devices/pci0/ata1/host0/target0/0:0:0:0/block/sda/device/vpd_pg80": vpd, "sys/devices/pci0/ata1/host0/target0/0:0:0:0/block/sda/queue/rotational": "1\n",
		"sys/devices/pci0/ata1/host0/target0/0:0:0:0/block/sda/queue/logical_block_size": "512\n",
		"sys/devices/pci0/usb1/1-1/idVendor":                                             "0781\n", "sys/devices/pci0/usb1/1-1/serial": "U77\n",
		"sys/devices/pci0/usb1/1-1/host1/target1/1:0:0:0/block/sdb/size": "4096\n", "sys/devices/pci0/usb1/1-1/host1/target1/1:0:0:0/block/sdb/queue/rotational": "1\n",
		"sys/devices/pci0/usb1/1-2/idVendor": "0781\n", "sys/devices/pci0/usb1/1-2/serial": "U77\n",
		"sys/devices/pci0/usb1/1-2/host2/target2/2:0:0:0/block/sdc/size": "4096\n",
		"sys/devices/pci0/mmc0/block/mmcblk0/size":                       "512\n", "sys/devices/pci0/mmc0/block/mmcblk0/device/serial": "0x1234\n", "sys/devices/pci0/mmc0/block/mmcblk0/device/name": "SD16G\n",
		"dev/disk/by-id/x": "",
	}
	links := map[string]string{
		"sys/block/sda": "sys/devices/pci0/ata1/host0/target0/0:0:0:0/block/sda", "sys/block/sdb": "sys/devices/pci0/usb1/1-1/host1/target1/1:0:0:0/block/sdb",
		"sys/block/sdc": "sys/devices/pci0/usb1/1-2/host2/target2/2:0:0:0/block/sdc", "sys/block/mmcblk0": "sys/devices/pci0/mmc0/block/mmcblk0",
		"dev/disk/by-id/ata-Spinner_9000_SER_1": "dev/sda",
	}
	h := fakeHost(t, "", files, links)
	is := func(name string) Identity {
		dir, err := filepath.EvalSymlinks(filepath.Join(h.Sys, "block", name))
		check(t, err)
		return h.describe(sysblock.At(dir))
	}
	sda := is("sda")
	if sda.Serial != "SER 1" || sda.Transport != "sata" || sda.Media != HardDisk || sda.Vendor != "" || sda.Seq != 9 || sda.Bytes != 1<<20 ||
		!slices.Equal(sda.ByID, []string{"ata-Spinner_9000_SER_1"}) || sda.Confirmation() != "SER 1" || sda.Passes() != 1 {
		t.Errorf("sda: %+v", sda)
	}
	sdb := is("sdb")
	if sdb.Media != Stick || sdb.Passes() != 2 || !slices.Equal(sdb.Twins, []string{"sdc"}) || sdb.Confirmation() != "sdb:2097152" || !sdb.Bridged() {
		t.Errorf("sdb: %+v", sdb)
	}
	card := is("mmcblk0")
	if card.Media != Card || card.Passes() != 2 || card.Serial != "0x1234" || card.Model != "SD16G" {
		t.Errorf("mmcblk0: %+v", card)
	}
	moved := sda
	moved.Name, moved.Seq = "sdx", 77
	if !sda.Same(moved) {
		t.Error("a disk with a serial number is the same under another name")
	}
	moved = sdb
	moved.Seq++
	if sdb.Same(moved) || sdb.Same(sdb) {
		t.Error("a stick whose number another one has is the same only while it stays attached")
	}
	if path, err := h.findAgain(sda); err != nil || path != filepath.Join(h.Dev, "sda") {
		t.Errorf("%s, %v", path, err)
	}
	gone := sda
	gone.Serial = "S9"
	_, err := h.findAgain(gone)
	mustBe(t, err, ErrVanished)
}

// TestTwoWaysToOneDisk: a disk is not wiped while what may be another way to it is in use.
func TestTwoWaysToOneDisk(t *testing.T) {
	const system = "1 0 0:2 / / rw - rootfs rootfs rw\n"
	for _, c := range []struct {
		name   string
		mounts string
		wwn    [2]string
		size   string // of the other one
		want   error
	}{
		{name: "nothing uses the other one", size: "4096\n"},
		{name: "the other one is mounted", mounts: "2 1 8:32 / /mnt rw - ext4 x rw\n", size: "4096\n", want: ErrTwin},
		{name: "the other one holds the system", mounts: "2 1 8:32 / /home rw - ext4 x rw\n", size: "4096\n", want: ErrTwin},
		{name: "the other one is another disk", mounts: "2 1 8:32 / /mnt rw - ext4 x rw\n", size: "4096\n", wwn: [2]string{"naa.5", "naa.6"}},
		{name: "only one of them says its name", mounts: "2 1 8:32 / /mnt rw - ext4 x rw\n", size: "4096\n", wwn: [2]string{"naa.5", ""}, want: ErrTwin},
		{name: "the other one is larger", mounts: "2 1 8:32 / /mnt rw - ext4 x rw\n", size: "8192\n"},
		{name: "it is the same", size: "4096\n", wwn: [2]string{"naa.5", "naa.5"}, want: ErrTwin},
	} {
		files := map[string]string{"sys/devices/usb1/1-1/idVendor": "0781\n", "sys/devices/usb1/1-1/serial": "U77\n"}
		links := map[string]string{}
		for i, name := range []string{"sdb", "sdc"} {
			dir := "sys/devices/usb1/1-1/host1/block/" + name
			files[dir+"/dev"] = fmt.Sprintf("8:%d\n", 16*(i+1))
			files[dir+"/size"] = []string{"4096\n", c.size}[i]
			if c.wwn[i] != "" {
				files[dir+"/device/wwid"] = c.wwn[i] + "\n"
			}
			for _, link := range []string{"sys/block/" + name, "sys/class/block/" + name, fmt.Sprintf("sys/dev/block/8:%d", 16*(i+1))} {
				links[link] = dir
			}
		}
		h := fakeHost(t, system+c.mounts, files, links)
		n, err := h.Named("sdb")
		check(t, err)
		id := h.describe(n)
		if id.BySerial() {
			t.Errorf("%s: %+v", c.name, id)
		}
		if err := h.notTwin("/dev/sdb", id, nil); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestAnNVMeDiskOfManyWaysIsOne: the kernel shows each way beside the disk, and hides it.
func TestAnNVMeDiskOfManyWaysIsOne(t *testing.T) {
	files, links := map[string]string{}, map[string]string{}
	for name, hidden := range map[string]string{"nvme0n1": "0\n", "nvme0c0n1": "1\n"} {
		dir := "sys/devices/virtual/" + name
		files[dir+"/size"], files[dir+"/hidden"] = "4096\n", hidden
		files[dir+"/device/serial"], files[dir+"/wwid"] = "N1\n", "eui.1\n"
		links["sys/block/"+name], links["sys/class/block/"+name] = dir, dir
	}
	h := fakeHost(t, "", files, links)
	n, err := h.Named("nvme0n1")
	check(t, err)
	if id := h.describe(n); !id.BySerial() || id.Confirmation() != "N1" {
		t.Errorf("%+v", id)
	}
}

// TestPace: the rest is foreseen by what was measured, and by the shape of the disk.
func TestPace(t *testing.T) {
	start := time.Unix(0, 0)
	p := pace{size: 1000, passes: 1}
	p.mark(start)
	p.done = 500
	if left := p.left(start.Add(10 * time.Second)); left != 30*time.Second {
		t.Errorf("an even device: %s", left)
	}
	p.slows = true
	slow := p.left(start.Add(10 * time.Second))
	if slow <= 30*time.Second || slow > 50*time.Second {
		t.Errorf("a device that slows down: %s", slow)
	}
	// The whole of it is foreseen from its first half as if it had been measured.
	whole := p.work(0, 2000)
	if half := p.work(0, 500); whole/half < 4 {
		t.Errorf("the second half of a disk takes longer: %f", whole/half)
	}
	if (&pace{size: 1000, passes: 1}).left(start) != 0 {
		t.Error("nothing was measured yet")
	}
}
