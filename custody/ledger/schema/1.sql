-- The ledger of one station, version 1.
--
-- The notes in "events" are the truth. Every other table up to "erased" is
-- computed from them, and an audit compares. The tables at the end are this
-- machine's own and in no signed record.
--
-- The triggers are guard rails: they stop a mistake in a program or in a shell,
-- not a person who can write the file. Such a person can drop them; the audit
-- then says that they are gone. An INSERT OR REPLACE walks past UPDATE and
-- DELETE triggers where recursive_triggers is off, so every table that must not
-- lose a row has a BEFORE INSERT trigger against a second row as well.

CREATE TABLE self (
	one      INTEGER PRIMARY KEY CHECK (one = 1),
	shop     TEXT NOT NULL,
	station  TEXT NOT NULL,
	verifier TEXT NOT NULL
) STRICT;

CREATE TABLE events (
	n       INTEGER PRIMARY KEY, -- order of arrival, dense
	station TEXT NOT NULL,
	seq     INTEGER NOT NULL,    -- place in the station's log, dense
	id      TEXT NOT NULL UNIQUE,
	ts      INTEGER NOT NULL,    -- seconds since 1970, the station's clock
	type    TEXT NOT NULL,
	case_no TEXT,                -- NULL for an event of the shop
	leaf    BLOB NOT NULL CHECK (length(leaf) = 32),
	note    BLOB NOT NULL CHECK (length(note) <= 65536),
	UNIQUE (station, seq)
) STRICT;
CREATE INDEX events_case ON events (case_no, n) WHERE case_no IS NOT NULL;
CREATE INDEX events_shop ON events (n) WHERE case_no IS NULL AND type <> 'heartbeat';
CREATE INDEX events_heartbeat ON events (ts) WHERE type = 'heartbeat';
CREATE INDEX events_ts ON events (ts);

-- The hashes of the RFC 6962 tree over a station's events, in the order in
-- which golang.org/x/mod/sumdb/tlog numbers them.
CREATE TABLE tree (
	station TEXT NOT NULL,
	i       INTEGER NOT NULL,
	hash    BLOB NOT NULL CHECK (length(hash) = 32),
	PRIMARY KEY (station, i)
) STRICT, WITHOUT ROWID;

-- The newest checkpoint of each station, and no older one: what an older one
-- says can be computed again, and an older one lying here would make a log
-- whose end was cut off look whole.
CREATE TABLE checkpoints (
	station TEXT PRIMARY KEY,
	size    INTEGER NOT NULL,
	note    BLOB NOT NULL
) STRICT;

-- Private parts: padding, nonce, text. The padding fills what of a row can lie
-- on a page that it shares with other rows, so that what is private lies on
-- overflow pages of its own, and those are wiped when the row goes; see
-- private.go.
CREATE TABLE private (
	event INTEGER PRIMARY KEY REFERENCES events (n),
	body  BLOB NOT NULL
) STRICT;

-- Events whose private parts a private.erased has erased.
CREATE TABLE erased (
	event INTEGER PRIMARY KEY REFERENCES events (n)
) STRICT;

CREATE TABLE cases (
	no          TEXT PRIMARY KEY,
	station     TEXT NOT NULL,
	year        INTEGER NOT NULL,
	sequence    INTEGER NOT NULL,
	opened      INTEGER,
	first_image INTEGER,
	deadline    INTEGER,
	copies      INTEGER NOT NULL,
	closed      INTEGER,
	UNIQUE (station, year, sequence),
	-- At most one calendar year after the first image; after 29 February that
	-- is 28 February. Before there is an image there is nothing to erase, and
	-- the rules in Go count the year from the moment the deadline is set.
	CHECK (first_image IS NULL OR deadline IS NOT NULL),
	CHECK (deadline <= CASE strftime('%m-%d', first_image, 'unixepoch')
		WHEN '02-29' THEN unixepoch(first_image, 'unixepoch', '+1 year', '-1 day')
		ELSE unixepoch(first_image, 'unixepoch', '+1 year') END)
) STRICT;
CREATE INDEX cases_due ON cases (deadline) WHERE copies > 0;
CREATE INDEX cases_open ON cases (no) WHERE closed IS NULL;

