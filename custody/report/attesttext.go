package report

import (
	"slices"
	"strings"
	"time"

	"salvor/custody/report/layout"
)

func (p AttestPaper) head() Head            { return p.Head }
func (p AttestPaper) foot() Foot            { return p.Foot }
func (p AttestPaper) facts() any            { return utc(p) }
func (p AttestPaper) title(l locale) string { return l.say("doc.erasure_attest") }

// check refuses an attest that contradicts itself: it is not printed in any format.
func (p AttestPaper) check() error { return p.Attest.Check() }

func (p AttestPaper) write(s *page) {
	a := p.Attest
	p.plainWords(s)
	a.object(s)
	a.how(s)
	a.keys(s)
	a.storage(s)
	people{p.Names, p.Signer, p.SHA256}.write(s, a.PerformedBy, a.ValidatedBy, a.Station, a.Issued, a.Checkpoint)
}

// plainWords is the part that a customer reads.
func (p AttestPaper) plainWords(s *page) {
	a := p.Attest
	s.heading(s.say("attest.plain"))
	s.para(s.say("attest.what", "shop", p.Shop.Name, "image", a.Image, "case", a.Case, "date", s.day(a.Ended)))

	s.heading(s.say("attest.proved"))
	beside := ""
	if a.Virtual {
		beside = ", " + s.say("attest.virtual_beside")
	}
	s.strong(s.say("attest.axis_keys") + s.colon() + " " + a.Key + beside)
	s.inset(s.say("class.key." + a.Key))
	s.strong(s.say("attest.axis_media") + s.colon() + " " + a.Media + beside)
	s.inset(s.say("class.media." + a.Media))
	if a.Virtual {
		s.para(s.say("class.virtual"))
	}
	s.reasons(a.Reasons)

	s.heading(s.say("attest.not_covered"))
	for _, n := range a.NotCovered {
		text := s.sentence(n)
		if layers := a.layers(); n == UncoveredLayers && len(layers) > 0 {
			text += s.colon() + " " + plain(strings.Join(layers, ", "))
		}
		s.item(text)
	}
}

func (a Attest) object(s *page) {
	s.heading(s.say("attest.object"))
	s.field(s.say("attest.id"), a.ID)
	s.field(s.say("app.case_no"), a.Case)
	s.field(s.say("attest.image"), a.Image)
	s.check(s.say("attest.uuid"), a.UUID)
	s.field(s.say("app.vault"), plain(a.Vault))
	root := a.Root
	if root == "" {
		root = s.say("attest.root_none")
	}
	s.check(s.say("attest.root"), root)
	s.field(s.say("attest.ground"), s.say("attest.ground_"+a.Ground))
	due := s.say("custody.deadline_none")
	if !a.Deadline.IsZero() {
		due = s.day(a.Deadline) + " (" + s.minute(a.Deadline) + ")"
	}
	s.field(s.say("ret.due"), due)
}

func (a Attest) how(s *page) {
	c := a.Content
	s.heading(s.say("attest.how"))
	s.field(s.say("era.method"), s.code("attest.technique.", a.Technique))
	if a.Key != KeyComplete || a.Media != MediaRaw && a.Media != MediaLogical {
		s.inset(s.say("attest.technique_failed"))
	}
	s.field(s.say("era.tool"), plain(a.Tool+" "+a.Version))
	s.field(s.say("attest.started"), s.exact(a.Started))
	s.field(s.say("attest.ended"), s.exact(a.Ended))
	s.field(s.say("attest.files"), s.number(c.Files))
	s.field(s.say("attest.total"), s.bytes(c.Total))
	s.field(s.say("attest.overwritten"), s.bytes(c.Overwritten))
	s.field(s.say("attest.read_back"), s.bytes(c.ReadBack))
	s.field(s.say("attest.equal"), s.bytes(c.Equal))
	s.field(s.say("attest.unreadable"), s.bytes(c.Unreadable))
	s.field(s.say("attest.read_way"), s.say("attest.read."+c.Read))
	if a.StreamKey != "" {
		s.check(s.say("attest.stream_key"), a.StreamKey)
		s.inset(s.say("attest.stream_key_why"))
	}
}

func (a Attest) keys(s *page) {
	s.heading(s.say("attest.keys_title"))
	t := layout.Table{Columns: []layout.Column{
		{Title: s.say("attest.key_file"), Lead: true},
		{Title: s.say("attest.keystore"), Lead: true},
		{Title: s.say("attest.key_fate"), Lead: true},
		{Title: "SHA-256", Code: true},
	}}
	for _, k := range a.Keys {
		t.Rows = append(t.Rows, []string{plain(k.File), plain(k.Keystore), s.say("attest.fate."+k.Fate, "ref", k.By), k.SHA256})
	}
	s.table(t, s.say("attest.keys_none"))
}

func (a Attest) storage(s *page) {
	s.heading(s.say("attest.storage_title"))
	for _, st := range a.Storage {
		s.para(s.say("attest.holds."+st.Holds) + s.colon())
		s.field(s.say("attest.file_system"), plain(st.FileSystem))
		device := plain(st.Device)
		if device == "" {
			device = s.say("doc.unknown")
		}
		if st.Model != "" {
			device += ", " + plain(st.Model)
		}
		s.field(s.say("attest.device"), device)
		rotational := s.say("doc.unknown")
		switch st.Rotational {
		case "yes":
			rotational = s.yes(true)
		case "no":
			rotational = s.yes(false)
		}
		s.field(s.say("attest.rotational"), rotational)
		if st.Options != "" {
			s.field(s.say("attest.options"), plain(st.Options))
		}
		if len(st.Layers) > 0 {
			s.field(s.say("attest.layers"), plain(strings.Join(st.Layers, ", ")))
		}
		if len(st.Snapshots) > 0 {
			s.field(s.say("attest.snapshots"), plain(strings.Join(st.Snapshots, ", ")))
		}
	}
}

// people says who answers for an attest.
type people struct {
	names          map[string]string // operator id → name
	signer, sha256 string
}

func (p people) write(s *page, performed, validated, station string, issued time.Time, at Checkpoint) {
	s.heading(s.say("attest.people"))
	s.field(s.say("era.performed_by"), p.name(performed))
	validator := s.say("attest.not_validated")
	if validated != "" {
		validator = p.name(validated)
	}
	s.field(s.say("era.validated_by"), validator)
	s.field(s.say("app.station"), station)
	s.field(s.say("attest.issued"), s.exact(issued))
	s.field(s.say("attest.recorded"), s.say("attest.recorded_at", "n", s.number(at.Size), "code", at.Code))
	if p.signer == "" {
		s.strong(s.say("attest.unsigned"))
		return
	}
	s.field(s.say("attest.signed"), plain(p.signer))
	s.check(s.say("attest.sha256"), plain(p.sha256))
}

// name joins the name of an operator to his id, where it is known still.
func (p people) name(op string) string {
	if name := strings.TrimSpace(p.names[op]); name != "" {
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
