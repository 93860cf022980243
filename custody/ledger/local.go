package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"salvor/custody"
)

// What stands here is this machine's own and unsigned: where vaults are
// mounted, how far a writer has come, and the journal of erasings. The signed
// record never depends on it.

// SetVaultPath remembers where a vault, named by its id, is mounted here.
func (l *Ledger) SetVaultPath(ctx context.Context, vault, path string) error {
	err := custody.CheckID(vault)
	if err == nil {
		err = l.write(ctx, func(tx queryer) error {
			return updateOrInsert(ctx, tx, `UPDATE vault_paths SET path = ? WHERE vault = ?`,
				`INSERT INTO vault_paths (path, vault) VALUES (?, ?)`, path, vault)
		})
	}
	if err != nil {
		return fmt.Errorf("vault path: %w", err)
	}
	return nil
}

// VaultPaths returns where the vaults are mounted here, by id.
func (l *Ledger) VaultPaths(ctx context.Context) (map[string]string, error) {
	paths := make(map[string]string)
	err := each(ctx, l.db, func(scan func(...any) error) error {
		var vault, path string
		err := scan(&vault, &path)
		paths[vault] = path
		return sqlError(err)
	}, `SELECT vault, path FROM vault_paths`)
	if err != nil {
		return nil, fmt.Errorf("vault paths: %w", err)
	}
	return paths, nil
}

// Progress is what of an image the vault has acknowledged as durable. A log in
// the vault that is shorter than this has lost something.
type Progress struct {
	Segment, Records int
	Bytes            int64 // rescued bytes of the source
}

// SaveProgress remembers what an image's vault has acknowledged. It returns
// [ErrGuardRail] when that is less than what it acknowledged before.
func (l *Ledger) SaveProgress(ctx context.Context, no custody.CaseNo, image string, p Progress) error {
	err := l.write(ctx, func(tx queryer) error {
		return updateOrInsert(ctx, tx,
			`UPDATE progress SET segment = ?, records = ?, bytes = ? WHERE case_no = ? AND image = ?`,
			`INSERT INTO progress (segment, records, bytes, case_no, image) VALUES (?, ?, ?, ?, ?)`,
			p.Segment, p.Records, p.Bytes, string(no), image)
	})
	if err != nil {
		return fmt.Errorf("progress of %s/%s: %w", no, image, err)
	}
	return nil
}

// Progress returns what an image's vault has acknowledged; the zero Progress
// when nothing was.
func (l *Ledger) Progress(ctx context.Context, no custody.CaseNo, image string) (Progress, error) {
	var p Progress
	err := l.db.QueryRowContext(ctx, `SELECT segment, records, bytes FROM progress WHERE case_no = ? AND image = ?`,
		string(no), image).Scan(&p.Segment, &p.Records, &p.Bytes)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Progress{}, fmt.Errorf("progress of %s/%s: %w", no, image, sqlError(err))
	}
	return p, nil
}

// A Job is the write-ahead record of the erasing of an image. What is in its
// body is the business of package wipe.
type Job struct {
	ID    string
	Case  custody.CaseNo
	Image string
	Body  []byte
	Saved time.Time
	Ended time.Time // zero while it is open
}

// SaveJob makes the state of a job durable, before what it says is done. The
// first save creates it. An ended job is never changed: [ErrGuardRail].
func (l *Ledger) SaveJob(ctx context.Context, id string, no custody.CaseNo, image string, body []byte) error {
	err := l.write(ctx, func(tx queryer) error {
		if err := custody.CheckID(id); err != nil {
			return err
		}
		return updateOrInsert(ctx, tx,
			`UPDATE jobs SET body = ?, saved = ?, case_no = ?, image = ? WHERE id = ?`,
			`INSERT INTO jobs (body, saved, case_no, image, id) VALUES (?, ?, ?, ?, ?)`,
			body, l.timestamp().Unix(), string(no), image, id)
	})
	if err != nil {
		return fmt.Errorf("job %s: %w", id, err)
	}
	return nil
}

