package wipe

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"salvor/wipe/internal/kernel"
)

const jobVersion = 1

// Lanes of the stream: files from 1, key files from firstKeyLane.
const firstKeyLane = 1 << 32

// Plan looks at a target and says how it would be erased. It changes nothing,
// needs no secret and may be called as a dry run; Job.Reach tells the best class
// that the job can end with, and why not a better one. rand gives the stream key
// and the job's id.
//
// It refuses with ErrAbsent, ErrMissing, ErrKeysMissing, ErrForeign, ErrChanged,
// ErrReadOnly or ErrInUse.
func Plan(ctx context.Context, t Target, rand io.Reader) (*Job, error) {
	if err := t.valid(); err != nil {
		return nil, err
	}
	j := &Job{
		Version: jobVersion, Stage: Planned, UUID: hex.EncodeToString(t.UUID[:]),
		KeystoreName: t.KeystoreName, KeysOnly: t.KeysOnly, Taken: t.Taken, TakenVerified: t.Taken && t.TakenVerified, Others: t.Others,
	}
	var id [16]byte
	if _, err := io.ReadFull(rand, id[:]); err != nil {
		return nil, fmt.Errorf("name the job: %w", err)
	}
	j.ID = hex.EncodeToString(id[:])
	var err error
	if j.StreamKey, err = NewKey(rand); err != nil {
		return nil, err
	}

	if j.VaultID, j.KeystoreID, err = t.identify(); err != nil {
		return nil, err
	}
	d, err := openDir(t.Vault, t.Dir)
	if t.KeysOnly {
		d.close()
		d, err = nil, fs.ErrNotExist
	}
	gone := errors.Is(err, fs.ErrNotExist)
	switch {
	case gone && !t.mayBeGone():
		return nil, fmt.Errorf("%s: %w", t.Dir, ErrMissing)
	case gone:
		// The storage is still worth telling.
		d, err = openDir(t.Vault, ".")
	}
	if err != nil {
		return nil, err
	}
	defer d.close()
	s, err := siteOf(d, aboveOf(t.Vault, t.Dir))
	if err != nil {
		return nil, err
	}
	j.Vault = s.Place
	var names []string
	if !gone {
		if names, err = d.names(); err != nil {
			return nil, fmt.Errorf("list %s: %w", t.Dir, err)
		}
	}
	seen, err := j.planFiles(ctx, t, d, &s, names)
	if err != nil {
		return nil, err
	}
	var open []watched
	k, err := openDir(t.Keystore, t.KeyDir)
	switch {
	case err == nil:
		defer k.close()
		ks, err := siteOf(k, aboveOf(t.Keystore, t.KeyDir))
		if err != nil {
			return nil, err
		}
		j.Keystore = ks.Place
		if err := j.planKeys(ctx, t, k, &ks); err != nil {
			return nil, err
		}
		open = append(open, watched{k, ks.FS, j.Keys})
	case errors.Is(err, fs.ErrNotExist):
		j.Keystore = Place{Kind: Unknown}
	default:
		return nil, err
	}
	matched, err := j.account(t, seen.sessions)
	if err != nil {
		return nil, err
	}

	j.intact = seen.identified && seen.unmarked == 0
	switch {
	case seen.identified || matched > 0:
	case !t.Taken:
		err = j.unmarked(t)
	default:
		err = j.noStrangeKey(t)
	}
	if err != nil {
		return nil, err
	}
	j.NoImage = len(j.Files) == 0
	if j.Vault.ReadOnly || len(j.Keys) > 0 && j.Keystore.ReadOnly {
		return nil, fmt.Errorf("the file system is mounted read-only: %w", ErrReadOnly)
	}
	if !j.NoImage {
		open = append(open, watched{d, s.FS, j.Files})
	}
	if err := idle(open...); err != nil {
		return nil, err
	}
	return j, nil
}

// unmarked decides about a target of which neither superblock nor segment nor key
// says whose it is. Nothing of it is destroyed, unless the caller said of the key
// files that they are this image's; but an image that is missing on the caller's
// word can be ended.
func (j *Job) unmarked(t Target) error {
	if !t.AcceptMissingImage || len(j.Keys) > 0 && !t.AcceptChangedKeys {
		return fmt.Errorf("%s: nothing in it carries the image's mark: %w", t.Dir, ErrForeign)
	}
	for _, f := range j.Files {
		j.StrayNames = append(j.StrayNames, f.Name)
	}
	j.Files = nil
	j.Missing, j.Lost = t.Segments+1, t.Stored
	return nil
}

