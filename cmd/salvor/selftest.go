package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

func newSelftest(p *program) *cobra.Command {
	var vault string
	cmd := &cobra.Command{
		Use:   "selftest",
		Short: "try this machine and a vault on invented data, and record it",
		Long: `Makes a shop that does not exist, with a customer and a disk that do not either, and
does with them what salvor is for: image, verify, restore, hold, purge, papers, audit.
The invented shop lies in the state directory and its vault in a directory of the vault,
so that what is tried is this machine's disk and that vault's storage: 200 MB of it, for
some seconds. What was made is taken away at the end.

It says which class an erasing reaches on that vault. Only when every check has passed is
it recorded. Try a machine before its first customer, and again after each change: a new
version, another disk, another NAS.`,
		Example: "  salvor selftest\n  salvor selftest --vault nas",
		RunE:    p.onStation(func(ctx context.Context, s *station, _ []string) error { return s.selftest(ctx, vault) }),
	}
	cmd.Flags().StringVar(&vault, "vault", "", "the vault that is tried (default: that of new images)")
	return cmd
}

// tried is what came of one check.
type tried struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	Why   string `json:"why,omitempty"` // it is not
}

func (s *station) selftest(ctx context.Context, vaultName string) (err error) {
	begun := s.now()
	v, err := s.chooseVault(ctx, vaultName)
	if err != nil {
		return err
	}
	defer v.close()
	t, err := s.newTrial(v.path)
	if err != nil {
		return err
	}
	defer func() {
		if left := t.remove(); left != nil && err == nil {
			err = fmt.Errorf("selftest: take away what was made: %w", left)
		}
	}()
	results, failed := s.try(ctx, t)
	if s.json {
		if err := s.term.Document(map[string]any{
			"ok": failed == nil, "vault": v.name, "version": version, "checks": results, "keys": t.keys, "media": t.media,
		}); err != nil {
			return err
		}
	}
	if failed != nil {
		return failed
	}
	passed := custody.SelftestPassed{Version: version, Checks: int64(len(results)), Seconds: int64(s.now().Sub(begun) / time.Second)}
	if _, err := s.ledger.Append(ctx, s.operatorOrStation(ctx), ledger.Entry{Pub: passed}); err != nil {
		return err
	}
	s.term.Say("%d checks passed and are recorded; on vault %s an erasing reaches %s, %s", len(results), v.name, t.keys, t.media)
	return nil
}

// try makes one check after the other. What comes after one that fails rests on it, and
// is not tried.
func (s *station) try(ctx context.Context, t *trial) ([]tried, error) {
	results := []tried{}
	for _, c := range t.checks() {
		err := c.do()
		if ctx.Err() != nil {
			return results, context.Cause(ctx)
		}
		r := tried{Check: c.about, OK: err == nil}
		if err != nil {
			r.Why = err.Error()
		}
		results = append(results, r)
		if !s.json {
			fmt.Fprintf(s.term.Out, "%s  %s\n", map[bool]string{true: "ok  ", false: "FAIL"}[r.OK], c.about)
		}
		if err != nil {
			code, hint := failedCode(err), "give this machine no customer's disk before it is found out why"
			if code == ui.Absent {
				hint = "see to the storage and repeat the command"
			}
			return results, &ui.Error{Code: code, What: "selftest: " + c.about, Hint: hint, Err: err}
		}
	}
	return results, nil
}

// failedCode tells a storage that is not there, or full, from a check that failed.
func failedCode(err error) int {
	if exit, ok := errors.AsType[*exitError](err); ok && exit.got == ui.Absent {
		return ui.Absent
	}
	return explainedCode(err, ui.VerifyFailed)
}
