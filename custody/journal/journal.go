package journal

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"salvor/custody"
)

// A Journal is the journal in one vault.
type Journal struct {
	vault string
	store Store
}

// New returns the journal that a store holds for the vault with that id.
func New(vault string, s Store) *Journal { return &Journal{vault, s} }

// Open returns the journal below the directory of a vault. Nothing is read or
// made yet. The root stays the caller's, and must stay open.
func Open(vault string, root *os.Root) *Journal { return New(vault, NewDir(root)) }

// Vault returns the vault's id.
func (j *Journal) Vault() string { return j.vault }

// Refuse names a file that was not believed.
func (j *Journal) Refuse(station, file string, why error) Refusal {
	return Refusal{Vault: j.vault, Station: station, File: file, Why: why}
}

const (
	shopFile     = "shop.note"
	stationsDir  = "stations"
	requestsDir  = "requests"
	eventsDir    = "journal"
	privateDir   = "private"
	attestsDir   = "attests"
	checkpointIn = "checkpoint"
	noteSuffix   = ".note"
	ageSuffix    = ".age"
	shopPrivate  = "shop" // stands for the case in the path of an event of the shop
)

// Shop returns the card of the shop, with the note that it was read from.
// [ErrNoShop] means that nobody has written to this journal yet.
func (j *Journal) Shop() (Card, []byte, error) {
	msg, err := j.store.Read(shopFile, maxCard)
	if errors.Is(err, fs.ErrNotExist) {
		return Card{}, nil, fmt.Errorf("%s: %w", shopFile, ErrNoShop)
	}
	var c Card
	if err == nil {
		c, err = ParseCard(ShopCard, msg)
	}
	if err != nil {
		return Card{}, nil, j.Refuse("", shopFile, err)
	}
	return c, msg, nil
}

// WriteShop writes the card of the shop, durably.
func (j *Journal) WriteShop(msg []byte) error { return j.put(".", shopFile, msg) }

// put writes a public file and makes it durable.
func (j *Journal) put(dir, name string, msg []byte) error {
	if err := j.store.Write(name, msg); err != nil {
		return fmt.Errorf("journal of vault %s: %s: %w", j.vault, name, err)
	}
	if err := j.store.Sync(dir); err != nil {
		return fmt.Errorf("journal of vault %s: %s: %w", j.vault, dir, err)
	}
	return nil
}

// Station returns the card of an enrolled station as that station wrote it;
// fs.ErrNotExist when it did not.
func (j *Journal) Station(name string) (Card, error) {
	return j.card(StationCard, stationsDir, name)
}

// WriteStation writes the card of a station.
func (j *Journal) WriteStation(name string, msg []byte) error {
	return j.put(stationsDir, cardFile(stationsDir, name), msg)
}

func cardFile(dir, name string) string { return dir + "/" + name + noteSuffix }

func (j *Journal) card(kind CardKind, dir, name string) (Card, error) {
	if err := custody.CheckStation(name); err != nil {
		return Card{}, err
	}
	file := cardFile(dir, name)
	msg, err := j.store.Read(file, maxCard)
	if errors.Is(err, fs.ErrNotExist) {
		return Card{}, fmt.Errorf("%s: %w", file, err)
	}
	var c Card
	if err == nil {
		c, err = ParseCard(kind, msg)
	}
	if err == nil && c.Station != name {
		err = ErrRenamed
	}
	if err != nil {
		return Card{}, j.Refuse(name, file, err)
	}
	return c, nil
}

// Requests returns the cards of the stations that ask to be enrolled, by name,
// and what lies beside them and is none.
func (j *Journal) Requests() ([]Card, []Refusal, error) {
	entries, err := j.list(requestsDir)
	if err != nil {
		return nil, nil, err
	}
	var cards []Card
	var refused []Refusal
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name, noteSuffix)
		if !ok || e.Dir || custody.CheckStation(name) != nil {
			refused = append(refused, j.Refuse("", requestsDir+"/"+printable(e.Name), ErrName))
			continue
		}
		c, err := j.card(RequestCard, requestsDir, name)
		var r Refusal
		switch {
		case err == nil:
			cards = append(cards, c)
		case errors.As(err, &r):
			refused = append(refused, r)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, nil, err
		}
	}
	return cards, refused, nil
}

// WriteRequest writes the card of a station that asks to be enrolled.
func (j *Journal) WriteRequest(name string, msg []byte) error {
	return j.put(requestsDir, cardFile(requestsDir, name), msg)
}

// RemoveRequest takes away the request of a station.
func (j *Journal) RemoveRequest(name string) error {
	if err := custody.CheckStation(name); err != nil {
		return err
	}
	if err := j.store.Remove(cardFile(requestsDir, name)); err != nil {
		return fmt.Errorf("journal of vault %s: %s: %w", j.vault, requestsDir, err)
	}
	return nil
}

// list returns a directory's entries without those that are not in their place
// yet; nothing when it is not there.
func (j *Journal) list(dir string) ([]Entry, error) {
	entries, err := j.store.List(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, ErrHostile):
		return nil, j.Refuse("", dir, err)
	case err != nil:
		return nil, fmt.Errorf("journal of vault %s: %s: %w", j.vault, dir, err)
	}
	return slices.DeleteFunc(entries, func(e Entry) bool { return strings.HasPrefix(e.Name, tempPrefix) && !e.Dir }), nil
}

