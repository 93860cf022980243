package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/vault"
)

type verifyOptions struct {
	image       string
	media, deep bool
	identities  []string
	passphrase  ui.SecretFrom
}

func newVerify(p *program) *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify CASE",
		Short: "check that an image is whole and what was sealed",
		Long: `Checks the images of a case. Without a flag: superblock, headers, footers, tree,
signature, key files and ledger agree. With --media every stored byte is read again past the
cache. With --deep every record is opened with one of the shop's keys and the
SHA-256 of the whole disk is computed; it goes to the private part of the record.`,
		Example: `  salvor verify T1-2026-0001
  salvor verify T1-2026-0001 --deep --identity counter.key`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStation(cmd.Context(), func(s *station) error { return s.verifyCase(cmd.Context(), args[0], o) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.image, "image", "", "only this image of the case, such as image-01")
	f.BoolVar(&o.media, "media", false, "read every stored byte again")
	f.BoolVar(&o.deep, "deep", false, "open every record; needs --identity")
	f.StringArrayVar(&o.identities, "identity", nil, "identity `FILE` of a shop key; may be repeated")
	passphraseFlags(cmd, &o.passphrase)
	return cmd
}

// findCase reads a case number that a person typed and the case behind it.
func (s *station) findCase(ctx context.Context, text string) (custody.Case, error) {
	no, err := custody.ParseCaseNo(text)
	if err != nil {
		return custody.Case{}, usage("case", "not a case number such as T1-2026-0001", "salvor cases")
	}
	c, err := s.ledger.Case(ctx, no)
	if errors.Is(err, ledger.ErrNotFound) {
		return c, &ui.Error{Code: ui.NotFound, What: "case " + text, Why: "not in this station's ledger", Hint: "salvor cases", Err: err}
	}
	return c, err
}

// pick returns the named image of a case, or all that are not erased.
func pick(c custody.Case, name string) ([]custody.Image, error) {
	if name != "" {
		i, ok := c.Image(name)
		if !ok {
			return nil, &ui.Error{Code: ui.NotFound, What: "case " + string(c.No), Why: "it has no such image", Hint: "salvor show " + string(c.No)}
		}
		return []custody.Image{i}, nil
	}
	var left []custody.Image
	for _, i := range c.Images {
		if i.Left() {
			left = append(left, i)
		}
	}
	if len(left) == 0 {
		why := "it has no image yet"
		if len(c.Images) > 0 {
			why = "every image of it is erased"
		}
		return nil, &ui.Error{Code: ui.NotFound, What: "case " + string(c.No), Why: why, Hint: "salvor show " + string(c.No)}
	}
	return left, nil
}

