package main

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
)

func newShow(p *program) *cobra.Command {
	var contact bool
	cmd := &cobra.Command{
		Use:   "show CASE",
		Short: "everything about one case",
		Long: `Shows a case: where its items are and in whose hands, its images and every other copy,
its holds, checks, and who opened the data and why. CASE may be what the QR code of
a label says.

Who the customer is and how to reach him is shown only with --contact, to an operator
of the shop, and that is recorded.`,
		Example: `  salvor show T1-2026-0001
  salvor show salvor:T1-2026-0001/1
  salvor show T1-2026-0001 --contact`,
		RunE: p.onStation(func(ctx context.Context, s *station, args []string) error { return s.show(ctx, args[0], contact) }),
	}
	cmd.Flags().BoolVar(&contact, "contact", false, "also the customer's name and how to reach him; recorded")
	return cmd
}

type imageRow struct {
	Image     string             `json:"image"`
	State     custody.ImageState `json:"state"`
	Item      string             `json:"item,omitempty"`
	Vault     string             `json:"vault"`
	UUID      custody.UUID       `json:"uuid"`
	Bytes     int64              `json:"bytes"`
	Rescued   int64              `json:"rescued"`
	Bad       int64              `json:"bad"`
	Root      string             `json:"root,omitempty"`
	Keys      int                `json:"key_files"`
	KeysLeft  []string           `json:"keys_left,omitempty"` // names of the files
	Checked   *checkRow          `json:"checked,omitempty"`   // the newest check
	Erased    *custody.EraseDone `json:"erased,omitempty"`
	Ended     *custody.Time      `json:"ended,omitempty"` // erased with proof, or destroyed
	Destroyed custody.Date       `json:"destroyed,omitempty"`
	KeysGone  []keyEndRow        `json:"keys_destroyed,omitempty"` // before the image
}

// keyEndRow is a key copy that ended before its image did.
type keyEndRow struct {
	File  string       `json:"file"`
	Store string       `json:"keystore"`
	Ended custody.Time `json:"ended"`
}

type checkRow struct {
	At    custody.Time        `json:"at"`
	Level custody.VerifyLevel `json:"level"`
	OK    bool                `json:"ok"`
}

type holdRow struct {
	Hold   string           `json:"hold"`
	Kind   custody.HoldKind `json:"kind"`
	Reason string           `json:"reason,omitempty"`
	By     string           `json:"by"`
	Since  custody.Time     `json:"since"`
	Review custody.Date     `json:"review"`
	Active bool             `json:"active"`
}

type itemRow struct {
	itemPlace
	Bytes     int64                 `json:"bytes,omitempty"`
	Maker     string                `json:"maker,omitempty"`
	Model     string                `json:"model,omitempty"`
	Serial    string                `json:"serial,omitempty"`
	Looks     custody.ItemCondition `json:"condition,omitempty"`
	Seal      string                `json:"seal,omitempty"`
	SealState custody.SealState     `json:"seal_state,omitempty"`
	Since     *custody.Time         `json:"since,omitempty"`
	Back      custody.Date          `json:"back,omitempty"`
	Offered   []string              `json:"offered_to,omitempty"`
	Wiped     *wipedRow             `json:"wiped,omitempty"`
}

// wipedRow is the last wipe of an item that was proved.
type wipedRow struct {
	At     custody.Time       `json:"at"`
	By     string             `json:"by"`
	Media  custody.MediaClass `json:"media"`
	Attest string             `json:"attest"`
}

type copyRow struct {
	Copy      string             `json:"copy"`
	Kind      custody.CopyKind   `json:"kind"`
	Image     string             `json:"image"`
	Made      custody.Time       `json:"made"`
	By        string             `json:"by"`
	Target    custody.TargetKind `json:"target,omitempty"`
	Bytes     int64              `json:"bytes,omitempty"`
	CutOff    bool               `json:"cut_off,omitempty"` // begun, and never finished
	Encrypted bool               `json:"encrypted"`
	Removable bool               `json:"removable,omitempty"`
	Handover  bool               `json:"handover,omitempty"`
	Fate      custody.CopyFate   `json:"fate,omitempty"` // empty: it is still there
	Ended     *custody.Time      `json:"ended,omitempty"`
}

