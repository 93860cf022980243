package sysblock

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Text is the content of a file of /sys in one line, or empty.
func Text(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return Printable(b)
}

// Number is the number in a file of /sys, or 0.
func Number(dir, name string) int64 {
	n, err := strconv.ParseInt(Text(dir, name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Entries lists a directory's names; one that is not there has none.
func Entries(dir string) []string {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name()
	}
	return names
}

// Printable keeps what may stand on a label or a paper: a dying disk may answer with
// anything.
func Printable(b []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b)))
}

func first(of ...string) string {
	for _, s := range of {
		if s != "" {
			return s
		}
	}
	return ""
}
