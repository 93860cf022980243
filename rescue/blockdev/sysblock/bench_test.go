package sysblock

import "testing"

// BenchmarkWriter is what it costs to look at every process, which a wipe does at each
// checkpoint.
func BenchmarkWriter(b *testing.B) {
	n := Node{Name: "none", Dev: "1:99"}
	for b.Loop() {
		if _, err := This().Writer([]Node{n}); err != nil {
			b.Fatal(err)
		}
	}
}
