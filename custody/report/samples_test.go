package report_test

import (
	"fmt"
	"strings"
	"time"

	"salvor/custody"
	"salvor/custody/report"
)

// headAt and footAt are of a paper that was printed then.
func headAt(l custody.Language, at time.Time) report.Head {
	h := head(l)
	h.PrintedAt = at
	return h
}

func footAt(at time.Time) report.Foot {
	f := foot()
	f.AuditedAt = at.Add(-2 * time.Second)
	return f
}

func headFor(l custody.Language, c report.CopyFor) report.Head {
	h := head(l)
	h.Copy = c
	return h
}

// mapPicture is the map of a disk with a scratch, a failing region and a part that was
// not tried.
func mapPicture() *report.MapPicture {
	var m report.MapPicture
	for i := range int64(240) {
		c := report.MapCell{Rescued: 1_000_000}
		switch {
		case i%37 == 5:
			c = report.MapCell{Rescued: 999_999, Bad: 1}
		case i > 120 && i < 130:
			c = report.MapCell{Rescued: 300_000, Failed: 600_000, Bad: 100_000}
		case i == 140:
			c = report.MapCell{Bad: 1_000_000}
		case i > 222:
			c = report.MapCell{Untried: 1_000_000}
		}
		m.Cells = append(m.Cells, c)
	}
	return &m
}

func intakePaper(l custody.Language, c report.CopyFor) report.IntakePaper {
	code := ""
	if c == report.CopyCustomer {
		code = "7Q4M-2ZXD"
	}
	return report.IntakePaper{
		Head: headFor(l, c), Case: "B1-2026-0042", Opened: day(0, 8, 5),
		Customer: report.Customer{
			Name: report.Said("Marie-Hélène Vandenbroucke-Desmedt"), Address: report.Said("Sint-Rochusstraat 114 bus 3, 9200 Dendermonde"),
			Phone: report.Said("+32 470 00 00 00"), Email: report.Said("mh.vandenbroucke@example.org"),
		},
		Ticket: report.Said("W-20261020-7"), Purpose: custody.PurposeCrash, Proxy: true, ProxyFor: report.Said("Zoë Łukasiewicz-Yılmaz"),
		Items: []report.Item{
			{
				Number: "1", Kind: "hdd", Bytes: 500_107_862_016, State: "damaged", Seal: "Z-00417", Place: "L-03", Maker: report.Said("Toshiba"),
				Model: report.Said("MQ01ABD050"), Serial: report.Said("Y3S9T0FKT"), Condition: report.Said("fell; the disk clicks"),
				Accessories: report.Said("USB cable, sleeve"), Fault: report.Said("does not start any more since Sunday"),
			},
			{Number: "2", Kind: "stick", Model: report.Said("SanDisk Cruzer")},
		},
		Wanted: report.Said("photos of 2019 to 2026, the accounts"), Excluded: report.Said("folder “Patients”"),
		Special: []custody.Category{custody.CategoryHealth}, Allowed: []custody.Action{custody.ActionImage, custody.ActionList},
		End: custody.EndBoth, Deadline: day(90, 8, 0), Keep: "90d", Notice: "2026-01", Received: "An Peeters", Code: code, Foot: foot(),
	}
}

func intakeBusiness(l custody.Language) report.IntakePaper {
	p := intakePaper(l, report.CopyShop)
	p.Customer = report.Customer{Business: true, Name: report.Said("Huisartsenpraktijk De Linde BV"), Email: report.Said("info@delinde.example")}
	p.Role, p.Contract, p.Proxy, p.ProxyFor = custody.RoleProcessor, "VWO-2026-11", false, report.Personal{}
	p.Agreed = day(0, 8, 6)
	return p
}

