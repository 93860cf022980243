package vault_test

import (
	"bytes"
	"errors"
	"testing"

	"salvor/custody/vault"
	"salvor/custody/vault/storetest"
)

// sealedWithAHole is a sealed image of want whose second half is bad.
func sealedWithAHole(t *testing.T, want []byte) (*storetest.Memory, vault.Seal) {
	t.Helper()
	b, mem, half := theBench(), storetest.NewMemory(), len(want)/2
	w, err := vault.Start(t.Context(), mem, mem, ref, b.superblock(int64(len(want))), b.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), 0, bytes.Clone(want[:half]), 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Mark(t.Context(), int64(half)/512, int64(half)/512, '-', 1); err != nil {
		t.Fatal(err)
	}
	seal, err := w.Seal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return mem, seal
}

func TestSealedImageWithBadSectorsIsGoneOnWithAndSealedAgain(t *testing.T) {
	want := noise(256 << 10)
	b := theBench()
	mem, first := sealedWithAHole(t, want)
	o := b.options()
	o.Unseal = true
	acked := vault.Position{Records: int(first.Records), Bytes: first.Rescued}
	w, c, err := vault.Resume(t.Context(), mem, mem, ref, acked, o)
	if err != nil {
		t.Fatal(err)
	}
	if c.Sealed() {
		t.Error("the image that is gone on with still counts as sealed")
	}
	if runs := c.Runs(); len(runs) != 2 || runs[1].Status != '-' {
		t.Errorf("map %v", runs)
	}
	half := len(want) / 2
	if err := w.Write(t.Context(), int64(half)/512, bytes.Clone(want[half:]), 2, nil); err != nil {
		t.Fatal(err)
	}
	second, err := w.Seal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if second.Records <= first.Records || second.Rescued != int64(len(want)) || second.Bad != 0 {
		t.Errorf("second seal %+v", second)
	}
	c, err = vault.OpenImage(t.Context(), mem, ref)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.VerifyMedia(t.Context(), b.verifier, nil); err != nil {
		t.Error(err)
	}
	r, err := c.Unlock(t.Context(), mem, b.identity)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := make([]byte, len(want))
	if _, err := r.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("content differs: %v", err)
	}
}

func TestOnlyAnImageThatLacksSomethingIsUnsealed(t *testing.T) {
	mem := written(t, noise(64<<10), 1, true)
	o := theBench().options()
	o.Unseal = true
	if _, _, err := vault.Resume(t.Context(), mem, mem, ref, vault.Position{}, o); !errors.Is(err, vault.ErrSealed) {
		t.Errorf("a whole image was unsealed: %v", err)
	}
}

// TestRunThatEndsRightAfterUnsealingLosesNothing stops between the seal and the first record.
func TestRunThatEndsRightAfterUnsealingLosesNothing(t *testing.T) {
	want := noise(256 << 10)
	mem, first := sealedWithAHole(t, want)
	acked := vault.Position{Records: int(first.Records), Bytes: first.Rescued}
	o := theBench().options()
	o.Unseal = true
	o.OnKey = func(vault.KeyFile) error { return errPower }
	if _, _, err := vault.Resume(t.Context(), mem, mem, ref, acked, o); !errors.Is(err, errPower) {
		t.Fatalf("got %v", err)
	}
	c, err := vault.OpenImage(t.Context(), mem, ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(acked); err != nil {
		t.Error(err)
	}
	o.OnKey = nil
	w, _, err := vault.Resume(t.Context(), mem, mem, ref, acked, o)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.Seal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again.Rescued != first.Rescued || again.Bad != first.Bad || again.Root != first.Root {
		t.Errorf("sealed again without a read: %d of %d rescued, before %d of %d", again.Rescued, again.Records, first.Rescued, first.Records)
	}
}