func (s *station) verifyCase(ctx context.Context, no string, o verifyOptions) error {
	level := custody.VerifyQuick
	switch {
	case o.deep:
		level = custody.VerifyDeep
	case o.media:
		level = custody.VerifyMedia
	}
	c, err := s.findCase(ctx, no)
	if err != nil {
		return err
	}
	images, err := pick(c, o.image)
	if err != nil {
		return err
	}
	var deep *opener
	if o.deep {
		ids, err := s.identities(ctx, o.identities, o.passphrase)
		if err != nil {
			return err
		}
		deep = &opener{s: s, ids: ids}
	}
	var failed error
	for _, i := range images {
		if err := s.verifyImage(ctx, c, i, level, deep); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// verifyImage checks one image and records what was found. The record of a deep check
// holds the SHA-256 of the content, as a private part.
func (s *station) verifyImage(ctx context.Context, c custody.Case, i custody.Image, level custody.VerifyLevel, o *opener) error {
	v, err := s.openVault(ctx, i.Vault)
	if err != nil {
		return err
	}
	defer v.close()
	ref := vault.ImageRef{Case: string(c.No), Name: i.Name}
	result, err := s.verify(ctx, v, c.No, i, level)
	var content vault.Content
	if err == nil && level == custody.VerifyDeep {
		content, err = s.deep(ctx, v, c.No, i, o)
	}
	if err != nil && !errors.Is(err, vault.ErrCorrupt) && !errors.Is(err, vault.ErrSignature) {
		return err // not an answer about the image
	}
	private := map[string]string{}
	if err == nil && level == custody.VerifyDeep {
		private[custody.FieldSHA256] = hex.EncodeToString(content.SHA256[:])
	}
	_, recordErr := s.happened(context.WithoutCancel(ctx), s.operatorOrStation(ctx), ledger.Entry{
		Case: c.No, Item: i.Item, Private: private,
		Pub: custody.ImageVerified{Image: i.Name, Level: level, OK: err == nil, Records: result.Records, Bytes: result.Bytes},
	})
	if err := errors.Join(err, recordErr); err != nil {
		return err
	}
	if s.json {
		return s.term.Message("verified", map[string]any{
			"case": c.No, "image": i.Name, "level": level, "ok": true, "root": custody.Hash(result.Root),
			"records": result.Records, "bytes": result.Bytes, "unread": content.Unread,
		})
	}
	fmt.Fprintf(s.term.Out, "%s  %s, %s, root %s\n", ref, checkWords(level), counted(result.Records, "record", "records"), custody.Hash(result.Root))
	return nil
}

// checkWords says what a level of checking did, and no more.
func checkWords(level custody.VerifyLevel) string {
	switch level {
	case custody.VerifyQuick:
		return "structure, seal and signature agree"
	case custody.VerifyMedia:
		return "every stored byte was read back and is what was sealed"
	case custody.VerifyDeep:
		return "every record was opened and is authentic"
	}
	return string(level)
}

// verify runs the checks that need no secret; a deep check begins with them.
func (s *station) verify(ctx context.Context, v *openedVault, no custody.CaseNo, i custody.Image, level custody.VerifyLevel) (vault.Verified, error) {
	acked, err := s.ledger.Progress(ctx, no, i.Name) // first: a run may be going on
	if err != nil {
		return vault.Verified{}, err
	}
	c, err := s.openContainer(ctx, v, no, i)
	if err != nil {
		return vault.Verified{}, err
	}
	defer c.Close()
	if i.Seal == nil { // else the root says so
		if err := c.Check(vault.Position(acked)); err != nil {
			return vault.Verified{}, err
		}
	}
	keys := s.imageKeys(ctx, v, c.Ref(), i)
	keys.close()
	if keys.lost != nil {
		return vault.Verified{}, keys.lost
	}
	if level != custody.VerifyDeep { // it opens them, and tells then
		s.warnOf(keys)
	}
	verifier, err := s.sealVerifier(ctx, c)
	if err != nil {
		return vault.Verified{}, err
	}
	bar := s.term.Progress(fmt.Sprintf("verify %s/%s", no, i.Name), ui.Bytes)
	defer bar.End()
	progress := func(done, total int64) { bar.Set(done, total, ui.UnknownRate, "") }
	check := c.VerifyQuick
	if level == custody.VerifyMedia {
		check = c.VerifyMedia
	}
	result, err := check(ctx, verifier, progress)
	if err == nil && i.Seal != nil && result.Records != i.Seal.Records {
		err = &vault.CorruptError{Ref: c.Ref(), Segment: -1, Record: -1, What: "not as many records as the ledger recorded"}
	}
	return result, err
}

// sealVerifier is the key that an image is sealed with: of the station that made it, or of
// another that went on with it. Both have to be of the shop, whatever the superblock and the
// seal say.
func (s *station) sealVerifier(ctx context.Context, c *vault.Container) (note.Verifier, error) {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return nil, err
	}
	made := c.Superblock().Station
	var maker note.Verifier
	var all []note.Verifier
	for _, st := range shop.Stations {
		v, err := note.NewVerifier(st.Sign)
		if err != nil {
			return nil, fmt.Errorf("key of station %s: %w", st.Station, err)
		}
		all = append(all, v)
		if key, err := stationPublicKey(st.Sign); err == nil && made.Equal(key) {
			maker = v
		}
	}
	if maker == nil {
		return nil, fmt.Errorf("%w: no station of this shop made the image", vault.ErrSignature)
	}
	if seal, err := note.Open(c.Seal().Note, note.VerifierList(all...)); err == nil {
		for _, v := range all {
			if v.Name() == seal.Sigs[0].Name && v.KeyHash() == seal.Sigs[0].Hash {
				return v, nil
			}
		}
	}
	return maker, nil // it is not sealed, or the check says why the seal is none
}

func (s *station) deep(ctx context.Context, v *openedVault, no custody.CaseNo, i custody.Image, o *opener) (vault.Content, error) {
	r, done, err := o.open(ctx, v, no, i)
	if err != nil {
		return vault.Content{}, err
	}
	defer done()
	bar := s.term.Progress(fmt.Sprintf("open %s/%s", no, i.Name), ui.Bytes)
	defer bar.End()
	return r.Deep(ctx, func(n, total int64) { bar.Set(n, total, ui.UnknownRate, "") })
}
