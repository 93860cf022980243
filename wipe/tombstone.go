package wipe

import "os"

// Tombstone is what has to be kept of an image that was erased, so that it can be
// erased again when a copy of its vault is put back. It needs no state of the image.
type Tombstone struct {
	UUID                 [16]byte
	Dir, CaseDir, KeyDir string    // as in Target
	Keys                 []KeyCopy // that were made for it
}

// Target is what lies there again, to be planned and erased like any other. How much
// of the image came back is nobody's business: keys alone, content alone or a part of
// either is erased as well. What does not carry the image's mark is still refused
// with [ErrForeign]. Where the content did not come back, the job can only be ended
// with Options.UnlinkFailed, and its media class is FAILED: nothing was overwritten.
func (t Tombstone) Target(vault, keystore *os.Root, keystoreName string) Target {
	return Target{
		Vault: vault, Dir: t.Dir, CaseDir: t.CaseDir,
		Keystore: keystore, KeystoreName: keystoreName, KeyDir: t.KeyDir,
		UUID: t.UUID, ExpectedKeys: t.Keys,
		AcceptMissingKeys: true, AcceptMissingImage: true,
	}
}
