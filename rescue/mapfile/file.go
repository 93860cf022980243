package mapfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// What can be wrong with a map file. [ParseError] names the line.
var (
	ErrSyntax  = errors.New("not a ddrescue map file")
	ErrGap     = errors.New("gap between blocks")
	ErrOverlap = errors.New("blocks overlap")
	ErrSize    = errors.New("size does not fit")
)

// ParseError is a map file that cannot be trusted. It wraps one of [ErrSyntax],
// [ErrGap], [ErrOverlap] and [ErrSize].
type ParseError struct {
	Line int // counted from 1
	Err  error
}

func (e *ParseError) Error() string { return fmt.Sprintf("map file, line %d: %v", e.Line, e.Err) }

// Unwrap gives the reason.
func (e *ParseError) Unwrap() error { return e.Err }

// File is a GNU ddrescue map file: positions and sizes are in bytes.
//
//	# comments
//	# current_pos  current_status  current_pass
//	0x00040000     +               1
//	#      pos        size  status
//	0x00000000  0x0004B000  +
//
// A file that ddrescue wrote comes back from [File.WriteTo] byte for byte. Files
// from other hands may use any C integer syntax, spacing and line ends, blocks not
// joined, and comments among the blocks; they come back in ddrescue's own form.
type File struct {
	Head   []string // comment lines in front of the status line, without line ends
	Pos    int64    // where ddrescue stood, in bytes
	Status byte     // what it was doing: ? copying, * trimming, / scraping, - retrying, F filling, G generating, + finished
	Pass   int      // its pass, from 1; 0 when the line has none (before ddrescue 1.20)
	Mid    []string // comment lines between the status line and the first block
	Start  int64    // where the first block begins; what lies before it is untried
	Blocks *Map     // in bytes, from 0 to the end of the last block
}

// maxLine bounds a line: a ddrescue command line may be long, nothing else is.
const maxLine = 1 << 20

// Parse reads a map file. The error is a [*ParseError], or what r returned.
func Parse(r io.Reader) (*File, error) {
	f := &File{}
	var (
		line     int
		position bool // the status line has been read
		end      int64
		build    builder
	)
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 4096), maxLine)
	for in.Scan() {
		line++
		text := in.Text()
		if t := strings.TrimSpace(text); t == "" || t[0] == '#' {
			switch {
			case !position:
				f.Head = append(f.Head, text)
			case end == 0 && len(build.m.chunks) == 0:
				f.Mid = append(f.Mid, text)
			}
			continue
		}
		var err error
		if !position {
			position, err = true, f.parsePosition(text)
		} else {
			end, err = build.block(f, text, end)
		}
		if err != nil {
			return nil, &ParseError{Line: line, Err: err}
		}
	}
	if err := in.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, &ParseError{Line: line + 1, Err: fmt.Errorf("a line of more than %d bytes: %w", maxLine, ErrSyntax)}
	} else if err != nil {
		return nil, fmt.Errorf("read map file: %w", err)
	}
	if !position {
		return nil, &ParseError{Line: line + 1, Err: fmt.Errorf("no status line: %w", ErrSyntax)}
	}
	f.Blocks = build.finish(end)
	return f, nil
}

// parsePosition reads the first line that is no comment: position, status, pass.
func (f *File) parsePosition(text string) error {
	field := strings.Fields(text)
	if len(field) != 2 && len(field) != 3 {
		return fmt.Errorf("status line with %d fields: %w", len(field), ErrSyntax)
	}
	pos, ok := integer(field[0])
	if !ok {
		return fmt.Errorf("position %.40q: %w", field[0], ErrSyntax)
	}
	if len(field[1]) != 1 || !strings.Contains("?*/-FG+", field[1]) {
		return fmt.Errorf("status %.40q: %w", field[1], ErrSyntax)
	}
	f.Pos, f.Status = pos, field[1][0]
	if len(field) == 3 {
		pass, ok := integer(field[2])
		if !ok || pass < 1 || pass > 1<<31-1 {
			return fmt.Errorf("pass %.40q: %w", field[2], ErrSyntax)
		}
		f.Pass = int(pass)
	}
	return nil
}

// builder appends blocks to a map in order, without searching for their place.
type builder struct{ m Map }

