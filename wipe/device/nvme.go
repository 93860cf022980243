package device

import (
	"encoding/binary"
	"fmt"
	"time"

	"salvor/rescue/blockdev/sysblock"
	"salvor/wipe"
)

// NVMe admin commands and pages, from the NVM Express base specification 2.0.
const (
	nvmeIdentify    = 0x06
	nvmeGetLog      = 0x02
	nvmeSanitize    = 0x84
	nvmeController  = 0x01 // CNS: identify controller
	nvmeAllocated   = 0x10 // CNS: list of allocated namespaces
	nvmeActive      = 0x02 // CNS: list of active namespaces
	nvmeSanitizeLog = 0x81
	nvmeMayExit     = 1 << 3
)

// nvmeIdentify returns an identify page.
func (d *Device) nvmeIdentify(page uint32) ([]byte, error) {
	c := &nvmeCommand{opcode: nvmeIdentify, data: make([]byte, 4096), cdw10: page, timeout: quick}
	if err := d.pass.nvme(c); err != nil {
		return nil, err
	}
	if c.status != 0 {
		return nil, fmt.Errorf("identify page %#x: NVMe status %#x: %w", page, c.status, errAborted)
	}
	return c.data, nil
}

func (d *Device) askNVMe() {
	page, err := d.nvmeIdentify(nvmeController)
	if err != nil {
		return
	}
	if fw := sysblock.Printable(page[64:72]); fw != "" {
		d.id.Firmware = fw
	}
	d.id.Rotating = wipe.No
	can := binary.LittleEndian.Uint32(page[328:])
	d.id.Abilities = Abilities{Known: true, Crypto: can&1 != 0, Block: can&2 != 0, Overwrite: can&4 != 0, Shared: true}
	d.id.Hidden = Hidden{Known: true} // NVMe has neither protected areas nor overlays
	// A sanitize is of the whole drive: only when this is its one namespace is it
	// this device's.
	list, err := d.nvmeIdentify(nvmeAllocated)
	if err != nil {
		if list, err = d.nvmeIdentify(nvmeActive); err != nil {
			return
		}
	}
	mine, err := d.pass.namespace()
	if err != nil {
		return
	}
	d.id.Abilities.Shared = binary.LittleEndian.Uint32(list) != mine || binary.LittleEndian.Uint32(list[4:]) != 0
}

// nvmeSanitizer sanitizes by the Sanitize command, NVM Express base 2.0, 5.24.
type nvmeSanitizer struct{ d *Device }

func (s nvmeSanitizer) start(a Action) error {
	c := &nvmeCommand{opcode: nvmeSanitize, timeout: time.Minute, cdw10: nvmeMayExit}
	switch a {
	case BlockErase:
		c.cdw10 |= 2
	case OverwriteErase:
		c.cdw10 |= 3 | 1<<4 // once
	case CryptoErase:
		c.cdw10 |= 4
	default:
		return fmt.Errorf("sanitize %q: %w", a, errNoWay)
	}
	return s.give(c)
}

func (s nvmeSanitizer) leave() error {
	const exitFailure = 1
	return s.give(&nvmeCommand{opcode: nvmeSanitize, timeout: time.Minute, cdw10: exitFailure})
}

func (s nvmeSanitizer) give(c *nvmeCommand) error {
	if err := s.d.pass.nvme(c); err != nil {
		return err
	}
	if c.status != 0 {
		return fmt.Errorf("sanitize: NVMe status %#x: %w", c.status, errAborted)
	}
	return nil
}

func (s nvmeSanitizer) status() (sanitizing, error) {
	c := &nvmeCommand{
		opcode: nvmeGetLog, namespace: 0xFFFFFFFF, data: make([]byte, 512), timeout: quick,
		cdw10: nvmeSanitizeLog | (512/4-1)<<16,
	}
	if err := s.d.pass.nvme(c); err != nil {
		return sanitizing{}, err
	}
	if c.status != 0 {
		return sanitizing{}, fmt.Errorf("sanitize log: NVMe status %#x: %w", c.status, errAborted)
	}
	progress := float64(binary.LittleEndian.Uint16(c.data)) / 0x10000
	switch binary.LittleEndian.Uint16(c.data[2:]) & 7 {
	case 1, 4: // 4: done, and blocks were given back although that was not asked for
		return sanitizing{state: done, progress: 1}, nil
	case 2:
		return sanitizing{state: running, progress: progress}, nil
	case 3:
		return sanitizing{state: failed}, nil
	}
	return sanitizing{state: idle}, nil
}