type openingRow struct {
	At     custody.Time    `json:"at"`
	By     string          `json:"by"`
	Image  string          `json:"image"`
	Use    custody.DataUse `json:"use"`
	Reason string          `json:"reason,omitempty"`
}

// caseView is a case as show prints it. Its reasons are private texts of the shop; the
// customer is in it only when that was asked for and recorded.
type caseView struct {
	Case       caseRow           `json:"case"`
	Customer   map[string]string `json:"customer,omitempty"`
	Role       custody.Role      `json:"role"`
	Special    []string          `json:"special,omitempty"`
	Allowed    []string          `json:"allowed,omitempty"`
	End        custody.EndChoice `json:"end,omitempty"`
	Wanted     string            `json:"wanted,omitempty"`
	Excluded   string            `json:"excluded,omitempty"`
	Confirmed  *custody.Time     `json:"confirmed,omitempty"`
	Closed     *custody.Time     `json:"closed,omitempty"`
	Items      []itemRow         `json:"items"`
	Images     []imageRow        `json:"images"`
	Copies     []copyRow         `json:"copies"`
	Holds      []holdRow         `json:"holds"`
	Openings   []openingRow      `json:"openings"`
	Exceptions []string          `json:"exceptions"`
}

func (s *station) show(ctx context.Context, text string, contact bool) error {
	c, item, err := s.caseOf(ctx, text)
	if err != nil {
		return err
	}
	var customer map[string]string
	if contact {
		if customer, err = s.showContact(ctx, c); err != nil {
			return err
		}
	}
	v, err := s.view(ctx, c)
	if err != nil {
		return err
	}
	v.Customer = customer
	if s.json {
		return s.term.Document(v)
	}
	s.printCase(c, v, item, contact)
	return nil
}

// showContact returns who the customer is. That it was shown, and to whom, is on the
// record before anything is on the screen.
func (s *station) showContact(ctx context.Context, c custody.Case) (map[string]string, error) {
	op, err := s.operator(ctx, custody.TypeContactShown)
	if err != nil {
		return nil, err
	}
	known, customer, err := s.contact(ctx, c)
	if err != nil {
		return nil, err
	}
	if !known {
		return map[string]string{}, nil
	}
	return customer, s.record(ctx, op.ID, c.No, entry("", custody.ContactShown{What: custody.ShownContact}, nil))
}

// contact collects who the customer is and how to reach him, as it was last corrected.
// known is false when that was erased, or never arrived here.
func (s *station) contact(ctx context.Context, c custody.Case) (known bool, customer map[string]string, err error) {
	private, err := s.ledger.PrivateOfCase(ctx, c.No)
	if err != nil {
		return false, nil, err
	}
	opened, ok := openedBy(private)
	if !ok {
		return false, nil, nil
	}
	customer = make(map[string]string)
	for _, name := range []string{
		custody.FieldCustomer, custody.FieldPhone, custody.FieldEmail, custody.FieldAddress, custody.FieldTicket, custody.FieldProxy,
	} {
		if text := current(c, private, opened, name); text != "" {
			customer[name] = text
		}
	}
	return len(customer) > 0, customer, nil
}

// openedBy finds the event with the customer in it.
func openedBy(private map[custody.Ref]map[string]string) (custody.Ref, bool) {
	for ref, fields := range private {
		if fields[custody.FieldCustomer] != "" {
			return ref, true
		}
	}
	return custody.Ref{}, false
}

// current is a private text as the newest correction has it.
func current(c custody.Case, private map[custody.Ref]map[string]string, ref custody.Ref, name string) string {
	if by, ok := c.Current(ref, name); ok {
		return private[by][name]
	}
	return ""
}

// customerOf collects who the customer is from the private parts of a case.
func customerOf(private map[custody.Ref]map[string]string) map[string]string {
	if ref, ok := openedBy(private); ok {
		return private[ref]
	}
	return map[string]string{}
}

