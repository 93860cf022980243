package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/note"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/opkey"
)

func newOperatorKey(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "the keys with which operators sign what they do",
		Long: `An operator may register the SSH key that his agent holds, a FIDO token included, or
one in a file under a passphrase. From then on nothing is recorded under his name
without its signature.`,
		Example: "  salvor operator key add\n  salvor operator key list",
		RunE:    showHelp,
	}
	cmd.AddCommand(newOperatorKeyAdd(p), newOperatorKeyList(p), newOperatorKeyEnd(p))
	return cmd
}

func newOperatorKeyAdd(p *program) *cobra.Command {
	var file, fingerprint string
	cmd := &cobra.Command{
		Use:   "add",
		Short: "register your own signing key",
		Long: `Registers a key of the operator who acts: one that the SSH agent holds (ssh-add -l), or
with --file one under a passphrase, as ssh-keygen makes it. A file is read where it is
and never copied; after the passphrase was typed, a running agent keeps the key for
five minutes. On another machine the same command with --file says where the key is
there.`,
		Example: `  salvor operator key add
  salvor operator key add --file ~/.ssh/id_ed25519`,
		RunE: p.onStation(func(ctx context.Context, s *station, _ []string) error {
			return s.addOperatorKey(ctx, file, fingerprint)
		}),
	}
	cmd.Flags().StringVar(&file, "file", "", "private key `FILE` under a passphrase")
	cmd.Flags().StringVar(&fingerprint, "fingerprint", "", "which key of the agent: `SHA256:…`")
	return cmd
}

func (s *station) addOperatorKey(ctx context.Context, file, fingerprint string) error {
	op, err := s.operator(ctx, custody.TypeOperatorKeyAdded)
	if err != nil {
		return err
	}
	var public ssh.PublicKey
	if file != "" {
		if file, err = filepath.Abs(file); err == nil {
			public, err = opkey.ReadPublic(file)
		}
	} else {
		public, err = s.agentKey(ctx, fingerprint)
	}
	if err != nil {
		return fmt.Errorf("operator key: %w", err)
	}
	key, err := opkey.New(s.keys.Shop(), op.ID, public)
	if err != nil {
		return fmt.Errorf("operator key: %w", err)
	}
	known := false
	for _, k := range op.Keys {
		known = known || k.Verifier == key.String() && k.Ended.IsZero()
	}
	if file != "" {
		if err := s.rememberKeyFile(key.ID(), file); err != nil {
			return err
		}
	}
	if err := s.tryKey(ctx, key); err != nil {
		return err
	}
	if known && file == "" {
		return refuse("operator key", "it is registered already as "+key.ID(), "salvor operator key list")
	}
	if !known {
		if _, err := s.ledger.Append(ctx, op.ID, ledger.Entry{
			Pub: custody.OperatorKeyAdded{Op: op.ID, Key: key.ID(), Kind: key.Kind(file != ""), Verifier: key.String()},
		}); err != nil {
			return err
		}
	}
	if s.json {
		return s.term.Document(map[string]any{"operator": op.ID, "key": key.ID(), "kind": key.Kind(file != ""), "fingerprint": ssh.FingerprintSHA256(public)})
	}
	s.term.Say("key %s (%s) is registered: from now on nothing is recorded under your name without it", key.ID(), ssh.FingerprintSHA256(public))
	return nil
}

