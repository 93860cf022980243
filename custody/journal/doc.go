// Package journal is the tree of files in a vault through which the stations of
// a shop tell each other what happened:
//
//	.salvor/shop.note                        whose shop this is: the card of its first station
//	.salvor/stations/B1.note                 the card of a station
//	.salvor/requests/B2.note                 the card of a station that asks to be enrolled
//	.salvor/journal/B1/0000001041-<h>.note   one event, signed; h is the beginning of its leaf
//	.salvor/journal/B1/checkpoint            the newest checkpoint that covers those files
//	.salvor/private/<case>/B1-1041.<s>.age   the private part of an event, sealed; s names the recipients
//	.salvor/attests/<id>.note                a signed statement of erasing
//
// A station writes events and checkpoints below its own name only, so that no
// lock is needed across a network. Whatever stands in the tree may have been put
// there by anybody: names are matched against their pattern, sizes are capped,
// and nothing is decoded before its signature holds. No name and no path is
// ever taken out of a file.
//
// The package knows files and formats. What may be believed, and in which order
// it is taken in, is decided by package ledger.
//
// Public files are written beside their place and renamed there, so that a
// reader sees all of a file or none. Private parts are not: a rename would leave
// blocks behind that nobody can find again. They are created under their final
// name, written once, and erased in place.
package journal
