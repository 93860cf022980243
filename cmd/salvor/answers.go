package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

// How a command gets its answers: a flag in a script, a question at the desk. What a
// flag holds is checked before anything is asked, opened or recorded.

// choice is an answer that is one of a few words.
type choice struct {
	flag    string // "--how"
	ask     string // "how did the customer say so"
	options []ui.Option
}

// words lists the answers: "signed, mail or phone".
func (c choice) words() string {
	var all []string
	for _, o := range c.options {
		all = append(all, o.Value)
	}
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}

// add gives a command the flag, which the shell completes.
func (c choice) add(cmd *cobra.Command, value *string, what string) {
	name := strings.TrimPrefix(c.flag, "--")
	cmd.Flags().StringVar(value, name, "", what+": "+c.words())
	c.complete(cmd, name)
}

// addMany is add for a flag that may be repeated.
func (c choice) addMany(cmd *cobra.Command, values *[]string, what string) {
	name := strings.TrimPrefix(c.flag, "--")
	cmd.Flags().StringSliceVar(values, name, nil, what+": "+c.words()+"; several with commas")
	c.complete(cmd, name)
}

func (c choice) complete(cmd *cobra.Command, name string) {
	var list []string
	for _, o := range c.options {
		list = append(list, o.Value+"\t"+o.Text)
	}
	// It fails only for a flag that the line before did not add.
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp))
}

// check refuses what is none of the words; "" is no answer and passes.
func (c choice) check(what, value string) error {
	if value == "" {
		return nil
	}
	for _, o := range c.options {
		if o.Value == value {
			return nil
		}
	}
	return usage(what, c.flag+": "+c.words(), "")
}

// settle checks the answer, or asks for it.
func (c choice) settle(ctx context.Context, s *station, what, value, usual string) (string, error) {
	if value != "" {
		return value, c.check(what, value)
	}
	return s.term.Choice(ctx, ui.Question{Text: c.ask, Flag: c.flag, Default: usual}, c.options)
}

// text asks for words that are needed and were not given.
func (s *station) text(ctx context.Context, value, flag, ask string) (string, error) {
	if strings.TrimSpace(value) != "" {
		return value, nil
	}
	return s.term.Line(ctx, ui.Question{Text: ask, Flag: flag, Check: notEmpty})
}

// moments are the ways to write a moment, in the shop's zone.
var moments = [...]string{"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05", time.RFC3339, "2006-01-02"}

// moment reads when something happened; "" is now. It is never in the future: nobody
// can have done it yet.
func (s *station) moment(what, flag, text string) (custody.Time, error) {
	now := custody.At(s.now())
	if text == "" {
		return now, nil
	}
	if t, err := time.ParseInLocation("15:04", text, s.term.Zone); err == nil {
		y, m, d := s.now().In(s.term.Zone).Date()
		return notLater(what, flag, time.Date(y, m, d, t.Hour(), t.Minute(), 0, 0, s.term.Zone), now)
	}
	for _, layout := range moments {
		if t, err := time.ParseInLocation(layout, text, s.term.Zone); err == nil {
			return notLater(what, flag, t, now)
		}
	}
	return now, usage(what, flag+": not a moment", `"2026-11-21 14:30", or 14:30 of today, in the shop's zone`)
}

func notLater(what, flag string, t time.Time, now custody.Time) (custody.Time, error) {
	switch {
	case t.After(now.Time):
		return now, usage(what, flag+": in the future", "give the moment at which it happened")
	case t.Year() < 1970:
		return now, usage(what, flag+": not a moment of this shop", "")
	}
	return custody.At(t), nil
}

// day reads a day to come, as "2027-01-15" or "3m" from now; past tells whether it may
// lie behind us.
func (s *station) day(what, flag, text string, past bool) (custody.Date, error) {
	keep, err := custody.ParseKeep(text)
	if err != nil {
		return "", usage(what, flag+": not a day such as 2027-01-15, or 3m from now", "")
	}
	d := custody.DateOf(keep.From(s.now(), s.term.Zone), s.term.Zone)
	if !past && d < s.today() {
		return "", usage(what, flag+": in the past", "give a day that is still to come")
	}
	return d, nil
}

// today is the day in the shop's zone.
func (s *station) today() custody.Date { return custody.DateOf(s.now(), s.term.Zone) }

// policy is what the shop's rules say today.
func (s *station) policy(ctx context.Context) (custody.Policy, error) {
	shop, err := s.ledger.Shop(ctx)
	return shop.Policy(s.today()), err
}

// placeCode checks the code of a place; "" is none.
func placeCode(what, place string) error {
	if place == "" || custody.CheckPlace(place) == nil {
		return nil
	}
	return usage(what, "a place is a capital or digit, then up to 15 of A-Z, 0-9, - and .", "such as L-03")
}

// sealNumber checks the number of a seal; "" is none.
func sealNumber(what, seal string) error {
	if seal == "" || custody.CheckID(seal) == nil {
		return nil
	}
	return usage(what, "the number of a seal is up to 64 letters, digits, - _ and .", "such as S-1042")
}

// colleague finds an operator by his login.
func (s *station) colleague(ctx context.Context, what, flag, login string) (custody.Operator, error) {
	op, err := s.ledger.OperatorByLogin(ctx, login)
	if err != nil {
		if explainedCode(err, ui.Other) == ui.NotFound {
			return op, &ui.Error{Code: ui.NotFound, What: what, Why: flag + ": no operator with that login", Hint: "salvor operator list", Err: err}
		}
		return op, err
	}
	return op, nil
}

// shortID draws the id of something that is named on a command line: "r-3f9a12bc".
func shortID(kind string) string {
	var b [4]byte
	rand.Read(b[:]) // never fails: crypto/rand
	return kind + "-" + hex.EncodeToString(b[:])
}

// because is the private part that holds nothing but a reason.
func because(reason string) map[string]string {
	return map[string]string{custody.FieldReason: reason}
}

// entry is one event about an item, or about the whole case where item is "".
func entry(item string, pub custody.Payload, private map[string]string) ledger.Entry {
	return ledger.Entry{Item: item, Pub: pub, Private: private}
}

// plainly turns a refusal into what is said at the desk before a question is asked again.
func plainly(err error) error {
	var e *ui.Error
	if errors.As(err, &e) {
		return errors.New(e.Why + ": " + e.Hint)
	}
	return err
}