func (s *station) view(ctx context.Context, c custody.Case) (caseView, error) {
	private, err := s.ledger.PrivateOfCase(ctx, c.No)
	if err != nil {
		return caseView{}, err
	}
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return caseView{}, err
	}
	names, err := s.operatorNames(ctx)
	if err != nil {
		return caseView{}, err
	}
	opened, _ := openedBy(private)
	v := caseView{
		Case: s.row(c, shop), Role: c.Role, End: c.End, Special: words(c.Special), Allowed: words(c.Allowed),
		Wanted: private[opened][custody.FieldWanted], Excluded: private[opened][custody.FieldExcluded],
		Items: []itemRow{}, Images: []imageRow{}, Copies: []copyRow{}, Holds: []holdRow{}, Openings: []openingRow{}, Exceptions: exceptionWords(c),
	}
	if c.Confirmed != nil {
		at := custody.At(c.Confirmed.At)
		v.Confirmed = &at
	}
	if !c.Closed.IsZero() {
		at := custody.At(c.Closed)
		v.Closed = &at
	}
	for _, i := range c.Items {
		v.Items = append(v.Items, itemView(c, i, private, names))
	}
	for _, i := range c.Images {
		v.Images = append(v.Images, imageView(c, i, shop))
	}
	for _, x := range c.Inventory() {
		if x.Kind == custody.CopyExport {
			v.Copies = append(v.Copies, copyView(c, x, names))
		}
	}
	for _, h := range c.Holds {
		v.Holds = append(v.Holds, holdRow{h.ID, h.Kind, private[h.Ref][custody.FieldReason], nameOf(names, h.By), custody.At(h.Added), h.Review, h.Active()})
	}
	for _, o := range c.Openings {
		v.Openings = append(v.Openings, openingRow{custody.At(o.At), nameOf(names, o.Op), o.Image, o.Use, private[o.Ref][custody.FieldReason]})
	}
	return v, nil
}

func copyView(c custody.Case, x custody.Copy, names map[string]string) copyRow {
	made, _ := c.Export(x.Name)
	r := copyRow{
		Copy: x.Name, Kind: x.Kind, Image: x.Image, Made: custody.At(x.At), By: nameOf(names, made.Op), Target: made.Target, Bytes: x.Bytes, CutOff: made.Begun,
		Encrypted: x.Encrypted, Removable: x.Removable, Handover: made.Export.Handover, Fate: x.End.Fate,
	}
	if !x.End.Open() {
		at := custody.At(x.End.At)
		r.Ended = &at
	}
	return r
}

func itemView(c custody.Case, i custody.Item, private map[custody.Ref]map[string]string, names map[string]string) itemRow {
	r := itemRow{
		itemPlace: itemPlace{i.Item, i.Kind, i.State, i.Place, "", i.Processor}, Bytes: i.Bytes,
		Maker: current(c, private, i.Ref, custody.FieldMaker), Model: current(c, private, i.Ref, custody.FieldModel), Serial: current(c, private, i.Ref, custody.FieldSerial),
		Looks: i.Condition, Seal: i.Seal, SealState: i.SealState, Back: i.Back,
	}
	if i.Custodian != "" {
		r.Custodian = nameOf(names, i.Custodian)
	}
	if !i.Since.IsZero() {
		at := custody.At(i.Since)
		r.Since = &at
	}
	for _, o := range i.Offers {
		r.Offered = append(r.Offered, nameOf(names, o.To))
	}
	if w := i.Wiped; w != nil {
		r.Wiped = &wipedRow{custody.At(w.Ended), nameOf(names, w.Op), w.Done.Media, w.Job}
	}
	return r
}

