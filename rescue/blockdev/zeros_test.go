package blockdev

import (
	"errors"
	"testing"

	"salvor/rescue"
	"salvor/rescue/blockdev/faulty"
)

// zeroDisk truly holds zeros from its middle on.
func zeroDisk() *faulty.Disk {
	half := plugID.Bytes / 512 / 2
	return newDisk(faulty.Fault{First: half, Sectors: half, Kind: faulty.Lie})
}

func TestZerosAreBelievedWhenTheDiskStillTellsWhatItTold(t *testing.T) {
	d := zeroDisk()
	s := (&plug{}).source(d, Options{})
	readAll(t, s)
	if extra := int64(len(d.Attempts())) - plugID.Bytes/(64<<10); extra != 1 {
		t.Errorf("%d reads to make sure of one run of zeros", extra)
	}
	// A disk that never said anything cannot be asked.
	readAll(t, (&plug{}).source(otherDisk(), Options{}))
}

func TestZerosForEverythingAreNotTaken(t *testing.T) {
	half := plugID.Bytes / 512 / 2
	for _, tc := range []struct {
		name string
		from *faulty.Disk // read first
		then *faulty.Disk
		want rescue.Class
	}{
		{"a bridge that lies", newDisk(), otherDisk(), rescue.Inconsistent},
		{"nothing known can be read", newDisk(), newDisk(
			faulty.Fault{First: 0, Sectors: half, Kind: faulty.Bad}, faulty.Fault{First: half, Sectors: half, Kind: faulty.Lie},
		), rescue.HostError},
		{"it goes meanwhile", newDisk(), newDisk(
			faulty.Fault{First: 0, Sectors: half, Kind: faulty.Vanish}, faulty.Fault{First: half, Sectors: half, Kind: faulty.Lie},
		), rescue.Gone},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := (&plug{}).source(tc.from, Options{})
			for at := int64(0); at < half; at += 128 {
				s.ReadAt(t.Context(), make([]byte, 64<<10), at, 0)
			}
			s.at.read = tc.then.ReadAt
			for range 2 { // it stays so
				if res := s.ReadAt(t.Context(), make([]byte, 64<<10), half, 0); res.Class != tc.want || res.Good != 0 {
					t.Errorf("%+v", res)
				}
			}
		})
	}
}

func TestZerosAreDoubtedAfterAFailure(t *testing.T) {
	half := plugID.Bytes / 512 / 2
	s := (&plug{}).source(zeroDisk(), Options{})
	for at := int64(0); at < half+128; at += 128 {
		s.ReadAt(t.Context(), make([]byte, 64<<10), at, 0)
	}
	s.at.read = newDisk(faulty.Fault{First: half + 200, Sectors: 1}).ReadAt
	if res := s.ReadAt(t.Context(), make([]byte, 64<<10), half+128, 0); res.Class != rescue.Medium {
		t.Fatalf("%+v", res)
	}
	s.at.read = otherDisk().ReadAt // the failure made the bridge lie
	if res := s.ReadAt(t.Context(), make([]byte, 64<<10), half+256, 0); res.Class != rescue.Inconsistent || !errors.Is(res.Err, errZeros) {
		t.Errorf("%+v", res)
	}
}
