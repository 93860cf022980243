package ledger

import (
	"bytes"
	"crypto/rand"
	"testing"

	"salvor/custody"
	"salvor/custody/journal"
)

// Whatever bytes stand in the file, reading them must neither panic nor give
// an event that the bytes do not spell.
func FuzzStoredEvent(f *testing.F) {
	st, err := NewStation(testShop, "T1", rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	e := custody.Event{ID: "01KB0F4VY9V3QK3Y8M6T2R7W5Z", Station: "T1", Seq: 1, TS: custody.At(testStart), Op: testOp, Pub: custody.Heartbeat{}}
	text, err := e.Encode()
	if err != nil {
		f.Fatal(err)
	}
	msg, err := st.SignNote(string(text))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(msg)
	f.Add(text)
	f.Add([]byte("\n\n— x y\n"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		text, ok := noteText(msg)
		if !ok {
			return
		}
		if !bytes.HasPrefix(msg, text) || bytes.Count(text, []byte("\n")) != 1 {
			t.Errorf("%q is not the text of %q", text, msg)
		}
		if signed, err := st.OpenNote(msg); err == nil && signed != string(text) {
			t.Errorf("signed is %q, read is %q", signed, text)
		}
		if e, err := custody.DecodeEvent(text); err == nil {
			if again, err := e.Encode(); err != nil || !bytes.Equal(again, text) {
				t.Errorf("%q came back as %q (%v)", text, again, err)
			}
		}
	})
}

func FuzzStoredPrivate(f *testing.F) {
	text, err := custody.EncodePrivate(custody.TypeCaseOpened, map[string]string{"customer": "x"})
	if err != nil {
		f.Fatal(err)
	}
	nonce := [custody.NonceSize]byte{1}
	commit := custody.Commit(nonce, text)
	f.Add(sealPrivate(nonce, text))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		fields, err := openPrivate(custody.TypeCaseOpened, commit, body)
		if err == nil && (fields["customer"] != "x" || !bytes.Equal(body, sealPrivate(nonce, text))) {
			t.Errorf("%q was taken for the private part", body)
		}
	})
}

func FuzzStationKey(f *testing.F) {
	st, err := NewStation(testShop, "T1", rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(st.text())
	f.Add(stationHeader + "\nshop \nstation \nsign \nseal \n")
	f.Add(stationHeader + "\nshop \nstation \nsign PRIVATE+KEY+x+00000000+AQ\nseal \n")
	f.Fuzz(func(t *testing.T, text string) {
		if st, err := parseStation(text); err == nil && st.text() != text {
			t.Error("another key came back")
		}
	})
}

// Whatever a bundle says, checking it does not panic, and what it accepts is the
// shop's.
func FuzzBundle(f *testing.F) {
	text, key, _, no := bundled(f)
	f.Add([]byte(text))
	f.Add([]byte(text[:len(text)/2]))
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"salvor":"bundle/1","case":"T1-2026-0001","card":"x"}` + "\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		r, err := CheckBundle(bytes.NewReader(p), key)
		if err == nil && (r.Shop != testShop || r.Case.No != no || string(p) != text) {
			t.Errorf("%+v", r.Case)
		}
	})
}

func FuzzAuditRecord(f *testing.F) {
	f.Add(record{key: "k", size: 3, digest: custody.Hash{1}}.text())
	f.Add(recordHeader + "\n\n\n\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		if r, ok := parseRecord(text); ok && r.text() != text {
			t.Errorf("%q came back as %q", text, r.text())
		}
	})
}

// Of an event that decodes, skim reads what decoding reads; of anything else it
// may say what it wants, without panicking.
func FuzzSkim(f *testing.F) {
	e := custody.Event{
		ID: "01KB0F4VY9V3QK3Y8M6T2R7W5Z", Station: "T1", Seq: 2, Prev: custody.Hash{1}, TS: custody.At(testStart), Op: testOp, Case: "T1-2026-0001",
		Pub: custody.PrivateErased{Events: []custody.Ref{{Station: "T1", Seq: 1}}}, Commit: custody.Hash{2},
	}
	text, err := e.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"v":1,"id":"`))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := skim(text)
		e, err := custody.DecodeEvent(text)
		if err != nil {
			return
		}
		if !ok || string(got.id) != e.ID || string(got.station) != e.Station || got.seq != e.Seq || !spells(got.prev, e.Prev) ||
			got.ts != e.TS.Unix() || string(got.kind) != string(e.Type()) || string(got.no) != string(e.Case) || got.commit != e.Commit {
			t.Errorf("%s\n%+v", text, got)
		}
		if p, isErased := e.Pub.(custody.PrivateErased); isErased {
			a := auditing{erased: make(map[custody.Ref]bool)}
			if !a.noteErased(text) || len(a.erased) != len(p.Events) {
				t.Errorf("%s\n%v", text, a.erased)
			}
		}
	})
}

// Whatever lies in a journal under the name of an event, reading it does not
// panic, and what is believed is what the station has signed.
func FuzzJournalFile(f *testing.F) {
	st, err := NewStation(testShop, "T1", rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	e := custody.Event{ID: "01KB0F4VY9V3QK3Y8M6T2R7W5Z", Station: "T1", Seq: 1, TS: custody.At(testStart), Op: testOp, Pub: custody.Heartbeat{}}
	text, err := e.Encode()
	if err != nil {
		f.Fatal(err)
	}
	msg, err := st.SignNote(string(text))
	if err != nil {
		f.Fatal(err)
	}
	cp, err := st.SignNote(custody.Checkpoint{Origin: st.Origin(), Size: 1}.Text())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(msg)
	f.Add(cp)
	f.Add(msg[:len(msg)-4])
	file := journal.FileOf(e.Ref(), custody.Leaf(text))
	p := peer{"T1", st.verifier}
	f.Fuzz(func(t *testing.T, p1 []byte) {
		v := newVault("v1")
		v.mem.Write(file.Name(), p1)
		v.mem.Write(journal.CheckpointName("T1"), p1)
		read, err := readEvents(t.Context(), v.Journal, p, []journal.File{file})
		if err != nil {
			t.Fatal(err)
		}
		if in := read[0]; in.err == nil && (in.leaf != custody.Leaf(text) || !bytes.HasPrefix(p1, text)) {
			t.Errorf("%s was believed", p1)
		}
		if got, _, ok, err := readPublished(v.Journal, p); err == nil && ok && got.Size != 1 {
			t.Errorf("%+v was believed", got)
		}
	})
}