// Stations returns the names of the stations that have a directory of events,
// and what lies beside them and is none.
func (j *Journal) Stations() ([]string, []Refusal, error) {
	entries, err := j.list(eventsDir)
	if err != nil {
		return nil, nil, err
	}
	var names []string
	var refused []Refusal
	for _, e := range entries {
		if !e.Dir || custody.CheckStation(e.Name) != nil {
			refused = append(refused, j.Refuse("", eventsDir+"/"+printable(e.Name), ErrName))
			continue
		}
		names = append(names, e.Name)
	}
	return names, refused, nil
}

// A File is the file of one event, as its name tells it.
type File struct {
	Station string
	Seq     int64
	Hash8   string // first eight hexadecimal digits of the event's leaf
}

// Name returns the file's name below .salvor.
func (f File) Name() string {
	return fmt.Sprintf("%s/%s/%010d-%s%s", eventsDir, f.Station, f.Seq, f.Hash8, noteSuffix)
}

// FileOf returns the file in which an event with that leaf belongs.
func FileOf(ref custody.Ref, leaf custody.Hash) File {
	return File{ref.Station, ref.Seq, hex.EncodeToString(leaf[:4])}
}

// parseFile reads a file name strictly: what it accepts, Name writes.
func parseFile(station, name string) (File, bool) {
	seq, rest, ok := strings.Cut(name, "-")
	n, err := strconv.ParseInt(seq, 10, 64)
	f := File{station, n, strings.TrimSuffix(rest, noteSuffix)}
	if sum, herr := hex.DecodeString(f.Hash8); herr != nil || len(sum) != 4 {
		return File{}, false
	}
	return f, ok && err == nil && n >= 1 && f.Name() == eventsDir+"/"+station+"/"+name
}

// Files returns the event files of a station by their place, and what lies
// beside them and is none. Two files may claim one place.
func (j *Journal) Files(station string) ([]File, []Refusal, error) {
	if err := custody.CheckStation(station); err != nil {
		return nil, nil, err
	}
	dir := eventsDir + "/" + station
	entries, err := j.list(dir)
	if err != nil {
		return nil, nil, err
	}
	files := make([]File, 0, len(entries))
	var refused []Refusal
	for _, e := range entries {
		if e.Name == checkpointIn && !e.Dir {
			continue
		}
		f, ok := parseFile(station, e.Name)
		if !ok || e.Dir {
			refused = append(refused, j.Refuse(station, dir+"/"+printable(e.Name), ErrName))
			continue
		}
		files = append(files, f)
	}
	slices.SortStableFunc(files, func(a, b File) int { return cmp.Compare(a.Seq, b.Seq) })
	return files, refused, nil
}

// printable keeps what somebody else has named from writing to a terminal, and
// from filling it.
func printable(name string) string {
	quoted := strconv.QuoteToASCII(name[:min(len(name), 80)])
	return quoted[1 : len(quoted)-1]
}

// An EventReader reads the event files of one station. Several goroutines may use
// it.
type EventReader struct {
	j       *Journal
	station string
	folder  Folder
}

// Events opens the directory of a station's events. The caller closes it.
func (j *Journal) Events(station string) (*EventReader, error) {
	if err := custody.CheckStation(station); err != nil {
		return nil, err
	}
	dir := eventsDir + "/" + station
	folder, err := j.store.Open(dir)
	if err != nil {
		_, err = j.believed(station, dir, nil, err)
		return nil, err
	}
	return &EventReader{j, station, folder}, nil
}

// Read returns the note in the file of an event of the station, unchecked. An error
// that is about the file is a [Refusal].
func (r *EventReader) Read(f File) ([]byte, error) {
	f.Station = r.station
	name := f.Name()
	msg, err := r.folder.Read(path.Base(name), custody.MaxEventBytes)
	return r.j.believed(r.station, name, msg, err)
}

// Close lets go of the directory.
func (r *EventReader) Close() error { return r.folder.Close() }

func (j *Journal) read(station, name string, most int64) ([]byte, error) {
	msg, err := j.store.Read(name, most)
	return j.believed(station, name, msg, err)
}

// believed turns the error of a store about a file into one that names it.
func (j *Journal) believed(station, name string, msg []byte, err error) ([]byte, error) {
	switch {
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrHostile):
		return nil, j.Refuse(station, name, err)
	case err != nil:
		return nil, fmt.Errorf("journal of vault %s: %s: %w", j.vault, name, err)
	}
	return msg, nil
}

// Write puts events of one station in their place, in order, and makes them
// durable together.
func (j *Journal) Write(station string, events iterEvents) error {
	if err := custody.CheckStation(station); err != nil {
		return err
	}
	for f, msg := range events {
		f.Station = station
		if err := j.store.Write(f.Name(), msg); err != nil {
			return fmt.Errorf("journal of vault %s: %s: %w", j.vault, f.Name(), err)
		}
	}
	if err := j.store.Sync(eventsDir + "/" + station); err != nil {
		return fmt.Errorf("journal of vault %s: %w", j.vault, err)
	}
	return nil
}

