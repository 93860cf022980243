package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody/journal"
	"salvor/custody/ledger"
	"salvor/custody/report"
)

type auditOptions struct {
	full        bool
	bundle, out string
	check, key  string
	code        string
	station     string
	events      int64
}

func newAudit(p *program) *cobra.Command {
	var o auditOptions
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "check that the record is complete and unaltered",
		Long: `Checks every event: its signature, its place, its link to the one before, the
tree, the private parts, the tables computed from the events, and the database
itself; and that the vaults that are here hold this station's events. Every fault is
named with its event. With --full what an earlier audit has checked is checked again.

With --bundle it writes the proof of one case, which holds nothing about any other;
--check checks one on any machine, with nothing but the shop's public key. --code
compares the code at the foot of a paper: it is found out when the history was written
anew since.`,
		Example: `  salvor audit
  salvor audit --bundle T1-2026-0001 --out proof.jsonl
  salvor audit --check proof.jsonl --key shop.key
  salvor audit --code 7p2k-… --events 1041`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := 0
			for _, flag := range []string{"full", "bundle", "check", "code"} {
				if cmd.Flags().Changed(flag) {
					given++
				}
			}
			if given > 1 {
				return usage("audit", "--full, --bundle, --check and --code are four different things", "one of them at a time")
			}
			if cmd.Flags().Changed("check") {
				return p.checkBundle(o.check, o.key)
			}
			return p.withStationAlone(cmd.Context(), func(s *station) error {
				switch {
				case cmd.Flags().Changed("bundle"):
					return s.bundle(cmd.Context(), o.bundle, o.out)
				case cmd.Flags().Changed("code"):
					return s.checkCode(cmd.Context(), o)
				}
				return s.audit(cmd.Context(), o.full)
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.full, "full", false, "check every signature and every file in the vaults again")
	f.StringVar(&o.bundle, "bundle", "", "write the proof of this `CASE`; needs --out")
	f.StringVar(&o.out, "out", "", "file for the proof; it must not exist")
	f.StringVar(&o.check, "check", "", "check the proof in this `FILE`; needs --key")
	f.StringVar(&o.key, "key", "", "the shop's public `KEY`, or a file that holds it")
	f.StringVar(&o.code, "code", "", "compare the `CODE` of a paper, as it is printed or as its QR code says it")
	f.StringVar(&o.station, "station", "", "the station of that paper (default: this one)")
	f.Int64Var(&o.events, "events", -1, "the number of events on that paper")
	return cmd
}

func (s *station) audit(ctx context.Context, full bool) error {
	var result ledger.AuditResult
	err := s.withJournals(ctx, func(journals []*journal.Journal) (err error) {
		result, err = s.ledger.AuditWith(ctx, ledger.AuditOptions{Full: full, Journals: journals})
		return err
	})
	if err != nil && !errors.Is(err, ledger.ErrAudit) {
		return err
	}
	faults := make([]string, 0, len(result.Faults))
	for _, f := range result.Faults {
		faults = append(faults, f.String())
	}
	if s.json {
		if err := s.term.Document(map[string]any{
			"ok": len(faults) == 0, "events": result.Events, "cases": result.Cases, "faults": faults, "unopened": result.Unopened, "late": result.Late,
			"checkpoint": map[string]any{"size": result.Checkpoint.Size, "root": result.Checkpoint.Root},
		}); err != nil {
			return err
		}
	} else {
		for _, f := range faults {
			fmt.Fprintln(s.term.Out, f)
		}
	}
	if len(faults) > 0 {
		return &ui.Error{
			Code: ui.VerifyFailed, What: "audit", Why: fmt.Sprintf("the ledger is altered or incomplete: %s, the first: %s", counted(len(faults), "fault", "faults"), faults[0]),
			Hint: "keep a copy of the ledger as it is and find out who changed it", Err: err,
		}
	}
	if err != nil {
		return err
	}
	if !s.json {
		fmt.Fprintf(s.term.Out, "the ledger is complete and unaltered: %s, %s, root %s\n", eventCount(result.Events), caseCount(result.Cases), result.Checkpoint.Root)
	}
	if result.Unopened > 0 {
		s.term.Say("%d private parts or attests of other stations have not arrived, or are sealed to others", result.Unopened)
	}
	return nil
}

// checkCode compares the code at the foot of a paper with this ledger.
func (s *station) checkCode(ctx context.Context, o auditOptions) error {
	paper, err := report.ParseCode(o.code)
	if err != nil {
		return usage("audit", "--code: not the code of a paper", "eight groups of four, as they stand at its foot")
	}
	if o.station != "" {
		paper.Station = o.station
	}
	if paper.Station == "" {
		paper.Station = s.keys.Name()
	}
	if o.events >= 0 {
		paper.Size = o.events
	} else if paper.Size == 0 {
		return usage("audit", "--code: how many events stand beside it on the paper?", "--events N")
	}
	what := fmt.Sprintf("station %s at %s", paper.Station, eventCount(paper.Size))
	switch err := s.ledger.CheckPaper(ctx, paper.Station, paper.Size, paper.Code); {
	case errors.Is(err, ledger.ErrNotFound):
		return &ui.Error{
			Code: ui.VerifyFailed, What: what, Why: "this ledger does not go so far: its end was cut off, or an old one put back",
			Hint: "salvor sync; if it is still so, keep a copy of the ledger and find out who changed it", Err: err,
		}
	case errors.Is(err, ledger.ErrCode):
		return &ui.Error{
			Code: ui.VerifyFailed, What: what, Why: "the code is another one: it is not copied rightly, or the history was written anew since the paper was printed",
			Hint: "compare it once more; then keep the paper and a copy of the ledger", Err: err,
		}
	case err != nil:
		return err
	}
	if s.json {
		return s.term.Document(map[string]any{"ok": true, "station": paper.Station, "events": paper.Size})
	}
	fmt.Fprintf(s.term.Out, "the code is right: %s are what they were when the paper was printed\n", what)
	return nil
}
