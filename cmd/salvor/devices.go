package main

import (
	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/rescue/blockdev"
)

// deviceRow is a disk of this machine, so that nobody images or overwrites the wrong
// one.
type deviceRow struct {
	Device    string `json:"device"`
	Model     string `json:"model,omitempty"`
	Serial    string `json:"serial,omitempty"`
	Transport string `json:"transport,omitempty"`
	Bytes     int64  `json:"bytes"`
	Sector    int    `json:"sector"`
	Physical  int    `json:"physical"`
	Use       string `json:"use,omitempty"` // why it is refused; empty when it is free
}

func newDevices(p *program) *cobra.Command {
	return &cobra.Command{
		Use:     "devices",
		Short:   "the disks of this machine, and what uses them",
		Example: "  salvor devices",
		RunE: func(*cobra.Command, []string) error {
			found, err := blockdev.List()
			if err != nil {
				return err
			}
			rows := []deviceRow{}
			for _, d := range found {
				r := deviceRow{
					Device: "/dev/" + d.Name, Model: d.Model, Serial: d.Serial, Transport: d.Transport,
					Bytes: d.Bytes, Sector: d.Sector, Physical: d.Physical,
				}
				if d.Use != nil {
					r.Use = d.Use.Err.Error()
					if d.Use.By != "" {
						r.Use += " (" + d.Use.By + ")"
					}
				}
				rows = append(rows, r)
			}
			if p.json {
				return p.term.Document(map[string]any{"devices": rows})
			}
			if len(rows) == 0 {
				p.term.Say("no disk found")
				return nil
			}
			t := p.term.Table("device", ">size", "kind", "~model", "~serial", "~use")
			for _, r := range rows {
				use := r.Use
				if use == "" {
					use = "free"
				}
				t.Row(r.Device, ui.Size(r.Bytes), r.Transport, r.Model, r.Serial, use)
			}
			return t.Flush()
		},
	}
}
