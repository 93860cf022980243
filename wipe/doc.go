// Package wipe destroys what salvor kept, and says no more about it than it
// proved.
//
// The one picture to keep in mind: an erase is a journalled walk, and nothing
// but the evidence gathered on the way decides what may be said at its end.
//
//	Plan ─▶ PLANNED ─▶ KEY_DONE ─▶ OVERWRITE@offset ─▶ VERIFIED ─▶ UNLINKED ─▶ ATTESTED
//	          gate      keys first   content in place    read back    then remove
//	                                     │
//	                                  Evidence ─▶ Classify ─▶ Class (KEY axis, MEDIA axis)
//
// Four rules carry the package:
//
//   - The keys go first. From KEY_DONE on, a crash leaves nothing readable.
//   - Nothing is truncated, renamed or removed before its blocks were
//     overwritten and read back while the file still existed.
//   - A file that is not there is missing. It is never counted as erased.
//   - Classify is the only place where a word such as CLEAR-RAW is chosen; it is
//     pure, and every doubt lowers its answer.
//
// What is overwritten is overwritten with Stream, an AES-256-CTR key stream that
// the job can make again. So a killed run resumes, and every byte is compared
// with what should be there instead of being trusted.
//
// The package knows files, block devices and an Evidence value. It does not know
// the ledger: the caller brings a Journal and a Gate.
package wipe
