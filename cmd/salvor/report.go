package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
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
	copyFor           string
	force, print      bool
}

func newReport(p *program) *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:   "report KIND [CASE]",
		Short: "print a paper: intake, custody report, attest, overview, registers",
		Long: `Prints a paper in the customer's language, else the shop's (--lang for another).

about a case:
  attest   what was erased, what was proved, and what is not covered
  custody  everything that happened to the case, and who had it in hand

A paper is PDF, HTML with a print style sheet, text or JSON: what the name of --out
ends with, text on standard output, or --format. JSON holds the same as the paper,
canonical; the attest's holds the signed statement too. --print sends it to the
printer. Printing is recorded.`,
		Example: "  salvor report attest T1-2026-0001 --print\n  salvor report custody T1-2026-0001 --out custody.pdf --copy shop",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			no := ""
			if len(args) > 1 {
				no = args[1]
			}
			kind, err := parseKind(args[0], no)
			if err != nil {
				return err
			}
			return p.withStation(cmd.Context(), func(s *station) error { return s.report(cmd.Context(), kind, no, o) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "", "pdf, html, text or json")
	f.StringVar(&o.lang, "lang", "", "nl, fr, de or en (default: the customer's, else the shop's)")
	f.StringVar(&o.out, "out", "-", "file to write, - for standard output")
	f.StringVar(&o.image, "image", "", "attest: only this image of the case")
	f.StringVar(&o.copyFor, "copy", "customer", "whose copy of a paper about a case: customer or shop")
	f.BoolVar(&o.force, "force", false, "replace the file")
	f.BoolVar(&o.print, "print", false, "send it to the printer (lp)")
	return cmd
}

// parseKind reads what paper is asked for, and whether a case belongs to it.
func parseKind(kind, no string) (custody.PaperKind, error) {
	k := custody.PaperKind(kind)
	switch k {
	case custody.PaperAttest, custody.PaperCustody:
		if no == "" {
			return "", usage("report", "which case?", "salvor report "+kind+" CASE")
		}
		return k, nil
	}
	return "", usage("report", "no such paper", "salvor report --help lists them")
}

// formats are the endings of files that name a format.
func formatOf(o reportOptions) (custody.PaperFormat, error) {
	if o.format != "" {
		f := custody.PaperFormat(o.format)
		if !f.Valid() {
			return "", usage("report", "--format: pdf, html, text or json", "")
		}
		return f, nil
	}
	switch {
	case o.print:
		return custody.FormatPDF, nil
	case o.out == "-":
		return custody.FormatText, nil
	}
	switch strings.ToLower(filepath.Ext(o.out)) {
	case ".html", ".htm":
		return custody.FormatHTML, nil
	case ".txt":
		return custody.FormatText, nil
	case ".json":
		return custody.FormatJSON, nil
	}
	return custody.FormatPDF, nil
}

// check settles the options before anything is opened or recorded.
func (o *reportOptions) check(json bool) (custody.PaperFormat, error) {
	if json && o.format == "" {
		o.format = string(custody.FormatJSON)
	}
	format, err := formatOf(*o)
	switch {
	case err != nil:
		return "", err
	case json && format != custody.FormatJSON:
		return "", usage("report", "--json and --format "+o.format+" exclude each other", "leave one of the two out")
	case o.copyFor != string(report.CopyCustomer) && o.copyFor != string(report.CopyShop):
		return "", usage("report", "--copy: customer or shop", "")
	case o.print && o.out != "-":
		return "", usage("report", "--print and --out exclude each other", "leave one of the two out")
	case o.print && format != custody.FormatPDF && format != custody.FormatText:
		return "", usage("report", "--print takes pdf or text", "")
	}
	if o.lang != "" {
		if _, err := report.ParseLanguage(o.lang); err != nil {
			return "", usage("report", "--lang: nl, fr, de or en", "")
		}
	}
	return format, nil
}

// language is what a paper speaks: what was asked for, else the customer's language,
// else the shop's.
func (s *station) language(o reportOptions, customers custody.Language) custody.Language {
	for _, l := range []string{o.lang, string(customers), s.config.Shop.Language} {
		if language, err := report.ParseLanguage(l); err == nil {
			return language
		}
	}
	return custody.Dutch
}

