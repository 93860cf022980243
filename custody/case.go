package custody

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Case is everything that is publicly true about one job for one customer.
// It is computed by [FoldCase] and never stored as a truth of its own.
type Case struct {
	No       CaseNo
	Opened   time.Time // zero when case.opened has not arrived
	OpenedBy string    // operator
	Purpose  Purpose
	Language Language
	Business bool
	Role     Role       // of the shop; never "" once the case is opened
	Contract string     // number of the contract with the business, or ""
	Special  []Category // special categories of data
	End      EndChoice  // "" when the customer was not asked
	Allowed  []Action   // what the customer allowed, at the beginning or later, sorted
	Proxy    bool       // brought by somebody else than the owner

	Agreement *Agreement // nil until the customer's agreement is recorded
	Items     []Item     // by number
	Images    []Image    // by name
	Holds     []Hold     // by id, ended ones included
	Openings  []Opening  // every opening of the data
	Checks    []Check    // every check of an image
	Restores  []Restore
	Attests   []Attest // of images; those of items are in Wipes
	Papers    []Paper
	Showings  []Showing // every showing of private data

	Exports     []ExportedCopy // by id
	Returns     []Return       // data handed over
	Erasures    []Erasure      // of exported copies
	Destroyed   []Destruction
	Wipes       []Wipe        // of items, by job
	Confirmed   *Confirmation // the first; nil until the customer has everything
	Proposals   []Proposal    // to erase, by id
	Requests    []Request     // by id
	Incidents   []Incident    // by id; those of the shop may concern the case too
	Corrections []Correction  // in causal order

	// Deadline is the earliest of all deadlines set and shortened, of the
	// erase-by dates of the images, and of one calendar year after the first
	// image was begun. It never moves later. Zero when there is none yet.
	Deadline time.Time
	// Keep is how long was asked for when the deadline was set first.
	Keep Keep
	// FirstImage is when the first image was begun; zero when there is none.
	FirstImage time.Time

	PrivateErased []Ref     // events whose private parts were erased
	Closed        time.Time // zero while the case is open

	Heads      []Ref       // events that no other event of the case names, sorted
	Exceptions []Exception // what must be looked at; see [Exception]
	Events     int         // number of events in the case
}

// An Agreement records that the customer agreed.
type Agreement struct {
	Ref    Ref
	At     time.Time
	Op     string
	Notice string
}

// An ImageState is where an image is in its life.
type ImageState string

// The states of an image. Erased is terminal: nothing that arrives later
// brings an erased image back.
const (
	ImageIsStarted ImageState = "started"
	ImageIsPaused  ImageState = "paused"
	ImageIsSealed  ImageState = "sealed"
	ImageIsFailed  ImageState = "failed"
	ImageIsErasing ImageState = "erasing" // begun, or stopped halfway, or done with nothing proved
	ImageIsErased  ImageState = "erased"
)

// Left reports whether the image may still be there. Of an image that failed before its
// first key was recorded there never was anything: no record is written before the key
// that opens it is in the ledger.
func (i Image) Left() bool {
	return i.End().Open()
}

// An Image is one source's content in a vault.
type Image struct {
	Name     string
	State    ImageState
	Ref      Ref // of image.started; zero when it has not arrived
	At       time.Time
	Op       string
	UUID     UUID
	Vault    string
	Item     string
	Bytes    int64
	Sector   int64
	Physical int64
	Created  time.Time
	EraseBy  time.Time // as written into the image; the case's deadline may be earlier

	Keys    []KeyCopy // by session, then keystore and file
	Rescued int64     // bytes of the source, as last recorded
	Bad     int64
	Untried int64
	Seal    *ImageSealed // nil while not sealed
	Sealed  time.Time

	EraseJob     string // the newest job
	EraseStarted time.Time
	EraseFailed  EraseStep // where the last try stopped; "" when it did not
	Erase        *EraseDone
	Erased       time.Time // zero until something was proved
	EraseRef     Ref       // of erase.done
	Proofs       []Proof   // what jobs had proved on their way
	Returns      []Comeback

	// Destroyed is set when the medium on which the image lay was destroyed. The
	// state stays what it was: nothing was done to the image itself.
	Destroyed *Destruction
}

