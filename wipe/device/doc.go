// Package device wipes whole block devices, and says no more about it than it proved.
//
//	Look ─▶ (a person types the serial number) ─▶ Open ─▶ Plan ─▶ Run ─▶ Evidence ─▶ Classify
//	  interlocks                                 interlocks again,         what was done and
//	                                             held to the end           seen; no judgement
//
// A device is overwritten with [wipe.Stream], lane 0, and then every byte of it is
// read back past the cache and compared. Neither stops early: what cannot be written
// or read, and what came back different, is listed by its exact range. Where a drive
// knows how to sanitize itself it is asked to before; its word alone proves nothing
// here, so that the pass and the reading back follow all the same.
//
// There is no way around an interlock: a device that is mounted, swapped to, part of
// a volume or of the running system, or that holds something the caller keeps is
// refused, and so is one of which that cannot be found out.
//
// Never used: zeros, BLKZEROOUT or discard as evidence, since a layer below may keep
// the old blocks; ATA SECURITY ERASE, since it can leave a drive locked for ever.
package device
