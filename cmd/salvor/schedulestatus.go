package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
)

func newScheduleStatus(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "say when the last purge ran here, and how it ended",
		Long: `Says when the last purge ran on this station, what became of the images, and with
which status it ended. It exits 3 when none ran for two days or the last one did not
end well, and 10 when none ever ran: something to be run by whatever watches over the
machine.`,
		Example: `  salvor schedule status`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withStationAlone(cmd.Context(), func(s *station) error { return s.scheduleStatus() })
		},
	}
}

func (s *station) scheduleStatus() error {
	const what = "schedule status"
	text, err := os.ReadFile(filepath.Join(s.dir, purgeStatusFile))
	if errors.Is(err, fs.ErrNotExist) {
		return &ui.Error{Code: ui.NotFound, What: what, Why: "no purge ever ran on this station", Hint: "salvor schedule print", Err: err}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	var last purgeStatus
	if err := json.Unmarshal(text, &last); err != nil || last.V != 1 {
		return &ui.Error{Code: ui.VerifyFailed, What: what, Why: purgeStatusFile + " is not what a purge writes", Hint: "the next purge writes it again", Err: err}
	}
	silence := s.now().Sub(last.Ended)
	if s.json {
		if err := s.term.Document(map[string]any{"last": last, "silent_hours": int64(silence.Hours())}); err != nil {
			return err
		}
	} else {
		var counts []string
		for _, outcome := range slices.Sorted(maps.Keys(last.Counts)) {
			counts = append(counts, fmt.Sprintf("%s %d", outcome, last.Counts[outcome]))
		}
		switch {
		case len(counts) > 0:
		case last.Exit == ui.Done:
			counts = []string{"nothing was due"}
		default:
			counts = []string{"nothing was erased"}
		}
		fmt.Fprintf(s.term.Out, "last purge %s, exit status %d: %s\n", s.term.DateTime(last.Ended), last.Exit, strings.Join(counts, ", "))
	}
	switch {
	case silence > maxSilence:
		return &ui.Error{Code: ui.Incomplete, What: what, Why: "the last purge was " + hours(silence) + " ago", Hint: "systemctl list-timers salvor-purge.timer"}
	case last.Exit != ui.Done:
		return &ui.Error{Code: ui.Incomplete, What: what, Why: "the last purge did not end well: " + last.Why, Hint: "salvor due; salvor purge"}
	}
	return nil
}
