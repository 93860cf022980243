package layout

import (
	"strings"
	"unicode/utf8"
)

// SoftHyphen stands where a word may be broken. It becomes a hyphen where a line ends
// there, and is nothing anywhere else.
const SoftHyphen = "\u00ad"

// whole is text without what only says where it may be broken.
func whole(text string) string { return strings.ReplaceAll(text, SoftHyphen, "") }

// columns measures text for a printer that gives every letter the same width.
func columns(s string) float64 { return float64(utf8.RuneCountInString(s)) }

// wrap breaks text at plain spaces into lines, the first of at most first and the
// others of at most rest in width, as measured. An unbreakable space is never broken;
// a single word that is longer is broken at a soft hyphen, else where the line ends, behind
// a comma, hyphen, slash or point where there is one. Nothing is lost but the spaces at
// which it broke.
func wrap(text string, first, rest float64, measure func(string) float64) []string {
	var lines []string
	width := first
	line, used := "", 0.0
	space := measure(" ")
	for _, word := range strings.Split(text, " ") {
		if word == "" {
			continue
		}
		wide := measure(whole(word))
		for wide > width {
			if line != "" {
				lines, line, used, width = append(lines, line), "", 0, rest
				continue
			}
			head, tail := split(word, width, measure)
			if tail == "" {
				break // one letter, wider than the line: it cannot be cut
			}
			lines, word, wide, width = append(lines, head), tail, measure(whole(tail)), rest
		}
		word = whole(word)
		switch {
		case line == "":
			line, used = word, wide
		case used+space+wide <= width:
			line, used = line+" "+word, used+space+wide
		default:
			lines, line, used, width = append(lines, line), word, wide, rest
		}
	}
	if line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// split cuts a long word in two, the first at most width wide and never empty.
func split(word string, width float64, measure func(string) float64) (head, tail string) {
	for i := strings.LastIndex(word, SoftHyphen); i > 0; i = strings.LastIndex(word[:i], SoftHyphen) {
		if head = whole(word[:i]) + "-"; measure(head) <= width {
			return head, word[i+len(SoftHyphen):]
		}
	}
	end, cut := 0, 0
	for i, r := range word {
		next := i + utf8.RuneLen(r)
		if i > 0 && measure(whole(word[:next])) > width {
			break
		}
		end = next
		if strings.ContainsRune(",-/.@_>", r) {
			cut = next
		}
	}
	if cut > 0 && cut < end && end < len(word) {
		end = cut
	}
	return whole(word[:end]), word[end:]
}
