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

	Agreement *Agreement // nil until the customer's agreement is recorded
	Items     []Item     // by number
	Images    []Image    // by name
	Holds     []Hold     // by id, ended ones included
	Openings  []Opening  // every opening of the data
	Checks    []Check    // every check of an image
	Restores  []Restore
	Attests   []Attest
	Papers    []Paper

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

// An Item is what the customer handed in.
type Item struct {
	Ref   Ref
	At    time.Time
	Op    string
	Item  string
	Kind  ItemKind
	Bytes int64
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

// Left reports whether something of the image may still be there. Of an image that
// failed before its first key was recorded there never was anything: no record is
// written before the key that opens it is in the ledger.
func (i Image) Left() bool {
	return i.State != ImageIsErased && (i.State != ImageIsFailed || len(i.Keys) > 0)
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
}

// A KeyCopy is one file with which an image can be opened.
type KeyCopy struct {
	Ref Ref
	At  time.Time
	KeyWrapped
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
	for _, e := range own {
		f.apply(e)
	}
	f.finish(own)
	return f.c
}

type caseFold struct {
	c    Case
	jobs map[string]*erasing // by image
}

// erasing is what is at work on an image: the jobs that may have destroyed something,
// and the state before the first of them.
type erasing struct {
	job    map[string]bool
	before ImageState
}

func (f *caseFold) apply(e Event) {
	c, at, ref := &f.c, e.TS.Time, e.Ref()
	switch p := e.Pub.(type) {
	case CaseOpened:
		if c.Opened.IsZero() {
			c.Opened, c.OpenedBy = at, e.Op
			c.Purpose, c.Language, c.Business = p.Purpose, p.Language, p.Business
		}
	case AgreementRecorded:
		if c.Agreement == nil {
			c.Agreement = &Agreement{ref, at, e.Op, p.Notice}
		}
	case ItemReceived:
		c.Items = append(c.Items, Item{ref, at, e.Op, p.Item, p.Kind, p.Bytes})
	case CaseClosed:
		if c.Closed.IsZero() {
			c.Closed = at
		}
		for _, i := range c.Images {
			if i.Left() {
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
		c.Attests = append(c.Attests, Attest{ref, at, e.Op, p})
	case PaperPrinted:
		c.Papers = append(c.Papers, Paper{ref, at, e.Op, p})
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
		i.Keys = append(i.Keys, KeyCopy{ref, at, p})
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
	case DataOpened:
		if f.image(p.Image).State == ImageIsErased {
			f.except(AfterErase, ref)
		}
		c.Openings = append(c.Openings, Opening{ref, at, e.Op, p})
	case DataRestored:
		if f.image(p.Image).State == ImageIsErased {
			f.except(AfterErase, ref)
		}
		c.Restores = append(c.Restores, Restore{ref, at, e.Op, p})
	case EraseStarted:
		i := f.image(p.Image)
		i.EraseJob, i.EraseFailed = p.Job, ""
		if i.State != ImageIsErased {
			f.erasing(i, p.Job)
			i.EraseStarted = at
		}
	case EraseFailed:
		i := f.image(p.Image)
		if i.State != ImageIsErased {
			f.erasing(i, p.Job)
			i.EraseJob, i.EraseFailed = p.Job, p.Step
			if p.Step == StepPlanned {
				f.spared(i, p.Job)
			}
		}
	case EraseDone:
		f.eraseDone(e, p)
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
	if i.State == ImageIsErased {
		return // terminal: the first proof stands
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
			if h.Active() && i.State == ImageIsErased {
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
	slices.SortStableFunc(c.Items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(len(a.Item), len(b.Item)), cmp.Compare(a.Item, b.Item))
	})
	slices.SortFunc(c.Images, func(a, b Image) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(c.Holds, func(a, b Hold) int { return cmp.Compare(a.ID, b.ID) })
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
	for i := range f.c.Images {
		if f.c.Images[i].Name == name {
			return &f.c.Images[i]
		}
	}
	f.c.Images = append(f.c.Images, Image{Name: name, State: ImageIsStarted})
	return &f.c.Images[len(f.c.Images)-1]
}

func (f *caseFold) hold(id string) *Hold {
	for i := range f.c.Holds {
		if f.c.Holds[i].ID == id {
			return &f.c.Holds[i]
		}
	}
	f.c.Holds = append(f.c.Holds, Hold{ID: id})
	return &f.c.Holds[len(f.c.Holds)-1]
}

// Image returns the image of that name.
func (c Case) Image(name string) (Image, bool) {
	for _, i := range c.Images {
		if i.Name == name {
			return i, true
		}
	}
	return Image{}, false
}

// Held reports whether an active hold blocks erasing.
func (c Case) Held() bool { return slices.ContainsFunc(c.Holds, Hold.Active) }

// Copies returns how many images are left.
func (c Case) Copies() int {
	n := 0
	for _, i := range c.Images {
		if i.Left() {
			n++
		}
	}
	return n
}

// Erased reports whether the case had images and every one is erased.
func (c Case) Erased() bool {
	erased := slices.ContainsFunc(c.Images, func(i Image) bool { return i.State == ImageIsErased })
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
