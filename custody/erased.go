package custody

import (
	"slices"
	"time"
)

// What is told of an erasing beside its beginning and its end: what a job proved on
// its way, which keys in other keystores are gone, and what came back.

// A Proof is what a job had proved of the erasing of an image before it was done.
type Proof struct {
	Ref Ref
	At  time.Time
	Op  string
	EraseProved
}

// KeyGone is the recorded end of one key copy.
type KeyGone struct {
	Ref       Ref // of the event; its station saw it
	At        time.Time
	Job       string // of the erasing; "" when its medium was destroyed
	Destroyed bool   // with its medium
	Proved    bool   // overwritten in place and read back from the device, or destroyed
}

// A Comeback is a copy of an erased image that lay in its vault again. Each is a copy
// of its own, with an end of its own: the erasing before it stays what it was.
type Comeback struct {
	Ref           Ref
	At            time.Time
	Op            string
	ImageReturned            // what was seen first
	Jobs          []string   // that were begun to erase it, in causal order
	Failed        EraseStep  // where its last try stopped; "" when it did not
	Erase         *EraseDone // what the job showed, proved or not
	KeysElsewhere int        // key files that were destroyed in other keystores since
	End           CopyEnd
}

// Proved returns the proof of a step that a job has left, or false.
func (i Image) Proved(job string, step EraseStep) (Proof, bool) {
	return find(i.Proofs, func(p Proof) bool { return p.Job == job && p.Step == step })
}

// Wrapped reports whether the record has a key file with that content. One that was
// wrapped anew in its place has several.
func (i Image) Wrapped(keystore, file string, sum [32]byte) bool {
	return slices.ContainsFunc(i.Keys, func(k KeyCopy) bool {
		return k.Keystore == keystore && k.File == file && k.SHA256 == Hash(sum)
	})
}

// Elsewhere reports whether the copy lies in another keystore than the vault of its
// image.
func (k KeyCopy) Elsewhere(i Image) bool { return k.Keystore != i.Vault }

// KeysElsewhere returns the key copies in other keystores of whose end nothing is
// recorded. They outlive the erasing of their image.
func (i Image) KeysElsewhere() []KeyCopy {
	var list []KeyCopy
	for _, k := range i.Keys {
		if k.Elsewhere(i) && k.Gone == nil {
			list = append(list, k)
		}
	}
	return list
}

// Remains reports whether something of the image may still be there: the image itself,
// a copy of it that came back after its erasing, or a key to it in another keystore.
func (i Image) Remains() bool {
	return i.Left() || i.Returned() || i.State == ImageIsErased && len(i.KeysElsewhere()) > 0
}

// Returned reports whether the image was erased and lies in its vault again.
func (i Image) Returned() bool { return i.back() != nil }

// Comeback returns what came back and is not erased again yet.
func (i Image) Comeback() (Comeback, bool) {
	if b := i.back(); b != nil {
		return *b, true
	}
	return Comeback{}, false
}

// back is the copy that came back and has no end; there is at most one, the newest.
func (i *Image) back() *Comeback {
	if n := len(i.Returns); n > 0 && i.Returns[n-1].End.Open() {
		return &i.Returns[n-1]
	}
	return nil
}

// cameBack begins a new copy, or ends one that is there no more. Of an image that is
// not erased it says nothing: it never left.
func (f *caseFold) cameBack(e Event, p ImageReturned) {
	i := f.image(p.Image)
	b, there := i.back(), p.Files+p.KeyFiles > 0
	switch {
	case i.State != ImageIsErased:
	case there && b == nil:
		i.Returns = append(i.Returns, Comeback{Ref: e.Ref(), At: e.TS.Time, Op: e.Op, ImageReturned: p})
	case !there && b != nil:
		b.End = CopyEnd{CopyTaken, e.Ref(), e.TS.Time}
	}
}

func (i *Image) eraseAgain(job string) {
	if b := i.back(); b != nil {
		b.Jobs, b.Failed = append(b.Jobs, job), ""
	}
}

// proved keeps what a job has shown on its way.
func (i *Image) proved(e Event, p EraseProved) {
	i.Proofs = append(i.Proofs, Proof{e.Ref(), e.TS.Time, e.Op, p})
	if b := i.back(); b != nil && p.Keystore != i.Vault {
		b.KeysElsewhere += len(p.Copies)
	}
}

func (i *Image) againFailed(p EraseFailed) {
	if b := i.back(); b != nil && slices.Contains(b.Jobs, p.Job) {
		b.Failed = p.Step
	}
}

