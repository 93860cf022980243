package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/vault"
)

func newKey(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "the shop's keys: only they open an image",
		Long: `Every image is encrypted to all of the shop's keys, at least two. Imaging and
purging need none of them; giving data back needs one. Keep the first, protected by
a passphrase, away from the bench, and the second on paper in a safe.`,
		Example: "  salvor key new --label counter --out counter.key\n  salvor key list",
		RunE:    showHelp,
	}
	cmd.AddCommand(newKeyNew(p), newKeyAdd(p), newKeyList(p), newKeyTest(p))
	return cmd
}

// newKeyOptions are the flags of `key new`.
type newKeyOptions struct {
	label, out string
	paper      bool
	passphrase ui.SecretFrom
}

func newKeyNew(p *program) *cobra.Command {
	var o newKeyOptions
	cmd := &cobra.Command{
		Use:   "new",
		Short: "make a shop key and add it",
		Long: `Makes a new key and adds its public half to the shop. The private half goes to a
file that only the passphrase opens; salvor keeps no copy of it. With --paper it is
written as a page to print and put into a safe, without a passphrase: whoever holds
the page opens every image.

Without a passphrase flag, ten words are offered on the terminal.`,
		Example: `  salvor key new --label counter --out counter.key
  salvor key new --label safe --paper --out safe.txt`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStation(cmd.Context(), func(s *station) error {
				recipient, err := s.newKey(cmd.Context(), o)
				if err != nil {
					return err
				}
				return s.saidKey(o.label, recipient)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.label, "label", "", "what the shop calls the key: counter, safe")
	f.StringVar(&o.out, "out", "", "file for the private half; it must not exist")
	f.BoolVar(&o.paper, "paper", false, "a page to print for the safe, without a passphrase")
	passphraseFlags(cmd, &o.passphrase)
	return cmd
}

// passphraseFlags adds the ways to give a passphrase without a terminal.
func passphraseFlags(cmd *cobra.Command, from *ui.SecretFrom) {
	f := cmd.Flags()
	f.StringVar(&from.File, "passphrase-file", "", "read the passphrase from a file")
	f.StringVar(&from.FD, "passphrase-fd", "", "read the passphrase from an open file descriptor")
	f.StringVar(&from.Credential, "passphrase-credential", "", "read the passphrase from a systemd credential")
}

// newKey makes a key, writes its private half durably, and then adds the public
// half: a key that nobody holds must never become a recipient.
func (s *station) newKey(ctx context.Context, o newKeyOptions) (string, error) {
	if err := custody.CheckLabel(o.label); err != nil {
		return "", usage("key", "a label is up to 32 of a-z, 0-9, _ . and -, beginning with a letter", "--label counter")
	}
	if o.out == "" {
		return "", usage("key", "where should the private half go?", "--out FILE")
	}
	if o.paper && o.passphrase.Given() {
		return "", usage("key", "a key on paper has no passphrase", "leave one of the two flags out")
	}
	if err := s.keepOut(ctx, o.out); err != nil {
		return "", err
	}
	if _, err := os.Lstat(o.out); err == nil {
		return "", refuse("key", "the file "+o.out+" exists", "use another --out")
	}
	var passphrase []byte
	if !o.paper {
		var err error
		if passphrase, err = s.choosePassphrase(ctx, o); err != nil {
			return "", err
		}
	}
	id, err := vault.NewIdentity()
	if err != nil {
		return "", err
	}
	file, err := vault.IdentityFile(id, s.now(), string(passphrase))
	if err != nil {
		return "", err
	}
	if o.paper {
		file = s.paperKey(file, o.label)
	}
	if err := writeNew(o.out, file); err != nil {
		return "", err
	}
	recipient := id.Recipient().String()
	return recipient, s.addKey(ctx, recipient, o.label)
}

// choosePassphrase offers ten words that salvor drew, or takes the person's own.
func (s *station) choosePassphrase(ctx context.Context, o newKeyOptions) ([]byte, error) {
	check := func(p []byte) error { return vault.CheckPassphrase(string(p)) }
	question := ui.Question{Text: "passphrase for the key " + o.label, Flag: "--passphrase-file"}
	if o.passphrase.Given() {
		return s.term.ReadNewSecret(ctx, o.passphrase, question, check)
	}
	if !s.term.CanAsk() {
		return nil, usage("passphrase", "there is no terminal to ask on", "--passphrase-file FILE")
	}
	words, err := vault.NewPassphrase(rand.Reader)
	if err != nil {
		return nil, err
	}
	use, err := s.term.YesNo(ctx, ui.Question{
		Text: "protect the key " + o.label + " with these ten words? Write them down now, they are not shown again:\n\n    " + words + "\n\nuse them",
		Flag: "--passphrase-file", Default: "yes",
	})
	if err != nil {
		return nil, err
	}
	if use {
		return []byte(words), nil
	}
	return s.term.NewSecret(ctx, question, check)
}

// paperKey is the page for the safe.
func (s *station) paperKey(file []byte, label string) []byte {
	return fmt.Appendf(nil, `# SALVOR RECOVERY KEY "%s" of %s
#
# Whoever holds this page opens every image of the shop. Print it, put it into a
# safe, and delete the file. To use it, type the line that begins with
# AGE-SECRET-KEY into a file and name that file with --identity.
#
%s`, label, strings.Map(oneLine, s.config.Shop.Name), file)
}

// oneLine keeps a name from ending the comment that it stands in.
func oneLine(r rune) rune {
	if r < ' ' {
		return ' '
	}
	return r
}

func newKeyAdd(p *program) *cobra.Command {
	var label string
	cmd := &cobra.Command{
		Use:     "add RECIPIENT",
		Short:   "add the public half of a key that was made elsewhere",
		Example: "  salvor key add age1… --label safe",
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStation(cmd.Context(), func(s *station) error {
				if err := s.addKey(cmd.Context(), args[0], label); err != nil {
					return err
				}
				return s.saidKey(label, args[0])
			})
		},
	}
	cmd.Flags().StringVar(&label, "label", "", "what the shop calls the key: counter, safe")
	return cmd
}

// keyID is the id of a shop key: the beginning of the SHA-256 of its public half.
func keyID(recipient string) string {
	sum := sha256.Sum256([]byte(recipient))
	return "key-" + hex.EncodeToString(sum[:4])
}

func (s *station) addKey(ctx context.Context, recipient, label string) error {
	if err := custody.CheckLabel(label); err != nil {
		return usage("key", "a label is up to 32 of a-z, 0-9, _ . and -, beginning with a letter", "--label counter")
	}
	if strings.HasPrefix(strings.ToUpper(recipient), "AGE-SECRET-KEY-") {
		return refuse("key", "that is the private half, and it now stands in your shell's history", "make another key; add only the half that begins with age1")
	}
	parsed, err := vault.ParseRecipient(recipient)
	if err != nil {
		return &ui.Error{Code: ui.Usage, What: "key", Why: "not the public half of an age key", Hint: "it begins with age1, or is an SSH key of two words (ssh-ed25519 AAAA…) without its comment", Err: err}
	}
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	all := []age.Recipient{parsed}
	for _, k := range shop.Keys {
		if k.Recipient == recipient {
			return refuse("key", "the shop has it already as "+k.Label, "salvor key list")
		}
		if k.Label == label {
			return refuse("key", "the shop has another key called "+label, "use another --label")
		}
		r, err := vault.ParseRecipient(k.Recipient)
		if err != nil {
			return err
		}
		all = append(all, r)
	}
	// age refuses to mix classic and post-quantum recipients: find out now, not when a
	// customer's disk lies on the bench.
	if w, err := age.Encrypt(io.Discard, all...); err != nil {
		return &ui.Error{Code: ui.Refused, What: "key", Why: "it cannot be used together with the shop's other keys", Hint: "use one family for all keys: age1… or age1pq…", Err: err}
	} else if err := w.Close(); err != nil {
		return err
	}
	_, err = s.ledger.Append(ctx, s.operatorOrStation(ctx), ledger.Entry{
		Pub: custody.KeyAdded{Key: keyID(recipient), Recipient: recipient, Label: label},
	})
	return err
}

func (s *station) saidKey(label, recipient string) error {
	if s.json {
		return s.term.Document(map[string]string{"key": keyID(recipient), "label": label, "recipient": recipient})
	}
	s.term.Say("key %s is added: every new image can be opened with it", label)
	return nil
}

func newKeyList(p *program) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "the keys to which images are encrypted",
		Example: "  salvor key list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStation(cmd.Context(), func(s *station) error {
				shop, err := s.ledger.Shop(cmd.Context())
				if err != nil {
					return err
				}
				type row struct {
					Key       string       `json:"key"`
					Label     string       `json:"label"`
					Recipient string       `json:"recipient"`
					Added     custody.Time `json:"added"`
				}
				rows := []row{}
				for _, k := range shop.Keys {
					rows = append(rows, row{k.Key, k.Label, k.Recipient, custody.At(k.At)})
				}
				if p.json {
					return p.term.Document(map[string]any{"keys": rows})
				}
				t := p.term.Table("label", "id", "added", "~recipient")
				for _, r := range rows {
					t.Row(r.Label, r.Key, p.term.Date(r.Added.Time), r.Recipient)
				}
				if t.Len() < 2 {
					p.term.Warn("an image needs at least two keys: salvor key new")
				}
				return t.Flush()
			})
		},
	}
}

