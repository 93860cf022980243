package rescue

import (
	"testing"
	"unsafe"
)

func TestPoolIsBoundedAlignedAndOutlivesItsRun(t *testing.T) {
	p, err := newPool(3)
	if err != nil {
		t.Fatal(err)
	}
	var lent [][]byte
	for b := p.take(); b != nil; b = p.take() {
		if at := uintptr(unsafe.Pointer(&b[0])); at%4096 != 0 || len(b) != MaxRead || cap(b) != MaxRead {
			t.Errorf("a buffer of %d bytes at %#x", len(b), at)
		}
		lent = append(lent, b)
	}
	if len(lent) != 3 {
		t.Fatalf("%d buffers of 3", len(lent))
	}
	p.close()
	for i, b := range lent {
		if p.mapping == nil {
			t.Fatalf("unmapped while %d buffers were lent", len(lent)-i)
		}
		b[0], b[MaxRead-1] = 1, 1 // still there for whoever holds it
		p.put(b[:10])
	}
	if p.mapping != nil {
		t.Error("not unmapped after the last buffer came back")
	}
}
