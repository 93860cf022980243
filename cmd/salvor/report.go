package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/report"
)

type reportOptions struct {
	format, lang, out string
	image, id         string
	copyFor           string
	force, print      bool
}

// A paperKind is a paper and what it is about.
type paperKind struct {
	kind  custody.PaperKind
	short string
	shop  bool // about the shop as a whole
}

// paperKinds are the papers, in the order of a case's life.
func paperKinds() []paperKind {
	return []paperKind{
		{custody.PaperIntake, "what was handed in and agreed, to sign, with a receipt to tear off", false},
		{custody.PaperCustody, "everything that happened to a case, and who had it in hand", false},
		{custody.PaperHandover, "what goes back, what is missing, what is still kept, to sign", false},
		{custody.PaperAttest, "what was erased, what was proved, and what is not covered", false},
		{custody.PaperDue, "every copy that is kept, and what the manager has to do", true},
		{custody.PaperRegister, "the record of processing activities (Art. 30)", true},
		{custody.PaperIncidents, "the register of incidents, with their clocks", true},
		{custody.PaperRequests, "the register of requests, with their clocks", true},
		{custody.PaperAudit, "what an audit of the ledger found, with the codes of the stations", true},
	}
}

func newReport(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report",
		Short: "print a paper: intake, custody report, attest, overview, registers",
		Long: `Prints a paper in the customer's language, else the shop's (--lang for another).

A paper is PDF, HTML with a print style sheet, text or JSON: what the name of --out
ends with, text on standard output, or --format. JSON holds the same as the paper,
canonical; the attest's holds the signed statement too. --print sends it to the
printer. Printing is recorded.

Of the papers about a case there is a copy for the customer and one for the shop
(--copy). The customer's names the people of the shop by their number.`,
		Example: "  salvor report attest T1-2026-0001 --print\n  salvor report custody T1-2026-0001 --out custody.pdf\n  salvor report due --out overview.pdf",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, k := range paperKinds() {
		cmd.AddCommand(newPaper(p, k.kind, k.short, k.shop))
	}
	return cmd
}

func newPaper(p *program, kind custody.PaperKind, short string, shop bool) *cobra.Command {
	var o reportOptions
	use, example := string(kind)+" CASE", " T1-2026-0001"
	if shop {
		use, example = string(kind), ""
	}
	if kind == custody.PaperAttest {
		use = string(kind) + " [CASE]"
	}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.RangeArgs(0, 1),
		Example: fmt.Sprintf("  salvor report %[1]s%[2]s\n  salvor report %[1]s%[2]s --lang fr --out %[1]s.pdf", kind, example),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := o.check("report", p.json)
			if err != nil {
				return err
			}
			inOneGo()
			press := report.NewPress(format)
			return p.withStation(cmd.Context(), func(s *station) error {
				return s.report(cmd.Context(), press, kind, strings.Join(args, ""), format, o)
			})
		},
	}
	o.flags(cmd)
	if !shop {
		cmd.Flags().StringVar(&o.copyFor, "copy", string(report.CopyCustomer), "whose copy: customer or shop")
	}
	if kind == custody.PaperAttest {
		cmd.Long = `Prints the signed statements about what was erased of a case: its images, whole disks
and destroyed media. Without CASE those about media of the shop itself.`
		cmd.Flags().StringVar(&o.image, "image", "", "only this image of the case")
		cmd.Flags().StringVar(&o.id, "id", "", "only the attest with this `ID`, or the destruction that this entry records")
	}
	return cmd
}

// inOneGo tells the runtime that the program ends soon: it may take several times the
// memory that it holds before it looks for what nobody needs any more. A paper waits for
// an audit that keeps both cores busy, and that looking is a tenth of it.
func inOneGo() { debug.SetGCPercent(400) }

// flags are those of everything that is printed.
func (o *reportOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "", "pdf, html, text or json")
	f.StringVar(&o.lang, "lang", "", "nl, fr, de or en (default: the customer's, else the shop's)")
	f.StringVar(&o.out, "out", "-", "file to write, - for standard output")
	f.BoolVar(&o.force, "force", false, "replace the file")
	f.BoolVar(&o.print, "print", false, "send it to the printer (lp)")
}

