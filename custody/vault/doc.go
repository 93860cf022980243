// Package vault keeps a source's content as an encrypted image in a directory that may be stolen, torn or full.
//
// The picture to keep in mind is a logbook, not a disk. Whatever a pass over a failing source yields is sealed into
// a record and appended; nothing that was acknowledged is ever written to again.
//
//	image.slv      superblock, twice, written once
//	000000.seg     header │ checkpoint │ data │ data │ fill │ bad │ … │ footer
//	000001.seg     header │ checkpoint │ data │ …                      (torn end: costs only what was not acknowledged)
//	seal.note      counts, tree root, signature: what belongs to the image, for good
//	keystore/…     one age file per run of the program, holding that run's secret
//
// Four invariants carry everything else:
//
//   - Imaging, resuming, checking and erasing need no secret. Only [Container.Unlock] does.
//   - A record is accepted only whole and in its place: its header, the image, the session, the segment and the order
//     are additional data of its AES-256-GCM, and its leaf is a leaf of the tree that the seal signs.
//   - The secret that opens a record is durable in a key file, and was read back, before the record is written.
//   - An error of write, fsync or close ends its segment for good. What was not acknowledged is still in memory and
//     goes to a new segment, so that a failing source is not read twice.
//
// docs/format.md has every byte; scripts/read_container.py reads it without this package.
package vault
