// Package ledger keeps the signed events of a station in one SQLite file.
//
// The picture to keep in mind:
//
//	Append ──▶ event (a line of JSON) ──▶ signed note ──▶ events ─┬─▶ tree ──▶ checkpoint, signed
//	                                                              └─▶ cases, images, holds
//
// The notes are the truth. Everything to their right can be computed from them
// again, and [Ledger.Audit] does that and compares. One Append is one
// transaction: events, tree, checkpoint and derived rows change together or
// not at all, and what Append has acknowledged survives a kill, a full disk and
// a power cut.
//
// # What is signed
//
// The text of an event, as package custody encodes it, is signed by the
// station as a note (golang.org/x/mod/sumdb/note) under the name
// "salvor/<shop>/<station>". Its leaf is the RFC 6962 hash of that text, without
// the signatures: so an operator's signature stands beside the station's
// without changing any hash. Each event holds the leaf of the one
// before it, and the checkpoint holds the root of the tree over all of them.
// Only the newest checkpoint is kept: an older one lying in the file would let
// a log whose end was cut off pass for a whole one.
//
// # Several stations
//
// What this station records goes to the journals in the vaults ([Ledger.Publish],
// package journal), and what others have published there comes in
// ([Ledger.Import]) after its signature, its place in its log and its log's
// checkpoint were checked. Holds and shortened deadlines are published first
// ([Ledger.PublishFirst]), and the purge reads the journals again before it
// destroys a key ([Ledger.CaseUnderLock]). A ledger is an index: [Rebuild] makes it
// again.
//
// # What is private
//
// A private part is canonical JSON beside its event, bound by a keyed hash
// with a random nonce. [Ledger.ErasePrivate] removes text and nonce, also from
// the pages and the journal of SQLite, and the chain stays verifiable.
//
// # What stops what
//
// The rules in Go ([custody.Allow]) stop a command. The triggers in the schema
// stop a mistake made in a SQLite shell. Neither stops somebody who can write
// the file: the signatures do not stop him either, but the audit names the
// event that he touched. What the file alone cannot show, a whole older state
// put back or a log computed anew with a stolen key, is shown by any checkpoint
// outside of it, on paper or in a vault.
//
// The file is for one local machine: it is refused on a network file system,
// where SQLite's locks cannot be trusted, and wherever others could read it.
package ledger
