package custody

// The types of what is told of an erasing on its way, and after its end.
const (
	TypeEraseProved   Type = "erase.proved"
	TypeImageReturned Type = "image.returned"
)

// EraseProved records what the job of an erasing has proved before it is done. The
// job's own journal lies with the station that carries it out and is lost with it;
// whoever has to finish the erasing then, or to account for a key that was destroyed
// in another keystore, knows from this what was shown, by whom, and what was not.
//
// At [StepKeyDone] it names the key copies that were overwritten and read back in one
// keystore; at [StepVerified] the class of the medium, when everything was read back
// and nothing was removed yet. It is recorded when that is durable.
type EraseProved struct {
	Job      string         `json:"job"`
	Image    string         `json:"image"`
	Step     EraseStep      `json:"step"`
	Keystore string         `json:"keystore,omitempty"` // id of the keystore, or of the vault that holds it; StepKeyDone
	Copies   []KeyDestroyed `json:"copies,omitempty"`   // at most [MaxDestroyedKeys]; StepKeyDone
	Media    MediaClass     `json:"media,omitempty"`    // StepVerified
	Virtual  bool           `json:"virtual"`            // the device this host sees is itself virtual
}

// KeyDestroyed names one key file that was overwritten and read back.
type KeyDestroyed struct {
	File   string `json:"file"`   // path below the keystore
	SHA256 Hash   `json:"sha256"` // of the key file as it was before
	// Proved: it was overwritten in place, on storage where that can be shown, and
	// read back from the device. Else it was overwritten and no more.
	Proved bool `json:"proved"`
}

// MaxDestroyedKeys is how many key files one erase.proved names at most, so that every
// event fits into a journal file. More need more events.
const MaxDestroyedKeys = 200

// ImageReturned records that an erased image lies in its vault again, whole or in
// part: somebody put a copy of the vault back. It says what was seen there. With
// nothing seen it records that what had come back was taken away by other hands.
type ImageReturned struct {
	Image    string `json:"image"`
	Files    int64  `json:"files"`     // names in the image's directory
	KeyFiles int64  `json:"key_files"` // names in the directory of its keys
}

// Type returns [TypeEraseProved].
func (EraseProved) Type() Type { return TypeEraseProved }

// Type returns [TypeImageReturned].
func (ImageReturned) Type() Type { return TypeImageReturned }

func (p EraseProved) check() error {
	keys, media := p.Step == StepKeyDone, p.Step == StepVerified
	c := []condition{
		{"job", isID(p.Job)},
		{"image", isImage(p.Image)},
		{"step", keys || media},
		{"keystore", keys == (p.Keystore != "") && (!keys || isID(p.Keystore))},
		{"copies", keys == (len(p.Copies) > 0) && len(p.Copies) <= MaxDestroyedKeys},
		{"media", media == (p.Media != "") && (!media || p.Media.Valid())},
	}
	for i, k := range p.Copies {
		c = append(c, condition{"copies", isKeyFile(k.File) && !k.SHA256.IsZero() && (i == 0 || p.Copies[i-1].File < k.File)})
	}
	return must(c...)
}

func (p ImageReturned) check() error {
	return must(condition{"image", isImage(p.Image)}, natural("files", p.Files), natural("key_files", p.KeyFiles))
}