func handoverPaper(l custody.Language, c report.CopyFor) report.HandoverPaper {
	return report.HandoverPaper{
		Head: headFor(l, c), Case: "B1-2026-0042", At: day(6, 14, 0), By: "Luc Vermeulen", Customer: report.Said("Marie-Hélène Vandenbroucke-Desmedt"),
		To: custody.RecipientProxy, Receiver: report.Said("Zoë Łukasiewicz-Yılmaz"), Checked: custody.CheckedIdentity, Images: 2,
		Items: []report.ReturnedItem{{
			Item: report.Item{Number: "1", Kind: "hdd", Model: report.Said("TOSHIBA MQ01ABD050"), Serial: report.Said("Y3S9T0FKT"), Seal: "Z-00417", Condition: report.Said("as it came in"), Accessories: report.Said("USB cable")},
			Seen: custody.SealOpened,
		}},
		Data: []report.ReturnedData{{
			Time: day(6, 10, 48), Image: "image-01", Medium: custody.MediumSold, Model: report.Said("Samsung T7"), Serial: report.Said("S6XJNS0T"),
			Files: 48_211, Bytes: 311_402_118_144, SHA256: report.Said(strings.Repeat("77", 32)), Verified: true, Plain: true,
		}},
		Missing: []report.MissingData{{Image: "image-01", Bytes: 500_107_862_016, Bad: 64_512, Sector: 512, Words: report.Said("two videos of 2021 do not play to the end")}, {Image: "image-02", Bytes: 64_000_000_000, Unfinished: true, Untried: 12_000_000_000}},
		Held:    []report.HeldCopy{{Image: "image-01", Where: "nas1", Until: day(90, 8, 0), Held: true}, {Image: "image-01", Out: "c-77aa0123"}},
		Ready: []report.Copy{
			{Where: "device", Holds: "image-01", Out: true, ID: "c-4f2a91d0", Removable: true, Handover: true, Made: day(6, 12, 30), Bytes: 500_107_862_016},
			{Holds: "image-01", Out: true, ID: "c-90b1e2f3", Removable: true, Handover: true, Begun: true, Made: day(6, 10, 2)},
		},
		Foot: foot(),
	}
}

func handoverConfirmed(l custody.Language) report.HandoverPaper {
	p := handoverPaper(l, report.CopyCustomer)
	p.Items, p.Missing, p.Held, p.Ready = nil, nil, nil, nil
	p.Confirmed, p.ConfirmedBy = day(8, 9, 0), custody.ConfirmedSigned
	return p
}

func duePaper(l custody.Language, cases int) report.DuePaper {
	p := report.DuePaper{
		Head: head(l), At: time.Date(2027, 2, 1, 9, 30, 0, 0, time.UTC),
		Totals: report.DueTotals{Cases: int64(cases), Copies: int64(cases) + 2, Bytes: 4_211_000_000_000, Erased: 12},
		Audit:  report.LedgerOK, LastPurge: time.Date(2027, 2, 1, 3, 0, 0, 0, time.UTC), Foot: foot(),
	}
	purposes := []custody.Purpose{custody.PurposeCrash, custody.PurposeReinstall, custody.PurposeTransfer}
	for i := range cases {
		left := i*3 - 8
		c := report.DueCase{
			Case: fmt.Sprintf("B1-2026-%04d", 40+i), Captured: day(i, 8, 0), Due: p.At.AddDate(0, 0, left), DaysLeft: left,
			Purpose: purposes[i%3], Place: "nas1", State: report.DueKept,
		}
		switch {
		case left < 0:
			c.State = report.DueOverdue
		case i%10 == 3:
			c.State, c.Holds = report.DueHeld, []report.DueHold{{Kind: custody.HoldLegal, Review: "2027-01-26"}}
		case i%10 == 5:
			c.State = report.DueUnvalidated
		case i%10 == 7:
			c.State, c.Place = report.DueFailed, "usb-2"
		}
		if i == 4 {
			c.Longer = report.Said("the customer is abroad until May")
		}
		p.Cases = append(p.Cases, c)
	}
	return p
}

