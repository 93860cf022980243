package custody

import (
	"cmp"
	"slices"
	"time"
)

// An ExportedCopy is a copy of customer's data that was written out of an
// image.
type ExportedCopy struct {
	ID     string // in records of the first version the event that made it
	Ref    Ref    // of that event; zero when it has not arrived
	At     time.Time
	Op     string
	Image  string
	Target TargetKind
	Files  int64 // 0 for a whole image
	Bytes  int64
	Unread int64 // bytes never read from the source
	Export Export
	// Begun is set while an opening has announced the copy and nothing says that it was
	// finished: the run was cut off, and part of the data may be there.
	Begun bool
	End   CopyEnd
}

// A CopyFate is how a copy ended.
type CopyFate string

// The ends of copies.
const (
	CopyReturned  CopyFate = "returned" // handed over with its medium
	CopyIsErased  CopyFate = "erased"
	CopyDestroyed CopyFate = "destroyed" // with its medium
	CopyVoid      CopyFate = "void"      // a key to what does not exist any more
	CopyTaken     CopyFate = "taken"     // an erased image that came back, and was taken away by other hands
)

// A CopyEnd is how and when a copy ended; the zero CopyEnd is that of a copy
// that is still there.
type CopyEnd struct {
	Fate CopyFate
	Ref  Ref
	At   time.Time
}

// Open reports whether the copy is still there.
func (e CopyEnd) Open() bool { return e.Fate == "" }

// A Return says that data were handed over.
type Return struct {
	Ref Ref
	At  time.Time
	Op  string
	DataReturned
}

// A Confirmation says that the customer has everything.
type Confirmation struct {
	Ref Ref
	At  time.Time
	Op  string
	CustomerConfirmed
}

// A Destruction says that a medium was destroyed.
type Destruction struct {
	Ref Ref
	At  time.Time
	Op  string
	MediumDestroyed
}

// An Erasure says what was proved about the erasing of an exported copy.
type Erasure struct {
	Ref Ref
	At  time.Time
	Op  string
	CopyErased
}

// A Copy is one line of the inventory: a place where a customer's data, or a
// key to them, are or were.
type Copy struct {
	Kind      CopyKind // image, key or export
	Name      string   // image, key file or id
	Image     string   // to which it belongs
	Store     string   // vault or keystore; "" for an exported copy
	Ref       Ref
	At        time.Time
	Bytes     int64 // in the vault for an image, written for an exported copy; 0 when not known
	Encrypted bool
	Removable bool
	End       CopyEnd
}

// Inventory returns every copy of the case's data there ever was, in the order
// of images, their keys, exported copies.
func (c Case) Inventory() []Copy {
	var list []Copy
	for _, i := range c.Images {
		if i.State == ImageIsFailed && len(i.Keys) == 0 {
			continue // nothing was ever written
		}
		image := Copy{Kind: CopyImage, Name: i.Name, Image: i.Name, Store: i.Vault, Ref: i.Ref, At: i.At, Encrypted: true, End: i.End()}
		if i.Seal != nil {
			image.Bytes = i.Seal.Stored
		}
		list = append(list, image)
		for _, k := range i.Keys {
			list = append(list, Copy{
				Kind: CopyKey, Name: k.File, Image: i.Name, Store: k.Keystore, Ref: k.Ref, At: k.At, Encrypted: true, End: keyEnd(i, k),
			})
		}
		for _, b := range i.Returns {
			list = append(list, Copy{
				Kind: CopyImage, Name: i.Name + " " + b.Ref.String(), Image: i.Name, Store: i.Vault, Ref: b.Ref, At: b.At, Encrypted: true, End: b.End,
			})
		}
	}
	for _, x := range c.Exports {
		list = append(list, Copy{
			Kind: CopyExport, Name: x.ID, Image: x.Image, Ref: x.Ref, At: x.At, Bytes: x.Bytes, Encrypted: !x.Export.Plain && x.Export.Copy != "",
			Removable: x.Export.Removable, End: x.End,
		})
	}
	return list
}

// End returns how the image ended. One of which there never was anything is
// void.
func (i Image) End() CopyEnd {
	switch {
	case i.State == ImageIsErased:
		return CopyEnd{CopyIsErased, i.EraseRef, i.Erased}
	case i.Destroyed != nil:
		return CopyEnd{CopyDestroyed, i.Destroyed.Ref, i.Destroyed.At}
	case i.State == ImageIsFailed && len(i.Keys) == 0:
		return CopyEnd{CopyVoid, i.Ref, i.At}
	}
	return CopyEnd{}
}

// keyEnd returns how a key copy ended: by what is recorded of it alone, with its image
// where that proved every key destroyed, and else it opens nothing once the image is
// gone. A key in another keystore than its image has no end but its own.
func keyEnd(i Image, k KeyCopy) CopyEnd {
	end := i.End()
	switch {
	case k.Gone != nil && k.Gone.Destroyed:
		return CopyEnd{CopyDestroyed, k.Gone.Ref, k.Gone.At}
	case k.Gone != nil && k.Gone.Proved:
		return CopyEnd{CopyIsErased, k.Gone.Ref, k.Gone.At}
	case i.State == ImageIsErased && k.Elsewhere(i) && k.Gone == nil:
		return CopyEnd{}
	case !end.Open() && (end.Fate != CopyIsErased || i.Erase.Keys != KeysComplete):
		end.Fate = CopyVoid
	}
	return end
}

