package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
	"salvor/custody/ledger"
	"salvor/custody/vault"
	"salvor/rescue/mapfile"
	"salvor/rescue/picture"
)

type mapOptions struct {
	image         string
	png, ddrescue string
	force         bool
	damaged       bool
}

func newMap(p *program) *cobra.Command {
	var o mapOptions
	cmd := &cobra.Command{
		Use:   "map CASE",
		Short: "what is rescued of a disk, as a picture or a ddrescue map",
		Long: `Draws what is rescued of the images of a case, and what is not. Every sign stands
for a stretch of the disk and shows the worst that is in it. It needs no key, and
works while the disk is being imaged: it shows what the vault holds by then.

--png writes the picture as a file. --ddrescue writes a map file of GNU ddrescue.
--damaged lists the files that are not whole instead; that they were shown is recorded.`,
		Example: `  salvor map T1-2026-0001
  salvor map T1-2026-0001 --png map.png
  salvor map T1-2026-0001 --image image-02 --ddrescue disk.map`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withStation(cmd.Context(), func(s *station) error {
				if o.damaged && len(o.exports()) > 0 {
					return usage("map", "--damaged is a list and no picture", "leave out --png and --ddrescue")
				}
				if o.damaged {
					return s.showDamaged(cmd.Context(), args[0], o.image)
				}
				return s.drawMap(cmd.Context(), args[0], o)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.image, "image", "", "only this image of the case, such as image-01")
	f.StringVar(&o.png, "png", "", "write the picture to this `FILE`, - for standard output")
	f.StringVar(&o.ddrescue, "ddrescue", "", "write a ddrescue map to this `FILE`, - for standard output")
	f.BoolVar(&o.damaged, "damaged", false, "list the files that sectors are missing in, as far as the record has room")
	f.BoolVar(&o.force, "force", false, "replace a file that exists")
	return cmd
}

// export is a file that is made of a map.
type export struct {
	to   string // "-" is standard output
	make func(imageMap) ([]byte, error)
}

func (o mapOptions) exports() (list []export) {
	if o.png != "" {
		list = append(list, export{o.png, imageMap.png})
	}
	if o.ddrescue != "" {
		list = append(list, export{o.ddrescue, imageMap.ddrescue})
	}
	return list
}

func (s *station) drawMap(ctx context.Context, no string, o mapOptions) error {
	exports := o.exports()
	if err := s.mayExport(ctx, exports, o.force); err != nil {
		return err
	}
	c, err := s.findCase(ctx, no)
	if err != nil {
		return err
	}
	images, err := pick(c, o.image)
	if err != nil {
		return err
	}
	if len(images) > 1 && len(exports) > 0 {
		return usage("map", "the case has more than one image", "--image NAME; salvor show "+string(c.No))
	}
	reader := s.newMapReader()
	defer reader.close()
	maps := make([]imageMap, 0, len(images))
	for _, i := range images {
		m, err := reader.read(ctx, c.No, i)
		if err != nil {
			return err
		}
		maps = append(maps, m)
	}
	for _, e := range exports {
		if err := s.export(e, maps[0], o.force); err != nil {
			return err
		}
	}
	if s.json {
		list := make([]mapDocument, 0, len(maps))
		for _, m := range maps {
			list = append(list, m.document())
		}
		return s.term.Document(map[string]any{"case": c.No, "images": list})
	}
	for n, m := range maps {
		if len(exports) > 0 {
			break
		}
		if n > 0 {
			fmt.Fprintln(s.term.Out)
		}
		if err := m.print(s.term); err != nil {
			return err
		}
	}
	return nil
}

// mayExport refuses, before anything is read, what could not be written.
func (s *station) mayExport(ctx context.Context, exports []export, force bool) error {
	stdout, names := 0, make(map[string]bool)
	for _, e := range exports {
		if e.to == "-" {
			stdout++
			continue
		}
		if names[e.to] {
			return usage("map", "two files of the same name", "")
		}
		names[e.to] = true
		if err := s.keepOut(ctx, e.to); err != nil {
			return err
		}
		if _, err := os.Lstat(e.to); err == nil && !force {
			return refuse("map", "the file "+e.to+" exists", "use another name, or --force to replace it")
		}
	}
	if stdout > 1 || stdout == 1 && s.json {
		return usage("map", "only one thing can go to standard output", "name a file instead of -")
	}
	return nil
}

func (s *station) export(e export, m imageMap, force bool) error {
	content, err := e.make(m)
	if err != nil {
		return err
	}
	if e.to == "-" {
		if s.term.StdoutIsTerminal() && bytes.HasPrefix(content, []byte("\x89PNG")) {
			return usage("map", "a terminal cannot show a PNG", "--png FILE")
		}
		_, err := s.term.Raw().Write(content)
		return err
	}
	if err := writeWhole(e.to, content, force, nil); err != nil {
		return err
	}
	s.term.Say("%s: wrote %s", m.ref, e.to)
	return nil
}

// imageMap is what the vault has of an image.
type imageMap struct {
	ref    vault.ImageRef
	image  custody.Image
	sealed bool
	m      *mapfile.Map // in sectors
}

// A mapReader reads the maps of images, which mostly lie in one vault.
type mapReader struct{ openVaults }

func (s *station) newMapReader() mapReader { return mapReader{s.newOpenVaults()} }

// read rebuilds the map of an image from its records, also while they are written.
func (r mapReader) read(ctx context.Context, no custody.CaseNo, i custody.Image) (imageMap, error) {
	ref := vault.ImageRef{Case: string(no), Name: i.Name}
	out := imageMap{ref: ref, image: i}
	switch {
	case i.State == custody.ImageIsErasing:
		return out, fmt.Errorf("image %s: %w", ref, custody.ErrErasing)
	case !i.Left():
		return out, &ui.Error{Code: ui.NotFound, What: "image " + ref.String(), Why: "it is erased", Hint: "salvor show " + string(no)}
	case i.Bytes <= 0 || i.Sector <= 0:
		return out, &ui.Error{Code: ui.NotFound, What: "image " + ref.String(), Why: "the event that began it has not arrived", Hint: "salvor show " + string(no)}
	}
	v, err := r.open(ctx, i.Vault)
	if err != nil {
		return out, err
	}
	// Before the container: it may grow meanwhile, and reaches at least as far as this.
	acked, err := r.ledger.Progress(ctx, no, i.Name)
	if err != nil {
		return out, err
	}
	sectors := (i.Bytes + i.Sector - 1) / i.Sector
	c, err := r.openContainer(ctx, v, no, i)
	if errors.Is(err, vault.ErrNotFound) && acked == (ledger.Progress{}) {
		out.m = mapfile.New(sectors) // begun, and nothing written yet
		return out, nil
	}
	if err != nil {
		return out, err
	}
	defer c.Close()
	if err := c.Check(vault.Position(acked)); err != nil {
		return out, err
	}
	out.sealed = c.Sealed()
	out.m, err = mapOf(c, sectors)
	return out, err
}

// bytes turns sectors into bytes. The last sector may be cut short.
func (m imageMap) bytes(sectors int64) int64 { return min(sectors*m.image.Sector, m.image.Bytes) }

// notRescued is what there is of one kind of unread sectors.
type notRescued struct {
	Bytes   int64 `json:"bytes"`
	Areas   int64 `json:"areas"`   // separate stretches
	Largest int64 `json:"largest"` // bytes of the largest
}

// unread counts the stretches that have one of the statuses.
func (m imageMap) unread(statuses ...mapfile.Status) (n notRescued) {
	var open mapfile.Run
	end := func() {
		if open.Sectors > 0 {
			size := min(m.bytes(open.End()), m.image.Bytes) - open.First*m.image.Sector
			n.Bytes += size
			n.Areas++
			n.Largest = max(n.Largest, size)
		}
		open = mapfile.Run{}
	}
	for r := range m.m.All() {
		switch {
		case !slices.Contains(statuses, r.Status):
			end()
		case open.Sectors > 0:
			open.Sectors += r.Sectors
		default:
			open = r
		}
	}
	end()
	return n
}

// mapDocument is a map under --json.
type mapDocument struct {
	Image   string             `json:"image"`
	State   custody.ImageState `json:"state"`
	Sealed  bool               `json:"sealed"`
	Bytes   int64              `json:"bytes"`
	Sector  int64              `json:"sector"` // bytes
	Rescued int64              `json:"rescued"`
	Untried notRescued         `json:"untried"`
	Failed  notRescued         `json:"failed"` // not yet narrowed
	Bad     notRescued         `json:"bad"`
	Grid    []string           `json:"grid"`   // rows of letters
	Legend  map[string]string  `json:"legend"` // what each letter means
}

func (m imageMap) document() mapDocument {
	d := mapDocument{
		Image: m.image.Name, State: m.image.State, Sealed: m.sealed, Bytes: m.image.Bytes, Sector: m.image.Sector,
		Untried: m.unread(mapfile.Untried), Failed: m.unread(mapfile.NonTrimmed, mapfile.NonScraped), Bad: m.unread(mapfile.Bad),
		Grid: strings.Split(picture.New(m.m, textColumns, textRows).Text(false), "\n"), Legend: make(map[string]string),
	}
	d.Rescued = d.Bytes - d.Untried.Bytes - d.Failed.Bytes - d.Bad.Bytes
	for _, l := range picture.Looks() {
		d.Legend[l.Sign(false)] = l.String()
	}
	return d
}

// The grid in text fits a screen of 80 columns and 24 lines, with words around it.
const (
	textColumns = 78
	textRows    = 12
)

// print draws a map with a legend and what it counts.
func (m imageMap) print(t *ui.Terminal) error {
	d, rich := m.document(), t.Rich()
	state := string(m.image.State)
	fmt.Fprintf(t.Out, "%s  %s, %s, %s rescued\n\n", m.ref, state, ui.Size(d.Bytes), ui.Percent(d.Rescued, d.Bytes))
	columns := textColumns
	if own := t.Columns(); t.StdoutIsTerminal() && own > 0 {
		columns = min(columns, max(own-2, 1))
	}
	grid := picture.New(m.m, columns, textRows)
	if _, err := fmt.Fprintf(t.Raw(), "%s\n\n", grid.Text(rich)); err != nil {
		return err
	}
	seen := make(map[picture.Look]bool)
	for _, c := range grid.Cells {
		seen[c.Look()] = true
	}
	for _, l := range picture.Looks() {
		if seen[l] {
			if _, err := fmt.Fprintf(t.Raw(), "%s %s   ", l.Sign(rich), l); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(t.Out, "one sign is %s\n\n", ui.Size(m.bytes(grid.Cells[0].Units())))
	tb := t.Table("", ">bytes", ">share", ">areas", ">largest")
	tb.Row("rescued", ui.Size(d.Rescued), ui.Percent(d.Rescued, d.Bytes))
	for _, r := range []struct {
		name string
		notRescued
	}{{picture.Untried.String(), d.Untried}, {picture.Failed.String(), d.Failed}, {"bad", d.Bad}} {
		tb.Row(r.name, ui.Size(r.Bytes), ui.Percent(r.Bytes, d.Bytes), r.Areas, ui.Size(r.Largest))
	}
	return tb.Flush()
}

// png draws the picture as a file.
func (m imageMap) png() ([]byte, error) {
	d := m.document()
	var b bytes.Buffer
	err := picture.New(m.m, pictureColumns, pictureRows).PNG(&b, m.ref.String(), fmt.Sprintf(
		"%s, %s rescued; %s bad in %d areas, %s not narrowed, %s not tried",
		ui.Size(d.Bytes), ui.Percent(d.Rescued, d.Bytes), ui.Size(d.Bad.Bytes), d.Bad.Areas, ui.Size(d.Failed.Bytes), ui.Size(d.Untried.Bytes)))
	return b.Bytes(), err
}

// The grid of the PNG, in cells.
const (
	pictureColumns = 96
	pictureRows    = 48
)

// ddrescue is the map as a map file of GNU ddrescue.
func (m imageMap) ddrescue() ([]byte, error) {
	f, err := mapfile.FromMap(m.m, int(m.image.Sector), m.image.Bytes, "Mapfile of "+m.ref.String()+". Created by salvor")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = f.WriteTo(&b)
	return b.Bytes(), err
}