// A KeyCopy is one file with which an image can be opened.
type KeyCopy struct {
	Ref Ref
	At  time.Time
	KeyWrapped
	// Gone is what is recorded of its end, apart from that of its image; nil when
	// nothing is.
	Gone *KeyGone
}

// A Hold blocks erasing.
type Hold struct {
	ID     string
	Kind   HoldKind // "" when only the end of the hold has arrived
	Review Date
	Ref    Ref
	Added  time.Time
	By     string
	Ended  time.Time // zero while it is active
	EndRef Ref
	EndBy  string
}

// Active reports whether the hold blocks erasing.
func (h Hold) Active() bool { return h.Ended.IsZero() }

// An Opening says that the data of an image were opened.
type Opening struct {
	Ref Ref
	At  time.Time
	Op  string
	DataOpened
}

// A Check says that an image was verified.
type Check struct {
	Ref Ref
	At  time.Time
	Op  string
	ImageVerified
}

// A Restore says that an image was written out.
type Restore struct {
	Ref Ref
	At  time.Time
	Op  string
	DataRestored
}

// An Attest says that a signed statement of erasing was issued.
type Attest struct {
	Ref Ref
	At  time.Time
	Op  string
	AttestIssued
}

// A Paper says that a paper was printed.
type Paper struct {
	Ref Ref
	At  time.Time
	Op  string
	PaperPrinted
}

// An ExceptionKind says what is wrong.
type ExceptionKind string

// The kinds of exceptions.
const (
	// HeldButErased: an image was erased although the case has an active hold,
	// usually because the hold arrived from another station too late.
	HeldButErased ExceptionKind = "held-but-erased"
	// NotProved: erase.done says that nothing was proved; the medium must be
	// destroyed, or the erasing done again.
	NotProved ExceptionKind = "erased-without-proof"
	// ClonedStation: two different events have the same station and place.
	ClonedStation ExceptionKind = "cloned-station"
	// NotOpened: there are events of a case whose opening has not arrived.
	NotOpened ExceptionKind = "not-opened"
	// AfterErase: something was recorded about an image that needs its content,
	// after its erasing.
	AfterErase ExceptionKind = "used-after-erase"
	// OpenCopies: the case was closed although a copy is left.
	OpenCopies ExceptionKind = "closed-with-copies"
	// OpenItems: the case is closed although an item is neither returned nor
	// destroyed.
	OpenItems ExceptionKind = "closed-with-items"
	// Disputed: records of stations that did not know of each other put an item
	// into different hands.
	Disputed ExceptionKind = "custody-disputed"
	// ItemTwice: an item was received under a number that is in use.
	ItemTwice ExceptionKind = "item-twice"
	// SealNotIntact: a seal was broken or missing when somebody looked.
	SealNotIntact ExceptionKind = "seal-not-intact"
	// PlainCopy: data were written unencrypted to a medium that can be carried
	// away, and not for the customer.
	PlainCopy ExceptionKind = "plain-copy"
	// LateExtension: a request was prolonged when its term was over already.
	LateExtension ExceptionKind = "extension-too-late"
	// CameBack: an erased image lies in its vault again, or lay there and was taken
	// away by other hands.
	CameBack ExceptionKind = "erased-and-back"
)

// An Exception is something that the rules exclude and that happened all the
// same, between stations that could not see each other or outside salvor. It
// is shown on every overview, never hidden and never mended in silence.
type Exception struct {
	Kind ExceptionKind
	Ref  Ref // the event that shows it
}

// FoldCase computes a case from its events. The order of the events and
// duplicates among them change nothing; events of other cases are left out.
// The slice and its events are not modified.
func FoldCase(no CaseNo, events []Event) Case {
	own := make([]Event, 0, len(events))
	for _, e := range events {
		if e.Case == no {
			own = append(own, e)
		}
	}
	own = Sort(own)
	f := caseFold{c: Case{No: no, Events: len(own)}}
	for order, e := range own {
		f.apply(e, order)
	}
	f.finish(own)
	return f.c
}

type caseFold struct {
	c    Case
	jobs map[string]*erasing // by image

	items     []itemFold
	registers registers
	closedBy  Ref // the case.closed that counts
}

