// Package custody is the domain of salvor: what a case is, what may happen to
// it, and when it has to end. It is pure. It opens no file, asks no clock and
// knows neither SQL nor paths; the packages below it (ledger, vault, report)
// and the commands bring those.
//
// The one picture to keep in mind:
//
//	set of signed events ──FoldCase──▶ Case ──Allow──▶ may this happen now?
//	                     ──FoldShop──▶ Shop ──Next───▶ what is to be done?
//
// Everything that happened is an [Event], signed by the station that saw it
// and never edited. Everything that is true now is computed from the set of
// events, and the result depends on that set alone: not on the order in which
// the events arrived, and not on how often one arrived. So two stations that
// hold the same events hold the same truth, and a lost index can be computed
// again.
//
// An event has two parts. The public part holds ids, enums, counts, sizes,
// dates and hashes of ciphertext, and stays for ever. Whatever names or
// describes a person, and every free text, is in the private part, which the
// event binds only by a keyed hash, so that it can be erased while the chain
// of events stays verifiable.
//
// Compatibility: an event that one released version wrote is read by every
// later one, and means the same. New event types and new optional fields may
// come; a station that does not know them refuses to go on rather than guess.
package custody
