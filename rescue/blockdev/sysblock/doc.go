// Package sysblock is what the kernel says of its block devices in /sys and /proc: which
// there are, what they are, what uses them, and what lies below them. It opens no device
// and changes nothing. Whoever reads a disk and whoever erases one ask the same here; what
// they make of the answer is theirs.
package sysblock
