package blockdev

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/rescue"
	"salvor/rescue/blockdev/faulty"
)

// marked reads all of a disk and returns the landmarks.
func marked(t *testing.T) []Landmark {
	t.Helper()
	s := (&plug{}).source(newDisk(), Options{})
	readAll(t, s)
	list := s.Landmarks()
	if len(list) < askedLandmarks || len(list) > maxLandmarks {
		t.Fatalf("%d landmarks", len(list))
	}
	return list
}

func TestADiskIsKnownByItsLandmarks(t *testing.T) {
	list := marked(t)
	all := faulty.Fault{Sectors: plugID.Info().Sectors()}
	lies := all
	lies.Kind = faulty.Lie
	for _, tt := range []struct {
		name string
		disk *faulty.Disk
		want Likeness
	}{
		{"the same", newDisk(), Likeness{Same: askedLandmarks}},
		{"another", newDisk(lies), Likeness{Other: askedLandmarks}},
		{"one sector bad by now", newDisk(faulty.Fault{First: 3, Sectors: 1}), Likeness{Same: askedLandmarks - 1, Unread: 1}},
		{"dead by now", newDisk(all), Likeness{Unread: silentLandmarks}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := (&plug{}).source(tt.disk, Options{})
			got, err := s.KnowBy(t.Context(), list)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(list, s.Landmarks()); diff != "" {
				t.Error("not kept: ", diff)
			}
		})
	}
	gone := newDisk()
	gone.Vanish(rescue.Gone)
	if got, err := (&plug{}).source(gone, Options{}).KnowBy(t.Context(), list); err != nil || got.Same+got.Other > 0 || got.Unread != 1 {
		t.Errorf("of a disk that is gone: %+v, %v", got, err)
	}
}

// TestLandmarksStayFewAndKeepTheFirst: what is read first, tables and metadata, is kept
// however long the run is.
func TestLandmarksStayFewAndKeepTheFirst(t *testing.T) {
	s := &Source{id: plugID}
	s.id.Bytes = 1 << 40
	p := make([]byte, 1<<20)
	for i := range int64(100000) {
		s.mark(i*2048, p)
	}
	list := s.Landmarks()
	if len(list) <= askedLandmarks || len(list) > maxLandmarks {
		t.Fatalf("%d landmarks", len(list))
	}
	for i, l := range list {
		if i < firstLandmarks && l.First != int64(i)*2048 {
			t.Errorf("landmark %d is of sector %d", i, l.First)
		}
	}
	if last := list[len(list)-1].First / 2048; last < 90000 {
		t.Errorf("the last is of read %d", last)
	}
	if got := asked(list); len(got) != askedLandmarks || got[len(got)-1].First != list[len(list)-1].First {
		t.Errorf("%d are asked, up to %d", len(got), got[len(got)-1].First)
	}
}

func TestLandmarksOfAnotherDiskAreRefused(t *testing.T) {
	good := marked(t)[0]
	for name, spoil := range map[string]func(*Landmark){
		"before the disk": func(l *Landmark) { l.First = -1 },
		"behind the disk": func(l *Landmark) { l.First = plugID.Info().Sectors() },
		"over its end":    func(l *Landmark) { l.First = plugID.Info().Sectors() - 1 },
		"far out":         func(l *Landmark) { l.First = 1<<63 - 1 },
		"nothing":         func(l *Landmark) { l.Sectors = 0 },
		"too much":        func(l *Landmark) { l.Sectors = 1 << 40 },
		"half a hash":     func(l *Landmark) { l.Sum = l.Sum[:16] },
	} {
		t.Run(name, func(t *testing.T) {
			l := good
			spoil(&l)
			if _, err := (&plug{}).source(newDisk(), Options{}).KnowBy(t.Context(), []Landmark{l}); !errors.Is(err, ErrOtherDisk) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestKnowByEndsWithItsContextThoughAReadHangs(t *testing.T) {
	list := marked(t)
	s := (&plug{}).source(newDisk(), Options{})
	hang := make(chan struct{})
	defer close(hang)
	s.at.read = func(context.Context, []byte, int64, time.Duration) rescue.Result {
		<-hang
		return rescue.Result{}
	}
	why := errors.New("Ctrl-C")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := s.KnowBy(ctx, list); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}
