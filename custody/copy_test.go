package custody

import "testing"

// What an opening announced is a copy from its first byte on: a run that was cut off may
// have left part of the data where it wrote.
func TestACopyBeginsWhenItIsAnnounced(t *testing.T) {
	d := newDesk(t)
	d.open(CaseOpened{})
	d.image("image-01")
	out := Export{Copy: "c-1", Removable: true, Plain: true, Handover: true}
	d.must(DataOpened{Image: "image-01", Use: UseRestore, Export: out}, FieldReason, "to hand over")
	x, ok := d.c().Export("c-1")
	if !ok || !x.Begun || !x.End.Open() || x.Image != "image-01" || x.Export != out {
		t.Fatalf("announced: %+v, %v", x, ok)
	}
	d.must(DataRestored{Image: "image-01", Target: TargetDevice, Bytes: 4096, Export: out})
	if x, _ = d.c().Export("c-1"); x.Begun || x.Bytes != 4096 || x.Target != TargetDevice || len(d.c().Exports) != 1 {
		t.Errorf("finished: %+v", x)
	}
	d.must(DataOpened{Image: "image-01", Use: UseRestore, Export: Export{Copy: "c-2", Plain: true}}, FieldReason, "to look")
	d.must(CopyErased{Copy: "c-2", Media: MediaRaw})
	if x, _ = d.c().Export("c-2"); !x.Begun || x.End.Fate != CopyIsErased {
		t.Errorf("cut off, then wiped: %+v", x)
	}
	d.must(DataOpened{Image: "image-01", Use: UseMount}, FieldReason, "to look")
	if n := len(d.c().Exports); n != 2 {
		t.Errorf("looking makes no copy: %d", n)
	}
}