func dueBusy(l custody.Language) report.DuePaper {
	p := duePaper(l, 12)
	p.Absent = []report.AbsentDisk{{Name: "usb-2", Copies: 2, Seen: day(60, 9, 0)}, {Name: "usb-3", Copies: 1, Never: true}, {Name: "nas2", Copies: 4, Fault: "the marker of the vault is damaged"}}
	p.Strays, p.Missing = []report.Stray{{Vault: "nas1", Count: 1}}, []report.Stray{{Vault: "nas1", Count: 2}}
	p.Operators = []report.DueOperator{{Name: "Luc Vermeulen", Lacks: report.OperatorTrainingOld, Since: "2026-01-12"}, {Name: "Bo De Smet", Lacks: report.OperatorNoAgreement}}
	p.Clocks = []report.DueClock{
		{Kind: report.ClockAuthority, Of: "inc-1", Due: p.At.Add(21 * time.Hour)},
		{Kind: report.ClockRequest, Of: "req-7", Due: p.At.AddDate(0, 0, 21)},
		{Kind: report.ClockReview, Of: "hold-1", Due: p.At.AddDate(0, 0, -2)},
	}
	p.Audit, p.LastPurge = report.LedgerUnaudited, time.Time{}
	return p
}

func registerPaper(l custody.Language) report.RegisterPaper {
	controller, processor := report.StandardRegister()
	controller = append(controller, report.Activity{Own: &report.OwnActivity{
		Name: "Invoices", Purposes: "Bookkeeping (Art. 6(1)(c))", Subjects: "customers", Data: "name, address, amounts",
		Recipients: "the accountant", ThirdCountry: "none", Period: "seven years", Measures: "locked cabinet, encrypted backup",
	}})
	return report.RegisterPaper{
		Head: head(l), Updated: day(30, 9, 0), Controller: controller, Processor: processor,
		Clients: []report.ProcessorClient{{Name: report.Said("Huisartsenpraktijk De Linde BV"), Contact: report.Said("info@delinde.example"), Contract: "VWO-2026-11"}},
		Processors: []report.RegisterProcessor{
			{ID: "lab-1", Name: report.Said("Laboratorium Noord NV"), Services: []custody.Service{custody.ServiceRecovery}, Contract: "VWO-L1", From: "2026-01-01", Country: "NL"},
			{ID: "lab-2", Name: report.Said("Platter Works Ltd"), Services: []custody.Service{custody.ServiceRecovery, custody.ServiceTransport}, Contract: "VWO-L2", From: "2026-03-01", Until: "2027-03-01", Country: "GB", Safeguard: custody.SafeguardAdequacy},
		},
		Periods: []report.RegisterPeriod{
			{Name: custody.PolicyKeep, Value: "90d"},
			{Name: custody.PolicyValidation, Value: custody.ValidationRequired, From: "2026-06-01"},
			{Name: custody.PolicyIncidentAuthority, Value: "72h"},
		},
		Foot: foot(),
	}
}

func incidentsPaper(l custody.Language) report.IncidentsPaper {
	at := day(12, 9, 0)
	return report.IncidentsPaper{Head: headAt(l, at), At: at, Foot: footAt(at), Incidents: []report.Incident{
		{
			ID: "inc-2", Kind: custody.IncidentLost, Role: custody.RoleProcessor, Aware: day(11, 6, 0), Cases: []string{"B1-2026-0042", "B1-2026-0051"},
			Facts: report.Said("An external disk with two encrypted copies was not found at the monthly count."), Risk: custody.RiskHigh, Subjects: 2, Records: 1,
			Authority: report.Notification{Due: day(14, 6, 0)}, Controller: report.Notification{Due: day(12, 6, 0)},
		},
		{
			ID: "inc-1", Kind: custody.IncidentDisclosed, Role: custody.RoleController, Aware: day(1, 9, 0), Happened: day(0, 17, 0), Cases: []string{"B1-2026-0040"},
			Facts: report.Said("The wrong stick was given back."), Effects: report.Said("photos of another customer could be seen"), Measures: report.Said("stick brought back the same day"),
			Risk: custody.RiskSome, Subjects: 21, Records: 100,
			Authority: report.Notification{Due: day(4, 9, 0), Told: day(5, 8, 0), Delay: custody.DelayFacts, Reason: report.Said("the other customer was abroad")},
			Persons:   report.Notification{Told: day(2, 9, 0)}, Closed: day(9, 9, 0),
		},
		{
			ID: "inc-0", Kind: custody.IncidentUnavailable, Role: custody.RoleController, Aware: day(0, 9, 0), Risk: custody.RiskNone,
			Authority: report.Notification{Due: day(3, 9, 0), Exempt: custody.ExemptNoRisk}, Closed: day(1, 9, 0), Facts: report.Erased(day(10, 9, 0)),
		},
	}}
}

