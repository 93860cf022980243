package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/report"
)

type reportOptions struct {
	format, lang, out string
	image             string
	force             bool
}

func newReport(p *program) *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:   "report KIND CASE",
		Short: "print a paper: the attest of an erasing, or the custody report",
		Long: `Prints a paper about a case, in the customer's language (--lang for another):

  attest   what was erased, what was proved, and what is not covered
  custody  everything that happened to the case, and who had it in hand

JSON holds the same, canonical; the attest's JSON holds the signed statement too.
Printing is recorded.`,
		Example: "  salvor report attest T1-2026-0001 --format text\n  salvor report custody T1-2026-0001 --format json --out custody.json",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStation(cmd.Context(), func(s *station) error { return s.report(cmd.Context(), args[0], args[1], o) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "text", "text or json")
	f.StringVar(&o.lang, "lang", "", "nl, fr, de or en (default: the customer's)")
	f.StringVar(&o.out, "out", "-", "file to write, - for standard output")
	f.StringVar(&o.image, "image", "", "attest: only this image of the case")
	f.BoolVar(&o.force, "force", false, "replace the file")
	return cmd
}

func (s *station) report(ctx context.Context, kind, no string, o reportOptions) error {
	if o.format != "text" && o.format != "json" {
		return usage("report", "--format: text or json", "")
	}
	c, err := s.findCase(ctx, no)
	if err != nil {
		return err
	}
	lang := string(c.Language)
	if o.lang != "" {
		lang = o.lang
	}
	language, err := report.ParseLanguage(lang)
	if err != nil {
		return usage("report", "--lang: nl, fr, de or en", "")
	}
	if o.out != "-" && !o.force {
		if _, err := os.Lstat(o.out); err == nil {
			return refuse("report", "the file "+o.out+" exists", "use another name, or --force to replace it")
		}
	}
	var papers [][]byte
	switch kind {
	case "attest":
		papers, err = s.attestPapers(ctx, c, o, language)
	case "custody":
		papers, err = s.custodyPaper(ctx, c, o.format, language)
	default:
		return usage("report", "unknown kind", "attest or custody")
	}
	if err != nil {
		return err
	}
	for range papers {
		if _, err := s.ledger.Append(ctx, s.operatorOrStation(ctx), ledger.Entry{Case: c.No, Pub: custody.PaperPrinted{
			Kind: custody.PaperKind(kind), Format: custody.PaperFormat(o.format), Lang: language,
		}}); err != nil {
			return err
		}
	}
	content := []byte(strings.Join(stringsOf(papers), "\n"))
	if o.out == "-" {
		_, err := s.term.Raw().Write(content)
		return err
	}
	return writePaper(o.out, content, o.force)
}

func stringsOf(papers [][]byte) []string {
	out := make([]string, 0, len(papers))
	for _, p := range papers {
		out = append(out, string(p))
	}
	return out
}

// writePaper writes a paper whole or not at all.
func writePaper(path string, content []byte, replace bool) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".salvor-paper-*")
	if err != nil {
		return fmt.Errorf("write the paper: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = rename(f.Name(), path, replace)
	}
	if err != nil {
		return fmt.Errorf("write the paper: %w", err)
	}
	return nil
}

// head fills what stands at the top of every paper.
func (s *station) head(ctx context.Context, number string, language custody.Language) (report.Head, error) {
	names, err := s.operatorNames(ctx)
	if err != nil {
		return report.Head{}, err
	}
	by := s.operatorOrStation(ctx)
	if name, ok := names[by]; ok {
		by = name
	} else if by == stationOperator {
		by = s.keys.Name()
	}
	shop := s.config.Shop
	return report.Head{
		Shop:   report.Shop{Name: shop.Name, Address: shop.Address, CompanyNumber: shop.CompanyNumber, DPO: shop.DPO},
		Number: number, PrintedAt: s.now(), PrintedBy: by, Language: language, Zone: shop.Timezone,
	}, nil
}

func (s *station) foot(ctx context.Context) (report.Foot, error) {
	f := report.Foot{Ledger: report.LedgerOK}
	_, err := s.ledger.Audit(ctx)
	switch {
	case errors.Is(err, ledger.ErrAudit):
		f.Ledger = report.LedgerBroken
	case err != nil:
		return f, err
	}
	f.AuditedAt = s.now()
	f.Checkpoint, err = s.checkpoint(ctx)
	return f, err
}

