package blockdev

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"salvor/rescue"
	"salvor/rescue/blockdev/passthrough"
)

// What a device or the way to it says instead of data.
var (
	// ErrAborted is a command that the device, or its bridge, broke off (sense key B)
	// and did not say why. Some mean a bad sector by it.
	ErrAborted = errors.New("command aborted")
	// ErrMediumChanged is a device that says it may hold another medium than before.
	ErrMediumChanged = errors.New("the medium may have been changed")
)

// verdict is what to do about an answered command.
type verdict uint8

const (
	delivered   verdict = iota // the data is good
	denied                     // no data; the class says why
	again                      // not executed, for a passing reason
	spinning                   // becoming ready: wait
	outside                    // the block does not exist, says the device
	unsupported                // it does not know the command
)

// Status bytes of a device (SAM-5, 5.3.1).
const (
	statusGood           = 0x00
	statusCheckCondition = 0x02
	statusBusy           = 0x08
	statusTaskSetFull    = 0x28
)

// Outcomes on the way to the device, DID_* of the kernel's <scsi/scsi_status.h>.
const (
	didNoConnect = 0x01
	didTimeOut   = 0x03
	didBadTarget = 0x04
	didImmRetry  = 0x0C
	didRequeue   = 0x0D
)

const driverTimeout = 0x06 // of kernels before 5.13

// judge says what the answer to a command means.
func judge(c *sgCommand) (verdict, rescue.Class, error) {
	switch {
	case c.host == didNoConnect || c.host == didBadTarget:
		return denied, rescue.Gone, fmt.Errorf("host status %#x: %w", c.host, unix.ENODEV)
	case c.host == didTimeOut || c.driver&0xF == driverTimeout, c.host != 0 && c.took >= c.timeout:
		return denied, rescue.Timeout, fmt.Errorf("no answer in %v (host status %#x): %w", c.took, c.host, unix.ETIMEDOUT)
	case c.host == didImmRetry || c.host == didRequeue:
		return again, rescue.HostError, fmt.Errorf("host status %#x", c.host)
	case c.status == statusCheckCondition:
		s, ok := passthrough.ParseSense(c.sense)
		if !ok {
			return denied, rescue.HostError, errors.New("check condition without sense data")
		}
		v, class := verdictOf(s)
		switch {
		case v == delivered:
			return delivered, rescue.OK, nil
		case s.Key == passthrough.KeyAborted && s.ASC == 0x00:
			return v, class, fmt.Errorf("%w: %w", ErrAborted, s)
		case class == rescue.Gone:
			return v, class, fmt.Errorf("%w: %w", ErrMediumChanged, s)
		}
		return v, class, s
	case c.host != 0:
		return denied, rescue.HostError, fmt.Errorf("host status %#x", c.host)
	case c.status == statusBusy || c.status == statusTaskSetFull:
		return spinning, rescue.HostError, fmt.Errorf("busy (status %#x)", c.status)
	case c.status != statusGood:
		return denied, rescue.HostError, fmt.Errorf("status %#x", c.status)
	}
	return delivered, rescue.OK, nil
}

// verdictOf says what sense data means for a read (SPC-4, 4.5.6 and annex F).
func verdictOf(s passthrough.Sense) (verdict, rescue.Class) {
	if s.Deferred {
		return denied, rescue.HostError
	}
	switch s.Key {
	case passthrough.KeyRecovered:
		return delivered, rescue.OK // with an effort, but the data is right
	case passthrough.KeyNotReady:
		if s.ASC == 0x04 && s.ASCQ != 0x03 { // 04/03: somebody has to come and help
			return spinning, rescue.NotReady
		}
		return denied, rescue.NotReady
	case passthrough.KeyMedium, passthrough.KeyBlankCheck:
		return denied, rescue.Medium
	case passthrough.KeyHardware:
		if placeNotFound(s.ASC) {
			return denied, rescue.Medium
		}
	case passthrough.KeyIllegalRequest:
		switch s.ASC {
		case 0x20:
			return unsupported, rescue.HostError
		case 0x21:
			return outside, rescue.HostError
		}
	case passthrough.KeyUnitAttention:
		switch s.ASC {
		case 0x28:
			return denied, rescue.Gone
		case 0x3A:
			return denied, rescue.NotReady
		}
		return again, rescue.HostError // it was reset, or the like
	}
	return denied, rescue.HostError
}

// placeNotFound tells hardware errors that are about one place of the medium, which
// the heads do not find or cannot follow, from those that are about the whole device.
func placeNotFound(asc uint8) bool {
	switch asc {
	case 0x01, // no index or sector signal
		0x02,       // no seek complete
		0x09,       // track following error
		0x10,       // ID CRC error
		0x11,       // unrecovered read error
		0x12, 0x13, // no address mark
		0x14, // record not found
		0x15, // positioning error
		0x16, // no data synchronisation mark
		0x31: // medium format corrupted
		return true
	}
	return false
}