// agentKey is the key of the agent that is meant: the only one, or the one with the
// fingerprint.
func (s *station) agentKey(ctx context.Context, fingerprint string) (ssh.PublicKey, error) {
	agent, err := s.dialAgent(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = agent.Close() }()
	keys, err := agent.Keys()
	if err != nil {
		return nil, err
	}
	var options []ui.Option
	byName := make(map[string]ssh.PublicKey)
	for _, k := range keys {
		name := ssh.FingerprintSHA256(k)
		options, byName[name] = append(options, ui.Option{Value: name, Text: k.Type()}), k
	}
	switch {
	case len(keys) == 0:
		return nil, opkey.ErrNotThere
	case fingerprint == "" && len(keys) == 1:
		return keys[0], nil
	case fingerprint == "":
		if fingerprint, err = s.term.Choice(ctx, ui.Question{Text: "which key of the agent", Flag: "--fingerprint"}, options); err != nil {
			return nil, err
		}
	}
	if k, ok := byName[fingerprint]; ok {
		return k, nil
	}
	return nil, fmt.Errorf("%s: %w", fingerprint, opkey.ErrNotThere)
}

// tryKey has a key sign once before anything depends on it.
func (s *station) tryKey(ctx context.Context, key *opkey.Key) error {
	k := custody.OperatorKey{Key: key.ID(), Verifier: key.String()}
	signer, err := s.signer(ctx, []custody.OperatorKey{k})
	if err != nil {
		return fmt.Errorf("operator key: %w", err)
	}
	msg, err := note.Sign(&note.Note{Text: "salvor: a try of the key " + key.ID() + "\n"}, signer)
	if err != nil {
		return fmt.Errorf("operator key: %w", err)
	}
	if _, err := note.Open(msg, note.VerifierList(key)); err != nil {
		return fmt.Errorf("operator key: %w: %w", opkey.ErrSignature, err)
	}
	return nil
}

type keyRow struct {
	Login string            `json:"login"`
	Op    string            `json:"operator"`
	Key   string            `json:"key"`
	Kind  custody.KeyKind   `json:"kind"`
	Since custody.Time      `json:"since,omitzero"`
	Ended *custody.Time     `json:"ended,omitempty"`
	Why   custody.EndReason `json:"why,omitempty"`
	Print string            `json:"fingerprint"`
}

func newOperatorKeyList(p *program) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "who signs, with which key; who is asserted only",
		Example: "  salvor operator key list",
		RunE:    p.onStation(func(ctx context.Context, s *station, _ []string) error { return s.listOperatorKeys(ctx) }),
	}
}

func (s *station) listOperatorKeys(ctx context.Context) error {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	rows := []keyRow{}
	asserted := []string{}
	for _, o := range shop.Operators {
		fields, err := s.ledger.Private(ctx, o.Ref)
		if err != nil {
			return err
		}
		for _, k := range o.Keys {
			r := keyRow{Login: fields[custody.FieldLogin], Op: o.ID, Key: k.Key, Kind: k.Kind, Since: custody.At(k.At), Why: k.Why}
			if key, err := opkey.Parse(k.Verifier); err == nil {
				r.Print = ssh.FingerprintSHA256(key.Public())
			}
			if !k.Ended.IsZero() {
				at := custody.At(k.Ended)
				r.Ended = &at
			}
			rows = append(rows, r)
		}
		if o.Kind == custody.OperatorPerson && o.Ended == "" && len(o.SigningKeys(s.now())) == 0 {
			asserted = append(asserted, fields[custody.FieldLogin])
		}
	}
	if s.json {
		return s.term.Document(map[string]any{"keys": rows, "asserted": asserted})
	}
	t := s.term.Table("login", "key", "kind", "since", "end", "~fingerprint")
	for _, r := range rows {
		end := ""
		if r.Ended != nil {
			end = s.term.Date(r.Ended.Time) + ", " + string(r.Why)
		}
		t.Row(r.Login, r.Key, r.Kind, s.term.Date(r.Since.Time), end, r.Print)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(asserted) > 0 {
		s.term.Say("without a key, asserted only: %s", strings.Join(asserted, ", "))
	}
	return nil
}

func newOperatorKeyEnd(p *program) *cobra.Command {
	var why string
	cmd := &cobra.Command{
		Use:   "end KEY",
		Short: "let signatures of a key count no more",
		Long: `Ends a signing key from now on. Anybody may end a key that is lost or stolen, also one
of a colleague.`,
		Example: "  salvor operator key end k-3f9a12bc --reason lost",
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error {
			return s.endOperatorKey(ctx, args[0], custody.EndReason(why))
		}),
	}
	cmd.Flags().StringVar(&why, "reason", "", "replaced, lost, stolen or closed")
	return cmd
}

