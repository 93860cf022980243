package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody/ledger"
)

// bundle writes the proof of one case.
func (s *station) bundle(ctx context.Context, no, out string) error {
	if out == "" {
		return usage("audit", "where should the proof go?", "--out FILE")
	}
	c, err := s.findCase(ctx, no)
	if err != nil {
		return err
	}
	if err := s.keepOut(ctx, out); err != nil {
		return err
	}
	if _, err := os.Lstat(out); err == nil {
		return refuse("audit", "the file "+out+" exists", "use another --out")
	}
	var proof bytes.Buffer
	if err := s.ledger.Bundle(ctx, c.No, &proof); err != nil {
		return err
	}
	card, err := s.ledger.ShopCard(ctx)
	if err != nil {
		return err
	}
	if err := writeNew(out, proof.Bytes()); err != nil {
		return err
	}
	if s.json {
		return s.term.Document(map[string]any{"case": c.No, "file": out, "bytes": proof.Len(), "shop_key": card.Sign})
	}
	s.term.Say("%s proves case %s and holds nothing about any other", out, c.No)
	s.term.Say("anybody checks it with: salvor audit --check %s --key %s", shellQuote(out), shellQuote(card.Sign))
	return nil
}

// maxKeyFile bounds a file with the shop's public key.
const maxKeyFile = 4 << 10

// checkBundle checks a proof, with the shop's public key and nothing else.
func (p *program) checkBundle(path, key string) error {
	if key == "" {
		return usage("audit", "the shop's public key is needed", "--key KEY, as salvor station list shows it at the shop")
	}
	if !strings.Contains(key, "+") {
		text, err := os.ReadFile(key)
		if err != nil {
			return fmt.Errorf("the shop's key: %w", err)
		}
		if len(text) > maxKeyFile {
			return usage("audit", "--key: not the public key of a shop", "")
		}
		key = strings.TrimSpace(string(text))
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("proof: %w", err)
	}
	defer f.Close()
	result, err := ledger.CheckBundle(f, key)
	if err != nil {
		return &ui.Error{Code: ui.VerifyFailed, What: "proof " + path, Why: err.Error(), Hint: "ask the shop for another one, and compare its key with a paper of the shop", Err: err}
	}
	type checkpoint struct {
		Station string `json:"station"`
		Events  int64  `json:"events"`
		Code    string `json:"code"`
	}
	var points []checkpoint
	for _, c := range result.Checkpoints {
		points = append(points, checkpoint{c.Origin[strings.LastIndex(c.Origin, "/")+1:], c.Size, c.Code()})
	}
	if p.json {
		return p.term.Document(map[string]any{
			"ok": true, "shop": result.Shop, "made_by": result.By, "case": result.Case.No, "events": len(result.Events), "checkpoints": points,
		})
	}
	fmt.Fprintf(p.term.Out, "case %s: %s, all signed, none left out\n", result.Case.No, eventCount(len(result.Events)))
	t := p.term.Table("event", "time", "~what")
	for _, e := range result.Events {
		t.Row(e.Ref(), p.term.DateTime(e.TS.Time), e.Type())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, c := range points {
		fmt.Fprintf(p.term.Out, "station %s at %s: %s\n", c.Station, eventCount(c.Events), c.Code)
	}
	return nil
}
