package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"filippo.io/age"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/vault"
)

// maxImageKey is more than a key file ever has: one with a hundred recipients has some 20 KiB.
const maxImageKey = 64 << 10

// imageKeys are the key files of an image: those that lie beside it and, in the place of
// what is missing or damaged there, their copies in other keystores.
type imageKeys struct {
	vault.Store // the keystore in the image's own vault
	ref         vault.ImageRef
	instead     map[string]*openedVault // where else a key file is read, by its name
	warnings    []string
	lost        error // of key files that are whole in no keystore; nil when there are none
}

// imageKeys compares the key files of an image with what was recorded when they were
// written. It needs no secret: an image whose keys are damaged is lost as surely as one
// whose records are.
func (s *station) imageKeys(ctx context.Context, v *openedVault, ref vault.ImageRef, i custody.Image) *imageKeys {
	k := &imageKeys{Store: v.dir, ref: ref, instead: make(map[string]*openedVault)}
	newest := make(map[string][]custody.KeyCopy) // by name; in every keystore the one that was wrapped last
	for _, c := range slices.Backward(i.Keys) {
		name := path.Base(c.File)
		if c.Gone == nil && !slices.ContainsFunc(newest[name], func(x custody.KeyCopy) bool { return x.Keystore == c.Keystore }) {
			newest[name] = append(newest[name], c)
		}
	}
	for name, copies := range newest {
		at := slices.IndexFunc(copies, func(c custody.KeyCopy) bool { return c.Keystore == v.id })
		if at < 0 {
			continue
		}
		err := keyDamage(v, copies[at])
		if err == nil {
			continue
		}
		why, cause := fmt.Sprintf("key file %s %v in vault %s", name, err, v.name), err
		for _, c := range slices.Delete(copies, at, at+1) {
			other, err := s.openVault(ctx, c.Keystore)
			if err != nil {
				why += fmt.Sprintf(", and %v", err)
			} else if err = keyDamage(other, c); err != nil {
				why += fmt.Sprintf(", and %v in vault %s", err, other.name)
				other.close()
			} else {
				k.instead[name] = other
				k.warnings = append(k.warnings, why+": its copy in vault "+other.name+" is used; copy it back from there")
				break
			}
			if errors.As(cause, new(keyFault)) {
				cause = err
			}
		}
		if k.instead[name] == nil {
			k.lost = errors.Join(k.lost, lostKey(ref, why, cause))
		}
	}
	return k
}

// lostKey is an answer about the image only where every keystore could be asked.
func lostKey(ref vault.ImageRef, why string, cause error) error {
	if errors.As(cause, new(keyFault)) {
		return &vault.CorruptError{Ref: ref, Segment: -1, Record: -1, What: why}
	}
	e := &ui.Error{Code: ui.Other, What: "image " + ref.String(), Why: why, Err: cause}
	var told *ui.Error
	if errors.As(explain(cause), &told) {
		e.Code, e.Hint = told.Code, told.Hint
	}
	return e
}

// A keyFault says how a key file differs from the record.
type keyFault string

func (f keyFault) Error() string { return string(f) }

// keyDamage compares one key file with the record, past the cache.
func keyDamage(v *openedVault, k custody.KeyCopy) error {
	f, err := v.dir.OpenMedia(k.File)
	if errors.Is(err, fs.ErrNotExist) {
		return keyFault("is not there")
	}
	if err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	content, err := io.ReadAll(io.NewSectionReader(f, 0, maxImageKey))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	if sha256.Sum256(content) != [32]byte(k.SHA256) {
		return keyFault("is not what was recorded")
	}
	return nil
}

// warnOf says which key files are left in other keystores alone.
func (s *station) warnOf(k *imageKeys) {
	for _, w := range k.warnings {
		s.term.Warn("%s: %s", k.ref, w)
	}
}

func (k *imageKeys) close() {
	for _, v := range k.instead {
		v.close()
	}
}

// unlock opens the image. A key file that is lost is told only where it was needed: a
// run that died before its first record left one that nothing depends on.
func (k *imageKeys) unlock(ctx context.Context, c *vault.Container, ids []age.Identity) (*vault.Reader, error) {
	r, err := c.Unlock(ctx, k, ids...)
	switch {
	case k.lost != nil && errors.Is(err, vault.ErrKeyFile):
		return nil, k.lost
	case k.lost != nil && errors.Is(err, vault.ErrWrongKey): // damage can look like that
		return nil, errors.Join(k.lost, err)
	}
	return r, err
}

// List implements [vault.Store].
func (k *imageKeys) List(dir string) ([]vault.Entry, error) {
	entries, err := k.Store.List(dir)
	if len(k.instead) == 0 || dir != k.ref.KeyDir() {
		return entries, err
	}
	entries = slices.DeleteFunc(entries, func(e vault.Entry) bool { return k.instead[e.Name] != nil })
	for name := range k.instead {
		entries = append(entries, vault.Entry{Name: name, File: true})
	}
	return entries, nil // what cannot be listed here is read there
}

// Open implements [vault.Store].
func (k *imageKeys) Open(name string) (vault.File, error) {
	if dir, file := path.Split(name); path.Clean(dir) == k.ref.KeyDir() && k.instead[file] != nil {
		return k.instead[file].dir.Open(name)
	}
	return k.Store.Open(name)
}