func (s *station) report(ctx context.Context, kind custody.PaperKind, no string, o reportOptions) error {
	format, err := o.check(s.json)
	if err != nil {
		return err
	}
	if err := s.mayDeliver(ctx, format, o); err != nil {
		return err
	}
	var c custody.Case
	if no != "" {
		if c, err = s.findCase(ctx, no); err != nil {
			return err
		}
	}
	language := s.language(o, c.Language)
	var papers [][]byte
	switch kind {
	case custody.PaperAttest:
		papers, err = s.attestPapers(ctx, c, o, format, language)
	case custody.PaperCustody:
		papers, err = s.custodyPaper(ctx, c, string(format), language)
	}
	if err != nil {
		return err
	}
	if len(papers) > 1 && format != custody.FormatText && format != custody.FormatJSON {
		return usage("report", "the case has more than one of them", "one at a time: --image NAME")
	}
	content := []byte(strings.Join(stringsOf(papers), "\n"))
	return s.deliver(ctx, content, o, func() error {
		for range papers {
			if err := s.printed(ctx, c.No, kind, format, language); err != nil {
				return err
			}
		}
		return nil
	})
}

// printed records that a paper was printed.
func (s *station) printed(ctx context.Context, no custody.CaseNo, kind custody.PaperKind, format custody.PaperFormat, language custody.Language) error {
	_, err := s.ledger.Append(ctx, s.operatorOrStation(ctx), ledger.Entry{Case: no, Pub: custody.PaperPrinted{Kind: kind, Format: format, Lang: language}})
	return err
}

// mayDeliver refuses, before anything is recorded, a paper that could not be delivered.
func (s *station) mayDeliver(ctx context.Context, format custody.PaperFormat, o reportOptions) error {
	if o.print {
		if _, err := exec.LookPath("lp"); err != nil {
			return &ui.Error{Code: ui.Other, What: "print", Why: "this machine has no printing system (lp)", Hint: "--out FILE writes the paper", Err: err}
		}
		return nil
	}
	if o.out == "-" {
		if format == custody.FormatPDF && s.term.StdoutIsTerminal() {
			return usage("report", "a PDF is not for a terminal", "--out FILE, --print, or --format text")
		}
		return nil
	}
	if err := s.keepOut(ctx, o.out); err != nil {
		return err
	}
	if _, err := os.Lstat(o.out); err == nil && !o.force {
		return refuse("report", "the file "+o.out+" exists", "use another name, or --force to replace it")
	}
	return nil
}

// deliver hands a paper over. The printing is recorded when nothing can fail any more
// but the last step: no paper leaves without a record.
func (s *station) deliver(ctx context.Context, content []byte, o reportOptions, record func() error) error {
	switch {
	case o.print:
		if err := record(); err != nil {
			return err
		}
		return printOut(ctx, content)
	case o.out == "-":
		if err := record(); err != nil {
			return err
		}
		_, err := s.term.Raw().Write(content)
		return err
	}
	return writePaper(o.out, content, o.force, record)
}

// printOut sends a paper to the default printer.
func printOut(ctx context.Context, content []byte) error {
	lp := exec.CommandContext(ctx, "lp", "-s", "-")
	lp.Stdin = bytes.NewReader(content)
	var said bytes.Buffer
	lp.Stderr = &said
	if err := lp.Run(); err != nil {
		return &ui.Error{Code: ui.Other, What: "print", Why: "the printing system refused it: " + strings.TrimSpace(said.String()), Hint: "lpstat -p -d shows the printers; --out FILE writes the paper", Err: err}
	}
	return nil
}

func stringsOf(papers [][]byte) []string {
	out := make([]string, 0, len(papers))
	for _, p := range papers {
		out = append(out, string(p))
	}
	return out
}

// writePaper writes a paper whole or not at all. record is called when the paper is
// durable and not yet there.
func writePaper(path string, content []byte, replace bool, record func() error) error {
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
		err = record()
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
func (s *station) attestPapers(ctx context.Context, c custody.Case, o reportOptions, format custody.PaperFormat, language custody.Language) ([][]byte, error) {
	if o.image != "" {
		if _, err := pick(c, o.image); err != nil {
			return nil, err
		}
	}
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
		text, err := render(paper, string(format))
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

func render(p report.Paper, format string) ([]byte, error) {
	return report.Render(p, custody.PaperFormat(format))
}