CREATE TABLE images (
	case_no TEXT NOT NULL REFERENCES cases (no),
	image   TEXT NOT NULL,
	state   TEXT NOT NULL CHECK (state IN ('started', 'paused', 'sealed', 'failed', 'erasing', 'erased')),
	PRIMARY KEY (case_no, image)
) STRICT;

CREATE TABLE holds (
	case_no TEXT NOT NULL REFERENCES cases (no),
	hold    TEXT NOT NULL,
	active  INTEGER NOT NULL CHECK (active IN (0, 1)),
	PRIMARY KEY (case_no, hold)
) STRICT;

-- This machine's own.

CREATE TABLE vault_paths (
	vault TEXT PRIMARY KEY,
	path  TEXT NOT NULL
) STRICT;

CREATE TABLE progress (
	case_no TEXT NOT NULL,
	image   TEXT NOT NULL,
	segment INTEGER NOT NULL CHECK (segment >= 0),
	records INTEGER NOT NULL CHECK (records >= 0),
	bytes   INTEGER NOT NULL CHECK (bytes >= 0),
	PRIMARY KEY (case_no, image)
) STRICT;

CREATE TABLE jobs (
	id      TEXT PRIMARY KEY,
	case_no TEXT NOT NULL,
	image   TEXT NOT NULL,
	body    BLOB NOT NULL,
	saved   INTEGER NOT NULL,
	ended   INTEGER
) STRICT;
CREATE INDEX jobs_open ON jobs (id) WHERE ended IS NULL;

CREATE TABLE attests (
	id      TEXT PRIMARY KEY,
	case_no TEXT NOT NULL,
	image   TEXT NOT NULL,
	note    BLOB NOT NULL,
	saved   INTEGER NOT NULL
) STRICT;
CREATE INDEX attests_case ON attests (case_no);

-- A row stands here from the moment private parts are deleted until what the
-- rollback journal held of them is wiped, so that a kill in between is noticed.
CREATE TABLE wipes (
	one INTEGER PRIMARY KEY CHECK (one = 1)
) STRICT;

-- Guard rails: what is recorded stays.

CREATE TRIGGER self_insert BEFORE INSERT ON self WHEN EXISTS (SELECT 1 FROM self)
BEGIN SELECT RAISE(ABORT, 'guard rail: a ledger belongs to one station'); END;
CREATE TRIGGER self_update BEFORE UPDATE ON self
BEGIN SELECT RAISE(ABORT, 'guard rail: a ledger belongs to one station'); END;
CREATE TRIGGER self_delete BEFORE DELETE ON self
BEGIN SELECT RAISE(ABORT, 'guard rail: a ledger belongs to one station'); END;

CREATE TRIGGER events_dense BEFORE INSERT ON events
WHEN NEW.n IS NOT (SELECT coalesce(max(n), 0) + 1 FROM events)
	OR NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM events WHERE station = NEW.station)
	OR EXISTS (SELECT 1 FROM events WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'guard rail: events follow each other without a gap'); END;
CREATE TRIGGER events_hold BEFORE INSERT ON events
WHEN NEW.type = 'erase.started' AND NEW.station = (SELECT station FROM self)
	AND EXISTS (SELECT 1 FROM holds WHERE case_no = NEW.case_no AND active = 1)
BEGIN SELECT RAISE(ABORT, 'guard rail: a hold blocks erasing'); END;
CREATE TRIGGER events_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'guard rail: events are append-only'); END;
CREATE TRIGGER events_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'guard rail: events are append-only'); END;

CREATE TRIGGER tree_insert BEFORE INSERT ON tree
WHEN EXISTS (SELECT 1 FROM tree WHERE station = NEW.station AND i = NEW.i)
BEGIN SELECT RAISE(ABORT, 'guard rail: the tree only grows'); END;
CREATE TRIGGER tree_update BEFORE UPDATE ON tree
BEGIN SELECT RAISE(ABORT, 'guard rail: the tree only grows'); END;
CREATE TRIGGER tree_delete BEFORE DELETE ON tree
BEGIN SELECT RAISE(ABORT, 'guard rail: the tree only grows'); END;

