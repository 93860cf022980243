package ledger

import (
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/mod/sumdb/note"

	"salvor/custody"
	"salvor/custody/opkey"
)

// operatorSigner makes a signing key of the test's operator, held by an agent.
func operatorSigner(t *testing.T, seed byte) (*opkey.Key, note.Signer) {
	t.Helper()
	private := ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), seed))
	keyring, _ := agent.NewKeyring().(agent.ExtendedAgent)
	if err := keyring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	k, err := opkey.New(testShop, testOp, public)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := opkey.Over(keyring).Signer(k)
	if err != nil {
		t.Fatal(err)
	}
	return k, signer
}

func TestWhoHasAKeyMustSign(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	b := a.join(t, "B2", v.Journal)
	k, signer := operatorSigner(t, 1)
	_, stranger := operatorSigner(t, 2)
	beat := Entry{Pub: custody.Heartbeat{}}

	// Nobody has a key: a signature is not added, and nobody misses one.
	if _, err := a.SignedBy(signer).Append(t.Context(), testOp, beat); err != nil {
		t.Fatal(err)
	}
	a.append(t, Entry{Pub: custody.OperatorKeyAdded{Op: testOp, Key: k.ID(), Kind: custody.KeyAgent, Verifier: k.String()}})
	if _, err := a.Append(t.Context(), testOp, beat); !errors.Is(err, ErrUnsignedOperator) {
		t.Errorf("without the key: %v", err)
	}
	if _, err := a.SignedBy(stranger).Append(t.Context(), testOp, beat); !errors.Is(err, ErrUnsignedOperator) {
		t.Errorf("with another key: %v", err)
	}
	signed, err := a.SignedBy(signer).Append(t.Context(), testOp, beat)
	if err != nil {
		t.Fatal(err)
	}
	if msg, err := a.Note(t.Context(), signed[0].Ref()); err != nil || signatures(msg) != 2 {
		t.Errorf("%v %s", err, msg)
	}
	// The other station does not know of the key yet, and then it does.
	b.append(t, beat)
	b.sync(t, v.Journal)
	a.sync(t, v.Journal)
	b.sync(t, v.Journal)
	if _, err := b.Append(t.Context(), testOp, beat); !errors.Is(err, ErrUnsignedOperator) {
		t.Errorf("at the other station: %v", err)
	}
	if _, err := b.SignedBy(signer).Append(t.Context(), testOp, beat); err != nil {
		t.Error(err)
	}
	// An ended key signs no more.
	end := custody.At(a.clock.now().Add(time.Hour))
	if _, err := a.SignedBy(signer).Append(t.Context(), testOp, Entry{Pub: custody.OperatorKeyEnded{Op: testOp, Key: k.ID(), From: end, Why: custody.EndLost}}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.SignedBy(signer).Append(t.Context(), testOp, beat); err != nil {
		t.Errorf("before its end: %v", err)
	}
	a.clock.add(2 * time.Hour)
	a.append(t, beat) // asserted again
	a.sync(t, v.Journal)
	b.sync(t, v.Journal)
	a.sync(t, v.Journal)
	a.mustAudit(t)
	b.mustAudit(t)
	if r, err := b.AuditWith(t.Context(), AuditOptions{Full: true}); err != nil {
		t.Error(err, r.Faults)
	}
}

// A station that leaves its operators' signatures out is not believed, whatever
// it has signed itself.
func TestEventsWithoutTheirOperatorAreNotTakenIn(t *testing.T) {
	a, v := newShopfloor(t), newVault("v1")
	k, signer := operatorSigner(t, 1)
	a.append(t, Entry{Pub: custody.OperatorKeyAdded{Op: testOp, Key: k.ID(), Kind: custody.KeyAgent, Verifier: k.String()}})
	a.Ledger = a.SignedBy(signer)
	b := a.join(t, "B2", v.Journal)
	a.openCase(t)
	a.sync(t, v.Journal)
	before, _, err := logEnd(t.Context(), b.db, "T1")
	if err != nil {
		t.Fatal(err)
	}
	f := v.eventFile(t, "T1", before+2)
	v.tampered(t, f, func(msg []byte) []byte {
		text, _ := noteText(msg)
		bare, err := a.st.SignNote(string(text))
		if err != nil {
			t.Fatal(err)
		}
		return bare
	})
	if _, err := b.Import(t.Context(), v.Journal); !errors.Is(err, ErrUnsignedOperator) {
		t.Fatalf("got %v", err)
	}
	if after, _, err := logEnd(t.Context(), b.db, "T1"); err != nil || after != before+1 {
		t.Errorf("%v: %d events, want those before it: %d", err, after, before+1)
	}
	b.mustAudit(t)
}
