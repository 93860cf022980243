package vault

import "time"

// A Marker says that a directory is a vault. Its absence means that the disk or share is not there.
type Marker struct {
	Vault   string    // id of the vault, a ULID
	Created time.Time // UTC, whole seconds
}

// Create makes a vault of a store, by writing its marker durably. It fails with fs.ErrExist when the store is a vault
// already.
func Create(st Store, m Marker) error { return errNotYet }

// Open reads the marker of a vault: [ErrAbsent] when there is none, [ErrForeign] when it is something else, [ErrNewer]
// when a newer salvor wrote it.
func Open(st Store) (Marker, error) { return Marker{}, errNotYet }
