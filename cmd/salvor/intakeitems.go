package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

// What a customer hands in is described item by item: --item begins one, and the flags
// behind it describe it until the next --item.
//
//	--item hdd --maker WD --serial X1 --seal S-12   --item computer --accessories charger

// itemWords are the kinds of things that customers bring.
var itemWords = choice{"--item", "what is handed in", []ui.Option{
	{Value: "hdd", Text: "a hard disk"},
	{Value: "ssd", Text: "an SSD"},
	{Value: "nvme", Text: "an NVMe SSD"},
	{Value: "stick", Text: "a USB stick"},
	{Value: "card", Text: "a memory card"},
	{Value: "disk", Text: "a disk, kind not known yet"},
	{Value: "computer", Text: "a computer"},
	{Value: "phone", Text: "a telephone"},
	{Value: "file", Text: "an image file"},
	{Value: "other", Text: "something else"},
}}

var conditionWords = choice{"--condition", "how does it look", []ui.Option{
	{Value: "good", Text: "as new"},
	{Value: "used", Text: "used, nothing to see"},
	{Value: "damaged", Text: "bent, cracked, dented"},
	{Value: "wet", Text: "was or is wet"},
	{Value: "burnt", Text: "burnt or overheated"},
	{Value: "opened", Text: "somebody had it open before"},
}}

// itemFlags is one thing as the flags describe it.
type itemFlags struct {
	kind, condition, seal, place                     string
	maker, model, serial, look, accessories, problem string
}

// itemList is what a command line hands in.
type itemList struct{ items []itemFlags }

func (l *itemList) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Var(&itemValue{l, "item", func(o *itemFlags) *string { return &o.kind }, true}, "item", "what is handed in, may be repeated; the flags below describe\nthe item before them: "+itemWords.words())
	itemWords.complete(cmd, "item")
	for _, d := range []struct {
		name, usage string
		field       func(*itemFlags) *string
	}{
		{"maker", "who made it", func(o *itemFlags) *string { return &o.maker }},
		{"model", "its model", func(o *itemFlags) *string { return &o.model }},
		{"serial", "its serial `NUMBER`", func(o *itemFlags) *string { return &o.serial }},
		{"condition", "how it looks: " + conditionWords.words(), func(o *itemFlags) *string { return &o.condition }},
		{"damage", "what is to be seen on it, in words", func(o *itemFlags) *string { return &o.look }},
		{"fault", "what the customer says is wrong", func(o *itemFlags) *string { return &o.problem }},
		{"accessories", "what came with it: charger, bag, cable", func(o *itemFlags) *string { return &o.accessories }},
		{"seal", "`NUMBER` of the seal that was put on it", func(o *itemFlags) *string { return &o.seal }},
		{"place", "`PLACE` where it lies, such as L-03", func(o *itemFlags) *string { return &o.place }},
	} {
		f.Var(&itemValue{l, d.name, d.field, false}, d.name, d.usage)
	}
	conditionWords.complete(cmd, "condition")
}

// itemValue is a flag about the item that was named last. It counts as a list for the
// flag library, since it may be given once for each item.
type itemValue struct {
	list   *itemList
	flag   string
	field  func(*itemFlags) *string
	begins bool // it begins an item
}

// String implements [pflag.Value].
func (v *itemValue) String() string { return "" }

// Type implements [pflag.Value]; the help shows it behind the flag.
func (v *itemValue) Type() string {
	if v.begins {
		return "KIND"
	}
	return "TEXT"
}

// Set implements [pflag.Value].
func (v *itemValue) Set(text string) error {
	if err := fits(v.flag, text); err != nil {
		return err
	}
	if v.begins {
		v.list.items = append(v.list.items, itemFlags{kind: text})
		return nil
	}
	if len(v.list.items) == 0 {
		return errors.New("it describes the --item before it, and there is none")
	}
	at := v.field(&v.list.items[len(v.list.items)-1])
	if *at != "" {
		return errors.New("given twice for one item")
	}
	*at = text
	return nil
}

// Append implements [pflag.SliceValue].
func (v *itemValue) Append(text string) error { return v.Set(text) }

// Replace implements [pflag.SliceValue].
func (v *itemValue) Replace([]string) error { return errors.New("an item is not replaced") }

// GetSlice implements [pflag.SliceValue].
func (v *itemValue) GetSlice() []string { return nil }

// check refuses what no item can be.
func (l *itemList) check() error {
	for _, o := range l.items {
		for _, err := range []error{
			itemWords.check("intake", o.kind), conditionWords.check("intake", o.condition),
			sealNumber("intake", o.seal), placeCode("intake", o.place),
		} {
			if err != nil {
				return err
			}
		}
		if o.kind == "" {
			return usage("intake", "--item: "+itemWords.words(), "")
		}
	}
	return nil
}

// settle asks for the items where none was named and somebody can be asked.
func (l *itemList) settle(ctx context.Context, s *station) error {
	if len(l.items) > 0 || !s.term.CanAsk() {
		return nil
	}
	for more := true; more; {
		o, err := s.askItem(ctx)
		if err != nil {
			return err
		}
		l.items = append(l.items, o)
		if more, err = s.term.YesNo(ctx, ui.Question{Text: "is anything else handed in", Flag: "--item", Default: "no"}); err != nil {
			return err
		}
	}
	return nil
}

func (s *station) askItem(ctx context.Context) (itemFlags, error) {
	var o itemFlags
	var err error
	if o.kind, err = s.term.Choice(ctx, ui.Question{Text: itemWords.ask, Flag: itemWords.flag, Default: "hdd"}, itemWords.options); err != nil {
		return o, err
	}
	for _, q := range []struct {
		text, flag string
		into       *string
		check      func(string) error
	}{
		{"maker and model", "--model", &o.model, nil},
		{"serial number", "--serial", &o.serial, nil},
		{"what is wrong with it", "--fault", &o.problem, nil},
		{"accessories", "--accessories", &o.accessories, nil},
		{"number of the seal", "--seal", &o.seal, func(a string) error { return plainly(sealNumber("intake", a)) }},
		{"place where it lies", "--place", &o.place, func(a string) error { return plainly(placeCode("intake", a)) }},
	} {
		if *q.into, err = s.term.Line(ctx, ui.Question{Text: q.text + " (empty: none)", Flag: q.flag, Check: q.check}); err != nil {
			return o, err
		}
	}
	o.condition, err = s.term.Choice(ctx, ui.Question{Text: conditionWords.ask, Flag: conditionWords.flag, Default: "used"}, conditionWords.options)
	return o, err
}

// entries record the items, numbered from first on.
func (l *itemList) entries(first int) []ledger.Entry {
	var list []ledger.Entry
	for k, o := range l.items {
		number := fmt.Sprint(first + k)
		list = append(list, entry(number, custody.ItemReceived{
			Item: number, Kind: custody.ItemKind(o.kind), Condition: custody.ItemCondition(o.condition), Seal: o.seal, Place: o.place,
		}, map[string]string{
			custody.FieldMaker: o.maker, custody.FieldModel: o.model, custody.FieldSerial: o.serial,
			custody.FieldCondition: o.look, custody.FieldAccessories: o.accessories, custody.FieldFault: o.problem,
		}))
	}
	return list
}