func requestsPaper(l custody.Language) report.RequestsPaper {
	// One month, and three where that was told in time, to the same hour in Brussels.
	on := func(year int, month time.Month, d, hour int) time.Time {
		return time.Date(year, month, d, hour, 5, 7, 0, time.UTC)
	}
	at := on(2027, time.February, 1, 9)
	return report.RequestsPaper{Head: headAt(l, at), At: at, Foot: footAt(at), Requests: []report.Request{
		{ID: "req-3", Kind: custody.RequestErasure, From: report.Said("Ömer Yılmaz"), Received: on(2027, time.January, 18, 9), Due: on(2027, time.February, 18, 9)},
		{ID: "req-2", Case: "B1-2026-0042", Kind: custody.RequestAccess, From: report.Said("Marie-Hélène Vandenbroucke-Desmedt"), Words: report.Said("everything you hold about me"), Received: on(2026, time.December, 11, 9), Due: on(2027, time.January, 11, 9), Told: on(2027, time.January, 8, 15), Extended: on(2027, time.March, 11, 9), Extension: custody.ExtensionComplex},
		{ID: "req-1", Kind: custody.RequestCopy, From: report.Erased(on(2027, time.January, 28, 9)), Received: on(2026, time.September, 30, 8), Due: on(2026, time.October, 30, 9), Answered: on(2026, time.November, 2, 10), Outcome: custody.OutcomePartly, Delay: custody.DelayAbsence, Reason: report.Said("illness")},
	}}
}

func auditPaper(l custody.Language) report.AuditPaper {
	p := report.AuditPaper{Head: head(l), At: time.Date(2027, 2, 1, 9, 29, 58, 0, time.UTC), Events: 10_417, Cases: 312, Foot: foot()}
	for _, c := range []string{
		report.AuditStorage, report.AuditSignatures, report.AuditSequence, report.AuditLinks, report.AuditTree, report.AuditWitnesses, report.AuditCommitments, report.AuditProjections, report.AuditAttests,
	} {
		p.Checks = append(p.Checks, report.AuditCheck{Code: c, OK: true})
	}
	for i, s := range []string{"B1", "B2", "NAS"} {
		p.Stations = append(p.Stations, report.AuditedStation{Station: s, Size: int64(400 * (i + 1)), Code: code(s, int64(400*(i+1))), Seen: day(100, i, 0), Retired: i == 1})
	}
	return p
}

func auditBroken(l custody.Language) report.AuditPaper {
	p := auditPaper(l)
	p.Checks[1].OK, p.Checks[2].OK, p.Checks[8].OK, p.Checks[8].Undone = false, false, false, true
	p.More = 2
	p.Faults = []report.AuditFault{
		{Ref: "B1/1044", Event: "image.sealed", Check: report.AuditSignatures, Words: "the signature does not fit the text"},
		{Check: report.AuditSequence, Words: "the newest checkpoint names more events than there are"},
	}
	p.Foot.Ledger = report.LedgerBroken
	return p
}