// noStrangeKey refuses a key file that the record does not know where nothing else says
// that it is this image's: what another job has overwritten vouches for nothing.
func (j *Job) noStrangeKey(t Target) error {
	for _, f := range j.Keys {
		recorded := slices.ContainsFunc(t.ExpectedKeys, func(k KeyCopy) bool { return k.File == f.Name && t.here(k) })
		if !f.blank && !recorded {
			return &FileError{f.Name, fmt.Errorf("a key that was not recorded, and nothing shows whose it is: %w", ErrForeign)}
		}
	}
	return nil
}

func (t *Target) valid() error {
	for _, p := range []string{t.Dir, t.CaseDir, t.KeyDir} {
		if !fs.ValidPath(p) || p == "." {
			return fmt.Errorf("erase: directory %q: %w", p, fs.ErrInvalid)
		}
	}
	if path.Dir(t.Dir) != t.CaseDir {
		return fmt.Errorf("erase: %q is not in %q: %w", t.Dir, t.CaseDir, fs.ErrInvalid)
	}
	if t.Vault == nil || t.Keystore == nil {
		return fmt.Errorf("erase: no vault or no keystore: %w", fs.ErrInvalid)
	}
	for _, k := range t.ExpectedKeys {
		if !fs.ValidPath(k.File) || path.Base(k.File) != k.File {
			return fmt.Errorf("erase: key file %q: %w", k.File, fs.ErrInvalid)
		}
	}
	return nil
}

// identify tells this vault and keystore from any other that may be mounted in
// their place. Without the marker there is no vault.
func (t *Target) identify() (vault, keys RootID, err error) {
	v, err := openDir(t.Vault, ".")
	if err != nil {
		return vault, keys, fmt.Errorf("%w: %w", ErrAbsent, err)
	}
	defer v.close()
	f, id, err := v.open(markerName, unix.O_RDONLY)
	if err != nil {
		return vault, keys, fmt.Errorf("%w: %w", ErrAbsent, err)
	}
	defer f.Close()
	if !id.regular() {
		return vault, keys, fmt.Errorf("its marker is not a plain file: %w", ErrAbsent)
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, 1<<20)); err != nil {
		return vault, keys, fmt.Errorf("%w: %w", ErrAbsent, err)
	}
	vault = RootID{Inode: v.id.number, Birth: v.id.birth, Marker: Digest(h.Sum(nil))}

	k, err := openDir(t.Keystore, ".")
	if err != nil {
		return vault, keys, fmt.Errorf("the keystore: %w: %w", ErrAbsent, err)
	}
	defer k.close()
	return vault, RootID{Inode: k.id.number, Birth: k.id.birth}, nil
}

// aboveOf lists the directories from the root down to one, as paths of the host,
// to look for snapshot directories in.
func aboveOf(root *os.Root, name string) []string {
	var all []string
	for up := path.Dir(name); ; up = path.Dir(up) {
		all = append(all, path.Join(root.Name(), up))
		if up == "." {
			return all
		}
	}
}

// sighting is what the marks of an image's files say together.
type sighting struct {
	identified bool
	unmarked   int               // superblocks and segments that do not say whose they are
	sessions   map[[16]byte]mark // the earliest segment of each
}

func (j *Job) planFiles(ctx context.Context, t Target, d *dir, s *site, names []string) (sighting, error) {
	seen := sighting{sessions: make(map[[16]byte]mark)}
	slices.Sort(names)
	highest, segments, stored := -1, 0, int64(0)
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return seen, err
		}
		if !ours(name) && !t.leftover(name) {
			j.StrayNames = append(j.StrayNames, name)
			continue
		}
		f, m, err := planFile(d, s, name)
		if err != nil {
			return seen, &FileError{name, err}
		}
		if m != nil {
			if m.uuid != t.UUID {
				return seen, &FileError{name, fmt.Errorf("it belongs to another image: %w", ErrForeign)}
			}
			seen.identified = true
			if m.session != [16]byte{} {
				if first, ok := seen.sessions[m.session]; !ok || m.created.Before(first.created) {
					seen.sessions[m.session] = *m
				}
			}
		}
		if m == nil && marked(name) {
			seen.unmarked++
		}
		if t.Taken && m == nil && name != superblockName && name != sealName {
			f.Map.Undated = t.undated(f.Birth)
		}
		f.Lane = uint64(len(j.Files)) + 1
		j.Files = append(j.Files, f)
		if name != sealName {
			stored += f.Size
		}
		if n, ok := segmentNumber(name); ok {
			highest = max(highest, n)
			segments++
		}
	}
	if len(j.Files) == 0 && !t.mayBeGone() {
		return seen, fmt.Errorf("%s is empty: %w", t.Dir, ErrMissing)
	}
	if t.KeysOnly {
		return seen, nil
	}
	j.Lost = max(0, t.Stored-stored)
	j.Missing = max(highest+1, t.Segments) - segments
	if !slices.ContainsFunc(j.Files, func(f FileJob) bool { return f.Name == superblockName }) {
		j.Missing++
	}
	return seen, nil
}