// block reads one line `position size status`; end is where the line before ended.
func (b *builder) block(f *File, text string, end int64) (int64, error) {
	field := strings.Fields(text)
	if len(field) != 3 {
		return 0, fmt.Errorf("block with %d fields: %w", len(field), ErrSyntax)
	}
	pos, ok1 := integer(field[0])
	size, ok2 := integer(field[1])
	if !ok1 || !ok2 {
		return 0, fmt.Errorf("block %.40q %.40q: %w", field[0], field[1], ErrSyntax)
	}
	if len(field[2]) != 1 || !Status(field[2][0]).Valid() {
		return 0, fmt.Errorf("block status %.40q: %w", field[2], ErrSyntax)
	}
	if size == 0 || pos > MaxSectors || size > MaxSectors-pos {
		return 0, fmt.Errorf("block of %d bytes at %d: %w", size, pos, ErrSize)
	}
	switch first := len(b.m.chunks) == 0; {
	case first:
		f.Start = pos
		if pos > 0 {
			b.add(0, Untried)
		}
	case pos > end:
		return 0, fmt.Errorf("%d bytes before position %d: %w", pos-end, pos, ErrGap)
	case pos < end:
		return 0, fmt.Errorf("%d bytes at position %d: %w", end-pos, pos, ErrOverlap)
	}
	b.add(pos, Status(field[2][0]))
	return pos + size, nil
}

func (b *builder) add(first int64, s Status) {
	last := len(b.m.chunks) - 1
	if last >= 0 {
		if runs := b.m.chunks[last].runs; runs[len(runs)-1].status() == s {
			return
		}
	}
	if last < 0 || len(b.m.chunks[last].runs) == chunkMax {
		b.m.chunks = append(b.m.chunks, chunk{})
		last++
	}
	b.m.chunks[last].runs = append(b.m.chunks[last].runs, pack(first, s))
}

func (b *builder) finish(end int64) *Map {
	m := &b.m
	m.sectors = end
	for c := range m.chunks {
		m.chunks[c].recount()
		m.tally(c, +1)
	}
	for r := range m.All() {
		m.totals.sectors[r.Status.index()] += r.Sectors
	}
	return m
}

// integer reads a C integer: decimal, 0x hexadecimal, 0 octal; never negative.
func integer(s string) (int64, bool) {
	base, digits := int64(10), s
	switch {
	case len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X'):
		base, digits = 16, s[2:]
	case len(s) > 1 && s[0] == '0':
		base, digits = 8, s[1:]
	}
	if digits == "" {
		return 0, false
	}
	var n int64
	for _, c := range []byte(digits) {
		d := int64(99)
		switch {
		case c >= '0' && c <= '9':
			d = int64(c - '0')
		case c >= 'a' && c <= 'f':
			d = int64(c-'a') + 10
		case c >= 'A' && c <= 'F':
			d = int64(c-'A') + 10
		}
		if d >= base || n > (1<<62)/base {
			return 0, false
		}
		n = n*base + d
	}
	return n, true
}

// WriteTo writes the file in the form that ddrescue writes, and reads.
func (f *File) WriteTo(w io.Writer) (int64, error) {
	out := &counter{w: bufio.NewWriterSize(w, 1<<16)}
	for _, c := range f.Head {
		out.printf("%s\n", c)
	}
	if f.Pass > 0 {
		out.printf("0x%08X     %c               %d\n", f.Pos, f.Status, f.Pass)
	} else {
		out.printf("0x%08X     %c\n", f.Pos, f.Status)
	}
	for _, c := range f.Mid {
		out.printf("%s\n", c)
	}
	if start := min(f.Start, f.Blocks.Sectors()); f.Blocks.Sectors() > 0 {
		for r := range f.Blocks.Within(start, f.Blocks.Sectors()-start) {
			out.printf("0x%08X  0x%08X  %c\n", r.First, r.Sectors, byte(r.Status))
		}
	}
	if out.err == nil {
		out.err = out.w.Flush()
	}
	if out.err != nil {
		return out.n, fmt.Errorf("write map file: %w", out.err)
	}
	return out.n, nil
}

// counter writes until the first error and counts.
type counter struct {
	w   *bufio.Writer
	n   int64
	err error
}

func (c *counter) printf(format string, a ...any) {
	if c.err != nil {
		return
	}
	var n int
	n, c.err = fmt.Fprintf(c.w, format, a...)
	c.n += int64(n)
}
