package main

import (
	"context"
	"fmt"
	"strings"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
)

// showDamaged lists the files that sectors are missing in, from the private part of the
// record. Names of files tell of the customer's life: that they were shown is recorded.
func (s *station) showDamaged(ctx context.Context, no, name string) error {
	op, err := s.operator(ctx, custody.TypeDataOpened)
	if err != nil {
		return err
	}
	c, err := s.findCase(ctx, no)
	if err != nil {
		return err
	}
	images, err := pick(c, name)
	if err != nil {
		return err
	}
	lists, err := s.damagedOf(ctx, c.No)
	if err != nil {
		return err
	}
	type document struct {
		Image string   `json:"image"`
		Known bool     `json:"known"` // somebody looked
		Lines []string `json:"lines"`
	}
	var out []document
	for _, i := range images {
		text, known := lists[i.Name]
		d := document{Image: i.Name, Known: known, Lines: []string{}}
		if known {
			d.Lines = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
			_, err := s.ledger.Append(ctx, op.ID, ledger.Entry{
				Case: c.No, Item: i.Item, Pub: custody.DataOpened{Image: i.Name, Use: custody.UseList},
				Private: map[string]string{custody.FieldReason: "which files are damaged"},
			})
			if err != nil {
				return err
			}
		}
		out = append(out, d)
	}
	if s.json {
		return s.term.Document(map[string]any{"case": c.No, "images": out})
	}
	for _, d := range out {
		fmt.Fprintf(s.term.Out, "%s/%s\n", c.No, d.Image)
		if !d.Known {
			fmt.Fprintln(s.term.Out, "  no list: nothing is missing, imaging has not ended, or no file system was found")
		}
		for _, line := range d.Lines {
			fmt.Fprintf(s.term.Out, "  %s\n", ui.Clean(line))
		}
	}
	return nil
}

// damagedOf is the newest list of damaged files of each image of a case.
func (s *station) damagedOf(ctx context.Context, no custody.CaseNo) (map[string]string, error) {
	events, err := s.ledger.Events(ctx, no)
	if err != nil {
		return nil, err
	}
	private, err := s.ledger.PrivateOfCase(ctx, no)
	if err != nil {
		return nil, err
	}
	lists := make(map[string]string)
	for _, e := range events {
		var image string
		switch p := e.Pub.(type) {
		case custody.ImagePaused:
			image = p.Image
		case custody.ImageSealed:
			image = p.Image
		default:
			continue
		}
		delete(lists, image) // what a later run found stands
		if text := private[e.Ref()][custody.FieldDamaged]; text != "" {
			lists[image] = text
		}
	}
	return lists, nil
}
