package report

import (
	"time"

	"salvor/custody"
)

// Personal is a text about a person: a name, a serial number, a reason somebody
// typed. When it was erased the paper says so; a blank would look as if it had never
// been asked for.
type Personal struct {
	Text     string    `json:"text,omitempty"`
	ErasedOn time.Time `json:"erased_on,omitzero"`
}

// Said returns a Personal that holds text.
func Said(text string) Personal { return Personal{Text: text} }

// Erased returns a Personal that was erased at the given time.
func Erased(at time.Time) Personal { return Personal{ErasedOn: at} }

// CustodyPaper is the custody report: everything that happened to one case, who had
// its things in hand, which copies exist, who opened the data and why.
type CustodyPaper struct {
	Head

	Case     string    `json:"case"`              // "T1-2026-0001"
	Opened   time.Time `json:"opened"`            // when the case was opened
	Purpose  string    `json:"purpose"`           // crash, reinstall or transfer
	Business bool      `json:"business"`          // a business customer
	Deadline time.Time `json:"deadline,omitzero"` // zero: none set yet
	State    string    `json:"state"`             // StateOpen, StateErasing, StateErased or StateClosed

	Customer Personal `json:"customer"` // name only: no paper shows more than its reader needs
	Ticket   Personal `json:"ticket,omitzero"`

	Items    []Item    `json:"items,omitempty"`
	Timeline []Step    `json:"timeline"` // oldest first
	Images   []Image   `json:"images,omitempty"`
	Copies   []Copy    `json:"copies,omitempty"`
	Openings []Opening `json:"openings,omitempty"`
	Holds    []Hold    `json:"holds,omitempty"`
	Gaps     []Gap     `json:"gaps,omitempty"`

	Foot Foot `json:"foot"`
}

// The states of a case.
const (
	StateOpen    = "open"    // at least one copy exists, or none was made yet
	StateErasing = "erasing" // an erasure has begun and is not finished
	StateErased  = "erased"  // every copy is erased
	StateClosed  = "closed"  // closed by an operator
)

// Item is a thing the customer left.
type Item struct {
	Number      string   `json:"number"`          // within the case: "1"
	Kind        string   `json:"kind"`            // as the event has it: "disk"
	Bytes       int64    `json:"bytes,omitempty"` // capacity; 0 unknown
	State       string   `json:"state,omitempty"` // how it looked, in one word: "damaged"
	Seal        string   `json:"seal,omitempty"`  // number of the seal that is on it
	Place       string   `json:"place,omitempty"` // where it lies: "L-03"
	Hands       Hands    `json:"hands,omitzero"`  // who has it now; zero: not shown
	Maker       Personal `json:"maker,omitzero"`
	Model       Personal `json:"model,omitzero"`
	Serial      Personal `json:"serial,omitzero"`
	Condition   Personal `json:"condition,omitzero"`
	Accessories Personal `json:"accessories,omitzero"`
	Fault       Personal `json:"fault,omitzero"`
}

// Hands say where an item is now and who answers for it.
type Hands struct {
	State custody.ItemState `json:"state"`
	Who   string            `json:"who,omitempty"`  // a name, an operator's id, or the processor's name
	Since time.Time         `json:"since,omitzero"` // zero when it is disputed
}

// Step is one event of the case.
type Step struct {
	Time     time.Time `json:"time"`
	Ref      string    `json:"ref"`                // where the ledger has it: "T1/7"
	Event    string    `json:"event"`              // the event's type: "image.started"
	From     string    `json:"from,omitempty"`     // who or where it came from: a name, or an operator's id
	To       string    `json:"to,omitempty"`       // who or where it went
	Place    string    `json:"place,omitempty"`    // storage place: "L-03"
	Why      string    `json:"why,omitempty"`      // code of why it changed hands: "imaging"
	Reason   Personal  `json:"reason,omitzero"`    // as it was typed
	Detail   string    `json:"detail,omitempty"`   // ids, names and numbers: "image-01", "CE-COMPLETE / CLEAR-RAW"
	Codes    []string  `json:"codes,omitempty"`    // facts in codes, each with its family before it: "use.restore"
	Bytes    int64     `json:"bytes,omitempty"`    // that it is about; 0: none
	Seal     string    `json:"seal,omitempty"`     // number of the seal
	Looked   string    `json:"looked,omitempty"`   // what a look at the seal showed: "intact"
	Station  string    `json:"station"`            //
	Operator string    `json:"operator"`           // name, or the id where the name was erased
	Asserted bool      `json:"asserted"`           // the operator is named by the station, he did not sign himself
	Corrects string    `json:"corrects,omitempty"` // the event that this one corrects
}

