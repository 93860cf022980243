package main

import (
	"bytes"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// saidBadly are the ways in which no line that a person reads may speak: the same twice in
// a row, as when an error is wrapped by two who both say what it is about, and one thing
// in the plural.
func saidBadly(text string) (bad []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "{") {
			continue // JSON
		}
		parts := strings.Split(line, ": ")
		for i := range parts[1:] {
			if parts[i] == parts[i+1] && strings.TrimSpace(parts[i]) != "" {
				bad = append(bad, line)
			}
		}
		for _, m := range oneOfMany.FindAllStringSubmatch(strings.ReplaceAll(line, " of 1 ", " of one "), -1) {
			// "mois" is French; "--retries 1 tries it".
			if !slices.Contains([]string{"is", "has", "was", "mois", "tries"}, m[1]) {
				bad = append(bad, line)
			}
		}
	}
	return bad
}

var oneOfMany = regexp.MustCompile(`(?:^|[ (])1 ([a-z]+s)\b`)

// listening wraps a stream of the program, and keeps what it says.
type listening struct {
	to    io.Writer
	heard bytes.Buffer
}

func (l *listening) Write(p []byte) (int, error) {
	if room := 1<<20 - l.heard.Len(); room > 0 {
		l.heard.Write(p[:min(room, len(p))])
	}
	return l.to.Write(p)
}

func TestSaidBadly(t *testing.T) {
	for line, bad := range map[string]bool{
		"salvor: vault nas: vault nas: it is away": true,
		"salvor: vault nas: it is away":            false,
		"salvor: audit: audit: it failed":          true,
		"1 vaults":                                 true,
		"there are 1 things":                       true,
		"11 things, 0.1 things and image 1 is one": false,
		"1 of 1 images":                            false,
	} {
		if got := len(saidBadly(line)) > 0; got != bad {
			t.Errorf("%q: %v", line, got)
		}
	}
}
