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
	f.StringVar(&o.format, "format", "", "text (default) or json")
	f.StringVar(&o.lang, "lang", "", "nl, fr, de or en (default: the customer's)")
	f.StringVar(&o.out, "out", "-", "file to write, - for standard output")
	f.StringVar(&o.image, "image", "", "attest: only this image of the case")
	f.BoolVar(&o.force, "force", false, "replace the file")
	return cmd
}

func (s *station) report(ctx context.Context, kind, no string, o reportOptions) error {
	if s.json && o.format == "" {
		o.format = "json"
	} else if o.format == "" {
		o.format = "text"
	}
	if s.json && o.format != "json" {
		return usage("report", "--json and --format "+o.format+" exclude each other", "leave one of the two out")
	}
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
	if o.out != "-" {
		if err := s.keepOut(ctx, o.out); err != nil {
			return err
		}
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