func imageView(c custody.Case, i custody.Image, shop custody.Shop) imageRow {
	r := imageRow{Image: i.Name, State: i.State, Item: i.Item, Vault: i.Vault, UUID: i.UUID, Bytes: i.Bytes, Rescued: i.Rescued, Bad: i.Bad, Keys: len(i.Keys), Erased: i.Erase}
	if v, ok := shop.Vault(i.Vault); ok {
		r.Vault = v.Name
	}
	if i.Seal != nil {
		r.Root = i.Seal.Root.String()
	}
	end := i.End()
	if !end.Open() {
		at := custody.At(end.At)
		r.Ended = &at
	}
	if i.Destroyed != nil {
		r.Destroyed = i.Destroyed.Date
	}
	for _, x := range c.Inventory() {
		switch {
		case x.Kind != custody.CopyKey || x.Image != i.Name:
		case x.End.Open():
			r.KeysLeft = append(r.KeysLeft, path.Base(x.Name))
		case x.End.Fate == custody.CopyDestroyed:
			r.KeysGone = append(r.KeysGone, keyEndRow{path.Base(x.Name), x.Store, custody.At(x.End.At)})
		}
	}
	for _, x := range c.Checks {
		if x.Image == i.Name && !x.At.Before(i.Sealed) {
			r.Checked = &checkRow{custody.At(x.At), x.Level, x.OK}
		}
	}
	return r
}

func words[T ~string](list []T) []string {
	var all []string
	for _, w := range list {
		all = append(all, string(w))
	}
	return all
}

// printCase prints a case for a person, the item on the label first.
func (s *station) printCase(c custody.Case, v caseView, item string, contact bool) {
	line := func(label, format string, args ...any) {
		if text := strings.Trim(fmt.Sprintf(format, args...), " ,"); text != "" {
			fmt.Fprintf(s.term.Out, "%-10s %s\n", label, ui.Clean(text))
		}
	}
	line("case", "%s, %s, %s", c.No, c.Purpose, v.Case.State)
	switch {
	case contact && len(v.Customer) == 0:
		line("customer", "(no personal data, or erased)")
	case contact:
		line("customer", "%s", v.Customer[custody.FieldCustomer])
		line("contact", "%s", joined("  ", v.Customer[custody.FieldPhone], v.Customer[custody.FieldEmail], v.Customer[custody.FieldAddress]))
		line("proxy", "%s", v.Customer[custody.FieldProxy])
		line("ticket", "%s", v.Customer[custody.FieldTicket])
	default:
		line("customer", "shown with --contact, and that is recorded")
	}
	line("opened", "%s", s.term.DateTime(c.Opened))
	if c.Copies() > 0 || len(c.Images) == 0 {
		kept := ""
		if v.Case.Longer {
			kept = ", longer than usual"
		}
		line("erase by", "%s%s", s.deadlineWords(c.Deadline), kept)
	}
	if len(v.Special) > 0 || c.Role == custody.RoleProcessor {
		line("care", "%s", joined(", ", strings.Join(v.Special, ", "), string(c.Role), c.Contract))
	}
	line("wanted", "%s", v.Wanted)
	line("not", "%s", v.Excluded)
	line("allowed", "%s", strings.Join(v.Allowed, ", "))
	if c.Confirmed != nil {
		line("confirmed", "%s (%s)", s.term.Date(c.Confirmed.At), c.Confirmed.How)
	}
	if !c.Closed.IsZero() {
		line("closed", "%s", s.term.DateTime(c.Closed))
	}
	for _, i := range v.Items {
		s.printItem(line, i, i.Item == item)
	}
	for _, i := range v.Images {
		s.printImage(line, i)
	}
	for _, x := range v.Copies {
		s.printCopy(line, x)
	}
	for _, h := range v.Holds {
		if h.Active {
			line("hold", "%s, %s, look again on %s: %s", h.Hold, h.Kind, h.Review, h.Reason)
		}
	}
	for _, o := range v.Openings {
		line("opened by", "%s on %s, %s, %s: %s", o.By, s.term.DateTime(o.At.Time), o.Image, o.Use, o.Reason)
	}
	for _, x := range v.Exceptions {
		line("attention", "%s", x)
	}
	for _, step := range v.Case.Steps {
		if step.Code != custody.StepLook { // those are the exceptions above
			s.printStep("next       ", "           ", step)
		}
	}
}

