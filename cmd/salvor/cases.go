package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

// caseRow is a case as overviews show it: numbers and dates, no names.
type caseRow struct {
	Case     custody.CaseNo  `json:"case"`
	State    string          `json:"state"`
	Purpose  custody.Purpose `json:"purpose"`
	Opened   custody.Time    `json:"opened"`
	Deadline *custody.Time   `json:"deadline,omitempty"`
	DaysLeft *int            `json:"days_left,omitempty"`
	Due      bool            `json:"due"`
	Held     bool            `json:"held"`
	Images   int             `json:"images"`
	Bytes    int64           `json:"bytes"`
	Next     string          `json:"next,omitempty"`
}

func (s *station) row(c custody.Case) caseRow {
	r := caseRow{
		Case: c.No, Purpose: c.Purpose, Opened: custody.At(c.Opened), Held: c.Held(), Images: c.Copies(),
		Due: c.Due(s.now()),
	}
	for _, i := range c.Images {
		if i.Left() {
			r.Bytes += i.Bytes
		}
	}
	if !c.Deadline.IsZero() {
		at, days := custody.At(c.Deadline), s.term.DaysLeft(c.Deadline)
		r.Deadline, r.DaysLeft = &at, &days
	}
	r.State, r.Next = s.caseState(c)
	return r
}

// caseState says in words where a case is, and what to do next.
func (s *station) caseState(c custody.Case) (state, next string) {
	switch {
	case !c.Closed.IsZero():
		return "closed", ""
	case c.Erased():
		return "erased", "report attest"
	case c.Copies() == 0:
		return "no image yet", "image DISK --case"
	}
	for _, i := range c.Images {
		switch i.State {
		case custody.ImageIsErasing:
			return "erasing", "purge"
		case custody.ImageIsStarted, custody.ImageIsPaused:
			return ui.Percent(i.Rescued, i.Bytes) + " read", "repeat image"
		case custody.ImageIsFailed:
			if !i.Left() {
				continue
			}
			return "imaging failed", "show"
		}
	}
	switch {
	case c.Held() && c.Due(s.now()):
		return "due, held", "look again " + string(nextReview(c))
	case c.Held():
		return "kept, held", "look again " + string(nextReview(c))
	case c.Due(s.now()):
		return "due", "purge"
	}
	return "kept", ""
}

// nextReview is the day on which somebody looks at a hold of the case again.
func nextReview(c custody.Case) (first custody.Date) {
	for _, h := range c.Holds {
		if h.Active() && (first == "" || h.Review < first) {
			first = h.Review
		}
	}
	return first
}

func (s *station) printRows(rows []caseRow, empty string) error {
	if s.json {
		return s.term.Document(map[string]any{"cases": rows})
	}
	if len(rows) == 0 {
		s.term.Say("%s", empty)
		return nil
	}
	t := s.term.Table("case", "opened", ">size", "state", "erase by", "next")
	for _, r := range rows {
		deadline := ""
		if r.Deadline != nil && r.State != "erased" && r.State != "closed" {
			deadline = s.deadlineWords(r.Deadline.Time)
		}
		size := ""
		if r.Bytes > 0 {
			size = ui.Size(r.Bytes)
		}
		t.Row(r.Case, s.term.Date(r.Opened.Time), size, r.State, deadline, r.Next)
	}
	return t.Flush()
}

func newCases(p *program) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "cases",
		Short:   "the cases, their state and what to do next",
		Example: "  salvor cases\n  salvor cases --all --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStation(cmd.Context(), func(s *station) error {
				cases, err := s.ledger.Cases(cmd.Context(), ledger.Filter{All: true})
				if err != nil {
					return err
				}
				rows := []caseRow{}
				for _, c := range cases {
					if all || c.Closed.IsZero() && !c.Erased() {
						rows = append(rows, s.row(c))
					}
				}
				return s.printRows(rows, "no open case; --all shows erased ones too")
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "erased and closed cases too")
	return cmd
}

func newDue(p *program) *cobra.Command {
	var within string
	cmd := &cobra.Command{
		Use:     "due",
		Short:   "what must be erased, now or soon",
		Example: "  salvor due\n  salvor due --within 30d",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStation(cmd.Context(), func(s *station) error {
				keep, err := custody.ParseKeep(within)
				if err != nil {
					return usage("due", "--within: not a time", "30d, 6w, 3m, 36h or a date such as 2027-03-01")
				}
				until := keep.From(s.now(), s.term.Zone)
				cases, err := s.ledger.Cases(cmd.Context(), ledger.Filter{DueBy: until})
				if err != nil {
					return err
				}
				rows := []caseRow{}
				for _, c := range cases {
					rows = append(rows, s.row(c))
				}
				return s.printRows(rows, "nothing is due by "+s.term.Date(until))
			})
		},
	}
	cmd.Flags().StringVar(&within, "within", "0d", "look ahead: 30d, 6w, 3m or a date")
	return cmd
}

func newShow(p *program) *cobra.Command {
	return &cobra.Command{
		Use:     "show CASE",
		Short:   "everything about one case",
		Example: "  salvor show T1-2026-0001",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStation(cmd.Context(), func(s *station) error {
				c, err := s.findCase(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return s.show(cmd.Context(), c)
			})
		},
	}
}

