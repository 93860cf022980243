package report

import (
	"strings"

	"salvor/custody"
	"salvor/custody/report/layout"
)

// DeviceAttestPaper is the attest of a wiped device as it is printed.
type DeviceAttestPaper struct {
	Head
	Attest DeviceAttest      `json:"attest"`
	Signer string            `json:"signer"`          // name of the station's key that signed it; empty: not signed
	SHA256 string            `json:"sha256"`          // of the whole signed note, 64 hexadecimal digits
	Note   string            `json:"note,omitempty"`  // the signed note itself, for [OpenDeviceAttest]; only JSON holds it
	Names  map[string]string `json:"names,omitempty"` // operator id → name, joined only for printing
	Foot   Foot              `json:"foot"`
}

func (p DeviceAttestPaper) head() Head            { return p.Head }
func (p DeviceAttestPaper) foot() Foot            { return p.Foot }
func (p DeviceAttestPaper) facts() any            { return utc(p) }
func (p DeviceAttestPaper) check() error          { return p.Attest.Check() }
func (p DeviceAttestPaper) title(l locale) string { return l.say("doc.erasure_attest") }

func (p DeviceAttestPaper) write(s *page) {
	p.plainWords(s)
	p.object(s)
	p.how(s)
	p.ranges(s)
	people{p.Names, p.Signer, p.SHA256}.write(s, p.Attest.PerformedBy, "", p.Attest.Station, p.Attest.Issued, p.Attest.Checkpoint)
}

// plainWords is the part that a customer reads.
func (p DeviceAttestPaper) plainWords(s *page) {
	a := p.Attest
	s.heading(s.say("attest.plain"))
	device := s.sentence(a.Device.Media)
	if model := joinPlain(a.Device.Vendor, a.Device.Model); model != "" {
		device += ", " + model
	}
	s.para(s.say("device.what", "shop", p.Shop.Name, "device", device, "date", s.day(a.Ended)))
	s.heading(s.say("attest.proved"))
	beside := ""
	if a.Virtual {
		beside = ", " + s.say("attest.virtual_beside")
	}
	s.strong(s.say("dev.medium") + s.colon() + " " + a.Class + beside)
	s.inset(s.say("class.device." + a.Class))
	if a.Virtual {
		s.para(s.say("class.virtual"))
	}
	s.reasons(a.Reasons)
	s.heading(s.say("attest.not_covered"))
	for _, n := range a.NotCovered {
		text := s.sentence(n)
		if n == UncoveredLayers && len(a.Device.Layers) > 0 {
			text += s.colon() + " " + plain(strings.Join(a.Device.Layers, ", "))
		}
		s.item(text)
	}
}

// joinPlain joins texts of a device with a space.
func joinPlain(parts ...string) string {
	return strings.TrimSpace(plain(strings.Join(parts, " ")))
}

// reasons says why a class is not better.
func (p *page) reasons(reasons []string) {
	if len(reasons) == 0 {
		return
	}
	p.para(p.say("attest.why_not_better") + p.colon())
	for _, r := range reasons {
		p.item(p.sentence(r))
	}
}

func (p DeviceAttestPaper) object(s *page) {
	a, d := p.Attest, p.Attest.Device
	s.heading(s.say("device.object"))
	s.field(s.say("attest.id"), a.ID)
	if a.Case != "" {
		s.field(s.say("app.case_no"), a.Case)
	}
	s.field(s.say("custody.item_kind"), s.sentence(d.Media))
	s.field(s.say("dev.model"), s.orUnknown(joinPlain(d.Vendor, d.Model)))
	s.field(s.say("dev.serial"), s.orUnknown(d.Serial))
	if d.WWN != "" {
		s.field("WWN", plain(d.WWN))
	}
	if d.Firmware != "" {
		s.field(s.say("device.firmware"), plain(d.Firmware))
	}
	s.field(s.say("dev.capacity"), s.bytes(d.Bytes)+s.semicolon()+s.sectors(d.Bytes, int64(d.Sector)))
	s.field(s.say("attest.device"), joinPlain(d.Name, d.Transport))
	for _, id := range d.ByID {
		s.check(s.say("device.by_id"), plain(id))
	}
	rotational := s.say("doc.unknown")
	if d.Rotational != "unknown" {
		rotational = s.yes(d.Rotational == "yes")
	}
	s.field(s.say("attest.rotational"), rotational)
	hidden := plain(d.Hidden)
	if d.Hidden == "unknown" {
		hidden = s.say("doc.unknown")
	}
	s.field(s.say("device.hidden"), hidden)
	if len(d.Layers) > 0 {
		s.field(s.say("attest.layers"), plain(strings.Join(d.Layers, ", ")))
	}
	s.field(s.say("device.confirmed"), s.sentence(d.Confirmed))
}

func (l locale) orUnknown(text string) string {
	if strings.TrimSpace(text) == "" {
		return l.say("doc.unknown")
	}
	return plain(text)
}

