package ledger

import (
	"context"
	"errors"
	"io"
	"time"

	"salvor/custody"
)

var (
	ErrNotFound    = errors.New("not in the ledger")
	ErrExists      = errors.New("ledger exists already")
	ErrForeign     = errors.New("not a salvor ledger")
	ErrNewer       = errors.New("ledger of a newer salvor")
	ErrNetworkFS   = errors.New("on a network file system")
	ErrPermissions = errors.New("others can read or change it")
	ErrBusy        = errors.New("ledger is in use by another process")
	ErrCorrupt     = errors.New("ledger is damaged")
	ErrStation     = errors.New("ledger belongs to another station")
	ErrStationKey  = errors.New("not a station key")
	ErrAudit       = errors.New("audit failed")
	ErrProgress    = errors.New("acknowledged progress never goes back")
	errSoon        = errors.New("skeleton")
)

// Station is the identity of one station.
type Station struct{ shop, name string }

func NewStation(shop, name string, rand io.Reader) (Station, error) {
	return Station{shop, name}, errSoon
}
func LoadStation(path string) (Station, error)         { return Station{}, errSoon }
func (s Station) Save(path string) error               { return errSoon } // O_EXCL 0600
func (s Station) Shop() string                         { return s.shop }
func (s Station) Name() string                         { return s.name }
func (s Station) Origin() string                       { return "" }           // name of its notes
func (s Station) Verifier() string                     { return "" }           // for station.enrolled sign
func (s Station) Recipient() string                    { return "" }           // for station.enrolled seal
func (s Station) SignNote(text string) ([]byte, error) { return nil, errSoon } // seals and attests

// Entry is one event to append. Pub is one of the payload structs of package
// custody; Type may be left empty.
type Entry struct {
	Type    custody.Type
	Case    custody.CaseNo
	Item    string
	Pub     any
	Private map[string]string
}

type Ledger struct{}

func Create(ctx context.Context, path string, st Station, now func() time.Time) (*Ledger, error) {
	return nil, errSoon
}
func Open(ctx context.Context, path string, st Station, now func() time.Time) (*Ledger, error) {
	return nil, errSoon
}
func (l *Ledger) Close() error { return errSoon }
func (l *Ledger) Append(ctx context.Context, op string, entries ...Entry) ([]custody.Event, error) {
	return nil, errSoon
}

// OpenCase allocates the next number of the year inside the transaction.
func (l *Ledger) OpenCase(ctx context.Context, op string, year int, entries func(no custody.CaseNo) []Entry) (custody.CaseNo, error) {
	return "", errSoon
}
func (l *Ledger) Case(ctx context.Context, no custody.CaseNo) (custody.Case, error) {
	return custody.Case{}, errSoon
}

// Filter selects cases. The zero Filter selects the cases that are not closed.
type Filter struct {
	All   bool      // closed ones too
	DueBy time.Time // only those with a copy left whose deadline is at or before
}

func (l *Ledger) Cases(ctx context.Context, f Filter) ([]custody.Case, error) { return nil, errSoon }
func (l *Ledger) Shop(ctx context.Context) (custody.Shop, error)              { return custody.Shop{}, errSoon }

// Events returns a case's events in causal order; of the shop for "".
func (l *Ledger) Events(ctx context.Context, no custody.CaseNo) ([]custody.Event, error) {
	return nil, errSoon
}
func (l *Ledger) Note(ctx context.Context, ref custody.Ref) ([]byte, error) { return nil, errSoon }

// Private returns the private part of an event; nil when it has none or it was erased.
func (l *Ledger) Private(ctx context.Context, ref custody.Ref) (map[string]string, error) {
	return nil, errSoon
}

// PrivateOfCase returns the private parts of a case's events.
func (l *Ledger) PrivateOfCase(ctx context.Context, no custody.CaseNo) (map[custody.Ref]map[string]string, error) {
	return nil, errSoon
}

// OperatorByLogin returns the operator with that login; ErrNotFound.
func (l *Ledger) OperatorByLogin(ctx context.Context, login string) (custody.Operator, error) {
	return custody.Operator{}, errSoon
}
func (l *Ledger) ErasePrivate(ctx context.Context, op string, no custody.CaseNo) error {
	return errSoon
}
func (l *Ledger) Checkpoint(ctx context.Context) ([]byte, error) { return nil, errSoon }
func (l *Ledger) Newest(ctx context.Context) (time.Time, error)  { return time.Time{}, errSoon }

// AuditResult is what an audit found.
type AuditResult struct {
	Events     int64
	Cases      int
	Checkpoint custody.Checkpoint
	Faults     []Fault
}

// Fault is one thing that an audit found wrong.
type Fault struct {
	Ref  custody.Ref // zero when no event can be named
	Type custody.Type
	What string
}

func (f Fault) String() string { return "" } // "T1/7 (hold.added): …"

func (l *Ledger) Audit(ctx context.Context) (AuditResult, error) { return AuditResult{}, errSoon }

// NewOperatorID makes an opaque operator id.
func NewOperatorID(rand io.Reader) (string, error) { return "", errSoon }

func (l *Ledger) SetVaultPath(ctx context.Context, vault, path string) error { return errSoon }
func (l *Ledger) VaultPaths(ctx context.Context) (map[string]string, error)  { return nil, errSoon }

// Progress is what of an image is durable in the vault.
type Progress struct {
	Segment, Records int
	Bytes            int64
}

func (l *Ledger) SaveProgress(ctx context.Context, no custody.CaseNo, image string, p Progress) error {
	return errSoon
}

// Progress returns the zero Progress when nothing was acknowledged.
func (l *Ledger) Progress(ctx context.Context, no custody.CaseNo, image string) (Progress, error) {
	return Progress{}, errSoon
}

// Job is an erasing that has begun.
type Job struct {
	ID    string
	Case  custody.CaseNo
	Image string
	Body  []byte
	Saved time.Time
}

func (l *Ledger) SaveJob(ctx context.Context, id string, no custody.CaseNo, image string, body []byte) error {
	return errSoon
}
func (l *Ledger) EndJob(ctx context.Context, id string) error     { return errSoon }
func (l *Ledger) Job(ctx context.Context, id string) (Job, error) { return Job{}, errSoon }
func (l *Ledger) OpenJobs(ctx context.Context) ([]Job, error)     { return nil, errSoon }
func (l *Ledger) SaveAttest(ctx context.Context, id string, no custody.CaseNo, image string, note []byte) error {
	return errSoon
}
func (l *Ledger) Attest(ctx context.Context, id string) ([]byte, error) { return nil, errSoon }

// AttestRecord is a stored attest.
type AttestRecord struct {
	ID    string
	Case  custody.CaseNo
	Image string
	Note  []byte
	Saved time.Time
}

func (l *Ledger) Attests(ctx context.Context, no custody.CaseNo) ([]AttestRecord, error) {
	return nil, errSoon
}
