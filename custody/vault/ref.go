package vault

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// An ImageRef addresses an image by its case number and its name in the case. Both are opaque: no name of a person, no
// model and no serial number is ever part of a path.
type ImageRef struct {
	Case string // B1-2026-0042
	Name string // image-01
}

var (
	casePattern = regexp.MustCompile(`^[A-Z][A-Z0-9]{0,7}-\d{4}-\d{4,}$`)
	namePattern = regexp.MustCompile(`^image-\d{2,4}$`)
)

const maxCase = 40 // bytes of a case number: nobody writes a longer one by hand

// Names of the files of an image and of a vault.
const (
	markerName     = "salvor-vault.json"
	superblockName = "image.slv"
	noteName       = "seal.note"
	lockName       = "writer.lock"
	casesDir       = "cases"
	keysDir        = "keystore"
	segmentSuffix  = ".seg"
	keySuffix      = ".age"
)

// String is CASE/NAME.
func (r ImageRef) String() string { return r.Case + "/" + r.Name }

// Valid returns an error when case or name do not have their form; it is checked before either becomes part of a path.
func (r ImageRef) Valid() error {
	if !casePattern.MatchString(r.Case) || len(r.Case) > maxCase {
		return fmt.Errorf("%w: case number %q", ErrRange, r.Case)
	}
	if !namePattern.MatchString(r.Name) {
		return fmt.Errorf("%w: image name %q", ErrRange, r.Name)
	}
	return nil
}

// CaseDir is the directory of the case in the vault.
func (r ImageRef) CaseDir() string { return path.Join(casesDir, r.Case) }

// Dir is the directory of the image in the vault.
func (r ImageRef) Dir() string { return path.Join(casesDir, r.Case, r.Name) }

// KeyDir is the directory of the image's key files in the keystore.
func (r ImageRef) KeyDir() string { return path.Join(keysDir, r.Case, r.Name) }

func (r ImageRef) file(name string) string { return path.Join(r.Dir(), name) }

func (r ImageRef) segment(n int) string { return r.file(segmentName(n)) }

func segmentName(n int) string { return fmt.Sprintf("%06d%s", n, segmentSuffix) }

// segmentNumber is the inverse of segmentName; anything else in the directory is not a segment.
func segmentNumber(name string) (int, bool) { return number(name, segmentSuffix, 6) }

func keyName(n int) string { return fmt.Sprintf("%04d%s", n, keySuffix) }

func keyNumber(name string) (int, bool) { return number(name, keySuffix, 4) }

func number(name, suffix string, digits int) (int, bool) {
	s, ok := strings.CutSuffix(name, suffix)
	if !ok || len(s) != digits {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}
