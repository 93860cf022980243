package blockdev

import (
	"os"
	"time"

	"salvor/rescue/blockdev/passthrough"
)

// sgCommand is a SCSI command for the kernel to pass on, and the answer to it.
type sgCommand struct {
	cdb     []byte
	data    []byte // what the device sends, or gets; nil for a command without data
	out     bool   // it gets the data
	timeout time.Duration

	// The answer.
	status  uint8         // of the device: 0 good, 2 check condition
	host    uint16        // of the host adapter, DID_*
	driver  uint16        // of the driver, DRIVER_*
	missing int           // bytes of data that did not come
	took    time.Duration // as the kernel measured it
	sense   []byte
}

// maxTimeout is the longest that a command may take.
const maxTimeout = 10 * time.Minute

// passThrough gives commands to an open SCSI block device by SG_IO. An error is the
// kernel's, which then did not pass the command on, or lost the device meanwhile.
func passThrough(f *os.File) func(*sgCommand) error {
	return func(c *sgCommand) error {
		way := passthrough.FromDrive
		if c.out {
			way = passthrough.ToDrive
		}
		a, err := passthrough.SCSI(f, c.cdb, c.data, way, min(c.timeout, maxTimeout))
		if err != nil {
			return err
		}
		c.status, c.host, c.driver, c.missing, c.took, c.sense = a.Status, a.Host, a.Driver, a.Missing, a.Took, a.Sense
		return nil
	}
}