CREATE TRIGGER checkpoints_insert BEFORE INSERT ON checkpoints
WHEN EXISTS (SELECT 1 FROM checkpoints WHERE station = NEW.station)
BEGIN SELECT RAISE(ABORT, 'guard rail: a checkpoint is replaced by a larger one only'); END;
CREATE TRIGGER checkpoints_update BEFORE UPDATE ON checkpoints
WHEN NEW.size <= OLD.size OR NEW.station <> OLD.station
BEGIN SELECT RAISE(ABORT, 'guard rail: a checkpoint is replaced by a larger one only'); END;
CREATE TRIGGER checkpoints_delete BEFORE DELETE ON checkpoints
BEGIN SELECT RAISE(ABORT, 'guard rail: a checkpoint is replaced by a larger one only'); END;

CREATE TRIGGER private_insert BEFORE INSERT ON private
WHEN EXISTS (SELECT 1 FROM private WHERE event = NEW.event)
	OR EXISTS (SELECT 1 FROM erased WHERE event = NEW.event)
BEGIN SELECT RAISE(ABORT, 'guard rail: a private part is written once'); END;
CREATE TRIGGER private_update BEFORE UPDATE ON private
BEGIN SELECT RAISE(ABORT, 'guard rail: a private part is written once'); END;
CREATE TRIGGER private_delete BEFORE DELETE ON private
WHEN NOT EXISTS (SELECT 1 FROM erased WHERE event = OLD.event)
BEGIN SELECT RAISE(ABORT, 'guard rail: a private part goes only after its private.erased'); END;

CREATE TRIGGER erased_insert BEFORE INSERT ON erased
WHEN EXISTS (SELECT 1 FROM erased WHERE event = NEW.event)
BEGIN SELECT RAISE(ABORT, 'guard rail: erased stays erased'); END;
CREATE TRIGGER erased_update BEFORE UPDATE ON erased
BEGIN SELECT RAISE(ABORT, 'guard rail: erased stays erased'); END;
CREATE TRIGGER erased_delete BEFORE DELETE ON erased
BEGIN SELECT RAISE(ABORT, 'guard rail: erased stays erased'); END;

-- Guard rails: rules of the domain.

CREATE TRIGGER cases_insert BEFORE INSERT ON cases WHEN EXISTS (SELECT 1 FROM cases
	WHERE no = NEW.no OR station = NEW.station AND year = NEW.year AND sequence = NEW.sequence)
BEGIN SELECT RAISE(ABORT, 'guard rail: a case number is given once'); END;
CREATE TRIGGER cases_update BEFORE UPDATE ON cases
WHEN NEW.no <> OLD.no OR NEW.station <> OLD.station OR NEW.year <> OLD.year OR NEW.sequence <> OLD.sequence
BEGIN SELECT RAISE(ABORT, 'guard rail: a case number is given once'); END;
CREATE TRIGGER cases_delete BEFORE DELETE ON cases
BEGIN SELECT RAISE(ABORT, 'guard rail: a case stays'); END;
CREATE TRIGGER cases_deadline BEFORE UPDATE ON cases
WHEN OLD.deadline IS NOT NULL AND (NEW.deadline IS NULL OR NEW.deadline > OLD.deadline)
BEGIN SELECT RAISE(ABORT, 'guard rail: a deadline never moves later'); END;
CREATE TRIGGER cases_first BEFORE UPDATE ON cases
WHEN OLD.first_image IS NOT NULL AND (NEW.first_image IS NULL OR NEW.first_image > OLD.first_image)
BEGIN SELECT RAISE(ABORT, 'guard rail: the first image never moves later'); END;

CREATE TRIGGER images_insert BEFORE INSERT ON images
WHEN EXISTS (SELECT 1 FROM images WHERE case_no = NEW.case_no AND image = NEW.image)
BEGIN SELECT RAISE(ABORT, 'guard rail: an image is recorded once'); END;
CREATE TRIGGER images_insert_hold BEFORE INSERT ON images
WHEN NEW.state IN ('erasing', 'erased')
	AND EXISTS (SELECT 1 FROM holds WHERE case_no = NEW.case_no AND active = 1)
	AND NOT EXISTS (SELECT 1 FROM events WHERE case_no = NEW.case_no
		AND type IN ('erase.started', 'erase.failed', 'erase.done') AND station <> (SELECT station FROM self))