// attestPapers renders the attests of a case, one per erased image.
func (s *station) attestPapers(ctx context.Context, c custody.Case, o reportOptions, language custody.Language) ([][]byte, error) {
	records, err := s.ledger.Attests(ctx, c.No)
	if err != nil {
		return nil, err
	}
	known, err := s.verifiers(ctx)
	if err != nil {
		return nil, err
	}
	names, err := s.operatorNames(ctx)
	if err != nil {
		return nil, err
	}
	foot, err := s.foot(ctx)
	if err != nil {
		return nil, err
	}
	var papers [][]byte
	for _, record := range records {
		if o.image != "" && record.Image != o.image || !issued(c, record) {
			continue
		}
		a, n, err := report.OpenAttest(record.Note, known)
		if err != nil {
			return nil, &ui.Error{Code: ui.VerifyFailed, What: "attest of " + string(c.No), Why: "the stored statement is not what was signed", Hint: "salvor audit", Err: err}
		}
		head, err := s.head(ctx, fmt.Sprintf("%s-%s-attest", c.No, record.Image), language)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(record.Note)
		paper := report.AttestPaper{Head: head, Attest: a, Signer: n.Sigs[0].Name, SHA256: hex.EncodeToString(sum[:]), Names: names, Foot: foot, Note: string(record.Note)}
		text, err := render(paper, o.format)
		if err != nil {
			return nil, err
		}
		papers = append(papers, text)
	}
	if len(papers) == 0 {
		return nil, &ui.Error{Code: ui.NotFound, What: "attest of " + string(c.No), Why: "nothing of it was erased yet", Hint: "salvor due; salvor purge"}
	}
	return papers, nil
}

// issued tells whether the ledger's events know the attest by its hash.
func issued(c custody.Case, record ledger.AttestRecord) bool {
	for _, a := range c.Attests {
		if a.Attest == record.ID && a.SHA256 == custody.Hash(sha256.Sum256(record.Note)) {
			return true
		}
	}
	return false
}

// paper is any of the papers of package report.
type paper interface {
	Text() (string, error)
	JSON() ([]byte, error)
}

func render(p paper, format string) ([]byte, error) {
	if format == "json" {
		b, err := p.JSON()
		return append(b, '\n'), err
	}
	text, err := p.Text()
	return []byte(text), err
}

// custodyPaper fills the custody report from the ledger.
func (s *station) custodyPaper(ctx context.Context, c custody.Case, format string, language custody.Language) ([][]byte, error) {
	f, err := s.newCustodyFacts(ctx, c)
	if err != nil {
		return nil, err
	}
	p := report.CustodyPaper{
		Case: string(c.No), Opened: c.Opened, Purpose: string(c.Purpose), Business: c.Business, Deadline: c.Deadline,
		State:    f.state(),
		Customer: f.field(f.opened(), custody.FieldCustomer), Ticket: f.field(f.opened(), custody.FieldTicket),
		Items: f.items(), Timeline: f.timeline(), Images: f.images(), Copies: f.copies(), Openings: f.openings(), Holds: f.holds(), Gaps: f.gaps(),
	}
	if p.Head, err = s.head(ctx, string(c.No)+"-custody", language); err != nil {
		return nil, err
	}
	if p.Foot, err = s.foot(ctx); err != nil {
		return nil, err
	}
	text, err := render(p, format)
	return [][]byte{text}, err
}

// custodyFacts joins a case's public events with its private parts for one paper.
type custodyFacts struct {
	c       custody.Case
	events  []custody.Event
	private map[custody.Ref]map[string]string
	erased  map[custody.Ref]custody.Event // by event: the private.erased that names it
	names   map[string]string
	vaults  map[string]string
}

func (s *station) newCustodyFacts(ctx context.Context, c custody.Case) (*custodyFacts, error) {
	f := &custodyFacts{c: c, erased: map[custody.Ref]custody.Event{}, vaults: map[string]string{}}
	var err error
	if f.events, err = s.ledger.Events(ctx, c.No); err != nil {
		return nil, err
	}
	if f.private, err = s.ledger.PrivateOfCase(ctx, c.No); err != nil {
		return nil, err
	}
	if f.names, err = s.operatorNames(ctx); err != nil {
		return nil, err
	}
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range shop.Vaults {
		f.vaults[v.Vault] = v.Name
	}
	for _, e := range f.events {
		if p, ok := e.Pub.(custody.PrivateErased); ok {
			for _, ref := range p.Events {
				f.erased[ref] = e
			}
		}
	}
	return f, nil
}

