package ui

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// Clean makes s safe to show on one line of a terminal: line breaks and tabs become
// single spaces, every other control character becomes a visible escape such as
// \x1b. Use it for a customer's text inside a table cell, a question or a message,
// where a line break would forge a second line.
func Clean(s string) string {
	return neutral(s, false)
}

// lines is Clean for text that may have several lines.
func lines(s string) string { return neutral(s, true) }

func neutral(s string, keepLines bool) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || hostile(r) }) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case keepLines && (r == '\n' || r == '\t'):
			b.WriteRune(r)
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case hostile(r):
			escape(&b, r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// hostile tells the characters that steer a terminal or the order in which text is
// read instead of showing something: C0 and C1 controls, DEL, the bidirectional
// overrides and isolates, line and paragraph separators, invisible characters and the
// tag block.
func hostile(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r <= 0x9f: // C0, DEL, C1 (0x9b is a one-character escape sequence)
		return true
	case r == 0x061c, r >= 0x200b && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f, r == 0xfeff:
		return true
	case r >= 0xfff9 && r <= 0xfffb, r >= 0xe0000 && r <= 0xe007f:
		return true
	}
	return false
}

func escape(b *strings.Builder, r rune) {
	switch {
	case r <= 0xff:
		fmt.Fprintf(b, `\x%02x`, r)
	case r <= 0xffff:
		fmt.Fprintf(b, `\u%04x`, r)
	default:
		fmt.Fprintf(b, `\U%08x`, r)
	}
}

// guard is a writer that neutralises what it passes on, so that no print statement
// has to remember to. A rune split over two writes is held back until it is whole.
type guard struct {
	mu   sync.Mutex
	w    io.Writer
	held []byte // the beginning of a rune, at most utf8.UTFMax-1 bytes
}

func (g *guard) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	text := append(g.held, p...)
	cut := len(text)
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		if c := text[len(text)-back]; utf8.RuneStart(c) {
			if !utf8.FullRune(text[len(text)-back:]) {
				cut = len(text) - back
			}
			break
		}
	}
	g.held = append([]byte(nil), text[cut:]...)
	if _, err := io.WriteString(g.w, lines(string(text[:cut]))); err != nil {
		return 0, err
	}
	return len(p), nil
}
