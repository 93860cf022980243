package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"salvor/custody"
	"salvor/custody/journal"
)

// A hold or a shortened deadline that one station keeps to itself is worth
// nothing at the station that erases. So both are published first: they count as
// done only when every vault with a copy of the case has them.
//
// Where a vault is absent, the event is recorded all the same, and the operator
// gets an error that names the vault. To record nothing would be worse: the hold
// blocks this station's own purge from that moment, it goes to the absent vault
// with the first sync that meets it, and if the operator forgets to try again
// nothing is lost. What the event is not is acknowledged: another station may not
// know of it, so somebody has to phone. Erring, salvor errs on the side of keeping
// data that are due, never of erasing what is held.
//
// Two stations may act at the same moment: one sets a hold while the other begins
// to erase. Each writes first and reads then: PublishFirst publishes the hold and
// then reads the journals; the purge publishes its erase.started and then reads
// them (CaseUnderLock). Whatever the order, at least one of the two sees the other:
// the purge stops, or the operator is told that the erasing had begun.

// PublishFirst records the entries of one case (see [custody.PublishFirst]) and
// acknowledges them only when they are durable in the journal of every vault that
// holds a copy of the case. Where one is absent or refuses, the error is an
// [UnpublishedError] that names it: the events stay recorded and in the outbox.
func (l *Ledger) PublishFirst(ctx context.Context, op string, no custody.CaseNo, journals []*journal.Journal, entries ...Entry) (Published, error) {
	events, err := l.Append(ctx, op, entries...)
	if err != nil {
		return Published{}, err
	}
	p := Published{Events: events}
	missing, err := l.publishCase(ctx, no, journals)
	if err != nil {
		return p, fmt.Errorf("publish first: %w", err)
	}
	_, rerr := l.Import(ctx, journals...)
	if p.Case, err = l.Case(ctx, no); err != nil {
		return p, errors.Join(err, rerr)
	}
	for _, i := range p.Case.Images {
		if i.State == custody.ImageIsErasing || i.State == custody.ImageIsErased {
			p.Late = append(p.Late, i.Name)
		}
	}
	if len(missing) > 0 {
		return p, errors.Join(&UnpublishedError{Case: no, Events: events, Vaults: missing}, rerr)
	}
	return p, rerr
}

// publishCase publishes to every vault that holds a copy of a case, and returns
// those that did not get everything.
func (l *Ledger) publishCase(ctx context.Context, no custody.CaseNo, journals []*journal.Journal) ([]Missing, error) {
	c, err := l.Case(ctx, no)
	if err != nil {
		return nil, err
	}
	var missing []Missing
	for _, vault := range VaultsOf(c) {
		at := slices.IndexFunc(journals, func(j *journal.Journal) bool { return j.Vault() == vault })
		if at < 0 {
			missing = append(missing, Missing{Vault: vault})
			continue
		}
		if _, err := l.Publish(ctx, journals[at]); err != nil {
			missing = append(missing, Missing{vault, err})
		}
	}
	return missing, nil
}

// VaultsOf returns the vaults that hold something of a case, by id: images of
// which something is left, and the keys to them.
func VaultsOf(c custody.Case) []string {
	var vaults []string
	for _, i := range c.Images {
		if !i.Left() && !i.Returned() {
			continue
		}
		vaults = append(vaults, i.Vault)
	}
	slices.Sort(vaults)
	return slices.Compact(slices.DeleteFunc(vaults, func(v string) bool { return v == "" }))
}

// Unacknowledged returns the events of this station on which nobody may rely yet
// ([custody.PublishFirst]), since they are not in the journal of every vault that holds
// a copy of their case.
func (l *Ledger) Unacknowledged(ctx context.Context) ([]UnpublishedError, error) {
	list, err := l.unacknowledged(ctx)
	if err != nil {
		return nil, fmt.Errorf("unacknowledged events: %w", err)
	}
	return list, nil
}

func (l *Ledger) unacknowledged(ctx context.Context) ([]UnpublishedError, error) {
	size := make(map[string]int64)
	if err := each(ctx, l.db, func(scan func(...any) error) error {
		var vault string
		var n int64
		err := scan(&vault, &n)
		size[vault] = n
		return sqlError(err)
	}, `SELECT vault, size FROM journals`); err != nil {
		return nil, err
	}
	// Only cases with a copy are in question, and those are few.
	args := []any{l.station.Name()}
	for _, t := range custody.PublishFirst() {
		args = append(args, string(t))
	}
	events, err := queryEvents(ctx, l.db, `SELECT `+eventColumns+` FROM cases CROSS JOIN events ON events.case_no = cases.no
		WHERE cases.copies > 0 AND events.station = ? AND events.type IN (?`+strings.Repeat(", ?", len(args)-2)+`) ORDER BY events.n`, args...)
	if err != nil {
		return nil, err
	}
	var list []UnpublishedError
	vaults := make(map[custody.CaseNo][]string)
	for _, e := range events {
		if _, ok := vaults[e.Case]; !ok {
			c, err := l.Case(ctx, e.Case)
			if err != nil {
				return nil, err
			}
			vaults[e.Case] = VaultsOf(c)
		}
		u := UnpublishedError{Case: e.Case, Events: []custody.Event{e}}
		for _, vault := range vaults[e.Case] {
			if size[vault] < e.Seq {
				u.Vaults = append(u.Vaults, Missing{Vault: vault})
			}
		}
		if len(u.Vaults) > 0 {
			list = append(list, u)
		}
	}
	return list, nil
}

// CaseUnderLock publishes, takes in, and then returns the case: what the purge
// calls under the lock of the case, after its erase.started and immediately before
// a key is destroyed. All vaults that hold something of the case must be among the
// journals ([UnpublishedError] otherwise), and nothing in them may be refused
// ([RefusedError]): what cannot be read may be a hold. What a retired station has
// recorded about other cases only ([LateError]) does not count as refused here.
func (l *Ledger) CaseUnderLock(ctx context.Context, no custody.CaseNo, journals ...*journal.Journal) (custody.Case, error) {
	missing, err := l.publishCase(ctx, no, journals)
	if err != nil {
		return custody.Case{}, fmt.Errorf("case %s under lock: %w", no, err)
	}
	if len(missing) > 0 {
		return custody.Case{}, &UnpublishedError{Case: no, Vaults: missing}
	}
	if _, err := l.Import(ctx, journals...); err != nil && !unrelated(err, no) {
		return custody.Case{}, fmt.Errorf("case %s under lock: %w", no, err)
	}
	return l.Case(ctx, no)
}