// Image is one image of the case.
type Image struct {
	Name     string         `json:"name"`            // "image-01"
	Item     string         `json:"item,omitempty"`  // the item it was made from
	UUID     string         `json:"uuid"`            // 32 hexadecimal digits
	Bytes    int64          `json:"bytes"`           // of the source
	Sector   int64          `json:"sector"`          // logical sector of the source, bytes
	Rescued  int64          `json:"rescued"`         // bytes
	Bad      int64          `json:"bad"`             // bytes that could not be read
	Untried  int64          `json:"untried"`         // bytes not tried yet: an unfinished image
	Started  time.Time      `json:"started"`         //
	Sealed   time.Time      `json:"sealed,omitzero"` // zero: not sealed
	Root     string         `json:"root,omitempty"`  // Merkle root of the ciphertext
	SHA256   Personal       `json:"sha256,omitzero"` // of the content, where it was computed
	State    string         `json:"state"`           // started, paused, sealed, failed, erasing or erased
	Verified []Verification `json:"verified,omitempty"`
	Map      *MapPicture    `json:"map,omitempty"` // nil: there is no map of it at hand
	// NoMap says why the picture is not shown although there should be one: a NoMap constant.
	NoMap string `json:"no_map,omitempty"`
}

// Why the picture of an image is not shown.
const (
	NoMapAbsent = "absent" // its vault is not there
	NoMapFault  = "fault"  // the vault is there, the image could not be read
)

// MapPicture is what was rescued of a source, seen from far: cells of equal length
// from its first byte to its last (the last cell may stand for less).
type MapPicture struct {
	Cells []MapCell `json:"cells"` // at most [MaxMapCells]; 240 fill four lines of a paper
}

// MaxMapCells bounds a picture: more cells than that would fill more than a third of a
// page and show nothing that fewer do not.
const MaxMapCells = 1200

// MapCell counts what became of one stretch of a source, all four in one unit, which
// is the caller's (bytes or sectors): only the shares are shown.
type MapCell struct {
	Rescued int64 `json:"r,omitempty"`
	Untried int64 `json:"u,omitempty"`
	Failed  int64 `json:"f,omitempty"` // in blocks that failed and are not narrowed yet
	Bad     int64 `json:"b,omitempty"` // failed when tried alone
}

// Verification is one check of an image.
type Verification struct {
	Time  time.Time `json:"time"`
	Level string    `json:"level"` // quick, media or deep
	OK    bool      `json:"ok"`
}

// Copy is one copy of the data, or of a key to it.
type Copy struct {
	Where     string    `json:"where"`               // name of the vault or keystore; "file" or "device" of a target
	Holds     string    `json:"holds"`               // the image: "image-01"
	Key       string    `json:"key,omitempty"`       // of a copy of a key: its file, "0001.age"
	Out       bool      `json:"out,omitempty"`       // written out of its image
	ID        string    `json:"id,omitempty"`        // of a copy written out: "c-4f2a"; "" in records of the first version
	Removable bool      `json:"removable,omitempty"` // on a medium that can be carried away
	Handover  bool      `json:"handover,omitempty"`  // made to be handed over to the customer
	Back      bool      `json:"back,omitempty"`      // an image that lay in its vault again after its erasing
	Begun     bool      `json:"begun,omitempty"`     // nothing says that it was finished: part of the data may be there
	Made      time.Time `json:"made"`                //
	Bytes     int64     `json:"bytes,omitempty"`     // 0 unknown
	Encrypted bool      `json:"encrypted"`           //
	Verified  time.Time `json:"verified,omitzero"`   // newest successful check; zero: never
	ErasedOn  time.Time `json:"erased_on,omitzero"`  // zero: it was not erased
	Fate      string    `json:"fate,omitempty"`      // another end: "returned", "destroyed" or "void", see custody.CopyFate
	Ended     time.Time `json:"ended,omitzero"`      // of that end
	How       string    `json:"how,omitempty"`       // what was proved: "CE-COMPLETE / CLEAR-RAW"
	Attest    string    `json:"attest,omitempty"`    // id of the attest
}

// Opening is one time that somebody opened the data.
type Opening struct {
	Time     time.Time `json:"time"`
	Image    string    `json:"image"`
	Use      string    `json:"use"` // verify, restore, mount, extract
	Reason   Personal  `json:"reason"`
	Operator string    `json:"operator"` // name, or id where it was erased
	Station  string    `json:"station"`
}

// Hold is a block on erasing.
type Hold struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"` // restriction, legal, incident or other
	Reason   Personal  `json:"reason"`
	From     time.Time `json:"from"`
	Review   string    `json:"review,omitempty"` // date, "2027-03-01"
	Ended    time.Time `json:"ended,omitzero"`   // zero: active
	Operator string    `json:"operator"`
}

// Gap is something the record does not tell, or tells badly.
type Gap struct {
	Time  time.Time `json:"time,omitzero"`   // zero: the case as a whole
	Code  string    `json:"code"`            // "no-seal": has sentences in four languages where this package knows it
	Words string    `json:"words,omitempty"` // English, for a code it does not know; without personal data
}