type imageRow struct {
	Image   string             `json:"image"`
	State   custody.ImageState `json:"state"`
	Vault   string             `json:"vault"`
	UUID    custody.UUID       `json:"uuid"`
	Bytes   int64              `json:"bytes"`
	Rescued int64              `json:"rescued"`
	Bad     int64              `json:"bad"`
	Root    string             `json:"root,omitempty"`
	Keys    int                `json:"key_files"`
	Erased  *custody.EraseDone `json:"erased,omitempty"`
}

type holdRow struct {
	Hold   string           `json:"hold"`
	Kind   custody.HoldKind `json:"kind"`
	Reason string           `json:"reason,omitempty"`
	Since  custody.Time     `json:"since"`
	Review custody.Date     `json:"review"`
	Active bool             `json:"active"`
}

// show prints a case. Contact data are the customer's: they are shown to an operator,
// and the reading is not hidden from anyone who reads the ledger's own log.
func (s *station) show(ctx context.Context, c custody.Case) error {
	private, err := s.ledger.PrivateOfCase(ctx, c.No)
	if err != nil {
		return err
	}
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return err
	}
	images := []imageRow{}
	for _, i := range c.Images {
		r := imageRow{Image: i.Name, State: i.State, Vault: i.Vault, UUID: i.UUID, Bytes: i.Bytes, Rescued: i.Rescued, Bad: i.Bad, Keys: len(i.Keys), Erased: i.Erase}
		if v, ok := shop.Vault(i.Vault); ok {
			r.Vault = v.Name
		}
		if i.Seal != nil {
			r.Root = i.Seal.Root.String()
		}
		images = append(images, r)
	}
	holds := []holdRow{}
	for _, h := range c.Holds {
		holds = append(holds, holdRow{h.ID, h.Kind, private[h.Ref][custody.FieldReason], custody.At(h.Added), h.Review, h.Active()})
	}
	customer := customerOf(private)
	row := s.row(c)
	if s.json {
		return s.term.Document(map[string]any{"case": row, "customer": customer, "images": images, "holds": holds, "exceptions": exceptionWords(c)})
	}
	line := func(label, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); strings.TrimSpace(text) != "" {
			fmt.Fprintf(s.term.Out, "%-10s %s\n", label, ui.Clean(text))
		}
	}
	line("case", "%s, %s, %s", c.No, c.Purpose, row.State)
	if len(customer) == 0 {
		line("customer", "(no personal data, or erased)")
	}
	line("customer", "%s", customer[custody.FieldCustomer])
	line("contact", "%s", strings.Trim(strings.Join([]string{customer[custody.FieldPhone], customer[custody.FieldEmail], customer[custody.FieldAddress]}, "  "), " "))
	line("ticket", "%s", customer[custody.FieldTicket])
	line("opened", "%s", s.term.DateTime(c.Opened))
	if !c.Erased() {
		line("erase by", "%s", s.deadlineWords(c.Deadline))
	}
	for _, h := range holds {
		if h.Active {
			line("hold", "%s, %s, look again on %s: %s", h.Hold, h.Kind, h.Review, h.Reason)
		}
	}
	for _, i := range images {
		line(i.Image, "%s in vault %s, %s, %s read, %s bad", i.State, i.Vault, ui.Size(i.Bytes), ui.Percent(i.Rescued, i.Bytes), ui.Size(i.Bad))
		if i.Root != "" {
			line("", "root %s", i.Root)
		}
		if i.Erased != nil {
			line("", "keys %s, medium %s", i.Erased.Keys, i.Erased.Media)
		}
	}
	for _, x := range exceptionWords(c) {
		line("attention", "%s", x)
	}
	line("next", "%s", row.Next)
	return nil
}

// customerOf collects who the customer is from the private parts of a case.
func customerOf(private map[custody.Ref]map[string]string) map[string]string {
	for _, fields := range private {
		if fields[custody.FieldCustomer] != "" {
			return fields
		}
	}
	return map[string]string{}
}

// exceptionWords says what must be looked at.
func exceptionWords(c custody.Case) []string {
	words := []string{}
	for _, x := range c.Exceptions {
		var text string
		switch x.Kind {
		case custody.HeldButErased:
			text = "an image was erased although the case was held"
		case custody.NotProved:
			text = "an erasing proved nothing: destroy the medium, or erase again"
		case custody.ClonedStation:
			text = "a station's events exist twice: it was cloned, or its ledger was rolled back"
		case custody.NotOpened:
			text = "the event that opened the case has not arrived"
		case custody.AfterErase:
			text = "an image was used after its erasing"
		case custody.OpenCopies:
			text = "the case was closed although a copy was left"
		default:
			text = string(x.Kind)
		}
		words = append(words, fmt.Sprintf("%s (event %s)", text, x.Ref))
	}
	return words
}

// hours is how long ago something was, in whole hours.
func hours(d time.Duration) string { return fmt.Sprintf("%d hours", int(d/time.Hour)) }