func newKeyTest(p *program) *cobra.Command {
	var files []string
	var from ui.SecretFrom
	cmd := &cobra.Command{
		Use:   "test",
		Short: "try whether an identity file still opens what the shop keeps",
		Long: `Opens the key files of the newest image with each identity; nothing of the
customer's data is read. Without an image it is tried on a key file of its own.`,
		Example: "  salvor key test --identity counter.key",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(files) == 0 {
				return usage("key test", "no identity file", "--identity FILE")
			}
			return p.withStation(cmd.Context(), func(s *station) error { return s.testKeys(cmd.Context(), files, from) })
		},
	}
	cmd.Flags().StringArrayVar(&files, "identity", nil, "identity `FILE` to try; may be repeated")
	passphraseFlags(cmd, &from)
	return cmd
}

func (s *station) testKeys(ctx context.Context, files []string, from ui.SecretFrom) error {
	open, what, err := s.keyTrial(ctx)
	if err != nil {
		return err
	}
	for _, file := range files {
		ids, err := s.identities(ctx, []string{file}, from)
		if err != nil {
			return err
		}
		if err := open(ids); err != nil {
			return fmt.Errorf("key test: %s: %w", file, err)
		}
		if s.json {
			if err := s.term.Message("key", map[string]string{"identity": file, "opened": what}); err != nil {
				return err
			}
			continue
		}
		s.term.Say("%s opens %s", file, what)
	}
	return nil
}