// erasing is what is at work on an image: the jobs that may have destroyed something,
// and the state before the first of them.
type erasing struct {
	job    map[string]bool
	before ImageState
}

func (f *caseFold) apply(e Event, order int) {
	c, at, ref := &f.c, e.TS.Time, e.Ref()
	switch p := e.Pub.(type) {
	case CaseOpened:
		if c.Opened.IsZero() {
			c.Opened, c.OpenedBy = at, e.Op
			c.Purpose, c.Language, c.Business = p.Purpose, p.Language, p.Business
			c.Role, c.Contract, c.Special, c.End, c.Proxy = p.Role, p.Contract, p.Special, p.End, p.Proxy
			if c.Role == "" {
				c.Role = RoleController
			}
		}
		c.Allowed = append(c.Allowed, p.Allowed...)
	case AgreementRecorded:
		c.Allowed = append(c.Allowed, p.Allowed...)
		if c.Agreement == nil {
			c.Agreement = &Agreement{ref, at, e.Op, p.Notice}
		}
	case ItemReceived, Offered, Accepted, PlaceChanged, SealApplied, SealChecked, SentExternal, BackExternal, ItemReturned:
		f.applyItem(e, order)
	case DataOpened, DataRestored, DataExtracted, DataReturned, CopyErased, MediumDestroyed, CustomerConfirmed:
		f.applyCopy(e, order)
	case MediumEraseStarted, MediumEraseFailed, MediumEraseDone:
		applyWipe(&c.Wipes, e)
	case PurgeProposed, PurgeValidated:
		f.applyApproval(e)
	case RequestReceived, RequestExtended, RequestAnswered, IncidentOpened, IncidentAssessed, IncidentControllerNotified,
		IncidentAuthorityNotified, IncidentSubjectsNotified, IncidentClosed:
		f.registers.apply(e)
	case EventCorrected:
		c.Corrections = append(c.Corrections, Correction{ref, at, e.Op, p})
	case CaseClosed:
		if c.Closed.IsZero() {
			c.Closed, f.closedBy = at, ref
		}
		for _, i := range c.Images {
			if i.Remains() {
				f.except(OpenCopies, ref)
				break
			}
		}
	case DeadlineSet:
		c.Deadline = earliest(c.Deadline, p.Deadline.Time)
		if c.Keep == (Keep{}) {
			c.Keep = p.Keep
		}
	case DeadlineShortened:
		c.Deadline = earliest(c.Deadline, p.Deadline.Time)
	case HoldAdded:
		if h := f.hold(p.Hold); h.Kind == "" {
			h.Kind, h.Review, h.Ref, h.Added, h.By = p.Kind, p.Review, ref, at, e.Op
		}
	case HoldEnded:
		if h := f.hold(p.Hold); h.Ended.IsZero() {
			h.Ended, h.EndRef, h.EndBy = at, ref, e.Op
		}
	case AttestIssued:
		if p.Image == "" {
			applyWipe(&c.Wipes, e)
		} else {
			c.Attests = append(c.Attests, Attest{ref, at, e.Op, p})
		}
	case PaperPrinted:
		c.Papers = append(c.Papers, Paper{ref, at, e.Op, p})
	case ContactShown:
		c.Showings = append(c.Showings, Showing{ref, at, e.Op, p})
	case PrivateErased:
		c.PrivateErased = append(c.PrivateErased, p.Events...)
	default:
		f.applyImage(e)
	}
}

