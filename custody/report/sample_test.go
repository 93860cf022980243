package report_test

import (
	"strings"
	"time"

	"salvor/custody"
	"salvor/custody/report"
)

// day is a moment of the invented case: day n of it, at the given hour and minute in
// UTC. The case runs over the end of summer time, so both offsets are printed.
func day(n, hour, minute int) time.Time {
	return time.Date(2026, time.October, 20+n, hour, minute, 7, 0, time.UTC)
}

func head(l custody.Language) report.Head {
	return report.Head{
		Shop: report.Shop{
			Name: "PC-Werkplaats Dendermonde", Address: "Oude Vest 12, 9200 Dendermonde",
			CompanyNumber: "BE 0123.456.749", DPO: "dpo@pc-werkplaats.example",
		},
		Number: "B1-D-2027-0031", PrintedAt: time.Date(2027, 2, 1, 9, 30, 0, 0, time.UTC), PrintedBy: "An Peeters",
		Language: l, Zone: "Europe/Brussels",
	}
}

func foot() report.Foot {
	return report.Foot{
		Ledger: report.LedgerOK, AuditedAt: time.Date(2027, 2, 1, 9, 29, 58, 0, time.UTC),
		Checkpoint: report.Checkpoint{Station: "B1", Size: 10_417, Code: code("now", 10_417)},
	}
}

// attest is a good erasure: every key destroyed, everything read back from the device.
func attest() report.Attest {
	a := report.Attest{
		V: 1, ID: "01jk4q8zr5w2v9x3t7c6m0n1hb", Shop: "01jbh7pn3e5t8v0w1x2y3z4a5b", Station: "NAS",
		Issued: time.Date(2027, 1, 19, 3, 2, 0, 0, time.UTC),
		Case:   "B1-2026-0042", Image: "image-01", UUID: "3f0c9d2e7a5b48618f0e1d2c3b4a5968", Vault: "nas1",
		Root:   "9b1c5a3d7e2f40618a9c0b1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f60718293a4b5",
		Ground: report.GroundDeadline, Deadline: day(90, 8, 0),
		Key: report.KeyComplete, Media: report.MediaRaw,
		Technique: report.TechniqueStream, Tool: "salvor", Version: "v0.1.0",
		Started: time.Date(2027, 1, 19, 2, 0, 3, 0, time.UTC), Ended: time.Date(2027, 1, 19, 3, 1, 44, 0, time.UTC),
		StreamKey: strings.Repeat("c0ffee42", 8),
		Content: report.Content{
			Files: 34, Total: 141_733_920_768, Overwritten: 141_733_920_768, ReadBack: 141_733_920_768, Equal: 141_733_920_768,
			Read: report.ReadDevice,
		},
		Keys: []report.KeyCopy{
			{Keystore: "nas1", File: "0001.age", SHA256: strings.Repeat("0a", 32), Fate: report.FateDestroyed},
			{Keystore: "nas1", File: "0002.age", SHA256: strings.Repeat("1b", 32), Fate: report.FateDestroyed},
		},
		Storage: []report.Storage{{
			Holds: "image and keys", FileSystem: "ext4", Device: "sdb1", Model: "ST8000VN004", Rotational: "yes",
			Options: "rw,noatime,data=ordered",
		}},
		PerformedBy: "op-purge", Checkpoint: report.Checkpoint{Size: 10_311, Code: code("earlier", 10_311)},
	}
	a.Uncover("snapshots that the storage does not report")
	return a
}

// The other erasures change what was different.