// custodyLong is the hardest paper to set: the longest names, forty events, twelve
// images, letters of many alphabets and some that no font here has.
func custodyLong(l custody.Language) report.CustodyPaper {
	p := custodyPaper(l)
	p.Shop.Name = "Coöperatieve Vennootschap voor Computerherstelling en Gegevensredding Dendermonde-Sint-Gillis-bij-Dendermonde"
	p.Shop.Notes = []string{"Open from Tuesday to Saturday, 9 to 18 h. General conditions on www.pc-werkplaats.example; a copy lies on the counter."}
	p.Customer = report.Said("Wolfeschlegelsteinhausenbergerdorff-Vandenbroucke de la Tour d’Auvergne-Lauraguais, Marie-Hélène-Élisabeth")
	names := []string{"Ελένη Παπαδοπούλου", "Ольга Кузнецова", "Şükrü Gökçeoğlu", "Grzegorz Brzęczyszczykiewicz", "王小明"}
	for i := range 32 {
		p.Timeline = append(p.Timeline, report.Step{
			Time: day(10+i, 9, i), Ref: fmt.Sprintf("B1/%d", 1060+i), Event: "custody.accepted", From: names[i%5], To: names[(i+1)%5],
			Place: "L-03", Seal: "Z-00417", Looked: "intact", Why: "imaging", Station: "B1", Operator: names[(i+1)%5], Asserted: i%2 == 0,
			Reason: report.Said("brought to the bench for imaging, since the other station was taken"),
		})
	}
	for i := range 11 {
		im := p.Images[0]
		im.Name = fmt.Sprintf("image-%02d", i+2)
		p.Images = append(p.Images, im)
	}
	p.Images[0].Map = mapPicture()
	p.Images[1].NoMap, p.Images[2].NoMap = report.NoMapAbsent, report.NoMapFault
	p.Items[0].Hands = report.Hands{State: custody.ItemIsHere, Who: names[2], Since: day(41, 9, 31)}
	return p
}

func label(l custody.Language) report.Label {
	return report.Label{
		Language: l, Zone: "Europe/Brussels", Case: "B1-2026-0042", Item: "1", Kind: custody.ItemHDD, Received: day(0, 8, 6),
		Place: "L-03", EraseBy: day(90, 8, 0), Hold: true, Special: true,
	}
}

func deviceAttest() report.DeviceAttest {
	a := attest()
	return report.DeviceAttest{
		V: 1, Kind: report.KindDevice, ID: a.ID, Shop: a.Shop, Station: "B1", Issued: a.Issued, Case: a.Case,
		Device: report.DeviceFacts{
			Name: "sdb", ByID: []string{"ata-ST8000VN004-2M2101_WKD0ABCD"}, Vendor: "Seagate", Model: "ST8000VN004", Serial: "WKD0ABCD", WWN: "0x5000c500a1b2c3d4",
			Firmware: "SC60", Transport: "sata", Media: "hard disk", Bytes: 8_001_563_222_016, Sector: 512, Physical: 4096, Rotational: "yes", Hidden: "0",
			Confirmed: report.BySerial,
		},
		Class: report.MediaPurged, Technique: report.TechniqueDevice, Passes: 1, StreamKey: a.StreamKey, Tool: "salvor", Version: "v0.1.0",
		Started: a.Started, Ended: a.Ended, Sanitize: report.DeviceSanitize{Action: "overwrite", Outcome: "succeeded", Looked: 64},
		Content:    report.DeviceContent{Total: 8_001_563_222_016, Overwritten: 8_001_563_222_016, Equal: 8_001_563_222_016},
		NotCovered: []string{"whether the drive's own sanitize does what it says: this way was tested with emulated drives only"}, PerformedBy: "op-1c22", Checkpoint: a.Checkpoint,
	}
}

