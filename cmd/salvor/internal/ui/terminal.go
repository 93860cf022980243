package ui

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// Streams is what the program was started with, and the clock. Tests fill it with
// buffers and a pseudo-terminal.
type Streams struct {
	In   io.Reader                   // standard input
	Out  io.Writer                   // standard output: data
	Err  io.Writer                   // standard error: everything else
	TTY  func() (*os.File, error)    // opens /dev/tty; nil or an error means nobody is there to ask
	Env  func(string) (string, bool) // looks up an environment variable; nil knows none
	Now  func() time.Time            // the clock; must not be nil
	Zone *time.Location              // the shop's zone, in which times are shown; nil is UTC
}

// Standard returns the process's own streams. Clock and environment come from main,
// the one place that asks them.
func Standard(now func() time.Time, env func(string) (string, bool)) Streams {
	return Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		TTY: func() (*os.File, error) { return os.OpenFile("/dev/tty", os.O_RDWR, 0) },
		Env: env, Now: now,
	}
}

// Terminal is the desk: the streams, and what this run may do with them.
//
// Its methods may be called from several goroutines, questions excepted: a question
// owns the terminal until it is answered.
type Terminal struct {
	In  io.Reader // standard input, as it is
	Out io.Writer // standard output for text; control characters are shown, not obeyed
	Err io.Writer // standard error for text; control characters are shown, not obeyed

	// JSON is true under --json: nothing is asked, progress is JSON lines.
	JSON bool
	// Quiet is true under --quiet: no progress and no messages, errors excepted.
	Quiet bool
	// Zone is the zone in which times are shown.
	Zone *time.Location
	// Fits refuses an answer that the flag of its question would not take, before the
	// question's own Check sees it; nil takes everything.
	Fits func(flag, answer string) error

	raw, rawErr io.Writer
	data        *outlet // standard output, which remembers what went wrong
	openTTY     func() (*os.File, error)
	env         func(string) (string, bool)
	now         func() time.Time
	mu          sync.Mutex // one line at a time
	bar         *Progress  // the bar on the screen, to be cleared before a message; guarded by mu
	board       *Dashboard // the status that is being shown, which messages go through; guarded by mu
}

// New makes a Terminal over s.
func New(s Streams) *Terminal {
	t := &Terminal{
		In: s.In, raw: s.Out, rawErr: s.Err,
		openTTY: s.TTY, env: s.Env, now: s.Now, Zone: s.Zone,
	}
	t.data = &outlet{w: s.Out}
	t.Out, t.Err = &guard{w: t.data}, &guard{w: s.Err}
	if t.Zone == nil {
		t.Zone = time.UTC
	}
	if t.env == nil {
		t.env = func(string) (string, bool) { return "", false }
	}
	return t
}

// Raw returns standard output without the guard, for data that is not text: a
// restored file, a PDF, a signed note.
func (t *Terminal) Raw() io.Writer { return t.data }

// StdinIsTerminal tells whether standard input is a terminal.
func (t *Terminal) StdinIsTerminal() bool { return isTerminal(t.In) }

// StdoutIsTerminal tells whether standard output is a terminal.
func (t *Terminal) StdoutIsTerminal() bool { return isTerminal(t.raw) }

// StderrIsTerminal tells whether standard error is a terminal.
func (t *Terminal) StderrIsTerminal() bool { return isTerminal(t.rawErr) }

// CanAsk tells whether a question could be asked: there is a controlling terminal
// and the run is not under --json.
func (t *Terminal) CanAsk() bool {
	if t.JSON || t.openTTY == nil {
		return false
	}
	f, err := t.openTTY()
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// Say prints one message line for the person: "salvor: …" on standard error. It is
// silent under --quiet and --json.
func (t *Terminal) Say(format string, args ...any) {
	if t.Quiet || t.JSON {
		return
	}
	t.line("salvor: " + fmt.Sprintf(format, args...))
}

// Warn prints "salvor: warning: …" on standard error, also under --quiet; under
// --json it is a JSON line with message_type "warning" there.
func (t *Terminal) Warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if t.JSON {
		if l, err := messageLine("warning", struct {
			Message string `json:"message"`
		}{text}); err == nil {
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.board != nil {
				t.board.say(t.rawErr, string(l))
				return
			}
			fmt.Fprint(t.rawErr, string(l))
		}
		return
	}
	t.line("salvor: warning: " + text)
}

// Fail reports err on standard error (see [Report]) and returns its exit status.
func (t *Terminal) Fail(err error) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.bar != nil {
		t.bar.clear()
	}
	report(t.rawErr, err, t.JSON, t.wrap)
	return ExitCode(err)
}

func (t *Terminal) line(s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := lines(t.wrap(s)) + "\n"
	if t.board != nil {
		t.board.say(t.rawErr, text)
		return
	}
	if t.bar != nil {
		t.bar.clear()
		defer t.bar.redraw()
	}
	fmt.Fprint(t.Err, text)
}

// wrap breaks a message at words where standard error is a terminal.
func (t *Terminal) wrap(s string) string {
	if !t.StderrIsTerminal() {
		return s
	}
	return Wrap(s, width(t.rawErr))
}

// Wrap breaks text at words so that no line is longer than room, in characters; a word that
// is wider than that, such as a hash, stays whole.
func Wrap(s string, room int) string {
	var b strings.Builder
	for i, line := range strings.Split(s, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		at := 0
		for j, word := range strings.Split(line, " ") {
			n := utf8.RuneCountInString(word)
			switch {
			case j == 0:
			case at+1+n > room:
				b.WriteByte('\n')
				at = 0
			default:
				b.WriteByte(' ')
				at++
			}
			b.WriteString(word)
			at += n
		}
	}
	return b.String()
}

// width returns how many columns w shows, 80 when it cannot tell.
func width(w any) int {
	if f, ok := w.(*os.File); ok {
		n, _, err := term.GetSize(int(f.Fd()))
		return columns(n, err)
	}
	return 80
}

// columns is what a terminal's own width is taken for.
func columns(n int, err error) int {
	if err != nil || n < 20 {
		return 80
	}
	return n
}

func isTerminal(s any) bool {
	f, ok := s.(*os.File)
	return ok && f != nil && term.IsTerminal(int(f.Fd()))
}
