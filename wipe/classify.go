package wipe

// KeyClass says what became of the keys.
type KeyClass string

// The key classes, best first.
const (
	// KeyComplete: every copy of every session secret that salvor ever made is
	// accounted for and destroyed with evidence, and an attempt to open the image
	// with what is left failed.
	KeyComplete KeyClass = "CE-COMPLETE"
	// KeyPartial: some copy is not accounted for, or lay on storage where
	// overwriting is not provable.
	KeyPartial KeyClass = "CE-PARTIAL"
	// KeyNone: no key copy was shown to be destroyed.
	KeyNone KeyClass = "CE-NONE"
)

// MediaClass says what became of the content.
type MediaClass string

// The media classes, best first.
const (
	// MediaRaw: overwritten in place, and the raw blocks of the device were read back.
	MediaRaw MediaClass = "CLEAR-RAW"
	// MediaLogical: overwritten and read back through the file system past the
	// cache; the physical place is not known.
	MediaLogical MediaClass = "CLEAR-LOGICAL"
	// MediaNotAssured: overwritten and read back, but old blocks may be left.
	MediaNotAssured MediaClass = "NOT-ASSURED"
	// MediaFailed: some byte was not overwritten or not read back.
	MediaFailed MediaClass = "FAILED"
)

// Class is what an attest may say.
type Class struct {
	Key   KeyClass   `json:"key"`
	Media MediaClass `json:"media"`
	// Reasons are why the two are not better, each one of the Because constants,
	// without repetition. Empty only for CE-COMPLETE and CLEAR-RAW.
	Reasons []string `json:"reasons,omitempty"`
	// VirtualDevice: the block device is itself virtual, so the class speaks of
	// a virtual device. Every paper must say so beside the class.
	VirtualDevice bool `json:"virtual_device,omitempty"`
	// NotCovered lists what the class does not speak of, each one of the
	// NotCovered constants or the kernel's name of a virtual layer.
	NotCovered []string `json:"not_covered,omitempty"`
}

// Classify is the one function that turns evidence into a class.
func Classify(e Evidence) Class {
	return Class{Key: KeyNone, Media: MediaFailed}
}
