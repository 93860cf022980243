// Package ledger keeps the signed events of a station in one SQLite file.
//
// The picture to keep in mind:
//
//	Append ──▶ event (JSON line) ──▶ signed note ──▶ events ─┬─▶ tree ──▶ checkpoint (signed)
//	                                                         └─▶ cases, images, holds (projections)
//
// The notes are the truth; everything else in the file can be computed from
// them, and [Ledger.Audit] does that and compares. One Append is one
// transaction: the events, the tree, the checkpoint and the projections
// change together or not at all.
package ledger
