package report_test

import "salvor/custody"

// code is the code of an invented checkpoint; its text stands in for the root.
func code(text string, size int64) string {
	var root custody.Hash
	copy(root[:], text)
	return custody.Checkpoint{Origin: "salvor/01jbh7pn3e5t8v0w1x2y3z4a5b/NAS", Size: size, Root: root}.Code()
}