// moreProved is an erase.done of an image that is erased already: of what came back,
// or of the keys when those of the last keystore are accounted for. The classes of the
// first proof never become worse by it, and that of the medium never better.
func (f *caseFold) moreProved(i *Image, e Event, p EraseDone) {
	if b := i.back(); b != nil && slices.Contains(b.Jobs, p.Job) {
		b.Erase, b.Failed = &p, ""
		if p.provedAgain(b.KeysElsewhere) {
			b.End = CopyEnd{CopyIsErased, e.Ref(), e.TS.Time}
		} else {
			f.except(NotProved, e.Ref())
		}
		return
	}
	if p.Job == i.Erase.Job && p.Media == i.Erase.Media && p.Keys.better(i.Erase.Keys) {
		more := *i.Erase
		more.Keys, more.KeyFiles = p.Keys, p.KeyFiles
		i.Erase = &more
	}
}

// provedAgain: as Proved, and where only keys came back there was no content to
// overwrite.
func (p EraseDone) provedAgain(keysElsewhere int) bool {
	return p.Proved() || p.Files == 0 && p.KeyFiles+int64(keysElsewhere) > 0 && p.Keys != KeysNone
}

func (c KeyClass) better(than KeyClass) bool { return c.rank() > than.rank() }

func (c KeyClass) rank() int {
	switch c {
	case KeysComplete:
		return 2
	case KeysPartial:
		return 1
	}
	return 0
}

// finishErasing settles which key copies are gone, and what somebody has to look at.
func (f *caseFold) finishErasing(sorted []Event) {
	var order *causal
	for n := range f.c.Images {
		i := &f.c.Images[n]
		if len(i.Proofs) > 0 && order == nil {
			order = newCausal(sorted)
		}
		at := places(i.Proofs, sorted)
		for k := range i.Keys {
			i.Keys[k].Gone = f.gone(i, i.Keys[k], order, at)
		}
		for _, b := range i.Returns {
			if b.End.Open() || b.End.Fate == CopyTaken {
				f.except(CameBack, b.Ref)
			}
		}
	}
}

// places are where the events of proofs stand in the order.
func places(proofs []Proof, sorted []Event) []int {
	var at []int
	for _, p := range proofs {
		at = append(at, slices.IndexFunc(sorted, func(e Event) bool { return e.Ref() == p.Ref }))
	}
	return at
}

// gone finds the end of a key copy. A file that was wrapped anew in its place has
// several records, and all of them end with it. Of several proofs the last counts, of
// the copy that was there last; of those that did not know of each other the worst.
func (f *caseFold) gone(i *Image, k KeyCopy, order *causal, at []int) *KeyGone {
	for _, d := range f.c.Destroyed {
		if d.Kind == CopyKey && d.Image == i.Name && d.Store == k.Keystore && d.File == k.File {
			return &KeyGone{Ref: d.Ref, At: d.At, Destroyed: true, Proved: true}
		}
	}
	var ends []KeyGone
	var when []int
	for n, p := range i.Proofs {
		if p.Keystore != k.Keystore {
			continue
		}
		for _, x := range p.Copies {
			if x.File == k.File && i.Wrapped(k.Keystore, k.File, x.SHA256) {
				ends = append(ends, KeyGone{Ref: p.Ref, At: p.At, Job: p.Job, Proved: x.Proved})
				when = append(when, at[n])
			}
		}
	}
	if len(ends) == 0 {
		return nil
	}
	var gone *KeyGone
	last := order.heads(when)
	for n := range ends {
		if slices.Contains(last, when[n]) && (gone == nil || gone.Proved) {
			gone = &ends[n]
		}
	}
	return gone
}

// ending says whether the job may report that it is done: the one that erases the
// image or what came back of it, and of an erased image the one that erased it, when
// its keys are accounted for later than the rest.
func (c Case) ending(p EraseDone) error {
	if i, ok := c.Image(p.Image); ok && i.State == ImageIsErased && i.Erase.Job == p.Job && p.Keys.better(i.Erase.Keys) {
		return nil
	}
	return c.erasing(p.Image, p.Job)
}

// mayReturn: only what was erased can come back.
func (c Case) mayReturn(image string) error {
	i, ok := c.Image(image)
	switch {
	case !ok:
		return ErrNoImage
	case i.State != ImageIsErased:
		return ErrNotErased
	}
	return nil
}
