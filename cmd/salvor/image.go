package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/rescue"
	"salvor/rescue/blockdev"
	"salvor/rescue/mapfile"
)

type imageOptions struct {
	customer customerFlags
	plan     planFlags
	caseNo   string
	image    string
	vault    string
	keystore string
	mapFile  string
	verify   string
	again    bool
	compress bool
}

func newImage(p *program) *cobra.Command {
	var o imageOptions
	cmd := &cobra.Command{
		Use:   "image SOURCE",
		Short: "rescue a disk or an image file into an encrypted image",
		Long: `Reads a disk (also a failing one) or an image file into a new encrypted image in
the vault, seals it and reads it back. Without --case a new case is opened; on a
terminal what is missing is asked. Repeating the same command goes on where an
interrupted run stopped.

From a failing disk the tables and file-system metadata are read first, then the
customer's files, then the rest; what fails is jumped over and narrowed later, when
nothing better is left. A disk that vanishes is waited for.

The source is only ever read. A disk that is mounted or in use is refused.`,
		Example: `  salvor image /dev/sdb --customer "An Peeters" --purpose crash --agreed
  salvor image /dev/sdb --case T1-2026-0042
  salvor image /dev/sdb --case T1-2026-0042 --first /Users/an --stop-after 8h
  salvor image rescued.img --map rescued.map --case T1-2026-0042`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStation(cmd.Context(), func(s *station) error { return s.image(cmd.Context(), args[0], o) })
		},
	}
	o.customer.add(cmd)
	f := cmd.Flags()
	o.plan.add(f)
	f.StringVar(&o.caseNo, "case", "", "image into this case, or CASE/ITEM, instead of a new one")
	f.StringVar(&o.image, "image", "", "go on with this image of --case, as image-01: the disk is the same under another name")
	f.StringVar(&o.vault, "vault", "", "name of the vault (default: the configured or the only one)")
	f.StringVar(&o.keystore, "keystore", "", "name of another vault that keeps a second copy of the key (default: the configured one)")
	f.StringVar(&o.mapFile, "map", "", "map file of GNU ddrescue beside an image file: only what it rescued is taken")
	f.BoolVar(&o.compress, "compress", false, "compress what gets smaller; slower, and the sizes of records tell something of the content")
	f.BoolVar(&o.again, "again", false, "image a source once more of which there is a finished image")
	f.StringVar(&o.verify, "verify", "media", "check at the end: media reads every byte back, quick only the structure")
	return cmd
}

func (s *station) image(ctx context.Context, path string, o imageOptions) error {
	if o.verify != "media" && o.verify != "quick" {
		return usage("image", "--verify: media or quick", "")
	}
	if err := o.plan.check(); err != nil {
		return err
	}
	if o.image != "" && (o.caseNo == "" || o.again) {
		return usage("image", "--image is an image of --case that is gone on with", "--case NO --image image-01, and no --again")
	}
	if o.caseNo != "" && o.customer.given() {
		return usage("image", "the case knows its customer, purpose and deadline already", "leave --case out for a new case")
	}
	op, err := s.operator(ctx, custody.TypeImageStarted)
	if err != nil {
		return err
	}
	g := &imaging{station: s, op: op, began: s.now(), o: o}
	if g.vault, err = s.chooseVault(ctx, o.vault); err != nil {
		return err
	}
	defer g.vault.close()
	if g.mirror, err = s.chooseKeystore(ctx, o.keystore, g.vault); err != nil {
		return err
	}
	if g.mirror != nil {
		defer g.mirror.close()
	}
	if err := s.putDisksBack(ctx); err != nil {
		return err
	}
	if err := s.forgetErased(ctx); err != nil {
		return err
	}
	restore, err := s.deviceRecord(path)
	if err != nil {
		return err
	}
	source, ident, err := blockdev.Open(path, blockdev.Options{After: time.After, Restore: restore})
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	defer func() {
		if err := source.Close(); err != nil { // the image is whole; the disk was not put back as it was
			s.term.Warn("close the source: %v", err)
		}
	}()
	g.disk, g.source, g.ident = source, source, ident
	if o.mapFile != "" {
		if err := g.restrict(o.mapFile); err != nil {
			return err
		}
	}
	if where, err := s.sourceInside(ctx, path); err != nil {
		return err
	} else if where != "" {
		return refuse("source", "it lies in "+where, "name the customer's disk or image file")
	}
	if g.print, err = g.fingerprint(); err != nil {
		return err
	}
	unlock, err := s.lock("source-" + sourceID(ident))
	if ui.ExitCode(err) == ui.Locked {
		return &ui.Error{Code: ui.Locked, What: "source", Why: "another run of salvor on this station is imaging it", Hint: "wait until it has finished", Err: err}
	}
	if err != nil {
		return err
	}
	defer unlock()
	defer func() {
		if g.unlock != nil {
			g.unlock()
		}
	}()
	if err := g.findOrOpen(ctx); err != nil {
		return err
	}
	if err := g.lockCase(); err != nil {
		return err
	}
	return g.run(ctx)
}

// lockCase keeps other runs of this station away from the case, once.
func (g *imaging) lockCase() (err error) {
	if g.unlock == nil {
		g.unlock, err = g.lock(string(g.no))
	}
	return err
}

// restrict takes only what a ddrescue map calls rescued.
func (g *imaging) restrict(path string) error {
	// A FIFO would keep the command waiting until somebody writes to it.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("map: %w", err)
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil {
		return fmt.Errorf("map: %w", err)
	} else if !st.Mode().IsRegular() {
		return usage("image", "--map "+path+": not a regular file", "give the map file that GNU ddrescue wrote")
	}
	parsed, err := mapfile.Parse(f)
	if err != nil {
		return fmt.Errorf("map %s: %w", path, err)
	}
	info := g.source.Info()
	m, err := parsed.Sectors(info.Sector, info.Bytes)
	if err != nil {
		return fmt.Errorf("map %s: %w", path, err)
	}
	if g.source, err = rescue.WithMap(g.source, m); err != nil {
		return fmt.Errorf("map %s: %w", path, err)
	}
	return nil
}
