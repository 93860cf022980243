package ledger

import (
	"errors"
	"fmt"

	"github.com/mattn/go-sqlite3"
	"golang.org/x/sys/unix"
)

// The errors of a ledger. Those of the rules (a hold, a deadline, a missing
// agreement) come from package custody and pass through unchanged.
var (
	// ErrNotFound: no such case, event, operator, job or attest.
	ErrNotFound = errors.New("not in the ledger")
	// ErrExists: Create found a ledger, or Save a station key.
	ErrExists = errors.New("exists already")
	// ErrForeign: the file is no salvor ledger.
	ErrForeign = errors.New("not a salvor ledger")
	// ErrNewer: a newer salvor wrote the file.
	ErrNewer = errors.New("ledger of a newer salvor")
	// ErrNetworkFS: SQLite's locks cannot be trusted there.
	ErrNetworkFS = errors.New("on a network file system")
	// ErrPermissions: others can read or change the file or its directory.
	ErrPermissions = errors.New("not private")
	// ErrLinked: the file is a link or has a second name, under which others may reach
	// it. It is an ErrPermissions.
	ErrLinked = fmt.Errorf("%w: not a plain file with one name", ErrPermissions)
	// ErrOwner: the file or its directory belongs to another user. It is an ErrPermissions.
	ErrOwner = fmt.Errorf("%w: it belongs to another user", ErrPermissions)
	// ErrBusy: another process held the ledger for longer than ten seconds.
	ErrBusy = errors.New("ledger is in use by another process")
	// ErrCorrupt: the file is damaged, or its content contradicts itself.
	ErrCorrupt = errors.New("ledger is damaged")
	// ErrGuardRail: the SQL beside the Go rules refused a change.
	ErrGuardRail = errors.New("refused by the ledger's guard rails")
	// ErrStation: the ledger belongs to another station than the key.
	ErrStation = errors.New("ledger belongs to another station")
	// ErrStationKey: the file is no station key.
	ErrStationKey = errors.New("not a station key")
	// ErrAudit: an audit found faults; its result names them.
	ErrAudit = errors.New("audit failed")
	// ErrEntry: an entry cannot become an event.
	ErrEntry = errors.New("malformed entry")
)

// The alarms: what journals, other stations' heads and papers show of this
// ledger or of another station. None goes away by itself; a person has to look.
var (
	// ErrRolledBack: this ledger is older than what this station has published: an
	// old copy of its file was put back. [Ledger.CatchUp] takes back what it lacks.
	ErrRolledBack = errors.New("this ledger is older than what this station has published")
	// ErrCloned: this station's key has signed another history than this ledger:
	// the station was cloned, or its key stolen.
	ErrCloned = errors.New("this station's key has signed another history")
	// ErrFork: another station has signed two histories. Both are kept.
	ErrFork = errors.New("the station has signed two histories")
	// ErrMisled is an [ErrFork]: of a retired station the ledger holds another log than the
	// retirement names. The journals tell a ledger that is made anew which one counts.
	ErrMisled = fmt.Errorf("%w, and this ledger holds the one that does not count: make it anew from the vaults", ErrFork)
	// ErrRollback: a journal is older than it was when we last looked.
	ErrRollback = errors.New("older than when it was last read")
)

// Why events of another station are not taken in, beside the reasons of package
// journal.
var (
	// ErrUnknownStation: nobody whom we trust has enrolled it.
	ErrUnknownStation = errors.New("of a station that is not enrolled")
	// ErrRetired: signed after the station was retired, or nobody can tell when; see
	// [LateError].
	ErrRetired = errors.New("signed after its station was retired, or nobody saw it before")
	// ErrNewerEvent: of a type that this version does not know. What came before it is
	// taken in, what comes behind it waits until this station has that version.
	ErrNewerEvent = errors.New("recorded by a newer salvor")
	// ErrGap: an event before it is missing.
	ErrGap = errors.New("an event before it is missing")
	// ErrUnsignedOperator: an operator who has a signing key has not signed, or
	// with a key that is not his or has ended.
	ErrUnsignedOperator = errors.New("not signed with its operator's key")
	// ErrRefused: something in a journal was not believed; see [RefusedError].
	ErrRefused = errors.New("not everything in the journals was believed")
	// ErrUnpublished: what had to be known everywhere is not; see
	// [UnpublishedError].
	ErrUnpublished = errors.New("recorded here, but not yet published everywhere")
	// ErrCode: a code that was compared is not the one.
	ErrCode = errors.New("the codes differ")
	// ErrBackup: the file is no backup of a ledger, or none of the identities
	// opens it.
	ErrBackup = errors.New("not a backup that these keys open")
	// ErrBundle: a bundle does not prove what it says.
	ErrBundle = errors.New("the bundle proves nothing")
)

// sqlError puts the error in front of SQLite's own by which a caller decides.
// Whatever the operating system said stays in the chain.
func sqlError(err error) error {
	var e sqlite3.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	var kind error
	switch e.Code {
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		kind = ErrBusy
	case sqlite3.ErrCorrupt:
		kind = ErrCorrupt
	case sqlite3.ErrNotADB:
		kind = ErrForeign
	case sqlite3.ErrFull:
		kind = unix.ENOSPC
	case sqlite3.ErrReadonly:
		kind = unix.EROFS
	case sqlite3.ErrConstraint:
		kind = ErrGuardRail
	}
	if e.SystemErrno != 0 && !errors.Is(kind, e.SystemErrno) {
		err = fmt.Errorf("%w: %w", err, e.SystemErrno)
	}
	if kind != nil {
		err = fmt.Errorf("%w: %w", kind, err)
	}
	return err
}

// count is a number of things, each called what one is.
func count(n int64, one string) string {
	if n != 1 {
		one += "s"
	}
	return fmt.Sprintf("%d %s", n, one)
}
