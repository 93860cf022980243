package faulty

import (
	"bytes"
	"context"
	"errors"
	"io"
	"syscall"
	"testing"
	"time"

	"salvor/rescue"
)

func TestDiskFailsAsPlanned(t *testing.T) {
	type read struct {
		first, n, good int64
		class          rescue.Class
	}
	for _, tc := range []struct {
		name  string
		plan  Plan
		reads []read
	}{
		{"bad", Plan{Faults: []Fault{{First: 5, Sectors: 2}}}, []read{{0, 5, 5, rescue.OK}, {0, 10, 0, rescue.Medium}, {6, 1, 0, rescue.Medium}, {7, 3, 3, rescue.OK}}},
		{"partial", Plan{Partial: true, Faults: []Fault{{First: 5, Sectors: 2}}}, []read{{0, 10, 5, rescue.Medium}}},
		{"heals", Plan{Faults: []Fault{{First: 5, Sectors: 2, Times: 2}}}, []read{{5, 1, 0, rescue.Medium}, {0, 10, 0, rescue.Medium}, {0, 10, 10, rescue.OK}}},
		{"short", Plan{Faults: []Fault{{First: 5, Sectors: 2, Kind: Short}}}, []read{{0, 10, 5, rescue.OK}, {5, 5, 0, rescue.Medium}}},
		{"vanishes", Plan{Faults: []Fault{{First: 5, Sectors: 1, Kind: Vanish}}}, []read{{0, 5, 5, rescue.OK}, {5, 1, 0, rescue.Gone}, {0, 5, 0, rescue.Gone}}},
		{"changes size", Plan{Faults: []Fault{{First: 5, Sectors: 1, Kind: Resize}}}, []read{{5, 1, 0, rescue.SizeChanged}, {0, 5, 0, rescue.SizeChanged}}},
		{"vanishes after reads", Plan{VanishAfter: 1, VanishAs: rescue.Gone}, []read{{0, 5, 5, rescue.OK}, {0, 5, 0, rescue.Gone}}},
		{"the first fault decides", Plan{Faults: []Fault{{First: 8, Sectors: 1, Kind: Vanish}, {First: 5, Sectors: 1}}}, []read{{0, 10, 0, rescue.Medium}, {6, 4, 0, rescue.Gone}}},
		{"nothing", Plan{Faults: []Fault{{First: 5, Sectors: 1, Kind: Nothing}}}, []read{{0, 10, 0, rescue.OK}}},
		{"host", Plan{Faults: []Fault{{First: 5, Sectors: 1, Kind: Host}}}, []read{{0, 10, 0, rescue.HostError}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.plan.Info.Bytes = 100 * 512
			d := New(tc.plan)
			want := make([]byte, 512)
			for i, r := range tc.reads {
				p := make([]byte, r.n*512)
				res := d.ReadAt(context.Background(), p, r.first, 0)
				if res.Good != r.good || res.Class != r.class || (res.Err == nil) != (r.class == rescue.OK) {
					t.Fatalf("read %d: %+v, want %+v", i, res, r)
				}
				for s := range res.Good {
					if Sector(want, r.first+s); !bytes.Equal(p[s*512:(s+1)*512], want) {
						t.Fatalf("read %d: sector %d holds other data", i, r.first+s)
					}
				}
			}
			if got := len(d.Attempts()); got != len(tc.reads) {
				t.Errorf("%d attempts of %d reads", got, len(tc.reads))
			}
		})
	}
}

func TestVirtualClockAddsUpWhatReadsCost(t *testing.T) {
	d := New(Plan{
		Info: rescue.Info{Bytes: 100 * 512}, Cost: time.Millisecond,
		Faults: []Fault{{First: 1, Sectors: 1, Kind: Slow, Cost: time.Second}, {First: 2, Sectors: 1, Cost: time.Minute}},
	})
	for range 2 {
		d.ReadAt(context.Background(), make([]byte, 4*512), 0, 0)
	}
	if want := 2 * (time.Minute + time.Second + time.Millisecond); d.Now() != want {
		t.Errorf("the clock is at %v, want %v", d.Now(), want)
	}
}

func TestReaderGivesTheErrnoOfADevice(t *testing.T) {
	d := New(Plan{Info: rescue.Info{Bytes: 10*512 - 12}, Faults: []Fault{{First: 3, Sectors: 1}, {First: 6, Sectors: 1, Kind: Vanish}}})
	r := d.Reader()
	for _, tc := range []struct {
		off  int64
		len  int
		n    int
		want error
	}{
		{100, 1000, 1000, nil},
		{1000, 1000, 0, syscall.EIO},
		{8*512 + 5, 2000, 1007, io.EOF},
		{10 * 512, 1, 0, io.EOF},
		{-1, 1, 0, syscall.EINVAL},
		{6 * 512, 1, 0, syscall.ENODEV},
		{0, 1, 0, syscall.ENODEV},
	} {
		if n, err := r.ReadAt(make([]byte, tc.len), tc.off); n != tc.n || !errors.Is(err, tc.want) {
			t.Errorf("%d bytes at %d: %d, %v; want %d, %v", tc.len, tc.off, n, err, tc.n, tc.want)
		}
	}
}