func attestVirtualLogical() report.Attest {
	a := attest()
	a.Media, a.Virtual = report.MediaLogical, true
	a.Reasons = []string{"the physical place is not known", "the block device was not read back"}
	a.Content.Read = report.ReadFile
	a.Storage = []report.Storage{
		{Holds: "image", FileSystem: "nfs4", Rotational: "unknown", Options: "rw,relatime,vers=4.2,rsize=1048576,wsize=1048576,namlen=255,hard,proto=tcp,timeo=600,retrans=2,sec=sys,local_lock=none"},
		{Holds: "keys", FileSystem: "xfs", Device: "loop0", Rotational: "unknown", Virtual: true, Layers: []string{"loop"}},
	}
	a.Ground, a.ValidatedBy = report.GroundEarly, "op-1c22"
	a.Uncover("spare blocks of flash", "snapshots that the storage does not report", "what lies behind the file system", "loop")
	return a
}

func attestNotAssured() report.Attest {
	a := attest()
	a.Key, a.Media = report.KeyPartial, report.MediaNotAssured
	a.Reasons = []string{
		"the file system writes to new blocks and leaves the old ones", "there are snapshots or a recycle bin",
		"overwriting of key files is not provable on their storage", "key files are missing",
		"a reason that a later version found",
	}
	a.Content.Read = report.ReadFile
	a.Keys[0].Fate, a.Keys[1].Fate = report.FateUnproved, report.FateMissing
	a.Storage[0].FileSystem, a.Storage[0].Rotational = "btrfs", "no"
	a.Storage[0].Snapshots = []string{".snapshots"}
	a.Uncover("snapshots that the storage does not report")
	return a
}

// attestReturned is of an image that lay in its vault again after its erasing, from a
// backup: its keys had been destroyed with the first one.
func attestReturned() report.Attest {
	a := attest()
	a.Ground, a.Key = report.GroundEarly, report.KeyPartial
	a.Reasons = []string{"key files were destroyed by another job, as its signed record says", "a key file was not the one that was recorded"}
	a.Keys[0].Fate, a.Keys[0].By = report.FateEarlier, "NAS/812"
	a.Keys[1].Fate, a.Keys[1].By = report.FateEarlier, "NAS/812"
	a.Keys = append(a.Keys, report.KeyCopy{Keystore: "usb-2", File: "0003.age", Fate: report.FateUnproved})
	a.Storage = append(a.Storage, report.Storage{Holds: "keys", FileSystem: "vfat", Device: "sdc1", Model: "Cruzer Blade", Rotational: "no"})
	a.Uncover()
	return a
}

func attestFailed() report.Attest {
	a := attest()
	a.Key, a.Media, a.Root, a.Deadline = report.KeyNone, report.MediaFailed, "", time.Time{}
	a.Reasons = []string{"not every byte was overwritten", "not every byte was read back as it was written", "no key file was destroyed"}
	a.Content.Overwritten, a.Content.ReadBack, a.Content.Equal, a.Content.Unreadable = 141_733_916_672, 141_733_916_672, 141_733_916_160, 4096
	a.Keys = a.Keys[:1]
	a.Keys[0].Fate = report.FateFailed
	a.Uncover()
	return a
}

func attestPaper(l custody.Language, a report.Attest) report.AttestPaper {
	return report.AttestPaper{
		Head: head(l), Attest: a, Signer: "salvor/01jbh7pn3e5t8v0w1x2y3z4a5b/NAS", SHA256: strings.Repeat("5e", 32),
		Names: map[string]string{"op-1c22": "Luc Vermeulen"}, Foot: foot(),
	}
}

