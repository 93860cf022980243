package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"salvor/cmd/salvor/internal/config"
	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/report"
	"salvor/custody/report/layout"
)

// frame is what stands around a paper, with whose copy it is.
func (s *station) frame(ctx context.Context, number string, copyFor report.CopyFor, language custody.Language) (report.Head, report.Foot, error) {
	head, err := s.head(ctx, number, copyFor, language)
	if err != nil {
		return head, report.Foot{}, err
	}
	foot, err := s.foot(ctx)
	return head, foot, err
}

// head fills what stands at the top of every paper.
func (s *station) head(ctx context.Context, number string, copyFor report.CopyFor, language custody.Language) (report.Head, error) {
	names, err := s.operatorNames(ctx)
	if err != nil {
		return report.Head{}, err
	}
	shop := s.config.Shop
	logo, err := readLogo(shop)
	if err != nil {
		return report.Head{}, err
	}
	h := report.Head{
		Shop: report.Shop{
			Name: shop.Name, Address: shop.Address, CompanyNumber: shop.CompanyNumber, DPO: shop.DPO,
			Phone: shop.Phone, Email: shop.Email, Logo: logo, Notes: shop.Notes,
		},
		Number: numbered(number, copyFor), PrintedAt: s.now(), Language: language, Zone: shop.Timezone, Copy: copyFor,
	}
	by := s.operatorOrStation(ctx)
	h.PrintedBy = h.Staff(by, names[by])
	if by == stationOperator {
		h.PrintedBy = s.keys.Name()
	}
	return h, nil
}

// numbered puts the number of a document together from what there is of its parts.
func numbered(parts ...any) string {
	var said []string
	for _, p := range parts {
		if text := fmt.Sprint(p); text != "" {
			said = append(said, text)
		}
	}
	return strings.Join(said, "-")
}

// readLogo reads the shop's logo. A paper without the logo that the shop asked for is
// refused: nobody would notice, and it would look like another shop's.
func readLogo(shop config.Shop) ([]byte, error) {
	if shop.Logo == "" {
		return nil, nil
	}
	data, err := readBounded(shop.Logo, layout.MaxLogoBytes)
	switch {
	case err != nil:
	case len(data) == 0:
		err = errors.New("it is empty")
	default:
		err = layout.CheckLogo(data)
	}
	if err != nil {
		return nil, &ui.Error{
			Code: ui.Usage, What: "logo " + shop.Logo, Why: "it cannot be used: " + err.Error(),
			Hint: "put a PNG or JPEG of at most 4 MiB there, or take shop.logo out of config.toml", Err: err,
		}
	}
	return data, nil
}

// readBounded reads a file of which at most limit bytes and one more are wanted; what is
// no file, as a pipe to which nobody writes, it does not wait for. Its errors do not
// repeat the name.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		var named *os.PathError
		if errors.As(err, &named) {
			return nil, named.Err
		}
		return nil, err
	}
	defer f.Close()
	if there, err := f.Stat(); err != nil || !there.Mode().IsRegular() {
		return nil, errors.Join(err, errors.New("it is no file"))
	}
	return io.ReadAll(io.LimitReader(f, limit+1))
}

// auditAhead begins to audit the ledger for the foot of a paper. An audit reads the
// whole file: on a connection of its own it does so while the paper is filled.
func (s *station) auditAhead(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	found := make(chan error, 1)
	l, err := s.ledger.Again()
	go func() {
		if err == nil {
			_, err = l.Audit(ctx)
			err = errors.Join(err, l.Close())
		}
		found <- err
	}()
	s.audited = sync.OnceValue(func() error { return <-found })
	s.atEnd = append(s.atEnd, func() { stop(); _ = s.audited() })
}

// foot fills what stands at the bottom of every paper: the ledger is audited for it.
func (s *station) foot(ctx context.Context) (report.Foot, error) {
	if s.audited == nil {
		s.auditAhead(ctx)
	}
	return s.footAfter(ctx, s.audited())
}

// footAfter is the foot of a paper for which the ledger was audited with that result.
func (s *station) footAfter(ctx context.Context, audited error) (report.Foot, error) {
	f := report.Foot{Ledger: report.LedgerOK, AuditedAt: s.now()}
	switch {
	case errors.Is(audited, ledger.ErrAudit):
		f.Ledger = report.LedgerBroken
	case audited != nil:
		return f, audited
	}
	var err error
	f.Checkpoint, err = s.checkpoint(ctx)
	f.Checkpoint.Station = s.keys.Name()
	return f, err
}

// oneAtATime refuses several attests in a format that holds one.
func oneAtATime(papers []report.Paper) error {
	var ids []string
	for _, p := range papers {
		switch p := p.(type) {
		case report.AttestPaper:
			ids = append(ids, p.Attest.ID)
		case report.DeviceAttestPaper:
			ids = append(ids, p.Attest.ID)
		case report.DestructionPaper:
			ids = append(ids, p.Ref)
		}
	}
	return usage("report", fmt.Sprintf("there are %d attests", len(papers)), "one at a time: --id "+strings.Join(ids, ", --id "))
}
