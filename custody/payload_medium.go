package custody

// The events of wiping whole media: an item of a case, or, as events of the shop, one
// of its own. What was wiped is still there; it can be used or given back.

// The types of wiping a medium.
const (
	TypeMediumEraseStarted Type = "medium.erase.started"
	TypeMediumEraseFailed  Type = "medium.erase.failed"
	TypeMediumEraseDone    Type = "medium.erase.done"
)

// MediumEraseStarted records, before the first byte is destroyed, that a medium is
// being wiped. Which one it is, is private: maker's name and serial number.
type MediumEraseStarted struct {
	Job   string `json:"job"`
	Bytes int64  `json:"bytes"` // of the medium
}

// MediumEraseFailed records at which step a wipe stopped. It can be resumed.
type MediumEraseFailed struct {
	Job  string    `json:"job"`
	Step EraseStep `json:"step"`
}

// MediumEraseDone records what was wiped and what was proved about it. All counts are
// bytes of the medium.
type MediumEraseDone struct {
	Job         string     `json:"job"`
	Media       MediaClass `json:"media"`
	Virtual     bool       `json:"virtual"`   // the device this host sees is itself virtual
	Sanitized   bool       `json:"sanitized"` // the drive says that its own sanitize succeeded
	Bytes       int64      `json:"bytes"`
	Overwritten int64      `json:"overwritten"`
	Equal       int64      `json:"equal"`      // read back equal
	Different   int64      `json:"different"`  // read back, and not what was written
	Unreadable  int64      `json:"unreadable"` // not read back
}

// Type returns [TypeMediumEraseStarted].
func (MediumEraseStarted) Type() Type { return TypeMediumEraseStarted }

// Type returns [TypeMediumEraseFailed].
func (MediumEraseFailed) Type() Type { return TypeMediumEraseFailed }

// Type returns [TypeMediumEraseDone].
func (MediumEraseDone) Type() Type { return TypeMediumEraseDone }

func (p MediumEraseStarted) check() error {
	return must(condition{"job", isID(p.Job)}, condition{"bytes", p.Bytes > 0})
}

func (p MediumEraseFailed) check() error {
	return must(condition{"job", isID(p.Job)}, condition{"step", oneOf(p.Step, StepPlanned, StepOverwrite, StepVerified)})
}

func (p MediumEraseDone) check() error {
	return must(condition{"job", isID(p.Job)},
		condition{"media", oneOf(p.Media, MediaPurged, MediaRaw, MediaNotAssured, MediaFailed)}, condition{"bytes", p.Bytes > 0},
		condition{"media", p.Media != MediaPurged || p.Sanitized && !p.Virtual},
		condition{"media", !p.Proved() || p.Overwritten == p.Bytes && p.Equal == p.Bytes && p.Different == 0 && p.Unreadable == 0},
		natural("overwritten", p.Overwritten), natural("equal", p.Equal), natural("different", p.Different), natural("unreadable", p.Unreadable))
}

// Proved reports whether the evidence is enough to say that the old content is gone
// from where this host can reach.
func (p MediumEraseDone) Proved() bool { return p.Media == MediaPurged || p.Media == MediaRaw }
