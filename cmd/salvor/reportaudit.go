package main

import (
	"context"
	"errors"

	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/report"
)

// listedFaults is how many faults a paper lists; "salvor audit" prints all.
const listedFaults = 100

// auditPaper audits the ledger and says what was found.
func (s *station) auditPaper(ctx context.Context, language custody.Language) (report.Paper, error) {
	result, audited := s.ledger.Audit(ctx)
	if audited != nil && !errors.Is(audited, ledger.ErrAudit) {
		return nil, audited
	}
	p := report.AuditPaper{At: s.now(), Events: result.Events, Cases: int64(result.Cases), Checks: auditChecks(result)}
	var err error
	if p.Head, err = s.head(ctx, numbered(s.today(), custody.PaperAudit), report.CopyAnyone, language); err != nil {
		return nil, err
	}
	if p.Foot, err = s.footAfter(ctx, audited); err != nil {
		return nil, err
	}
	for n, f := range result.Faults {
		if n == listedFaults {
			p.More = int64(len(result.Faults) - n)
			break
		}
		fault := report.AuditFault{Event: string(f.Type), Check: string(f.Check), Words: f.What}
		if f.Ref != (custody.Ref{}) {
			fault.Ref = f.Ref.String()
		}
		p.Faults = append(p.Faults, fault)
	}
	p.Stations, err = s.auditedStations(ctx, result)
	return p, err
}

// auditChecks are what an audit has found in order, and what not.
func auditChecks(result ledger.AuditResult) []report.AuditCheck {
	failed := map[ledger.Check]bool{}
	for _, f := range result.Faults {
		failed[f.Check] = true
	}
	var list []report.AuditCheck
	for _, c := range []ledger.Check{
		ledger.CheckStorage, ledger.CheckSignatures, ledger.CheckSequence, ledger.CheckLinks, ledger.CheckTree, ledger.CheckWitnesses,
		ledger.CheckPrivate, ledger.CheckDerived, ledger.CheckAttests,
	} {
		undone := result.Stopped && c != ledger.CheckStorage
		list = append(list, report.AuditCheck{Code: string(c), OK: !undone && !failed[c], Undone: undone})
	}
	return list
}

// auditedStations are the newest states of the stations' logs: the own one as it was
// audited, the others as this station has witnessed them in what it signed.
func (s *station) auditedStations(ctx context.Context, result ledger.AuditResult) ([]report.AuditedStation, error) {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return nil, err
	}
	events, err := s.ledger.Events(ctx, "")
	if err != nil {
		return nil, err
	}
	seen := map[string]report.AuditedStation{}
	for _, e := range events {
		for name, head := range e.Heads {
			origin, err := custody.Origin(s.keys.Shop(), name)
			if err != nil {
				return nil, err
			}
			if e.Station == s.keys.Name() && head.Size >= seen[name].Size {
				at := custody.Checkpoint{Origin: origin, Size: head.Size, Root: head.Root}
				seen[name] = report.AuditedStation{Station: name, Size: head.Size, Code: at.Code(), Seen: e.TS.Time}
			}
		}
	}
	if own := result.Checkpoint; own.Origin != "" {
		seen[s.keys.Name()] = report.AuditedStation{Station: s.keys.Name(), Size: own.Size, Code: own.Code(), Seen: s.now()}
	}
	var list []report.AuditedStation
	for _, st := range shop.Stations {
		if row, ok := seen[st.Station]; ok {
			row.Retired = st.Retired != nil
			list = append(list, row)
		}
	}
	return list, nil
}
