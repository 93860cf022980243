package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"salvor/custody"
	"salvor/custody/vault"
)

// maxImageKey is more than a key file ever has: one with a hundred recipients has some 20 KiB.
const maxImageKey = 64 << 10

// checkKeys compares the key files that lie beside an image with what was recorded when
// they were written. It needs no secret, and an image whose keys are damaged is lost as
// surely as one whose records are.
func checkKeys(v *openedVault, ref vault.ImageRef, i custody.Image) error {
	newest := make(map[string]custody.KeyCopy) // by file
	for _, k := range i.Keys {
		if k.Keystore == v.id && k.Gone == nil {
			newest[path.Base(k.File)] = k
		}
	}
	for name, k := range newest {
		damaged := func(why string) error {
			return &vault.CorruptError{Ref: ref, Segment: -1, Record: -1, What: "key file " + name + " " + why}
		}
		f, err := v.dir.OpenMedia(path.Join(ref.KeyDir(), name))
		if errors.Is(err, fs.ErrNotExist) {
			return damaged("is not there")
		}
		if err != nil {
			return fmt.Errorf("key file %s: %w", name, err)
		}
		content, err := io.ReadAll(io.NewSectionReader(f, 0, maxImageKey))
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("key file %s: %w", name, err)
		}
		if sha256.Sum256(content) != [32]byte(k.SHA256) {
			return damaged("is not what was recorded")
		}
	}
	return nil
}
