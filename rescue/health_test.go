package rescue

import (
	"bytes"
	"testing"

	"salvor/rescue/mapfile"
)

// TestCheckComparesWithWhatWasReadBeforeItBegan lets a good read come in while the newest
// canary is being read again. It becomes the newest one, and must not change what the
// check compares with.
func TestCheckComparesWithWhatWasReadBeforeItBegan(t *testing.T) {
	info := Info{Bytes: 1 << 20, Sector: 512, Physical: 512}
	h := newHealth(info)
	content := func(with byte) []byte { return append(bytes.Repeat([]byte{with}, 511), with+1) }
	read := func(at int64, with byte) {
		h.saw(Read{First: at, Sectors: 1}, Result{Good: 1, Class: OK}, content(with))
	}
	for i := range int64(3) {
		read(10*i, byte(i+1))
	}
	h.begin(mapfile.New(info.Sectors()))
	newest := h.todo[len(h.todo)-1]
	if newest.first != 20 {
		t.Fatalf("the check asks for %+v", h.todo)
	}
	read(30, 7)
	if err := h.heard(newest, Result{Good: 1, Class: OK}, content(3)); err != nil {
		t.Error(err)
	}
}
