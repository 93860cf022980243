package main

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/report"
	"salvor/custody/report/layout"
)

// newLabel is the command for the stickers on a customer's things.
func newLabel(p *program) *cobra.Command {
	var o reportOptions
	var item, size string
	cmd := &cobra.Command{
		Use:   "label CASE",
		Short: "print the label of an item",
		Long: `Prints the label that is put on an item: its number large, the number of the case,
a QR code that "salvor show" understands, a check character, the date, the place and
the day by which everything is erased. It holds no name and no telephone number.
A label that is high enough has a bar code as well.`,
		Example: "  salvor label T1-2026-0001 --print\n  salvor label T1-2026-0001/2 --size 62x29 --out label.pdf",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := o.check("label", p.json)
			if err != nil {
				return err
			}
			sticker, err := layout.ParseSize(size)
			if err != nil {
				return usage("label", "--size: width x height in millimetres, 40x18 to 210x297", "--size 62x29")
			}
			return p.withStation(cmd.Context(), func(s *station) error { return s.label(cmd.Context(), args[0], item, sticker, format, o) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&item, "item", "1", "number of the item")
	f.StringVar(&size, "size", "62x29", "width x height in millimetres")
	o.flags(cmd)
	return cmd
}

func (s *station) label(ctx context.Context, no, item string, sticker layout.Size, format custody.PaperFormat, o reportOptions) error {
	if err := s.mayDeliver(ctx, "label", format, o); err != nil {
		return err
	}
	c, number, err := s.caseOf(ctx, no)
	if err != nil {
		return err
	}
	if number != "" {
		item = number
	}
	it, ok := c.Item(item)
	if !ok {
		return &ui.Error{Code: ui.NotFound, What: "label", Why: "the case has no such item", Hint: "salvor show " + string(c.No)}
	}
	// Who reads a label is the shop's own staff.
	l := report.Label{
		Language: s.language(o, ""), Zone: s.config.Shop.Timezone, Case: string(c.No), Item: it.Item, Kind: it.Kind, Received: it.At,
		Place: it.Place, EraseBy: c.Deadline, Hold: c.Held(), Special: len(c.Special) > 0,
	}
	content, err := l.Render(format, sticker, s.now())
	if err != nil {
		return err
	}
	return s.deliver(ctx, content, o, func() error { return s.printed(ctx, c.No, custody.PaperLabel, format, l.Language) })
}
