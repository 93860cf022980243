package ledger

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"salvor/custody/journal"
)

// A request to join lies in a vault that others can write to. Whatever is done to it,
// either it is refused and named, or it is, for everybody who looks, still the request of
// that station's keys; and the code that the station shows lets nobody else in.
func TestTamperedEnrolmentIsRefusedOrNamed(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	a.sync(t, v.Journal)
	st := newStation(t, "B2")
	code, err := AskToJoin(v.Journal, st)
	if err != nil {
		t.Fatal(err)
	}
	const file = "requests/B2.note"
	good, err := v.mem.Read(file, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	before, _, err := logEnd(t.Context(), a.db, "T1")
	if err != nil {
		t.Fatal(err)
	}
	// try puts a request in the place of the good one, and says whether it was refused.
	try := func(what string, msg []byte) bool {
		t.Helper()
		if err := v.mem.Write(file, msg); err != nil {
			t.Fatal(err)
		}
		requests, err := a.Requests(t.Context(), v.Journal)
		var r *RefusedError
		refused := errors.As(err, &r) && slices.ContainsFunc(r.Refusals, func(x journal.Refusal) bool { return x.File == file })
		switch {
		case err != nil && !refused:
			t.Fatalf("%s: %v", what, err)
		case refused == (len(requests) > 0):
			t.Fatalf("%s: refused %v, and believed %v", what, err, requests)
		}
		return refused
	}
	same, named := 0, 0
	for at := range good {
		for bit := range 8 {
			bad := slices.Clone(good)
			bad[at] ^= 1 << bit
			if try("a bit", bad) {
				named++
				continue
			}
			// Spare bits at the end of what is written in base 64 mean nothing.
			requests, _ := a.Requests(t.Context(), v.Journal)
			if requests[0].Card != st.Card() || requests[0].Code != code {
				t.Errorf("bit %d of byte %d: another card is believed: %+v", bit, at, requests[0])
			}
			same++
		}
	}
	if named < 8*len(good)-16 || same > 16 {
		t.Errorf("%d of %d edits were refused, %d change nothing", named, 8*len(good), same)
	}

	// The same by somebody with a key of his own, who signs what he has changed.
	thief := newStation(t, "B2")
	other := newStation(t, "B3")
	signed := func(kind journal.CardKind, c journal.Card, signer note.Signer) []byte {
		msg, err := journal.SignCard(kind, c, signer)
		if err != nil {
			t.Fatal(err)
		}
		return msg
	}
	sealed := st.Card()
	sealed.Seal = thief.Card().Seal
	foreign, err := NewStation("01kb0f4vy9v3qk3y8m6t2r7w60", "B2", zeros{})
	if err != nil {
		t.Fatal(err)
	}
	resigned, err := note.Sign(&note.Note{Text: strings.Replace(string(good[:strings.Index(string(good), "\n\n")+1]), st.Recipient(), thief.Recipient(), 1)}, thief.signer)
	if err != nil {
		t.Fatal(err)
	}
	for what, msg := range map[string][]byte{
		"another station's name":           signed(journal.RequestCard, other.Card(), other.signer),
		"another kind of card":             signed(journal.StationCard, st.Card(), st.signer),
		"of another shop":                  signed(journal.RequestCard, foreign.Card(), foreign.signer),
		"the seal changed, signed by him":  resigned,
		"cut":                              good[:len(good)-10],
		"empty":                            nil,
		"huge":                             append(slices.Clone(good), make([]byte, 1<<16)...),
		"signed by a second one as well":   append(slices.Clone(good), resigned[strings.LastIndex(string(resigned), "\u2014"):]...),
		"another text under the signature": []byte(strings.Replace(string(good), "station B2", "station B3", 1)),
	} {
		if !try(what, msg) {
			t.Errorf("%s: it is believed", what)
		}
		if err := a.Approve(t.Context(), testOp, "B2", code, v.Journal); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: approved: %v", what, err)
		}
	}
	// His own card is a request like any other: what tells it is the code.
	if try("his own keys", signed(journal.RequestCard, thief.Card(), thief.signer)) {
		t.Error("a request in its own right")
	}
	if err := a.Approve(t.Context(), testOp, "B2", code, v.Journal); !errors.Is(err, ErrCode) {
		t.Errorf("his own keys under the code of the station: %v", err)
	}
	if after, _, err := logEnd(t.Context(), a.db, "T1"); err != nil || after != before {
		t.Errorf("%d events were recorded: %v", after-before, err)
	}
	try("the good one", good)
	if err := a.Approve(t.Context(), testOp, "B2", code, v.Journal); err != nil {
		t.Error(err)
	}
}