// Open returns the copies that are neither returned nor erased nor destroyed; of the
// keys only those that outlive their image.
func (c Case) Open() []Copy {
	var open []Copy
	for _, x := range c.Inventory() {
		if i, _ := c.Image(x.Image); x.End.Open() && (x.Kind != CopyKey || i.State == ImageIsErased) {
			open = append(open, x)
		}
	}
	return open
}

// applyCopy follows what leaves the images, and its end.
func (f *caseFold) applyCopy(e Event, order int) {
	c, at, ref := &f.c, e.TS.Time, e.Ref()
	switch p := e.Pub.(type) {
	case DataOpened:
		f.used(p.Image, ref)
		c.Openings = append(c.Openings, Opening{ref, at, e.Op, p})
		if p.Copy != "" {
			f.exported(ExportedCopy{Ref: ref, At: at, Op: e.Op, Image: p.Image, Export: p.Export, Begun: true})
		}
	case DataRestored:
		f.used(p.Image, ref)
		c.Restores = append(c.Restores, Restore{ref, at, e.Op, p})
		f.exported(ExportedCopy{Ref: ref, At: at, Op: e.Op, Image: p.Image, Target: p.Target, Bytes: p.Bytes, Unread: p.Unread, Export: p.Export})
	case DataExtracted:
		f.used(p.Image, ref)
		f.exported(ExportedCopy{
			Ref: ref, At: at, Op: e.Op, Image: p.Image, Target: p.Target, Files: p.Files, Bytes: p.Bytes, Unread: p.Unread, Export: p.Export,
		})
	case DataReturned:
		c.Returns = append(c.Returns, Return{ref, at, e.Op, p})
		f.ended(p.Copy, CopyEnd{CopyReturned, ref, at})
	case CopyErased:
		c.Erasures = append(c.Erasures, Erasure{ref, at, e.Op, p})
		switch {
		case p.Media == MediaFailed || p.Media == MediaNotAssured:
			f.except(NotProved, ref)
		case p.Item != "":
			f.moved(p.Item, Move{Ref: ref, At: at, Op: e.Op, Type: e.Type(), State: ItemIsErased}, order)
		default:
			f.ended(p.Copy, CopyEnd{CopyIsErased, ref, at})
		}
	case MediumDestroyed:
		d := Destruction{ref, at, e.Op, p}
		c.Destroyed = append(c.Destroyed, d)
		switch p.Kind {
		case CopyImage:
			i := f.image(p.Image)
			if i.Destroyed == nil {
				i.Destroyed = &d
			}
			if b := i.back(); b != nil {
				b.End = CopyEnd{CopyDestroyed, ref, at}
			}
		case CopyExport:
			f.ended(p.Copy, CopyEnd{CopyDestroyed, ref, at})
		case CopyItem:
			f.moved(p.Item, Move{Ref: ref, At: at, Op: e.Op, Type: e.Type(), State: ItemIsDestroyed, Processor: p.Processor}, order)
		}
	case CustomerConfirmed:
		c.Deadline = earliest(c.Deadline, p.Deadline.Time)
		if c.Confirmed == nil {
			c.Confirmed = &Confirmation{ref, at, e.Op, p}
		}
	}
}

// used shows that something needed the content of an image after its end.
func (f *caseFold) used(image string, ref Ref) {
	if i := f.image(image); i.State == ImageIsErased || i.Destroyed != nil {
		f.except(AfterErase, ref)
	}
}

// exported adds a copy, or says that one which was announced is finished. Of two
// events that give one id the first counts, as with everything that is recorded once.
func (f *caseFold) exported(x ExportedCopy) {
	x.ID = x.Export.Copy
	if x.ID == "" {
		x.ID = x.Ref.String()
	}
	have := f.export(x.ID)
	if have.Ref == (Ref{}) || have.Begun && !x.Begun {
		x.End = have.End
		*have = x
	}
	if !mayCarry(x.Export) {
		f.except(PlainCopy, x.Ref)
	}
}

func (f *caseFold) ended(id string, end CopyEnd) {
	if id == "" {
		return
	}
	if x := f.export(id); x.End.Open() {
		x.End = end
	}
}

func (f *caseFold) export(id string) *ExportedCopy {
	return entry(&f.c.Exports, func(x ExportedCopy) bool { return x.ID == id }, ExportedCopy{ID: id})
}

func sortExports(list []ExportedCopy) {
	slices.SortFunc(list, func(a, b ExportedCopy) int { return cmp.Compare(a.ID, b.ID) })
}

// Export returns the exported copy with that id.
func (c Case) Export(id string) (ExportedCopy, bool) {
	return find(c.Exports, func(x ExportedCopy) bool { return x.ID == id })
}

// mayCarry holds unless data are put unencrypted on a medium that can be
// carried away and is not for the customer.
func mayCarry(x Export) bool { return !x.Removable || !x.Plain || x.Handover }