func custodyPaper(l custody.Language) report.CustodyPaper {
	return report.CustodyPaper{
		Head: head(l),
		Case: "B1-2026-0042", Opened: day(0, 8, 5), Purpose: "crash", Deadline: day(90, 8, 0), State: report.StateOpen,
		Customer: report.Said("Marie-Hélène Vandenbroucke-Desmedt"), Ticket: report.Said("W-20261020-7"),
		Items: []report.Item{{
			Number: "1", Kind: "hdd", Bytes: 500_107_862_016, Model: report.Said("TOSHIBA MQ01ABD050"), Serial: report.Said("Y3S9T0FKT"),
			Condition: report.Said("Laptop fell; the disk clicks. Scratches at the lid, one screw missing."),
			Fault:     report.Said("does not start any more\nsince Sunday"),
		}},
		Timeline: []report.Step{
			{Time: day(0, 8, 5), Ref: "B1/1037", Event: "case.opened", Station: "B1", Operator: "An Peeters", Asserted: true},
			{Time: day(0, 8, 5), Ref: "B1/1038", Event: "agreement.recorded", Station: "B1", Operator: "An Peeters", Asserted: true, Detail: "2026-01"},
			{Time: day(0, 8, 6), Ref: "B1/1039", Event: "item.received", From: "Marie-Hélène Vandenbroucke-Desmedt", To: "An Peeters", Place: "L-03", Station: "B1", Operator: "An Peeters", Asserted: true},
			{Time: day(0, 8, 10), Ref: "B1/1040", Event: "image.started", Detail: "image-01 · nas1", Station: "B1", Operator: "An Peeters", Asserted: true},
			{Time: day(0, 13, 42), Ref: "B1/1044", Event: "image.sealed", Detail: "image-01", Station: "B1", Operator: "An Peeters", Asserted: true},
			{Time: day(6, 9, 15), Ref: "B1/1051", Event: "data.opened", Detail: "image-01", Reason: report.Said("data back to the customer on a new disk"), Station: "B1", Operator: "Luc Vermeulen"},
			{Time: day(6, 11, 2), Ref: "B1/1052", Event: "hold.added", Detail: "hold-1", Reason: report.Said("asked for by her lawyer; see letter of 24 October"), Station: "B1", Operator: "Luc Vermeulen"},
			{
				Time: day(6, 12, 30), Ref: "B1/1053", Event: "data.restored", Detail: "image-01, c-4f2a91d0", Bytes: 500_107_862_016, Station: "B1", Operator: "Luc Vermeulen",
				Codes: []string{"where.device", "export.removable", "export.plain", "export.handover"},
			},
			{Time: day(7, 8, 0), Ref: "B1/1054", Event: "some.later.event", Station: "B1", Operator: "Luc Vermeulen", Corrects: "B1/1039"},
		},
		Images: []report.Image{{
			Name: "image-01", Item: "1", UUID: "3f0c9d2e7a5b48618f0e1d2c3b4a5968", Bytes: 500_107_862_016, Sector: 512,
			Rescued: 500_107_797_504, Bad: 64_512, Started: day(0, 8, 10), Sealed: day(0, 13, 42),
			Root:   "9b1c5a3d7e2f40618a9c0b1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f60718293a4b5",
			SHA256: report.Said(strings.Repeat("77", 32)), State: "sealed",
			Verified: []report.Verification{{Time: day(0, 13, 55), Level: "media", OK: true}, {Time: day(5, 2, 0), Level: "quick", OK: false}},
		}},
		Copies: []report.Copy{
			{Where: "nas1", Holds: "image-01", Made: day(0, 13, 42), Bytes: 141_733_920_768, Encrypted: true, Verified: day(0, 13, 55)},
			{Where: "nas1", Holds: "image-01", Key: "0001.age", Made: day(0, 8, 10), Bytes: 4608, Encrypted: true},
			{Where: "device", Holds: "image-01", Out: true, Made: day(6, 10, 48), Bytes: 500_107_862_016},
			{Where: "device", Holds: "image-01", Out: true, ID: "c-4f2a91d0", Removable: true, Handover: true, Made: day(6, 12, 30), Bytes: 500_107_862_016},
			{Where: "file", Holds: "image-01", Out: true, ID: "c-77aa0123", Begun: true, Made: day(9, 10, 48)},
		},
		Openings: []report.Opening{{
			Time: day(6, 9, 15), Image: "image-01", Use: "restore", Reason: report.Said("data back to the customer on a new disk"),
			Operator: "Luc Vermeulen", Station: "B1",
		}},
		Holds: []report.Hold{{ID: "hold-1", Kind: "legal", Reason: report.Said("asked for by her lawyer; see letter of 24 October"), From: day(6, 11, 2), Review: "2027-04-26", Operator: "Luc Vermeulen"}},
		Gaps:  []report.Gap{{Code: "no-transfers"}, {Time: day(5, 2, 0), Code: "from-the-future", Words: "something that a later version found"}},
		Foot:  foot(),
	}
}