func (s *station) endOperatorKey(ctx context.Context, id string, why custody.EndReason) error {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	var owner custody.Operator
	for _, o := range shop.Operators {
		for _, k := range o.Keys {
			if k.Key == id && k.Ended.IsZero() {
				owner = o
			}
		}
	}
	if owner.ID == "" {
		return &ui.Error{Code: ui.NotFound, What: "operator key", Why: "no active key has that id", Hint: "salvor operator key list"}
	}
	if why, err = s.askEnd(ctx, "operator key end", why); err != nil {
		return err
	}
	op, err := s.keyEnder(ctx, owner, why)
	if err != nil {
		return err
	}
	// It may sign its own end, and what else was done in this second.
	from := custody.At(s.now().Add(time.Second))
	if _, err := s.ledger.Append(ctx, op, ledger.Entry{
		Pub: custody.OperatorKeyEnded{Op: owner.ID, Key: id, From: from, Why: why},
	}); err != nil {
		return err
	}
	if s.json {
		return s.term.Document(map[string]any{"operator": owner.ID, "key": id, "ended": true})
	}
	s.term.Say("key %s has ended", id)
	return nil
}

// keyEnder is who ends a key. Whoever has lost his only key cannot sign that he has: the
// station records it for him.
func (s *station) keyEnder(ctx context.Context, owner custody.Operator, why custody.EndReason) (string, error) {
	op, err := s.operator(ctx, custody.TypeOperatorKeyEnded)
	if err == nil {
		return op.ID, nil
	}
	if login, lerr := s.login(); lerr == nil && cannotSign(err) && (why == custody.EndLost || why == custody.EndStolen) {
		if me, oerr := s.operatorByLogin(ctx, login); oerr == nil && me.ID == owner.ID {
			return stationOperator, nil
		}
	}
	return "", err
}

// errTwoLogins: two operators have one login; see [station.operatorByLogin].
var errTwoLogins = errors.New("two operators of the shop have that login")

// operatorByLogin is the one operator with a login. Two stations may each have added
// one while they did not know of each other: then nobody can tell who acts.
func (s *station) operatorByLogin(ctx context.Context, login string) (custody.Operator, error) {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return custody.Operator{}, err
	}
	var found []custody.Operator
	for _, o := range shop.Operators {
		if o.Kind == "" {
			continue
		}
		fields, err := s.ledger.Private(ctx, o.Ref)
		if err != nil {
			return custody.Operator{}, err
		}
		if fields[custody.FieldLogin] == login && login != "" {
			found = append(found, o)
		}
	}
	active := found
	if len(found) > 1 { // those who have ended are not who acts
		active = nil
		for _, o := range found {
			if o.Ended == "" || s.today() <= o.Ended {
				active = append(active, o)
			}
		}
	}
	// On the day on which one of two ends, the one who stays acts.
	if stay := slices.DeleteFunc(slices.Clone(active), func(o custody.Operator) bool {
		return o.Ended != "" && o.Ended <= s.today()
	}); len(stay) == 1 {
		active = stay
	}
	switch {
	case len(active) > 1:
		return custody.Operator{}, &ui.Error{
			Code: ui.Refused, What: "operator " + login, Why: "two operators have that login: " + active[0].ID + " and " + active[1].ID,
			Hint: "end one of them: salvor operator end " + active[1].ID, Err: errTwoLogins,
		}
	case len(active) == 1:
		return active[0], nil
	case len(found) > 0:
		return found[0], nil
	}
	return custody.Operator{}, ledger.ErrNotFound
}
