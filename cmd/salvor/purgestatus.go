package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"salvor/cmd/salvor/internal/ui"
)

// purgeStatusFile lies in the state directory, for whatever watches over the purge: a
// file older than a day says that none ran.
const purgeStatusFile = "purge-status.json"

// purgeStatus is what the last purge did. It holds nothing about a person.
type purgeStatus struct {
	V       int            `json:"v"` // 1
	Station string         `json:"station"`
	Begun   time.Time      `json:"begun"` // UTC
	Ended   time.Time      `json:"ended"`
	Exit    int            `json:"exit"`          // exit status of the command
	Why     string         `json:"why,omitempty"` // it is not 0
	Counts  map[string]int `json:"counts"`        // images by their outcome
	Results []erased       `json:"results"`
}

// savePurgeStatus replaces the status of the last purge, whole or not at all. results
// is what became of every image, empty when the run was refused; failed is the error
// that the command ends with.
func (s *station) savePurgeStatus(begun time.Time, results []erased, failed error) error {
	status := purgeStatus{
		V: 1, Station: s.keys.Name(), Begun: begun.UTC().Truncate(time.Second), Ended: s.now().UTC().Truncate(time.Second),
		Counts: make(map[string]int), Results: results,
	}
	if failed != nil {
		failed = explain(failed)
		status.Exit, status.Why = ui.ExitCode(failed), failed.Error()
	}
	if results == nil {
		status.Results = []erased{}
	}
	for _, r := range results {
		status.Counts[r.Outcome]++
	}
	text, err := json.MarshalIndent(status, "", "  ")
	if err != nil {
		return fmt.Errorf("status of the purge: %w", err)
	}
	if err := renameio.WriteFile(filepath.Join(s.dir, purgeStatusFile), append(text, '\n'), 0o600, renameio.WithTempDir(s.dir)); err != nil {
		return fmt.Errorf("status of the purge: %w", err)
	}
	return nil
}