BEGIN SELECT RAISE(ABORT, 'guard rail: a hold blocks erasing'); END;
CREATE TRIGGER images_update BEFORE UPDATE ON images
WHEN NEW.case_no <> OLD.case_no OR NEW.image <> OLD.image
BEGIN SELECT RAISE(ABORT, 'guard rail: an image is recorded once'); END;
CREATE TRIGGER images_delete BEFORE DELETE ON images
BEGIN SELECT RAISE(ABORT, 'guard rail: an image stays recorded'); END;
CREATE TRIGGER images_erased BEFORE UPDATE ON images
WHEN OLD.state = 'erased' AND NEW.state <> 'erased'
BEGIN SELECT RAISE(ABORT, 'guard rail: erased stays erased'); END;
-- Another station may have erased before it heard of the hold: that is a fact
-- to record and to show, so its events open this rail.
CREATE TRIGGER images_hold BEFORE UPDATE ON images
WHEN NEW.state IN ('erasing', 'erased') AND OLD.state NOT IN ('erasing', 'erased')
	AND EXISTS (SELECT 1 FROM holds WHERE case_no = NEW.case_no AND active = 1)
	AND NOT EXISTS (SELECT 1 FROM events WHERE case_no = NEW.case_no
		AND type IN ('erase.started', 'erase.failed', 'erase.done') AND station <> (SELECT station FROM self))
BEGIN SELECT RAISE(ABORT, 'guard rail: a hold blocks erasing'); END;

CREATE TRIGGER holds_insert BEFORE INSERT ON holds
WHEN EXISTS (SELECT 1 FROM holds WHERE case_no = NEW.case_no AND hold = NEW.hold)
BEGIN SELECT RAISE(ABORT, 'guard rail: a hold is recorded once'); END;
CREATE TRIGGER holds_update BEFORE UPDATE ON holds
WHEN NEW.case_no <> OLD.case_no OR NEW.hold <> OLD.hold OR NEW.active > OLD.active
BEGIN SELECT RAISE(ABORT, 'guard rail: an ended hold stays ended'); END;
CREATE TRIGGER holds_delete BEFORE DELETE ON holds
BEGIN SELECT RAISE(ABORT, 'guard rail: a hold is ended, never removed'); END;

CREATE TRIGGER progress_insert BEFORE INSERT ON progress
WHEN EXISTS (SELECT 1 FROM progress WHERE case_no = NEW.case_no AND image = NEW.image)
BEGIN SELECT RAISE(ABORT, 'guard rail: acknowledged progress never goes back'); END;
CREATE TRIGGER progress_update BEFORE UPDATE ON progress
WHEN NEW.case_no <> OLD.case_no OR NEW.image <> OLD.image
	OR NEW.segment < OLD.segment OR NEW.segment = OLD.segment AND NEW.records < OLD.records OR NEW.bytes < OLD.bytes
BEGIN SELECT RAISE(ABORT, 'guard rail: acknowledged progress never goes back'); END;
CREATE TRIGGER progress_delete BEFORE DELETE ON progress
BEGIN SELECT RAISE(ABORT, 'guard rail: acknowledged progress never goes back'); END;

CREATE TRIGGER jobs_delete BEFORE DELETE ON jobs
BEGIN SELECT RAISE(ABORT, 'guard rail: an erasing stays recorded'); END;
CREATE TRIGGER jobs_insert BEFORE INSERT ON jobs WHEN EXISTS (SELECT 1 FROM jobs WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'guard rail: an erasing stays recorded'); END;
CREATE TRIGGER jobs_update BEFORE UPDATE ON jobs
WHEN OLD.ended IS NOT NULL OR NEW.id <> OLD.id OR NEW.case_no <> OLD.case_no OR NEW.image <> OLD.image
BEGIN SELECT RAISE(ABORT, 'guard rail: an ended erasing stays as it is'); END;

CREATE TRIGGER attests_insert BEFORE INSERT ON attests WHEN EXISTS (SELECT 1 FROM attests WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'guard rail: an attest is issued once'); END;
CREATE TRIGGER attests_update BEFORE UPDATE ON attests
BEGIN SELECT RAISE(ABORT, 'guard rail: an attest is issued once'); END;
CREATE TRIGGER attests_delete BEFORE DELETE ON attests
BEGIN SELECT RAISE(ABORT, 'guard rail: an attest stays'); END;
