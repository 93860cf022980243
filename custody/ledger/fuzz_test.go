package ledger

import (
	"bytes"
	"crypto/rand"
	"testing"

	"salvor/custody"
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