// deviceStick is a virtual disk or stick: the drive cannot be asked for anything.
func deviceStick() report.DeviceAttest {
	a := deviceAttest()
	a.Class, a.Virtual, a.Sanitize, a.Case, a.Passes, a.Discarded = report.MediaRaw, true, report.DeviceSanitize{}, "", 2, "done"
	a.Device = report.DeviceFacts{Name: "loop3", Media: "virtual device", Bytes: 1 << 30, Sector: 512, Rotational: "unknown", Hidden: "unknown", Layers: []string{"loop"}, Confirmed: report.ByName}
	a.Content = report.DeviceContent{Total: 1 << 30, Overwritten: 1 << 30, Equal: 1 << 30}
	a.Reasons = []string{"the device is virtual: it cannot sanitize what it is made of"}
	a.NotCovered = []string{
		"spare blocks of flash", "sectors that the drive has replaced by others", "sectors that the drive hides, which could not be asked for",
		"layers below the virtual device", "the content after the discard: the device can no longer be compared with the stream",
		"the identity of the device: it has no serial number of its own, and was confirmed by its name and size",
	}
	return a
}

func deviceNotAssured() report.DeviceAttest {
	a := deviceAttest()
	a.Class, a.Device.Hidden = report.MediaNotAssured, "2048"
	a.Sanitize = report.DeviceSanitize{Action: "block erase", Outcome: "succeeded", Looked: 64, Left: 3}
	a.Reasons = []string{"the drive hides sectors", "the drive said it had sanitized itself, and old content was still there"}
	return a
}

func deviceFailed() report.DeviceAttest {
	a := deviceAttest()
	a.Class, a.Resumed = report.MediaFailed, 2
	a.Sanitize = report.DeviceSanitize{Action: "overwrite", Outcome: "refused"}
	a.Reasons = []string{"not every byte was overwritten", "not every byte was read back as it was written", "the drive does not take the command to sanitize itself"}
	var ranges report.DeviceRanges
	for i := range int64(60) {
		ranges.List = append(ranges.List, report.DeviceRange{Off: i * 1_000_000_000, Len: 512})
	}
	ranges.Bytes, ranges.More = 61*512, 1
	a.Content.Overwritten -= ranges.Bytes
	a.Content.Equal -= ranges.Bytes + 4096
	a.Content.Unwritten = ranges
	a.Content.Different = report.DeviceRanges{Bytes: 4096, List: []report.DeviceRange{{Off: 4096, Len: 4096}}}
	return a
}

func devicePaper(l custody.Language, a report.DeviceAttest) report.DeviceAttestPaper {
	return report.DeviceAttestPaper{
		Head: head(l), Attest: a, Signer: "salvor/01jbh7pn3e5t8v0w1x2y3z4a5b/B1", SHA256: strings.Repeat("5e", 32),
		Names: map[string]string{"op-1c22": "Luc Vermeulen"}, Foot: foot(),
	}
}

func destructionPaper(l custody.Language) report.DestructionPaper {
	return report.DestructionPaper{
		Head: head(l), Case: "B1-2026-0042", Kind: custody.CopyItem, Item: "1", Model: report.Said("TOSHIBA MQ01ABD050"), Serial: report.Said("Y3S9T0FKT"),
		Method: custody.DestroyDrill, Date: "2027-01-20", Reason: report.Said("61 sectors could not be overwritten"), PerformedBy: "Luc Vermeulen", Witness: "An Peeters",
		Recycler: report.Said("Recyclage Oost BV"), Reference: report.Said("RO-2027-118"), Ref: "B1/1203", Foot: foot(),
	}
}

// destructionOfVault is of a medium of the shop itself, with what is known of it no more.
func destructionOfVault(l custody.Language) report.DestructionPaper {
	p := destructionPaper(l)
	p.Case, p.Item, p.Model, p.Serial = "", "", report.Personal{}, report.Erased(day(100, 9, 0))
	p.Kind, p.Store, p.Method = custody.CopyVault, "usb-2", custody.DestroyShred
	p.Reason, p.Recycler, p.Reference = report.Personal{}, report.Personal{}, report.Personal{}
	return p
}