// keyTrial returns a way to try identities: on the newest image whose vault is there,
// else on a key file made for the trial.
func (s *station) keyTrial(ctx context.Context) (open func([]age.Identity) error, what string, err error) {
	cases, err := s.ledger.Cases(ctx, ledger.Filter{All: true})
	if err != nil {
		return nil, "", err
	}
	var newest custody.Image
	var no custody.CaseNo
	for _, c := range cases {
		for _, i := range c.Images {
			if i.State == custody.ImageIsSealed && !i.Created.Before(newest.Created) {
				newest, no = i, c.No
			}
		}
	}
	if no == "" {
		return s.keyTrialFile(ctx)
	}
	ref := vault.ImageRef{Case: string(no), Name: newest.Name}
	return func(ids []age.Identity) error {
		v, err := s.openVault(ctx, newest.Vault)
		if err != nil {
			return err
		}
		defer v.close()
		_, done, err := (&opener{s: s, ids: ids}).open(ctx, v, no, newest)
		if err != nil {
			return err
		}
		done()
		return nil
	}, "the keys of " + ref.String(), nil
}

func (s *station) keyTrialFile(ctx context.Context) (func([]age.Identity) error, string, error) {
	recipients, _, err := s.recipients(ctx)
	if err != nil {
		return nil, "", err
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, recipients...)
	if err != nil {
		return nil, "", err
	}
	if _, err := io.WriteString(w, "salvor key test"); err != nil {
		return nil, "", err
	}
	if err := w.Close(); err != nil {
		return nil, "", err
	}
	return func(ids []age.Identity) error {
		r, err := age.Decrypt(bytes.NewReader(sealed.Bytes()), ids...)
		if err != nil {
			return fmt.Errorf("%w: %w", vault.ErrWrongKey, err)
		}
		_, err = io.Copy(io.Discard, r)
		return err
	}, "a key file made for this test; there is no image yet", nil
}

// recipients are the public halves of the shop's keys, with their ids.
func (s *station) recipients(ctx context.Context) ([]age.Recipient, []string, error) {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return nil, nil, err
	}
	var list []age.Recipient
	var ids []string
	for _, k := range shop.Keys { // sorted by id
		r, err := vault.ParseRecipient(k.Recipient)
		if err != nil {
			return nil, nil, fmt.Errorf("key %s: %w", k.Label, err)
		}
		list, ids = append(list, r), append(ids, k.Key)
	}
	if len(list) < 2 {
		return nil, nil, &ui.Error{Code: ui.Refused, What: "keys", Why: "an image needs at least two of the shop's keys", Hint: "salvor key new, or salvor key add", Err: vault.ErrRecipients}
	}
	return list, ids, nil
}

// identities reads identity files and asks for the passphrase of a protected one.
func (s *station) identities(ctx context.Context, files []string, from ui.SecretFrom) ([]age.Identity, error) {
	if len(files) == 0 {
		return nil, usage("identity", "giving data back needs one of the shop's keys", "--identity FILE")
	}
	var all []age.Identity
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("identity file: %w", err)
		}
		ids, err := vault.ReadIdentities(f, func() (string, error) {
			p, err := s.term.ReadSecret(ctx, from, ui.Question{Text: "passphrase of " + file, Flag: "--passphrase-file"})
			return string(p), err
		})
		f.Close()
		switch {
		case errors.Is(err, vault.ErrForeign):
			return nil, &ui.Error{Code: ui.WrongKey, What: "identity file " + file, Why: "not an identity file of age", Hint: "name the file that salvor key new or age-keygen wrote", Err: err}
		case err != nil:
			return nil, fmt.Errorf("identity file %s: %w", file, err)
		}
		all = append(all, ids...)
	}
	return all, nil
}
