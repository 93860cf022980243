package report

import (
	"slices"
	"strings"
)

// Text renders the paper as text of at most 80 columns in its language. An attest
// that [Attest.Check] refuses is not printed.
func (p AttestPaper) Text() (string, error) {
	a := p.Attest
	if err := a.Check(); err != nil {
		return "", err
	}
	l, err := newLocale(p.Head)
	if err != nil {
		return "", err
	}
	var s sheet
	s.head(l, p.Head, l.say("doc.erasure_attest"))
	p.plainWords(&s, l)
	a.object(&s, l)
	a.how(&s, l)
	a.keys(&s, l)
	a.storage(&s, l)
	p.people(&s, l)
	s.foot(l, p.Foot)
	return s.String(), nil
}

// JSON returns the paper's canonical JSON, without a line break at the end: the same
// facts in English codes and UTC. Its SHA-256 names the paper.
func (p AttestPaper) JSON() ([]byte, error) {
	if err := p.Attest.Check(); err != nil {
		return nil, err
	}
	return canonical(utc(p))
}

// plainWords is the part that a customer reads.
func (p AttestPaper) plainWords(s *sheet, l locale) {
	a := p.Attest
	s.heading(l.say("attest.plain"))
	s.para(l.say("attest.what", "shop", p.Shop.Name, "image", a.Image, "case", a.Case, "date", l.day(a.Ended)))

	s.heading(l.say("attest.proved"))
	beside := ""
	if a.Virtual {
		beside = ", " + l.say("attest.virtual_beside")
	}
	s.para(l.say("attest.axis_keys") + s.colon + " " + a.Key + beside)
	s.indented("    ", "    ", l.say("class.key."+a.Key))
	s.para(l.say("attest.axis_media") + s.colon + " " + a.Media + beside)
	s.indented("    ", "    ", l.say("class.media."+a.Media))
	if a.Virtual {
		s.blank()
		s.para(l.say("class.virtual"))
	}
	if len(a.Reasons) > 0 {
		s.blank()
		s.para(l.say("attest.why_not_better") + s.colon)
		for _, r := range a.Reasons {
			s.item(l.sentence(r))
		}
	}

	s.heading(l.say("attest.not_covered"))
	for _, n := range a.NotCovered {
		text := l.sentence(n)
		if layers := a.layers(); n == UncoveredLayers && len(layers) > 0 {
			text += s.colon + " " + plain(strings.Join(layers, ", "))
		}
		s.item(text)
	}
}

func (a Attest) object(s *sheet, l locale) {
	s.heading(l.say("attest.object"))
	s.field(l.say("attest.id"), a.ID)
	s.field(l.say("app.case_no"), a.Case)
	s.field(l.say("attest.image"), a.Image)
	s.field(l.say("attest.uuid"), a.UUID)
	s.field(l.say("app.vault"), plain(a.Vault))
	root := a.Root
	if root == "" {
		root = l.say("attest.root_none")
	}
	s.field(l.say("attest.root"), root)
	s.field(l.say("attest.ground"), l.say("attest.ground_"+a.Ground))
	due := l.say("custody.deadline_none")
	if !a.Deadline.IsZero() {
		due = l.day(a.Deadline) + " (" + l.minute(a.Deadline) + ")"
	}
	s.field(l.say("ret.due"), due)
}

func (a Attest) how(s *sheet, l locale) {
	c := a.Content
	s.heading(l.say("attest.how"))
	s.field(l.say("era.method"), l.code("attest.technique.", a.Technique))
	if a.Key != KeyComplete || a.Media != MediaRaw && a.Media != MediaLogical {
		s.indented("    ", "    ", l.say("attest.technique_failed"))
	}
	s.field(l.say("era.tool"), plain(a.Tool+" "+a.Version))
	s.field(l.say("attest.started"), l.exact(a.Started))
	s.field(l.say("attest.ended"), l.exact(a.Ended))
	s.field(l.say("attest.files"), l.number(c.Files))
	s.field(l.say("attest.total"), l.bytes(c.Total))
	s.field(l.say("attest.overwritten"), l.bytes(c.Overwritten))
	s.field(l.say("attest.read_back"), l.bytes(c.ReadBack))
	s.field(l.say("attest.equal"), l.bytes(c.Equal))
	s.field(l.say("attest.unreadable"), l.bytes(c.Unreadable))
	s.field(l.say("attest.read_way"), l.say("attest.read."+c.Read))
	if a.StreamKey != "" {
		s.field(l.say("attest.stream_key"), a.StreamKey)
		s.indented("    ", "    ", l.say("attest.stream_key_why"))
	}
}

func (a Attest) keys(s *sheet, l locale) {
	s.heading(l.say("attest.keys_title"))
	if len(a.Keys) == 0 {
		s.para(l.say("attest.keys_none"))
	}
	for _, k := range a.Keys {
		s.item(l.say("attest.key_line", "file", k.File, "keystore", k.Keystore, "fate", l.say("attest.fate."+k.Fate)))
		if k.SHA256 != "" {
			s.indented("    ", "    ", "SHA-256 "+k.SHA256)
		}
	}
}

func (a Attest) storage(s *sheet, l locale) {
	s.heading(l.say("attest.storage_title"))
	for i, st := range a.Storage {
		if i > 0 {
			s.blank()
		}
		s.para(l.say("attest.holds."+st.Holds) + s.colon)
		s.field(l.say("attest.file_system"), plain(st.FileSystem))
		device := plain(st.Device)
		if device == "" {
			device = l.say("doc.unknown")
		}
		if st.Model != "" {
			device += ", " + plain(st.Model)
		}
		s.field(l.say("attest.device"), device)
		rotational := l.say("doc.unknown")
		switch st.Rotational {
		case "yes":
			rotational = l.yes(true)
		case "no":
			rotational = l.yes(false)
		}
		s.field(l.say("attest.rotational"), rotational)
		if st.Options != "" {
			s.field(l.say("attest.options"), plain(st.Options))
		}
		if len(st.Layers) > 0 {
			s.field(l.say("attest.layers"), plain(strings.Join(st.Layers, ", ")))
		}
		if len(st.Snapshots) > 0 {
			s.field(l.say("attest.snapshots"), plain(strings.Join(st.Snapshots, ", ")))
		}
	}
}

func (p AttestPaper) people(s *sheet, l locale) {
	a := p.Attest
	s.heading(l.say("attest.people"))
	s.field(l.say("era.performed_by"), p.name(a.PerformedBy))
	validated := l.say("attest.not_validated")
	if a.ValidatedBy != "" {
		validated = p.name(a.ValidatedBy)
	}
	s.field(l.say("era.validated_by"), validated)
	s.field(l.say("app.station"), a.Station)
	s.field(l.say("attest.issued"), l.exact(a.Issued))
	s.field(l.say("attest.recorded"), l.say("attest.recorded_at", "n", l.number(a.Checkpoint.Size), "code", a.Checkpoint.Code))
	if p.Signer == "" {
		s.para(l.say("attest.unsigned"))
		return
	}
	s.field(l.say("attest.signed"), plain(p.Signer))
	s.field(l.say("attest.sha256"), plain(p.SHA256))
}

// name joins the name of an operator to his id, where it is known still.
func (p AttestPaper) name(op string) string {
	if name := strings.TrimSpace(p.Names[op]); name != "" {
		return plain(name) + " (" + op + ")"
	}
	return op
}

// layers are the kinds of all virtual layers, each once, sorted.
func (a Attest) layers() []string {
	var all []string
	for _, st := range a.Storage {
		all = append(all, st.Layers...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
