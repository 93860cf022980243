package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"time"
)

// A Marker says that a directory is a vault. Its absence means that the disk or share is not there.
type Marker struct {
	Vault   string    // id of the vault, a ULID
	Created time.Time // UTC, whole seconds
}

// markerFile is the marker as it is stored. The first two fields are the same in every version.
type markerFile struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	Vault   string    `json:"vault"`
	Created time.Time `json:"created"`
}

const (
	markerFormat  = "salvor vault"
	markerVersion = 1
	maxMarker     = 4 << 10
)

var ulidPattern = regexp.MustCompile(`^[0-7][0-9A-HJKMNP-TV-Z]{25}$`)

func (m Marker) marshal() ([]byte, error) {
	if !ulidPattern.MatchString(m.Vault) || m.Created.Unix() <= 0 || m.Created.Unix() > maxUnix {
		return nil, fmt.Errorf("%w: vault id %q, created %v", ErrRange, m.Vault, m.Created)
	}
	b, err := json.MarshalIndent(markerFile{markerFormat, markerVersion, m.Vault, m.Created.UTC().Truncate(time.Second)}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("vault marker: %w", err)
	}
	return append(b, '\n'), nil
}

func parseMarker(b []byte) (Marker, error) {
	var head struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(b, &head); err != nil || head.Format != markerFormat {
		return Marker{}, fmt.Errorf("%w: %s", ErrForeign, markerName)
	}
	if head.Version > markerVersion {
		return Marker{}, fmt.Errorf("%w: vault format %d", ErrNewer, head.Version)
	}
	var f markerFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return Marker{}, fmt.Errorf("%w: %s: %w", ErrForeign, markerName, err)
	}
	m := Marker{f.Vault, f.Created.UTC()}
	// One text per content: nothing behind the value, no second spelling of a field.
	if again, err := m.marshal(); err != nil || f.Version != markerVersion || !bytes.Equal(again, b) {
		return Marker{}, fmt.Errorf("%w: %s is not as salvor writes it", ErrForeign, markerName)
	}
	return m, nil
}

// Create makes a vault of a store, by writing its marker durably. It fails with fs.ErrExist when the store is a vault
// already.
func Create(st Store, m Marker) error {
	b, err := m.marshal()
	if err != nil {
		return err
	}
	if _, err := writeDurably(st, markerName, b); err != nil {
		return fmt.Errorf("%s: %w", markerName, err)
	}
	return nil
}

// Open reads the marker of a vault: [ErrAbsent] when there is none, [ErrForeign] when it is something else, [ErrNewer]
// when a newer salvor wrote it.
func Open(st Store) (Marker, error) {
	f, err := st.Open(markerName)
	if errors.Is(err, fs.ErrNotExist) {
		return Marker{}, fmt.Errorf("%w: no %s", ErrAbsent, markerName)
	}
	if err != nil {
		return Marker{}, fmt.Errorf("%s: %w", markerName, err)
	}
	defer leave(f)
	b, err := io.ReadAll(io.NewSectionReader(f, 0, maxMarker))
	if err != nil {
		return Marker{}, fmt.Errorf("%s: %w", markerName, err)
	}
	return parseMarker(b)
}