// field is one private text: what it says, or when it was erased.
func (f *custodyFacts) field(ref custody.Ref, name string) report.Personal {
	if e, gone := f.erased[ref]; gone {
		return report.Erased(e.TS.Time)
	}
	return report.Said(f.private[ref][name])
}

func (f *custodyFacts) opened() custody.Ref {
	for _, e := range f.events {
		if e.Type() == custody.TypeCaseOpened {
			return e.Ref()
		}
	}
	return custody.Ref{}
}

func (f *custodyFacts) who(op string) string {
	if name, ok := f.names[op]; ok {
		return name
	}
	return op
}

func (f *custodyFacts) vault(id string) string {
	if name, ok := f.vaults[id]; ok {
		return name
	}
	return id
}

func (f *custodyFacts) state() string {
	switch {
	case !f.c.Closed.IsZero():
		return report.StateClosed
	case f.c.Erased():
		return report.StateErased
	}
	for _, i := range f.c.Images {
		if i.State == custody.ImageIsErasing {
			return report.StateErasing
		}
	}
	return report.StateOpen
}

func (f *custodyFacts) items() []report.Item {
	var list []report.Item
	for _, i := range f.c.Items {
		list = append(list, report.Item{
			Number: i.Item, Kind: string(i.Kind), Bytes: i.Bytes,
			Model: f.field(i.Ref, custody.FieldModel), Serial: f.field(i.Ref, custody.FieldSerial),
			Condition: f.field(i.Ref, custody.FieldCondition), Accessories: f.field(i.Ref, custody.FieldAccessories), Fault: f.field(i.Ref, custody.FieldFault),
		})
	}
	return list
}

func (f *custodyFacts) timeline() []report.Step {
	var list []report.Step
	for _, e := range f.events {
		step := report.Step{
			Time: e.TS.Time, Ref: e.Ref().String(), Event: string(e.Type()), Station: e.Station, Operator: f.who(e.Op),
			Asserted: true, Detail: f.detail(e),
		}
		if e.HasPrivate() {
			step.Reason = f.field(e.Ref(), custody.FieldReason)
		}
		list = append(list, step)
	}
	return list
}

// detail is an event's public facts in codes and numbers.
func (f *custodyFacts) detail(e custody.Event) string {
	switch p := e.Pub.(type) {
	case custody.CaseOpened:
		return string(p.Purpose)
	case custody.AgreementRecorded:
		return p.Notice
	case custody.ItemReceived:
		return fmt.Sprintf("%s, %s", p.Kind, ui.Size(p.Bytes))
	case custody.DeadlineSet:
		return fmt.Sprintf("%s (%s)", p.Deadline.Format("2006-01-02"), p.Keep)
	case custody.DeadlineShortened:
		return p.Deadline.Format("2006-01-02")
	case custody.ImageStarted:
		return fmt.Sprintf("%s, %s", p.Image, f.vault(p.Vault))
	case custody.KeyWrapped:
		return fmt.Sprintf("%s, %s", p.Image, filepath.Base(p.File))
	case custody.ImagePaused:
		return fmt.Sprintf("%s, %s, %s", p.Image, ui.Size(p.Rescued), p.Why)
	case custody.ImageFailed:
		return fmt.Sprintf("%s, %s, %s", p.Image, ui.Size(p.Rescued), p.Why)
	case custody.ImageSealed:
		return fmt.Sprintf("%s, %s", p.Image, ui.Size(p.Rescued))
	case custody.ImageVerified:
		return fmt.Sprintf("%s, %s, ok=%t", p.Image, p.Level, p.OK)
	case custody.DataOpened:
		return fmt.Sprintf("%s, %s", p.Image, p.Use)
	case custody.DataRestored:
		return fmt.Sprintf("%s, %s, %s", p.Image, p.Target, ui.Size(p.Bytes))
	case custody.HoldAdded:
		return fmt.Sprintf("%s, %s, %s", p.Hold, p.Kind, p.Review)
	case custody.HoldEnded:
		return p.Hold
	case custody.EraseStarted:
		return p.Image
	case custody.EraseFailed:
		return fmt.Sprintf("%s, %s", p.Image, p.Step)
	case custody.EraseDone:
		return fmt.Sprintf("%s, %s / %s", p.Image, p.Keys, p.Media)
	case custody.AttestIssued:
		return p.Attest
	case custody.PaperPrinted:
		return fmt.Sprintf("%s, %s, %s", p.Kind, p.Format, p.Lang)
	}
	return ""
}

