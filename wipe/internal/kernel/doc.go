// Package kernel is the kernel's side of erasing: the meaning of its errors, and memory
// as direct I/O wants it.
package kernel