// applyImage follows the life of an image. Two states are stronger than what
// is reported beside them: what is sealed stays sealed until it is reopened, and
// what is being erased or erased stays so.
func (f *caseFold) applyImage(e Event) {
	c, at, ref := &f.c, e.TS.Time, e.Ref()
	switch p := e.Pub.(type) {
	case ImageStarted:
		i := f.image(p.Image)
		c.FirstImage = earliest(c.FirstImage, p.Created.Time)
		c.Deadline = earliest(c.Deadline, p.EraseBy.Time)
		if i.Ref == (Ref{}) {
			i.Ref, i.At, i.Op = ref, at, e.Op
			i.UUID, i.Vault, i.Item = p.UUID, p.Vault, p.Item
			i.Bytes, i.Sector, i.Physical = p.Bytes, p.Sector, p.Physical
			i.Created, i.EraseBy = p.Created.Time, p.EraseBy.Time
		}
		f.working(i, ImageIsStarted, ref)
	case KeyWrapped:
		i := f.image(p.Image)
		i.Keys = append(i.Keys, KeyCopy{Ref: ref, At: at, KeyWrapped: p})
		f.working(i, ImageIsStarted, ref)
	case ImagePaused:
		i := f.image(p.Image)
		if f.working(i, ImageIsPaused, ref) {
			i.Rescued, i.Bad, i.Untried = p.Rescued, p.Bad, p.Untried
		}
	case ImageFailed:
		i := f.image(p.Image)
		if f.working(i, ImageIsFailed, ref) {
			i.Rescued, i.Bad, i.Untried = p.Rescued, p.Bad, p.Untried
		}
	case ImageSealed:
		i := f.image(p.Image)
		if i.Seal == nil {
			i.Seal, i.Sealed = &p, at
			i.Rescued, i.Bad, i.Untried = p.Rescued, p.Bad, 0
		}
		f.working(i, ImageIsSealed, ref)
	case ImageReopened:
		i := f.image(p.Image)
		switch i.State {
		case ImageIsErased:
			f.except(AfterErase, ref)
		case ImageIsErasing:
		default:
			i.State, i.Seal, i.Sealed = ImageIsPaused, nil, time.Time{}
		}
	case ImageVerified:
		f.image(p.Image)
		c.Checks = append(c.Checks, Check{ref, at, e.Op, p})
	case EraseStarted:
		i := f.image(p.Image)
		if i.State == ImageIsErased {
			i.eraseAgain(p.Job)
			return
		}
		f.erasing(i, p.Job)
		i.EraseJob, i.EraseFailed, i.EraseStarted = p.Job, "", at
	case EraseFailed:
		i := f.image(p.Image)
		if i.State == ImageIsErased {
			i.againFailed(p)
			return
		}
		f.erasing(i, p.Job)
		i.EraseJob, i.EraseFailed = p.Job, p.Step
		if p.Step == StepPlanned {
			f.spared(i, p.Job)
		}
	case EraseProved:
		f.image(p.Image).proved(e, p)
	case EraseDone:
		f.eraseDone(e, p)
	case ImageReturned:
		f.cameBack(e, p)
	}
}

// erasing notes that a job is at work on an image.
func (f *caseFold) erasing(i *Image, job string) {
	if f.jobs == nil {
		f.jobs = make(map[string]*erasing)
	}
	x := f.jobs[i.Name]
	if x == nil {
		x = &erasing{job: make(map[string]bool)}
		f.jobs[i.Name] = x
	}
	if i.State != ImageIsErasing {
		x.before = i.State
	}
	x.job[job] = true
	i.State = ImageIsErasing
}

// spared gives an image back the state that it had, when the last job that was at
// work on it stopped before it had destroyed anything.
func (f *caseFold) spared(i *Image, job string) {
	x := f.jobs[i.Name]
	delete(x.job, job)
	if len(x.job) == 0 && i.Erase == nil {
		i.State = x.before
	}
}

func (f *caseFold) eraseDone(e Event, p EraseDone) {
	i := f.image(p.Image)
	if i.State == ImageIsErased { // terminal: the first proof stands
		f.moreProved(i, e, p)
		return
	}
	i.State, i.EraseJob, i.EraseFailed = ImageIsErasing, p.Job, ""
	i.Erase, i.EraseRef = &p, e.Ref()
	if !p.Proved() {
		f.except(NotProved, e.Ref())
		return
	}
	i.State, i.Erased = ImageIsErased, e.TS.Time
}

// Proved reports whether the evidence is enough to say that the image is gone:
// the medium did not fail, and at least one of the two axes has something to
// show.
func (p EraseDone) Proved() bool {
	return p.Media != MediaFailed && (p.Keys != KeysNone || p.Media != MediaNotAssured)
}

// working moves an image to a state of its making, unless it is already beyond
// that, and reports whether it did.
func (f *caseFold) working(i *Image, to ImageState, ref Ref) bool {
	switch i.State {
	case ImageIsErased:
		f.except(AfterErase, ref)
		return false
	case ImageIsErasing, ImageIsSealed:
		return false
	}
	i.State = to
	return true
}

