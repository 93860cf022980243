-- Version 2: journals, other stations, and what audits have found.
--
-- What stands here is this machine's own, except the forks: they are evidence,
-- signed by the station that they accuse.

-- The card of the shop, as it was compared when this station joined. Where it is
-- missing this station has created the shop.
CREATE TABLE root (
	one  INTEGER PRIMARY KEY CHECK (one = 1),
	card BLOB NOT NULL
) STRICT;

-- How far the journal of each vault is from us: own events, the recipients to
-- whom private parts are sealed there, and up to which private.erased (its n)
-- sealed parts were erased there.
CREATE TABLE journals (
	vault      TEXT PRIMARY KEY,
	size       INTEGER NOT NULL,
	recipients TEXT NOT NULL,
	erased     INTEGER NOT NULL
) STRICT;

-- The checkpoint of each station as each vault showed it last.
CREATE TABLE seen (
	vault   TEXT NOT NULL,
	station TEXT NOT NULL,
	size    INTEGER NOT NULL,
	PRIMARY KEY (vault, station)
) STRICT;

-- Second events in a place that is taken: the station was cloned, or its key is
-- in other hands.
CREATE TABLE forks (
	n       INTEGER PRIMARY KEY,
	station TEXT NOT NULL,
	seq     INTEGER NOT NULL,
	case_no TEXT,
	leaf    BLOB NOT NULL CHECK (length(leaf) = 32),
	note    BLOB NOT NULL CHECK (length(note) <= 65536),
	vault   TEXT NOT NULL,
	found   INTEGER NOT NULL,
	UNIQUE (station, seq, leaf)
) STRICT;
CREATE INDEX forks_case ON forks (case_no);

-- Events whose private part could not be opened yet.
CREATE TABLE unopened (
	event INTEGER PRIMARY KEY REFERENCES events (n)
) STRICT;

-- Events whose signed statement of erasing has not arrived yet.
CREATE TABLE attests_lacking (
	event INTEGER PRIMARY KEY REFERENCES events (n)
) STRICT;

-- What an earlier audit has checked: one signed record for each station's log,
-- and a keyed hash for each case. See audited.go.
CREATE TABLE audited (
	station TEXT PRIMARY KEY,
	note    BLOB NOT NULL
) STRICT;
CREATE TABLE audited_cases (
	no  TEXT PRIMARY KEY,
	mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER root_insert BEFORE INSERT ON root WHEN EXISTS (SELECT 1 FROM root)
BEGIN SELECT RAISE(ABORT, 'guard rail: a ledger belongs to one shop'); END;
CREATE TRIGGER root_update BEFORE UPDATE ON root
BEGIN SELECT RAISE(ABORT, 'guard rail: a ledger belongs to one shop'); END;
CREATE TRIGGER root_delete BEFORE DELETE ON root
BEGIN SELECT RAISE(ABORT, 'guard rail: a ledger belongs to one shop'); END;

CREATE TRIGGER forks_insert BEFORE INSERT ON forks WHEN EXISTS (SELECT 1 FROM forks
	WHERE n = NEW.n OR station = NEW.station AND seq = NEW.seq AND leaf = NEW.leaf)
BEGIN SELECT RAISE(ABORT, 'guard rail: evidence stays'); END;
CREATE TRIGGER forks_update BEFORE UPDATE ON forks
BEGIN SELECT RAISE(ABORT, 'guard rail: evidence stays'); END;
CREATE TRIGGER forks_delete BEFORE DELETE ON forks
BEGIN SELECT RAISE(ABORT, 'guard rail: evidence stays'); END;

CREATE TRIGGER seen_insert BEFORE INSERT ON seen
WHEN EXISTS (SELECT 1 FROM seen WHERE vault = NEW.vault AND station = NEW.station)
BEGIN SELECT RAISE(ABORT, 'guard rail: a journal only grows'); END;
CREATE TRIGGER seen_update BEFORE UPDATE ON seen
WHEN NEW.vault <> OLD.vault OR NEW.station <> OLD.station OR NEW.size < OLD.size
BEGIN SELECT RAISE(ABORT, 'guard rail: a journal only grows'); END;
CREATE TRIGGER seen_delete BEFORE DELETE ON seen
BEGIN SELECT RAISE(ABORT, 'guard rail: a journal only grows'); END;

-- A row stands here inside the transaction that takes in what others, or this
-- station before its ledger was lost, have signed: what happened is recorded,
-- also where a hold should have stopped it.
CREATE TABLE importing (
	one INTEGER PRIMARY KEY CHECK (one = 1)
) STRICT;

DROP TRIGGER events_hold;
CREATE TRIGGER events_hold BEFORE INSERT ON events
WHEN NEW.type = 'erase.started' AND NEW.station = (SELECT station FROM self)
	AND NOT EXISTS (SELECT 1 FROM importing)
	AND EXISTS (SELECT 1 FROM holds WHERE case_no = NEW.case_no AND active = 1)
BEGIN SELECT RAISE(ABORT, 'guard rail: a hold blocks erasing'); END;
DROP TRIGGER images_insert_hold;
CREATE TRIGGER images_insert_hold BEFORE INSERT ON images
WHEN NEW.state IN ('erasing', 'erased') AND NOT EXISTS (SELECT 1 FROM importing)
	AND EXISTS (SELECT 1 FROM holds WHERE case_no = NEW.case_no AND active = 1)
BEGIN SELECT RAISE(ABORT, 'guard rail: a hold blocks erasing'); END;
DROP TRIGGER images_hold;
CREATE TRIGGER images_hold BEFORE UPDATE ON images
WHEN NEW.state IN ('erasing', 'erased') AND OLD.state NOT IN ('erasing', 'erased')
	AND NOT EXISTS (SELECT 1 FROM importing)
	AND EXISTS (SELECT 1 FROM holds WHERE case_no = NEW.case_no AND active = 1)
BEGIN SELECT RAISE(ABORT, 'guard rail: a hold blocks erasing'); END;