func (s *station) printItem(line func(label, format string, args ...any), i itemRow, marked bool) {
	label := "item " + i.Item
	if marked {
		label = "> " + label
	}
	what := joined(" ", i.Maker, i.Model)
	if i.Serial != "" {
		what = joined(" ", what, "no. "+i.Serial)
	}
	if i.Bytes > 0 {
		what = joined(" ", what, ui.Size(i.Bytes))
	}
	line(label, "%s", joined(", ", string(i.Kind), what, string(i.Looks)))
	since := ""
	if i.Since != nil {
		since = " since " + s.term.Date(i.Since.Time)
	}
	switch i.State {
	case custody.ItemIsHere:
		line("", "%s%s", joined(", ", i.Place, "in the hands of "+i.Custodian), since)
	case custody.ItemIsOut:
		back := ""
		if i.Back != "" {
			back = ", expected back " + string(i.Back)
		}
		line("", "with %s%s%s", i.Processor, since, back)
	case custody.ItemIsDisputed:
		line("", "records disagree about who has it")
	default:
		line("", "%s%s", i.State, strings.Replace(since, " since", " on", 1))
	}
	if i.Seal != "" {
		line("", "seal %s, %s", i.Seal, i.SealState)
	}
	if w := i.Wiped; w != nil {
		line("", "wiped on %s by %s: %s", s.term.Date(w.At.Time), w.By, w.Media)
		line("", "attest %s", w.Attest)
	}
	for _, to := range i.Offered {
		line("", "offered to %s", to)
	}
}

// printCopy prints a written-out copy: what it is, for whom, and what ended it.
func (s *station) printCopy(line func(label, format string, args ...any), x copyRow) {
	size := ui.Size(x.Bytes)
	if x.CutOff {
		size = "cut off"
	}
	crypt := "not encrypted"
	if x.Encrypted {
		crypt = "encrypted"
	}
	line("copy", "%s of %s", x.Copy, joined(", ", x.Image, size, crypt))
	carried, whom := "", ""
	if x.Removable {
		carried = "can be carried away"
	}
	if x.Handover {
		whom = "for the customer"
	}
	line("", "%s", joined(", ", string(x.Target), carried, whom))
	end := "still there"
	if x.Ended != nil {
		end = string(x.Fate) + " on " + s.term.Date(x.Ended.Time)
	}
	line("", "%s", joined(", ", "made "+s.term.Date(x.Made.Time)+" by "+x.By, end))
}

func (s *station) printImage(line func(label, format string, args ...any), i imageRow) {
	line(i.Image, "%s in vault %s, %s, %s read, %s bad", i.State, i.Vault, ui.Size(i.Bytes), ui.Percent(i.Rescued, i.Bytes), ui.Size(i.Bad))
	if i.Root != "" {
		line("", "root %s", i.Root)
	}
	if i.Checked != nil {
		result := "agrees"
		if !i.Checked.OK {
			result = "DAMAGED"
		}
		line("", "checked %s (%s): %s", s.term.Date(i.Checked.At.Time), i.Checked.Level, result)
	}
	if len(i.KeysLeft) > 0 {
		line("", "keys %s", strings.Join(i.KeysLeft, ", "))
	}
	for _, k := range i.KeysGone {
		line("", "key copy %s destroyed on %s", k.File, s.term.Date(k.Ended.Time))
	}
	if i.Erased != nil {
		when := ""
		if i.State == custody.ImageIsErased {
			when = "erased on " + s.term.Date(i.Ended.Time)
		}
		line("", "%s", joined(": ", when, fmt.Sprintf("keys %s, medium %s", i.Erased.Keys, i.Erased.Media)))
	}
	if i.Destroyed != "" {
		line("", "destroyed with its medium on %s", i.Destroyed)
	}
}

// joined joins what is not empty.
func joined(by string, parts ...string) string {
	var list []string
	for _, p := range parts {
		if strings.TrimSpace(p) != "" {
			list = append(list, p)
		}
	}
	return strings.Join(list, by)
}
