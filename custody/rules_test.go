package custody

import (
	"errors"
	"testing"
	"time"
)

// Half an hour after midnight in the shop it is still yesterday in UTC: the rules count
// the shop's days, where they know its zone.
func TestRulesCountTheDaysOfTheShop(t *testing.T) {
	at := mustTime("2026-06-09T22:30:00Z") // 10 June, 00:30 in Brussels
	event := func(p Payload) Event { return Event{TS: At(at), Case: oneCase, Op: "op-7f3a", Pub: p} }
	grace, _ := ParseKeep("7d")
	week := grace.From(mustTime("2026-10-20T08:00:00Z"), brussels(t))
	confirmed := event(CustomerConfirmed{ConfirmedDesk, At(week)})
	confirmed.TS = At(mustTime("2026-10-20T08:00:00Z"))
	tight := PolicySet{PolicyKeep, "30d", "2026-06-10"}
	usual := event(DeadlineSet{At(at.AddDate(0, 0, 40)), keepOf("40d")})
	policy := event(PolicySet{PolicyKeep, "30d", "2026-06-09"})
	policy.Case = ""
	for name, test := range map[string]struct {
		e         Event
		shop, utc error
	}{
		"the last day of an operator is over": {event(AgreementRecorded{Notice: "1"}), ErrOperatorLeft, nil},
		"a policy that begins today holds":    {usual, ErrNoReason, nil},
		"a policy from yesterday":             {policy, ErrPast, nil},
		"a week over the end of summer time":  {confirmed, nil, ErrTooGenerous},
	} {
		o := Operator{ID: "op-7f3a", Kind: OperatorPerson, Agreed: "2026-01-01"}
		if name == "the last day of an operator is over" {
			o.Ended = "2026-06-09"
		}
		s := Shop{Operators: []Operator{o}, Policies: []PolicyValue{{PolicySet: tight}}}
		c := Case{No: oneCase, Opened: at, Deadline: mustTime("2027-01-01T00:00:00Z")}
		if test.e.Type() == TypeDeadlineSet {
			c.Deadline = time.Time{}
		}
		if err := Allow(s.In(brussels(t)), c, test.e, nil); !errors.Is(err, test.shop) {
			t.Errorf("%s: %v", name, err)
		}
		if err := Allow(s, c, test.e, nil); !errors.Is(err, test.utc) {
			t.Errorf("%s, in UTC: %v", name, err)
		}
	}
}