// planFile describes one file of a directory, and reads its mark when it is a
// superblock or segment.
func planFile(d *dir, s *site, name string) (FileJob, *mark, error) {
	id, err := d.stat(name)
	if err != nil {
		return FileJob{}, nil, err
	}
	if err := d.plain(id); err != nil {
		return FileJob{}, nil, err
	}
	f, opened, err := d.open(name, unix.O_RDONLY)
	if err != nil {
		return FileJob{}, nil, explain(err)
	}
	defer f.Close()
	if err := d.plain(opened); err != nil {
		return FileJob{}, nil, err
	}
	l, a, err := layoutOf(f, s, opened.size)
	if err != nil {
		return FileJob{}, nil, err
	}
	if a.fixed {
		return FileJob{}, nil, fmt.Errorf("it is immutable or append-only: %w", ErrReadOnly)
	}
	m, err := markOf(f, name)
	if err != nil {
		return FileJob{}, nil, err
	}
	if m != nil && m.session != [16]byte{} {
		l.Late = m.late(opened.birth)
	}
	return FileJob{
		Name: name, Inode: opened.number, Birth: opened.birth, Size: opened.size,
		Alloc: l.alloc, End: l.end, Map: l.Map,
	}, m, nil
}

// markOf reads the mark of an open superblock (either of its two copies) or segment.
func markOf(f *os.File, name string) (*mark, error) {
	magic, copies := segmentMagic, 1
	switch {
	case name == superblockName:
		magic, copies = superblockMagic, 2
	case !segmentName.MatchString(name):
		return nil, nil
	}
	b := make([]byte, copies*markBlock)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		if kernel.Sort(err) == kernel.Medium {
			return nil, nil // it cannot say whose it is
		}
		return nil, err
	}
	for b = b[:n]; len(b) > 0; b = b[min(len(b), markBlock):] {
		if m, err := readMark(b, magic); m != nil || err != nil {
			return m, err
		}
	}
	return nil, nil
}

// layoutOf asks where a file's bytes lie.
func layoutOf(f *os.File, s *site, size int64) (layout, attributes, error) {
	a := attributesOf(f, s)
	var l layout
	all, err := fiemap(f)
	switch {
	case err == nil && s.Kind == Somewhere:
		l = told(all, size)
	case err == nil:
		l = layOut(all, size, s.block)
	case errors.Is(err, errNoMap):
		l = nowhere(size)
	default:
		return l, a, err
	}
	l.Journal = a.journal
	l.Encoded = l.Encoded || a.encoded
	if a.apart {
		l.Known = false
	}
	return l, a, nil
}

func (j *Job) planKeys(ctx context.Context, t Target, d *dir, s *site) error {
	names, err := d.names()
	if err != nil {
		return fmt.Errorf("list %s: %w", t.KeyDir, err)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		recorded := slices.ContainsFunc(t.ExpectedKeys, func(k KeyCopy) bool { return k.File == name && t.here(k) })
		if !keyName.MatchString(name) && !recorded && !t.leftover(name) {
			j.StrayKeys = append(j.StrayKeys, name)
			continue
		}
		f, _, err := planFile(d, s, name)
		if err != nil {
			return &FileError{name, err}
		}
		sum, content, err := sumKey(d, name)
		if err != nil {
			return &FileError{name, err}
		}
		f.SHA256 = &sum
		f.blank = !looksLikeKey(content)
		f.Lane = firstKeyLane + uint64(len(j.Keys))
		j.Keys = append(j.Keys, f)
	}
	return nil
}

// largestKey bounds what is read of a key file; a wrapped secret has a few KiB.
const largestKey = 1 << 20

// sumKey reads a key file and returns its SHA-256.
func sumKey(d *dir, name string) (Digest, []byte, error) {
	f, _, err := d.open(name, unix.O_RDONLY)
	if err != nil {
		return Digest{}, nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, largestKey+1))
	if err != nil {
		return Digest{}, nil, err
	}
	if len(b) > largestKey {
		return Digest{}, nil, fmt.Errorf("it is too large for a key file: %w", ErrForeign)
	}
	return sha256.Sum256(b), b, nil
}

// leftover: the name is one that the removal of another job has given.
func (t *Target) leftover(name string) bool { return t.Taken && erasedFile.MatchString(name) }

