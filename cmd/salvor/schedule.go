package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
)

func newSchedule(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "schedule",
		Short:   "run the purge every night",
		Long:    "Prints the timer that runs the purge of this station, and says how its last run ended.",
		Example: "  salvor schedule print\n  salvor schedule status",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSchedulePrint(p), newScheduleStatus(p))
	return cmd
}

func newSchedulePrint(p *program) *cobra.Command {
	var cron bool
	var unit string
	cmd := &cobra.Command{
		Use:   "print",
		Short: "print what runs the purge of this station every night",
		Long: `Prints the service and the timer of systemd that run the purge of this station every
night, with its state directory, its vaults and its purge job; or, with --cron, a
line for /etc/cron.d. Nothing is installed: the units belong into /etc/systemd/system,
and systemctl enable --now salvor-purge.timer starts them.

The purge job is an operator of its own, which may only purge and has no secret. What
the last purge did stands in purge-status.json in the state directory.`,
		Example: `  salvor operator add nas-purge --job
  salvor schedule print
  salvor schedule print --unit service > salvor-purge.service
  salvor schedule print --unit timer > salvor-purge.timer
  salvor schedule print --cron > /etc/cron.d/salvor-purge`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if unit != "" && (cron || unit != "service" && unit != "timer") {
				return usage("schedule print", "--unit: service or timer, and not beside --cron", "")
			}
			return p.withStation(cmd.Context(), func(s *station) error { return s.printSchedule(cmd.Context(), cron, unit) })
		},
	}
	cmd.Flags().BoolVar(&cron, "cron", false, "a line for cron instead of systemd's units")
	cmd.Flags().StringVar(&unit, "unit", "", "only this one: service or timer")
	return cmd
}

func (s *station) printSchedule(ctx context.Context, cron bool, unit string) error {
	schedule, err := s.purgeSchedule(ctx)
	if err != nil {
		return err
	}
	files := map[string]string{serviceUnit: schedule.service(), timerUnit: schedule.timer(), cronFile: schedule.cron()}
	switch {
	case s.json:
		return s.term.Document(map[string]any{"operator": schedule.login, "files": files})
	case cron:
		fmt.Fprint(s.term.Out, files[cronFile])
	case unit != "":
		fmt.Fprint(s.term.Out, files["salvor-purge."+unit])
	default:
		for _, name := range []string{serviceUnit, timerUnit} {
			fmt.Fprintf(s.term.Out, "# /etc/systemd/system/%s\n%s\n", name, files[name])
		}
	}
	return nil
}

// purgeSchedule collects what the schedule of this station depends on.
func (s *station) purgeSchedule(ctx context.Context) (purgeSchedule, error) {
	var p purgeSchedule
	var err error
	if p.login, err = s.purgeJob(ctx); err != nil {
		return p, err
	}
	if p.program, err = os.Executable(); err != nil {
		return p, fmt.Errorf("schedule: %w", err)
	}
	if p.state, err = filepath.Abs(s.dir); err != nil {
		return p, fmt.Errorf("schedule: %w", err)
	}
	if p.user, err = ownerOf(p.state); err != nil {
		return p, fmt.Errorf("schedule: %w", err)
	}
	paths, err := s.ledger.VaultPaths(ctx)
	if err != nil {
		return p, err
	}
	for _, path := range paths {
		p.vaults = append(p.vaults, path)
	}
	slices.Sort(p.vaults)
	if len(p.vaults) == 0 {
		return p, &ui.Error{Code: ui.NotFound, What: "schedule", Why: "this station has no vault to purge", Hint: "salvor vault add DIR --name NAME"}
	}
	for _, path := range append(p.places(), p.program) {
		if strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return p, refuse("schedule", "a path with a control character in it cannot be written into a unit", "mount the vault elsewhere")
		}
	}
	return p, nil
}

// purgeJob is the login of the operator under which the purge runs: the one that --as
// names, or the only one that there is.
func (s *station) purgeJob(ctx context.Context) (string, error) {
	shop, err := s.ledger.Shop(ctx)
	if err != nil {
		return "", err
	}
	var logins []string
	for _, op := range shop.Operators {
		if op.MayAct(s.now().In(s.term.Zone), custody.TypeEraseStarted) != nil || op.Kind != custody.OperatorPurge {
			continue
		}
		fields, err := s.ledger.Private(ctx, op.Ref)
		if err != nil {
			return "", err
		}
		if login := fields[custody.FieldLogin]; login != "" && (s.as == "" || s.as == login) {
			logins = append(logins, login)
		}
	}
	switch len(logins) {
	case 1:
		return logins[0], nil
	case 0:
		if s.as != "" {
			return "", refuse("schedule", s.as+" is no purge job of this shop", "leave out --as, or: salvor operator add nas-purge --job")
		}
		return "", refuse("schedule", "no purge job is an operator of this shop: a person's login must not run unattended", "salvor operator add nas-purge --job")
	}
	return "", usage("schedule", "the shop has more than one purge job", "name one: --as "+logins[0])
}

// ownerOf is the login of the user whose a directory is; "" is root.
func ownerOf(dir string) (string, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid == 0 {
		return "", nil
	}
	u, err := user.LookupId(strconv.FormatUint(uint64(st.Uid), 10))
	if err != nil {
		return "", err
	}
	return u.Username, nil
}