// custodyCustomer is the customer's copy: the people of the shop stand there by number.
func custodyCustomer(l custody.Language) report.CustodyPaper {
	p := custodyPaper(l)
	p.Copy = report.CopyCustomer
	p.PrintedBy = p.Staff("op-7f3a", p.PrintedBy)
	for i := range p.Timeline {
		p.Timeline[i].Operator = p.Staff("op-7f3a", p.Timeline[i].Operator)
		if p.Timeline[i].To != "" {
			p.Timeline[i].To = p.Staff("op-7f3a", p.Timeline[i].To)
		}
	}
	p.Openings[0].Operator = p.Staff("op-1c22", p.Openings[0].Operator)
	p.Holds[0].Operator = p.Staff("op-1c22", p.Holds[0].Operator)
	p.Gaps = nil
	return p
}

// custodyErased is the same case long after: erased, and the customer's details too.
func custodyErased(l custody.Language) report.CustodyPaper {
	p := custodyPaper(l)
	gone := report.Erased(day(100, 9, 0))
	p.State = report.StateErased
	p.Business = true
	p.Customer, p.Ticket = gone, report.Personal{}
	p.Items[0].Model, p.Items[0].Serial, p.Items[0].Condition, p.Items[0].Fault = gone, gone, gone, gone
	for i := range p.Timeline {
		p.Timeline[i].From, p.Timeline[i].To, p.Timeline[i].Operator = "", "", "op-7f3a"
		if p.Timeline[i].Reason != (report.Personal{}) {
			p.Timeline[i].Reason = gone
		}
	}
	p.Timeline = append(p.Timeline,
		report.Step{Time: day(91, 3, 1), Ref: "NAS/900", Event: "erase.done", Detail: "image-01 · CE-COMPLETE / CLEAR-RAW", Station: "NAS", Operator: "op-purge", Asserted: true},
		report.Step{
			Time: day(92, 9, 0), Ref: "B1/1200", Event: "medium.erase.done", Detail: "1, CLEAR-RAW", Bytes: 500_107_862_016, Station: "B1", Operator: "op-7f3a",
			Codes: []string{"wiped.virtual", "wiped.sanitized"},
		},
		report.Step{Time: day(93, 9, 0), Ref: "B1/1201", Event: "erase.failed", Detail: "image-01", Codes: []string{"step.KEY_DONE"}, Station: "B1", Operator: "op-7f3a"},
		report.Step{Time: day(100, 9, 0), Ref: "NAS/950", Event: "private.erased", Station: "NAS", Operator: "op-7f3a"},
	)
	p.Images[0].State, p.Images[0].SHA256 = "erased", gone
	p.Copies = p.Copies[:2]
	for i := range p.Copies {
		p.Copies[i].ErasedOn, p.Copies[i].How, p.Copies[i].Attest = day(91, 3, 1), "CE-COMPLETE / CLEAR-RAW", "01jk4q8zr5w2v9x3t7c6m0n1hb"
	}
	p.Copies[1].How, p.Copies[1].Attest = "", ""
	p.Openings[0].Reason, p.Openings[0].Operator = gone, "op-1c22"
	p.Holds[0].Ended, p.Holds[0].Reason, p.Holds[0].Operator = day(80, 10, 0), gone, "op-1c22"
	p.Gaps = nil
	p.Foot.Ledger, p.Foot.AuditedAt = report.LedgerUnaudited, time.Time{}
	return p
}