// mayBeGone: that there is no image is no reason to refuse.
func (t *Target) mayBeGone() bool {
	return t.AcceptMissingImage || t.KeysOnly || t.TakenVerified && t.Taken
}

// undated: a file that another job has overwritten does not say any more when its
// content was written. One that was made before that is what the imaging wrote.
func (t *Target) undated(birth int64) bool {
	return birth == 0 || t.Written.IsZero() || time.Unix(0, birth).After(t.Written.Add(lateAfter))
}

func (t *Target) here(k KeyCopy) bool { return k.Keystore == "" || k.Keystore == t.KeystoreName }

// account compares the key files that are there with those the ledger recorded. It
// returns how many are what was recorded.
func (j *Job) account(t Target, sessions map[[16]byte]mark) (matched int, err error) {
	k := &j.KeyFacts
	recorded := make(map[string][]Digest) // by file; a file wrapped anew has several
	gone := make(map[string]KeyEnd)
	var here []string
	unknown := 0
	needed := make(map[string]mark)
	for _, c := range t.ExpectedKeys {
		if m, ok := sessions[c.Session]; ok && t.here(c) {
			needed[c.File] = m
		}
	}
	for _, c := range t.ExpectedKeys {
		if c.Session == [16]byte{} {
			unknown++
		} else {
			delete(sessions, c.Session)
		}
		if !t.here(c) {
			continue
		}
		if recorded[c.File] == nil {
			here = append(here, c.File)
		}
		recorded[c.File] = append(recorded[c.File], c.SHA256)
		if c.End != KeyThere {
			gone[c.File] = c.End
		}
	}
	slices.SortFunc(here, cmp.Compare[string])
	k.Sessions = max(0, len(sessions)-unknown)

	there := make(map[string]bool) // with what was recorded, or something in its place
	for i := range j.Keys {
		f := &j.Keys[i]
		sums, known := recorded[f.Name]
		// A key file is made before the first segment that needs it.
		if m, ok := needed[f.Name]; ok && m.late(f.Birth) {
			f.Map.Late = true
		}
		switch {
		case !known && f.blank && t.Taken: // what the other job left of one
			k.Again++
		case !known:
			k.Unrecorded++
		case slices.Contains(sums, *f.SHA256):
			matched++
			there[f.Name] = true
		case f.blank && gone[f.Name] != KeyThere:
			k.Again++
		case f.blank && t.Taken, t.AcceptChangedKeys:
			k.Changed++
			there[f.Name] = true
		default:
			return 0, &FileError{f.Name, fmt.Errorf("it is not the key file that was recorded: %w", ErrForeign)}
		}
	}
	for _, name := range here {
		switch {
		case there[name]:
		case gone[name] != KeyThere:
			j.OwnGone = append(j.OwnGone, gone[name])
		default:
			k.Missing++
		}
	}
	j.recount(t, len(here))
	if len(here) > 0 && k.Missing == len(here) && !t.AcceptMissingKeys && !t.Taken {
		return 0, fmt.Errorf("none of %d is in %s: %w", len(here), t.KeyDir, ErrKeysMissing)
	}
	return matched, nil
}

// recount accounts for the copies in other keystores, of which the record can say more
// than when the erase was planned, and adds those of this one that another job has
// destroyed.
func (j *Job) recount(t Target, here int) {
	k := &j.KeyFacts
	k.Elsewhere, k.Proved, k.Recorded, k.Unproved = 0, 0, 0, 0
	elsewhere := make(map[[2]string]KeyEnd)
	for _, c := range t.ExpectedKeys {
		if !t.here(c) {
			elsewhere[[2]string{c.Keystore, c.File}] = c.End
		}
	}
	count := func(g KeyEnd) {
		switch g {
		case EndProved:
			k.Proved++
		case EndRecorded:
			k.Recorded++
		case EndUnproved:
			k.Unproved++
		default:
			k.Elsewhere++
		}
	}
	for _, g := range elsewhere {
		count(g)
	}
	for _, g := range j.OwnGone {
		count(g)
	}
	k.Expected = here + len(elsewhere)
	j.Others = t.Others
}

// keysHere is how many key files the ledger has recorded in this keystore.
func (j *Job) keysHere() int {
	k := j.KeyFacts
	return k.Expected - k.Elsewhere - k.Proved - k.Recorded - k.Unproved + len(j.OwnGone)
}

// Recount accounts once more for the copies in other keystores, by what the record says
// of them now. Nothing else of a job changes by it.
func (j *Job) Recount(t Target) { j.recount(t, j.keysHere()) }