// EndJob closes a job: its erasing is done and recorded. Ending an ended job
// changes nothing; there being none is [ErrNotFound].
func (l *Ledger) EndJob(ctx context.Context, id string) error {
	err := l.write(ctx, func(tx queryer) error {
		var ended sql.NullInt64
		if err := tx.QueryRowContext(ctx, `SELECT ended FROM jobs WHERE id = ?`, id).Scan(&ended); err != nil {
			return notFound(err)
		}
		if ended.Valid {
			return nil
		}
		_, err := tx.ExecContext(ctx, `UPDATE jobs SET ended = ? WHERE id = ?`, l.timestamp().Unix(), id)
		return err
	})
	if err != nil {
		return fmt.Errorf("job %s: %w", id, err)
	}
	return nil
}

// Job returns a job, open or ended, or [ErrNotFound].
func (l *Ledger) Job(ctx context.Context, id string) (Job, error) {
	jobs, err := l.jobs(ctx, `id = ?`, id)
	if err == nil && len(jobs) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Job{}, fmt.Errorf("job %s: %w", id, err)
	}
	return jobs[0], nil
}

// OpenJobs returns the jobs that have not ended, the oldest first: a run that
// was killed left them, or one is at work now.
func (l *Ledger) OpenJobs(ctx context.Context) ([]Job, error) {
	jobs, err := l.jobs(ctx, `ended IS NULL`)
	if err != nil {
		return nil, fmt.Errorf("open jobs: %w", err)
	}
	return jobs, nil
}

func (l *Ledger) jobs(ctx context.Context, where string, args ...any) ([]Job, error) {
	var jobs []Job
	err := each(ctx, l.db, func(scan func(...any) error) error {
		var j Job
		var saved int64
		var ended sql.NullInt64
		if err := scan(&j.ID, &j.Case, &j.Image, &j.Body, &saved, &ended); err != nil {
			return sqlError(err)
		}
		j.Saved = time.Unix(saved, 0).UTC()
		if ended.Valid {
			j.Ended = time.Unix(ended.Int64, 0).UTC()
		}
		jobs = append(jobs, j)
		return nil
	}, `SELECT id, case_no, image, body, saved, ended FROM jobs WHERE `+where+` ORDER BY rowid`, args...)
	return jobs, err
}

// An AttestRecord is a stored attest.
type AttestRecord struct {
	ID    string
	Case  custody.CaseNo
	Image string
	Note  []byte // as it was signed
	Saved time.Time
}

// SaveAttest stores a signed attest. It is stored before its attest.issued is
// appended, so that no event speaks of an attest that is nowhere. A second one
// with the same id and another note is [ErrGuardRail]; the same again is fine.
func (l *Ledger) SaveAttest(ctx context.Context, id string, no custody.CaseNo, image string, note []byte) error {
	err := l.write(ctx, func(tx queryer) error {
		if err := custody.CheckID(id); err != nil {
			return err
		}
		var same bool
		err := tx.QueryRowContext(ctx, `SELECT case_no = ? AND image = ? AND note = ? FROM attests WHERE id = ?`,
			string(no), image, note, id).Scan(&same)
		if err == nil && same {
			return nil
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO attests (id, case_no, image, note, saved) VALUES (?, ?, ?, ?, ?)`,
			id, string(no), image, note, l.timestamp().Unix())
		return err
	})
	if err != nil {
		return fmt.Errorf("attest %s: %w", id, err)
	}
	return nil
}

// Attest returns a stored attest as it was signed, or [ErrNotFound].
func (l *Ledger) Attest(ctx context.Context, id string) ([]byte, error) {
	var note []byte
	if err := l.db.QueryRowContext(ctx, `SELECT note FROM attests WHERE id = ?`, id).Scan(&note); err != nil {
		return nil, fmt.Errorf("attest %s: %w", id, notFound(err))
	}
	return note, nil
}

// Attests returns the attests of a case, the oldest first.
func (l *Ledger) Attests(ctx context.Context, no custody.CaseNo) ([]AttestRecord, error) {
	var attests []AttestRecord
	err := each(ctx, l.db, func(scan func(...any) error) error {
		var a AttestRecord
		var saved int64
		err := scan(&a.ID, &a.Case, &a.Image, &a.Note, &saved)
		a.Saved = time.Unix(saved, 0).UTC()
		attests = append(attests, a)
		return sqlError(err)
	}, `SELECT id, case_no, image, note, saved FROM attests WHERE case_no = ? ORDER BY rowid`, string(no))
	if err != nil {
		return nil, fmt.Errorf("attests of %s: %w", no, err)
	}
	return attests, nil
}