// The rules about what may be begun. The order of life of a case is told step
// by step; each step names what it must be refused for.
func TestRulesOfACase(t *testing.T) {
	at := mustTime("2026-11-21T18:05:12Z")
	keep, _ := ParseKeep("90d")
	shop := Shop{Operators: []Operator{{ID: "op-7f3a", Kind: OperatorPerson, Agreed: "2026-01-01"}}}
	event := func(p Payload) Event { return Event{TS: At(at), Case: oneCase, Op: "op-7f3a", Pub: p} }
	reason := map[string]string{FieldReason: "asked"}
	opened := CaseOpened{Purpose: PurposeCrash, Language: Dutch}
	agreed := AgreementRecorded{Notice: "2026-1"}
	deadline := DeadlineSet{At(at.AddDate(0, 0, 90)), keep}
	wrapped := KeyWrapped{"image-01", 1, SessionID{2}, "v1", "a.age", Hash{3}, []string{"k1", "k2"}}
	sealed := ImageSealed{"image-01", Hash{4}, 5, 6, 7, 200, 9, 10, false, false}
	begunLarge := begun("image-01")
	begunLarge.Bytes = 1000
	erasing := EraseStarted{"j1", "image-01", true}
	done := EraseDone{"j1", "image-01", KeysComplete, MediaRaw, false, 1, 2, 3, 4, 5, 6}
	for name, test := range map[string]struct {
		before  []Payload
		p       Payload
		private map[string]string
		want    error
	}{
		"opened":                      {nil, opened, nil, nil},
		"opened twice":                {[]Payload{opened}, opened, nil, ErrOpenedTwice},
		"nothing before opening":      {nil, agreed, nil, ErrNotOpened},
		"no image without agreement":  {[]Payload{opened, deadline}, begun("image-01"), nil, ErrNoAgreement},
		"no image without deadline":   {[]Payload{opened, agreed}, begun("image-01"), nil, ErrNoDeadline},
		"image":                       {[]Payload{opened, agreed, deadline}, begun("image-01"), nil, nil},
		"same image twice":            {[]Payload{opened, agreed, deadline, begun("image-01")}, begun("image-01"), nil, ErrImageExists},
		"confirmed":                   {[]Payload{opened, agreed, deadline, begun("image-01")}, CustomerConfirmed{ConfirmedDesk, At(at.AddDate(0, 0, 7))}, nil, nil},
		"confirmed without an image":  {[]Payload{opened, agreed, deadline}, CustomerConfirmed{ConfirmedDesk, At(at.AddDate(0, 0, 7))}, nil, nil},
		"confirmed when all is gone":  {[]Payload{opened, agreed, deadline, begun("image-01"), erasing, done}, CustomerConfirmed{ConfirmedDesk, At(at)}, nil, ErrNothingLeft},
		"key of no image":             {[]Payload{opened}, wrapped, nil, ErrNoImage},
		"key of a sealed image":       {[]Payload{opened, begun("image-01"), sealed}, wrapped, nil, ErrSealed},
		"reopened":                    {[]Payload{opened, begunLarge, sealed}, ImageReopened{"image-01", Hash{4}}, nil, nil},
		"reopened though whole":       {[]Payload{opened, begun("image-01"), sealed}, ImageReopened{"image-01", Hash{4}}, nil, ErrSealed},
		"reopened though not sealed":  {[]Payload{opened, begunLarge}, ImageReopened{"image-01", Hash{4}}, nil, ErrNotSealed},
		"reopened though erasing":     {[]Payload{opened, begunLarge, sealed, erasing}, ImageReopened{"image-01", Hash{4}}, nil, ErrErasing},
		"key of a reopened image":     {[]Payload{opened, begunLarge, sealed, ImageReopened{"image-01", Hash{4}}}, wrapped, nil, nil},
		"key of an erasing image":     {[]Payload{opened, begun("image-01"), erasing}, wrapped, nil, ErrErasing},
		"seal of no image":            {[]Payload{opened}, sealed, nil, ErrNoImage},
		"seal while erasing":          {[]Payload{opened, begun("image-01"), erasing}, sealed, nil, nil}, // a fact
		"opened without reason":       {[]Payload{opened, begun("image-01")}, DataOpened{Image: "image-01", Use: UseMount}, nil, ErrNoReason},
		"opened with reason":          {[]Payload{opened, begun("image-01")}, DataOpened{Image: "image-01", Use: UseMount}, reason, nil},
		"opened while erasing":        {[]Payload{opened, begun("image-01"), erasing}, DataOpened{Image: "image-01", Use: UseMount}, reason, ErrErasing},
		"deadline later":              {[]Payload{opened, deadline}, DeadlineShortened{At(at.AddDate(0, 0, 91))}, nil, ErrLater},
		"deadline earlier":            {[]Payload{opened, deadline}, DeadlineShortened{At(at.AddDate(0, 0, 9))}, nil, nil},
		"deadline of two years":       {[]Payload{opened}, DeadlineSet{At(at.AddDate(2, 0, 0)), keep}, nil, ErrTooLong},
		"hold twice":                  {[]Payload{opened, HoldAdded{"h1", HoldLegal, "2027-01-01"}}, HoldAdded{"h1", HoldOther, "2027-01-01"}, nil, ErrHoldExists},
		"hold with no end in sight":   {[]Payload{opened}, HoldAdded{"h1", HoldLegal, "2027-11-22"}, nil, ErrReviewLate},
		"hold for a year":             {[]Payload{opened}, HoldAdded{"h1", HoldLegal, "2027-11-21"}, nil, nil},
		"end of no hold":              {[]Payload{opened}, HoldEnded{"h1"}, nil, ErrNoHold},
		"end of an ended hold":        {[]Payload{opened, HoldAdded{"h1", HoldLegal, "2027-01-01"}, HoldEnded{"h1"}}, HoldEnded{"h1"}, nil, ErrNoHold},
		"erasing too early":           {[]Payload{opened, begun("image-01")}, EraseStarted{"j1", "image-01", false}, reason, ErrNotDue},
		"erasing early, no reason":    {[]Payload{opened, begun("image-01")}, erasing, nil, ErrNoReason},
		"erasing early":               {[]Payload{opened, begun("image-01")}, erasing, reason, nil},
		"erasing what is due":         {[]Payload{opened, begun("image-01"), DeadlineShortened{At(at)}}, EraseStarted{"j1", "image-01", false}, nil, nil},
		"erasing what is held":        {[]Payload{opened, begun("image-01"), HoldAdded{"h1", HoldLegal, "2027-01-01"}}, erasing, reason, ErrHeld},
		"erasing one of two held":     {[]Payload{opened, begun("image-01"), HoldAdded{"h1", HoldLegal, "2027-01-01"}, HoldAdded{"h2", HoldLegal, "2027-01-01"}, HoldEnded{"h1"}}, erasing, reason, ErrHeld},
		"erasing nothing":             {[]Payload{opened}, erasing, reason, ErrNoImage},
		"erasing again":               {[]Payload{opened, begun("image-01"), erasing}, EraseStarted{"j2", "image-01", false}, nil, nil},
		"erasing what is erased":      {[]Payload{opened, begun("image-01"), erasing, done}, erasing, reason, ErrErased},
		"done by another job":         {[]Payload{opened, begun("image-01"), EraseStarted{"j2", "image-01", true}}, done, nil, ErrNoJob},
		"done without beginning":      {[]Payload{opened, begun("image-01")}, done, nil, ErrNoJob},
		"done under a hold":           {[]Payload{opened, begun("image-01"), erasing, HoldAdded{"h1", HoldLegal, "2027-01-01"}}, done, nil, nil}, // a fact
		"failed without beginning":    {[]Payload{opened, begun("image-01")}, EraseFailed{"j1", "image-01", StepKeyDone}, nil, ErrNoJob},
		"private parts of a held one": {[]Payload{opened, HoldAdded{"h1", HoldLegal, "2027-01-01"}}, PrivateErased{[]Ref{{"T1", 1}}}, nil, ErrHeld},
		"closing with a copy":         {[]Payload{opened, begun("image-01"), sealed}, CaseClosed{}, nil, ErrOpenCopies},
		"closing under a hold":        {[]Payload{opened, HoldAdded{"h1", HoldLegal, "2027-01-01"}}, CaseClosed{}, nil, ErrHeld},
		"closing what is erased":      {[]Payload{opened, begun("image-01"), erasing, done}, CaseClosed{}, nil, nil},
		"image in a closed case":      {[]Payload{opened, agreed, deadline, CaseClosed{}}, begun("image-01"), nil, ErrClosed},
	} {
		err := Allow(shop, tale(test.before...), event(test.p), test.private)
		if !errors.Is(err, test.want) || test.want == nil && err != nil {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}

func TestRulesOfTheShop(t *testing.T) {
	shop := FoldShop(func() []Event {
		h := &history{}
		s := &teller{name: "T1"}
		for _, p := range []Payload{
			ShopCreated{"01kb0f4vy9v3qk3y8m6t2r7w5z"},
			StationEnrolled{"T1", "salvor/xxxxxxxxxx", "age1xxxxxxxxxxx"},
			KeyAdded{"k1", "age1xxxxxxxxxxx", "safe"},
			VaultAdded{"v1", "nas"},
			OperatorAdded{"op-7f3a", OperatorPerson},
			OperatorEnded{"op-7f3a", "2026-11-20"},
			OperatorAdded{"op-0002", OperatorPerson},
		} {
			h.tell(s, mustTime("2026-11-01T00:00:00Z"), "", p)
		}
		return h.all
	}())
	for _, test := range []struct {
		op   string
		p    Payload
		want error
	}{
		{"op-0002", ShopCreated{"01kb0f4vy9v3qk3y8m6t2r7w5z"}, ErrExists},
		{"op-0002", StationEnrolled{"T1", "salvor/yyyyyyyyyy", "age1yyyyyyyyyyy"}, ErrExists},
		{"op-0002", KeyAdded{"k1", "age1yyyyyyyyyyy", "other"}, ErrExists},
		{"op-0002", VaultAdded{"v2", "nas"}, ErrExists},
		{"op-0002", VaultAdded{"v1", "other"}, ErrExists},
		{"op-0002", VaultAdded{"v2", "usb"}, nil},
		{"op-0002", OperatorAdded{"op-7f3a", OperatorPurge}, ErrExists},
		{"op-0002", OperatorAgreed{"op-0003", "2026-01-01"}, ErrOperator},
		{"op-0002", OperatorTrained{"op-0003", "2026-01-01"}, ErrOperator},
		{"op-0002", OperatorEnded{"op-0003", "2026-01-01"}, ErrOperator},
		{"op-0002", OperatorAgreed{"op-0002", "2026-01-01"}, nil},
		{"op-station", Heartbeat{}, nil},
		{"op-7f3a", Heartbeat{}, ErrOperatorLeft},
	} {
		e := Event{TS: At(mustTime("2026-11-21T00:00:00Z")), Op: test.op, Pub: test.p}
		if err := Allow(shop, Case{}, e, nil); !errors.Is(err, test.want) || test.want == nil && err != nil {
			t.Errorf("%s %s: got %v, want %v", test.op, test.p.Type(), err, test.want)
		}
	}
	if v, ok := shop.Vault("nas"); !ok || v.Vault != "v1" {
		t.Errorf("%+v", v)
	}
	if _, ok := shop.Key("k2"); ok {
		t.Error("a key that nobody added")
	}
}