// formatOf is the format that was asked for, by name or by the ending of a file.
func formatOf(what string, o reportOptions) (custody.PaperFormat, error) {
	if o.format != "" {
		f := custody.PaperFormat(o.format)
		if !f.Valid() {
			return "", usage(what, "--format: pdf, html, text or json", "")
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
func (o *reportOptions) check(what string, json bool) (custody.PaperFormat, error) {
	if json && o.format == "" {
		o.format = string(custody.FormatJSON)
	}
	format, err := formatOf(what, *o)
	switch {
	case err != nil:
		return "", err
	case json && format != custody.FormatJSON:
		return "", usage(what, "--json and --format "+o.format+" exclude each other", "leave one of the two out")
	case o.copyFor != "" && o.copyFor != string(report.CopyCustomer) && o.copyFor != string(report.CopyShop):
		return "", usage(what, "--copy: customer or shop", "")
	case o.print && o.out != "-":
		return "", usage(what, "--print and --out exclude each other", "leave one of the two out")
	case o.print && format != custody.FormatPDF && format != custody.FormatText:
		return "", usage(what, "--print takes pdf or text", "")
	}
	if o.lang != "" {
		if _, err := report.ParseLanguage(o.lang); err != nil {
			return "", usage(what, "--lang: nl, fr, de or en", "")
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

func (s *station) report(ctx context.Context, press *report.Press, kind custody.PaperKind, no string, format custody.PaperFormat, o reportOptions) error {
	if err := s.mayDeliver(ctx, "report", format, o); err != nil {
		return err
	}
	var c custody.Case
	var err error
	if no != "" {
		if c, err = s.findCase(ctx, no); err != nil {
			return err
		}
	}
	if kind != custody.PaperAudit { // that one tells all that its audit finds
		s.auditAhead(ctx)
	}
	language := s.language(o, c.Language)
	papers, err := s.papers(ctx, kind, c, o, language)
	if err != nil {
		return err
	}
	if len(papers) > 1 && format != custody.FormatText && format != custody.FormatJSON {
		return oneAtATime(papers)
	}
	var content []byte
	for n, p := range papers {
		one, err := press.Render(p, format)
		if err != nil {
			return err
		}
		if n > 0 && format == custody.FormatText {
			content = append(content, '\n')
		}
		content = append(content, one...)
	}
	return s.deliver(ctx, content, o, func() error {
		for range papers {
			if err := s.printed(ctx, c.No, kind, format, language); err != nil {
				return err
			}
		}
		return nil
	})
}

// papers fills the papers of a kind: one, or of attests as many as there are.
func (s *station) papers(ctx context.Context, kind custody.PaperKind, c custody.Case, o reportOptions, language custody.Language) ([]report.Paper, error) {
	one := func(p report.Paper, err error) ([]report.Paper, error) { return []report.Paper{p}, err }
	switch kind {
	case custody.PaperAttest:
		return s.attestPapers(ctx, c, o, language)
	case custody.PaperCustody:
		return one(s.custodyPaper(ctx, c, o, language))
	case custody.PaperIntake:
		return one(s.intakePaper(ctx, c, o, language))
	case custody.PaperHandover:
		return one(s.handoverPaper(ctx, c, o, language))
	case custody.PaperAudit:
		return one(s.auditPaper(ctx, language))
	}
	return one(s.shopPaper(ctx, kind, language))
}

// printed records that a paper was printed.
func (s *station) printed(ctx context.Context, no custody.CaseNo, kind custody.PaperKind, format custody.PaperFormat, language custody.Language) error {
	_, err := s.ledger.Append(ctx, s.operatorOrStation(ctx), ledger.Entry{Case: no, Pub: custody.PaperPrinted{Kind: kind, Format: format, Lang: language}})
	return err
}

// mayDeliver refuses, before anything is recorded, a paper that could not be delivered.
func (s *station) mayDeliver(ctx context.Context, what string, format custody.PaperFormat, o reportOptions) error {
	if o.print {
		if _, err := exec.LookPath("lp"); err != nil {
			return &ui.Error{Code: ui.Other, What: what, Why: "this machine has no printing system (lp)", Hint: "--out FILE writes the paper", Err: err}
		}
		return nil
	}
	if o.out == "-" {
		if format == custody.FormatPDF && s.term.StdoutIsTerminal() {
			return usage(what, "a PDF is not for a terminal", "--out FILE, --print, or --format text")
		}
		return nil
	}
	if err := s.keepOut(ctx, o.out); err != nil {
		return err
	}
	return mayReplace(what, o)
}

// mayReplace refuses a name that a paper cannot have. What is no file is never replaced:
// a device or a pipe would be gone.
func mayReplace(what string, o reportOptions) error {
	there, err := os.Lstat(o.out)
	switch {
	case err == nil && !there.Mode().IsRegular():
		return refuse(what, o.out+" is there and is no file", "use another name, or --out - for standard output")
	case err == nil && !o.force:
		return refuse(what, "the file "+o.out+" exists", "use another name, or --force to replace it")
	case err == nil:
		return nil
	case o.out == "":
		return usage(what, "--out: no name", "--out FILE, or - for standard output")
	}
	dir := filepath.Dir(o.out)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return &ui.Error{Code: ui.NotFound, What: what, Why: "there is no directory " + dir, Hint: "look at the name", Err: err}
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
	return writeWhole(o.out, content, o.force, record)
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