type iterEvents = func(yield func(File, []byte) bool)

// Checkpoint returns the newest checkpoint that a station has published, as it
// was signed and unchecked; fs.ErrNotExist when there is none.
func (j *Journal) Checkpoint(station string) ([]byte, error) {
	if err := custody.CheckStation(station); err != nil {
		return nil, err
	}
	return j.read(station, CheckpointName(station), maxCard)
}

// CheckpointName returns the name of the file of a station's checkpoint, below
// .salvor.
func CheckpointName(station string) string { return eventsDir + "/" + station + "/" + checkpointIn }

// WriteCheckpoint publishes a station's checkpoint, after the events that it
// covers.
func (j *Journal) WriteCheckpoint(station string, msg []byte) error {
	if err := custody.CheckStation(station); err != nil {
		return err
	}
	return j.put(eventsDir+"/"+station, CheckpointName(station), msg)
}

// A Sealed is one sealed copy of the private part of an event, as its name
// tells it.
type Sealed struct {
	Case custody.CaseNo // "" for an event of the shop
	Ref  custody.Ref
	Set  string // names its recipients, see [Recipients.Set]
}

// Name returns the file's name below .salvor.
func (s Sealed) Name() string {
	return fmt.Sprintf("%s/%s-%d.%s%s", caseDir(s.Case), s.Ref.Station, s.Ref.Seq, s.Set, ageSuffix)
}

func caseDir(no custody.CaseNo) string {
	if no == "" {
		return privateDir + "/" + shopPrivate
	}
	return privateDir + "/" + string(no)
}

func parseSealed(no custody.CaseNo, name string) (Sealed, bool) {
	ref, rest, ok := strings.Cut(name, ".")
	station, seq, ok2 := strings.Cut(ref, "-")
	r, err := custody.ParseRef(station + "/" + seq)
	s := Sealed{no, r, strings.TrimSuffix(rest, ageSuffix)}
	if sum, herr := hex.DecodeString(s.Set); herr != nil || len(sum) != 4 {
		return Sealed{}, false
	}
	return s, ok && ok2 && err == nil && s.Name() == caseDir(no)+"/"+name
}

// Private returns the sealed private parts of a case, or of the shop for "".
func (j *Journal) Private(no custody.CaseNo) ([]Sealed, []Refusal, error) {
	if err := checkCase(no); err != nil {
		return nil, nil, err
	}
	dir := caseDir(no)
	entries, err := j.list(dir)
	if err != nil {
		return nil, nil, err
	}
	var parts []Sealed
	var refused []Refusal
	for _, e := range entries {
		s, ok := parseSealed(no, e.Name)
		if !ok || e.Dir {
			refused = append(refused, j.Refuse("", dir+"/"+printable(e.Name), ErrName))
			continue
		}
		parts = append(parts, s)
	}
	return parts, refused, nil
}

func checkCase(no custody.CaseNo) error {
	if no == "" {
		return nil
	}
	_, err := custody.ParseCaseNo(string(no))
	return err
}

// ReadPrivate returns a sealed private part.
func (j *Journal) ReadPrivate(s Sealed) ([]byte, error) {
	return j.read(s.Ref.Station, s.Name(), maxSealed)
}

// WritePrivate puts a sealed private part in its place, durably and once:
// fs.ErrExist when there is one. What a failed one leaves is erased, or stays
// for [Journal.ErasePrivate].
func (j *Journal) WritePrivate(s Sealed, sealed []byte) error {
	if err := checkCase(s.Case); err != nil {
		return err
	}
	err := j.store.Create(s.Name(), sealed)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = errors.Join(err, j.store.Erase(s.Name()))
	}
	if err != nil {
		return fmt.Errorf("journal of vault %s: %s: %w", j.vault, s.Name(), err)
	}
	return nil
}

// ErasePrivate erases one sealed copy in place.
func (j *Journal) ErasePrivate(s Sealed) error {
	if err := checkCase(s.Case); err != nil {
		return err
	}
	if err := j.store.Erase(s.Name()); err != nil {
		return fmt.Errorf("journal of vault %s: %s: %w", j.vault, s.Name(), err)
	}
	return nil
}

// maxAttest is far above the largest attest.
const maxAttest = 1 << 20

// Attest returns the signed statement with that id, unchecked: the hash in its
// attest.issued tells whether it is the one. fs.ErrNotExist when it is not there.
func (j *Journal) Attest(id string) ([]byte, error) {
	if err := custody.CheckID(id); err != nil {
		return nil, err
	}
	return j.read("", cardFile(attestsDir, id), maxAttest)
}

// WriteAttest writes a signed statement, before the event that speaks of it.
func (j *Journal) WriteAttest(id string, msg []byte) error {
	if err := custody.CheckID(id); err != nil {
		return err
	}
	if len(msg) > maxAttest {
		return fmt.Errorf("attest %s: %w", id, ErrTooLarge)
	}
	return j.put(attestsDir, cardFile(attestsDir, id), msg)
}
