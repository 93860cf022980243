// Package opkey lets an operator sign events with the SSH key that is already
// on his desk: from an agent, a FIDO token included, or from a file under a
// passphrase that stays unlocked for five minutes.
//
// # What is signed
//
// An event is a note (golang.org/x/mod/sumdb/note): the event's text, an empty
// line, and a line for each signature. The station signs it, and beside it the
// operator:
//
//	{"v":1,"id":"01KB…","station":"B1","seq":1041,…,"op":"op-7f3a",…}
//
//	— salvor/01kb…/B1 2f8Gx…
//	— salvor-op/01kb…/op-7f3a 9qLmU…
//
// The second signature is base64 of four bytes of key hash and an SSHSIG blob,
// as ssh-keygen -Y sign makes it (PROTOCOL.sshsig of OpenSSH):
//
//	"SSHSIG"  uint32 1  string public-key  string "salvor-event"
//	string ""  string "sha512"  string signature
//
// and what the key signs is
//
//	"SSHSIG"  string "salvor-event"  string ""  string "sha512"
//	string SHA-512(text of the event)
//
// No login signs anything that begins so, and no other use of SSHSIG has that
// namespace. So a signature given for an event is good for nothing else, and
// no other signature is good for an event. Anybody can check it without this
// program: ssh-keygen -Y verify -n salvor-event.
//
// # Keys
//
// A key is written as a verifier key of package note is: name, hash and key,
// joined by "+". The name is "salvor-op/<shop>/<operator>". The key is the byte
// 0xff (a type of our own, C2SP signed-note), the way of signing and the SSH
// public key; the hash is over the name and all of that, so a key cannot be
// taken for one that signs in another way. Ways of signing are ssh-ed25519,
// ecdsa-sha2-nistp256, -384 and -521, rsa-sha2-512 with 2048 bits or more, and
// the two of FIDO tokens, sk-ssh-ed25519@openssh.com and
// sk-ecdsa-sha2-nistp256@openssh.com, whose signatures count only when the
// token was touched.
//
// # Staying unlocked
//
// A program that ends forgets its unlocked key, and no unlocked key is ever
// written anywhere. Commands share one only through an agent that is running
// already: [File.Share] gives it the key for five minutes, as ssh-add -t 300
// does.
package opkey
