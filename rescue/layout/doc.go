// Package layout finds out which parts of a disk hold what: partitions, file
// systems, the customer's files, free space. The planner reads the parts in that
// order of worth, and the damaged-files report is made from the same walk.
//
//	           View: what is rescued so far
//	                │
//	partition table ─▶ volumes ─▶ file systems ─▶ Regions (T0 … T5), cover the disk
//	                │                        └──▶ Walk: path, size, pieces
//	                └▶ Wanted: what was asked for and is not rescued yet
//
// Nothing here touches a disk. Every byte comes through a [View], which answers
// [ErrNotRescued] for what is not there. A parser does not stop at that: it notes
// the range, takes the worse case (not known is used) and goes on, so that one
// [Scan] asks for as much as can be asked for at once. When what is Wanted has
// arrived the caller scans again; a handful of rounds reaches the end.
//
// The invariant is one-sided: a byte that a file system allocated is never in T5.
// Damaged, hostile or simply unknown content makes a volume "unknown", all of it
// one tier; it never makes a crash, an endless loop, or memory without bound.
//
// The parsers are ours because the ones that exist are made for sound volumes:
// they stop, or panic, at the first structure that is missing, and none says what
// it would need to go on.
package layout