func (p DeviceAttestPaper) how(s *page) {
	a, c := p.Attest, p.Attest.Content
	s.heading(s.say("attest.how"))
	s.field(s.say("era.method"), s.code("attest.technique.", a.Technique))
	if a.Class == MediaFailed {
		s.inset(s.say("attest.technique_failed"))
	}
	s.field(s.say("device.passes"), s.number(int64(a.Passes)))
	if a.Sanitize.Action != "" {
		outcome := s.say("device.sanitize." + a.Sanitize.Outcome)
		if a.Sanitize.Looked > 0 {
			outcome = join(outcome, s.say("device.samples", "looked", s.number(int64(a.Sanitize.Looked)), "left", s.number(int64(a.Sanitize.Left))))
		}
		s.field(s.say("device.sanitize"), join(s.sentence(a.Sanitize.Action), outcome))
	}
	s.field(s.say("era.tool"), plain(a.Tool+" "+a.Version))
	s.field(s.say("attest.started"), s.exact(a.Started))
	s.field(s.say("attest.ended"), s.exact(a.Ended))
	if a.Resumed > 0 {
		s.field(s.say("device.resumed"), s.number(int64(a.Resumed)))
	}
	s.field(s.say("attest.total"), s.bytes(c.Total))
	s.field(s.say("attest.overwritten"), s.bytes(c.Overwritten))
	s.field(s.say("attest.equal"), s.bytes(c.Equal))
	if a.Discarded != "" {
		s.field(s.say("device.discard"), s.say("device.discard."+a.Discarded))
	}
	s.check(s.say("attest.stream_key"), a.StreamKey)
	s.inset(s.say("device.stream_key_why"))
}

// listed is how many ranges a paper lists; the signed statement has up to [MaxRanges].
const listed = 40

// ranges lists the parts of the device that went wrong.
func (p DeviceAttestPaper) ranges(s *page) {
	t := layout.Table{Columns: []layout.Column{
		{Title: s.say("era.result"), Lead: true}, {Title: s.say("device.from"), Lead: true, Right: true}, {Title: s.say("device.length"), Lead: true, Right: true},
	}}
	c := p.Attest.Content
	var more int64
	for _, r := range []struct {
		key    string
		ranges DeviceRanges
	}{{"device.unwritten", c.Unwritten}, {"device.different", c.Different}, {"device.unreadable", c.Unreadable}} {
		if r.ranges.none() {
			continue
		}
		s.field(s.say(r.key), s.bytes(r.ranges.Bytes))
		more += r.ranges.More
		for i, x := range r.ranges.List {
			if i == listed {
				more += int64(len(r.ranges.List) - listed)
				break
			}
			t.Rows = append(t.Rows, []string{s.say(r.key), s.number(x.Off), s.number(x.Len)})
		}
	}
	if len(t.Rows) > 0 {
		s.heading(s.say("device.ranges"))
		s.add(t)
	}
	if more > 0 {
		s.para(s.count("device.more", more))
	}
}

// DestructionPaper is the attest that a medium was destroyed: what it was, how, who saw
// it, and who took the remains.
type DestructionPaper struct {
	Head
	Case        string                `json:"case,omitempty"` // "": a medium of the shop
	Kind        custody.CopyKind      `json:"kind"`
	Item        string                `json:"item,omitempty"`  // number of the customer's item
	Image       string                `json:"image,omitempty"` // the copy that was on it
	Store       string                `json:"store,omitempty"` // name of the vault or keystore
	Model       Personal              `json:"model,omitzero"`
	Serial      Personal              `json:"serial,omitzero"`
	Method      custody.DestroyMethod `json:"method"`
	Date        custody.Date          `json:"date"`
	Reason      Personal              `json:"reason,omitzero"`
	PerformedBy string                `json:"performed_by"` // name, or id
	Witness     string                `json:"witness"`      // name, or id
	Recycler    Personal              `json:"recycler,omitzero"`
	Reference   Personal              `json:"reference,omitzero"` // of the recycler
	Ref         string                `json:"ref"`                // the event: "T1/7"
	Foot        Foot                  `json:"foot"`
}

func (p DestructionPaper) head() Head            { return p.Head }
func (p DestructionPaper) foot() Foot            { return p.Foot }
func (p DestructionPaper) facts() any            { return utc(p) }
func (p DestructionPaper) check() error          { return nil }
func (p DestructionPaper) title(l locale) string { return l.say("doc.destruction_attest") }

func (p DestructionPaper) write(s *page) {
	s.para(s.say("destroyed.what", "shop", p.Shop.Name, "date", s.dateWords(p.Date)))
	s.heading(s.say("dev.medium"))
	if p.Case != "" {
		s.field(s.say("app.case_no"), plain(p.Case))
	}
	s.field(s.say("destroyed.kind"), s.code("copykind.", string(p.Kind)))
	for _, f := range []struct{ key, value string }{{"app.item_no", p.Item}, {"attest.image", p.Image}, {"app.vault", p.Store}} {
		if f.value != "" {
			s.field(s.say(f.key), plain(f.value))
		}
	}
	s.field(s.say("dev.model"), s.personal(p.Model))
	s.field(s.say("dev.serial"), s.personal(p.Serial))
	s.heading(s.say("era.destroy"))
	s.field(s.say("era.method"), s.code("destroy.", string(p.Method)))
	s.field(s.say("destroyed.date"), s.dateWords(p.Date))
	s.personalField(s.say("custody.why"), p.Reason)
	s.field(s.say("era.performed_by"), plain(p.PerformedBy))
	s.field(s.say("who.witness"), plain(p.Witness))
	if !p.Recycler.empty() || !p.Reference.empty() {
		s.field(s.say("destroyed.recycler"), s.personal(p.Recycler))
		s.field(s.say("destroyed.reference"), s.personal(p.Reference))
	}
	s.field(s.say("custody.ref"), plain(p.Ref))
	s.heading(s.say("attest.not_covered"))
	s.add(layout.List{s.say("destroyed.not_seen"), s.say("uncovered.exports"), s.say("uncovered.backups")})
	s.add(layout.Signatures{
		{Role: s.say("era.performed_by"), Name: plain(p.PerformedBy), Date: s.say("coc.datetime")},
		{Role: s.say("who.witness"), Name: plain(p.Witness), Date: s.say("coc.datetime")},
	})
}