// finish adds what depends on all events together, and puts lists into the one
// order they have.
func (f *caseFold) finish(own []Event) {
	c := &f.c
	if !c.FirstImage.IsZero() {
		c.Deadline = earliest(c.Deadline, MaxDeadline(c.FirstImage))
	}
	if c.Opened.IsZero() && len(own) > 0 {
		f.except(NotOpened, own[0].Ref())
	}
	for _, h := range c.Holds {
		for _, i := range c.Images {
			if h.Active() && (i.State == ImageIsErased || i.Destroyed != nil) {
				f.except(HeldButErased, h.Ref)
				break
			}
		}
	}
	seen := make(map[Ref]bool, len(own))
	named := make(map[Ref]bool, len(own))
	for _, e := range own {
		if seen[e.Ref()] {
			f.except(ClonedStation, e.Ref())
		}
		seen[e.Ref()] = true
		for _, r := range e.CaseHeads {
			named[r] = true
		}
	}
	for r := range seen {
		if !named[r] {
			c.Heads = append(c.Heads, r)
		}
	}
	slices.SortFunc(c.Heads, Ref.compare)
	slices.SortFunc(c.PrivateErased, Ref.compare)
	c.PrivateErased = slices.Compact(c.PrivateErased)
	slices.Sort(c.Allowed)
	c.Allowed = slices.Compact(c.Allowed)
	f.finishItems(own)
	f.finishWipes()
	f.registers.finish(f.except)
	c.Requests, c.Incidents = f.registers.requests, f.registers.incidents
	sortExports(c.Exports)
	sortProposals(c.Proposals)
	slices.SortFunc(c.Images, func(a, b Image) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(c.Holds, func(a, b Hold) int { return cmp.Compare(a.ID, b.ID) })
	f.finishErasing(own)
	for _, i := range c.Images {
		slices.SortStableFunc(i.Keys, func(a, b KeyCopy) int {
			return cmp.Or(cmp.Compare(a.Session, b.Session), cmp.Compare(a.Keystore, b.Keystore), cmp.Compare(a.File, b.File))
		})
	}
}

func (f *caseFold) except(kind ExceptionKind, ref Ref) {
	if x := (Exception{kind, ref}); !slices.Contains(f.c.Exceptions, x) {
		f.c.Exceptions = append(f.c.Exceptions, x)
	}
}

func (f *caseFold) image(name string) *Image {
	return entry(&f.c.Images, func(i Image) bool { return i.Name == name }, Image{Name: name, State: ImageIsStarted})
}

func (f *caseFold) hold(id string) *Hold {
	return entry(&f.c.Holds, func(h Hold) bool { return h.ID == id }, Hold{ID: id})
}

// Image returns the image of that name.
func (c Case) Image(name string) (Image, bool) {
	return find(c.Images, func(i Image) bool { return i.Name == name })
}

// Held reports whether an active hold blocks erasing.
func (c Case) Held() bool { return slices.ContainsFunc(c.Holds, Hold.Active) }

// Copies returns of how many images something remains. Exported copies are in
// [Case.Inventory].
func (c Case) Copies() int {
	n := 0
	for _, i := range c.Images {
		if i.Remains() {
			n++
		}
	}
	return n
}

// Erased reports whether the case had images and every one is erased, or
// destroyed with its medium.
func (c Case) Erased() bool {
	erased := slices.ContainsFunc(c.Images, func(i Image) bool { return i.State == ImageIsErased || i.Destroyed != nil })
	return erased && c.Copies() == 0
}

// Due reports whether the case must be erased at now: it has a copy left and
// its deadline has come. A hold does not make it less due, only blocked.
func (c Case) Due(now time.Time) bool {
	return c.Copies() > 0 && !c.Deadline.IsZero() && !now.Before(c.Deadline)
}

// NextImage returns the name for the case's next image.
func (c Case) NextImage() string {
	most := 0
	for _, i := range c.Images {
		n, _ := strconv.Atoi(strings.TrimPrefix(i.Name, "image-")) // every name has passed CheckImage
		most = max(most, n)
	}
	return fmt.Sprintf("image-%02d", most+1)
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