func (f *custodyFacts) images() []report.Image {
	var list []report.Image
	for _, i := range f.c.Images {
		r := report.Image{
			Name: i.Name, Item: i.Item, UUID: strings.ReplaceAll(i.UUID.String(), "-", ""), Bytes: i.Bytes, Sector: i.Sector,
			Rescued: i.Rescued, Bad: i.Bad, Untried: i.Untried, Started: i.At, Sealed: i.Sealed, State: string(i.State),
		}
		if i.Seal != nil {
			r.Root, r.Rescued, r.Bad = i.Seal.Root.String(), i.Seal.Rescued, i.Seal.Bad
		}
		for _, check := range f.c.Checks {
			if check.Image != i.Name {
				continue
			}
			r.Verified = append(r.Verified, report.Verification{Time: check.At, Level: string(check.Level), OK: check.OK})
			if sha := f.field(check.Ref, custody.FieldSHA256); sha != (report.Personal{}) && check.Level == custody.VerifyDeep {
				r.SHA256 = sha
			}
		}
		list = append(list, r)
	}
	return list
}

func (f *custodyFacts) copies() []report.Copy {
	var list []report.Copy
	for _, i := range f.c.Images {
		image := report.Copy{Where: f.vault(i.Vault), Holds: i.Name, Made: i.At, Encrypted: true, ErasedOn: i.Erased}
		if i.Seal != nil {
			image.Bytes = i.Seal.Stored
		}
		for _, check := range f.c.Checks {
			if check.Image == i.Name && check.OK {
				image.Verified = check.At
			}
		}
		if i.Erase != nil && !i.Erased.IsZero() {
			image.How, image.Attest = fmt.Sprintf("%s / %s", i.Erase.Keys, i.Erase.Media), i.EraseJob
		}
		list = append(list, image)
		for _, k := range i.Keys {
			list = append(list, report.Copy{
				Where: f.vault(k.Keystore), Holds: i.Name, Key: filepath.Base(k.File), Made: k.At, Encrypted: true,
				ErasedOn: i.Erased, How: image.How, Attest: image.Attest,
			})
		}
	}
	for _, r := range f.c.Restores {
		list = append(list, report.Copy{Where: string(r.Target), Holds: r.Image, Made: r.At, Bytes: r.Bytes, Out: true})
	}
	return list
}

func (f *custodyFacts) openings() []report.Opening {
	var list []report.Opening
	for _, o := range f.c.Openings {
		list = append(list, report.Opening{
			Time: o.At, Image: o.Image, Use: string(o.Use), Reason: f.field(o.Ref, custody.FieldReason), Operator: f.who(o.Op), Station: o.Ref.Station,
		})
	}
	return list
}

func (f *custodyFacts) holds() []report.Hold {
	var list []report.Hold
	for _, h := range f.c.Holds {
		list = append(list, report.Hold{
			ID: h.ID, Kind: string(h.Kind), Reason: f.field(h.Ref, custody.FieldReason), From: h.Added, Review: string(h.Review), Ended: h.Ended, Operator: f.who(h.By),
		})
	}
	return list
}

// gaps are what the record does not tell, or tells badly.
func (f *custodyFacts) gaps() []report.Gap {
	// Who handed the item to whom is not recorded yet: say so rather than look complete.
	list := []report.Gap{{Code: "no-transfers"}}
	for _, x := range f.c.Exceptions {
		list = append(list, report.Gap{Code: string(x.Kind), Words: "event " + x.Ref.String()})
	}
	for _, i := range f.c.Images {
		if i.Seal == nil && i.Left() {
			list = append(list, report.Gap{Time: i.At, Code: "no-seal", Words: i.Name + " was never sealed"})
		}
	}
	return list
}
