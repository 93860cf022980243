package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Question is one thing asked at the desk.
type Question struct {
	Text    string             // what is asked, without a colon: "customer's name"
	Flag    string             // the flag that answers it in a script: "--customer NAME"
	Default string             // the answer of an empty line; shown in brackets
	Check   func(string) error // refuses an answer, which is then asked again; may be nil
}

// maxAnswer bounds one answer in bytes; a terminal's own line ends at 4096.
const maxAnswer = 4096

// Line asks for one line. Without a default and a Check the answer may be empty.
func (t *Terminal) Line(ctx context.Context, q Question) (string, error) {
	d, err := t.desk(ctx, q)
	if err != nil {
		return "", err
	}
	defer d.close()
	prompt := q.Text
	if q.Default != "" {
		prompt += " [" + q.Default + "]"
	}
	for {
		answer, err := d.ask(prompt + ": ")
		if err != nil {
			return "", err
		}
		answer = strings.TrimSpace(answer)
		if answer == "" {
			answer = q.Default
		}
		if t.Fits != nil {
			err = t.Fits(q.Flag, answer)
		}
		if err == nil && q.Check != nil {
			err = q.Check(answer)
		}
		if err == nil {
			return answer, nil
		}
		d.say(err.Error())
	}
}

// YesNo asks a question to be answered by yes or no. Only a whole "y" or "yes" is a
// yes; q.Default may be "yes" or "no", and without one the question is repeated
// until it is answered.
func (t *Terminal) YesNo(ctx context.Context, q Question) (bool, error) {
	d, err := t.desk(ctx, q)
	if err != nil {
		return false, err
	}
	defer d.close()
	marks := "[y/n]"
	switch q.Default {
	case "yes":
		marks = "[Y/n]"
	case "no":
		marks = "[y/N]"
	}
	for {
		answer, err := d.ask(q.Text + " " + marks + " ")
		if err != nil {
			return false, err
		}
		answer = strings.ToLower(strings.TrimSpace(answer))
		if answer == "" {
			answer = q.Default
		}
		switch answer {
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
		d.say("please answer yes or no")
	}
}

// Option is one possible answer of [Terminal.Choice].
type Option struct {
	Value string // what is returned, and may be typed
	Text  string // what is shown beside it
}

// Choice asks for one of options, by number or by value, and returns its value.
// q.Default is a value.
func (t *Terminal) Choice(ctx context.Context, q Question, options []Option) (string, error) {
	d, err := t.desk(ctx, q)
	if err != nil {
		return "", err
	}
	defer d.close()
	for i, o := range options {
		d.print(fmt.Sprintf("%3d) %-12s %s\n", i+1, o.Value, o.Text))
	}
	prompt := q.Text
	if q.Default != "" {
		prompt += " [" + q.Default + "]"
	}
	for {
		answer, err := d.ask(prompt + ": ")
		if err != nil {
			return "", err
		}
		answer = strings.TrimSpace(answer)
		if answer == "" {
			answer = q.Default
		}
		for i, o := range options {
			if answer == o.Value || answer == strconv.Itoa(i+1) {
				return o.Value, nil
			}
		}
		d.say(fmt.Sprintf("please answer with a number from 1 to %d, or with the word", len(options)))
	}
}

// ConfirmExact asks the person to type want, for what cannot be undone: the serial
// number of a disk, the number of a case. Spaces around it are forgiven, nothing
// else is. One wrong answer is a refusal ([Refused]); it is not asked again.
func (t *Terminal) ConfirmExact(ctx context.Context, q Question, want string) error {
	if strings.TrimSpace(want) == "" {
		return &Error{Code: Refused, What: q.Text, Why: "there is nothing to compare the answer with"}
	}
	d, err := t.desk(ctx, q)
	if err != nil {
		return err
	}
	defer d.close()
	answer, err := d.ask(q.Text + "\ntype " + want + " to confirm: ")
	if err != nil {
		return err
	}
	if strings.TrimSpace(answer) != strings.TrimSpace(want) {
		return &Error{
			Code: Refused, What: "aborted", Why: "what was typed is not " + Clean(want),
			Hint: "nothing was changed",
		}
	}
	return nil
}

// Secret asks for a secret without showing it. An empty answer is asked again.
func (t *Terminal) Secret(ctx context.Context, q Question) ([]byte, error) {
	d, err := t.desk(ctx, q)
	if err != nil {
		return nil, err
	}
	defer d.close()
	return d.secret(q.Text + ": ")
}

// NewSecret asks for a new secret twice without showing it, until both are equal and
// check (may be nil) accepts it.
func (t *Terminal) NewSecret(ctx context.Context, q Question, check func([]byte) error) ([]byte, error) {
	d, err := t.desk(ctx, q)
	if err != nil {
		return nil, err
	}
	defer d.close()
	for {
		first, err := d.secret(q.Text + ": ")
		if err != nil {
			return nil, err
		}
		if check != nil {
			if err := check(first); err != nil {
				d.say(err.Error())
				continue
			}
		}
		second, err := d.secret(q.Text + ", again: ")
		if err != nil {
			return nil, err
		}
		if string(first) == string(second) {
			clear(second)
			return first, nil
		}
		d.say("the two are not equal")
	}
}

// desk is the open /dev/tty of one question.
type desk struct {
	ctx  context.Context
	f    *os.File
	stop func() bool
}

// desk opens /dev/tty, or says which flag would have answered q.
func (t *Terminal) desk(ctx context.Context, q Question) (*desk, error) {
	refuse := func(why string) error {
		e := &Error{Code: Usage, What: q.Text, Why: why}
		if q.Flag != "" {
			e.Hint = "give " + q.Flag
		}
		return e
	}
	if t.JSON {
		return nil, refuse("nothing is asked under --json")
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if t.openTTY == nil {
		return nil, refuse("there is no terminal to ask on")
	}
	f, err := t.openTTY()
	if err != nil {
		return nil, refuse("there is no terminal to ask on")
	}
	t.mu.Lock()
	if t.bar != nil {
		t.bar.clear()
	}
	t.mu.Unlock()
	// A read deadline in the past wakes a reader that waits for the keyboard. Where the
	// kernel cannot poll the terminal the second Ctrl-C still leaves the program.
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	return &desk{ctx: ctx, f: f, stop: stop}, nil
}

func (d *desk) close() {
	d.stop()
	d.f.Close()
}

// print breaks what it prints at words: a terminal would break it in the middle of one.
func (d *desk) print(s string) { fmt.Fprint(d.f, lines(Wrap(s, d.width()))) }

func (d *desk) say(s string) { d.print(s + "\n") }

// ask prints prompt and reads one line, byte by byte: what was typed beyond it
// belongs to the next question, or to the shell.
func (d *desk) ask(prompt string) (string, error) {
	d.print(prompt)
	line, err := d.readLine()
	if err != nil {
		return "", err
	}
	if !utf8.Valid(line) {
		return "", &Error{Code: Usage, What: "answer", Why: "not valid UTF-8"}
	}
	return string(line), nil
}

func (d *desk) readLine() ([]byte, error) {
	var line []byte
	var b [1]byte
	for {
		n, err := d.f.Read(b[:])
		if n == 1 {
			if b[0] == '\n' {
				return line, nil
			}
			if len(line) >= maxAnswer {
				return nil, &Error{Code: Usage, What: "answer", Why: "longer than a line of a terminal"}
			}
			line = append(line, b[0])
			continue
		}
		if d.ctx.Err() != nil {
			d.print("\n")
			return nil, context.Cause(d.ctx)
		}
		if err == nil || errors.Is(err, io.EOF) {
			if len(line) > 0 {
				return line, nil
			}
			return nil, &Error{Code: Usage, What: "no answer", Why: "the terminal was closed", Hint: "nothing was changed"}
		}
		return nil, fmt.Errorf("read the terminal: %w", err)
	}
}

// secret reads one line with the echo off. The terminal is put back whatever happens.
func (d *desk) secret(prompt string) ([]byte, error) {
	old, err := d.echoOff()
	if err != nil {
		// Never read a secret where it would be seen.
		return nil, &Error{Code: Usage, What: "secret", Why: "the terminal cannot hide what is typed", Err: err}
	}
	defer func() { _ = d.setTermios(old) }() // a terminal that is gone needs no echo
	for {
		d.print(prompt)
		line, err := d.readLine()
		if err != nil {
			return nil, err
		}
		d.print("\n")
		if len(line) > 0 {
			return line, nil
		}
		d.print("nothing was typed\n")
	}
}

func (d *desk) echoOff() (*unix.Termios, error) {
	var old *unix.Termios
	err := d.control(func(fd int) (err error) {
		old, err = unix.IoctlGetTermios(fd, unix.TCGETS)
		return err
	})
	if err != nil {
		return nil, err
	}
	hidden := *old
	hidden.Lflag &^= unix.ECHO
	hidden.Lflag |= unix.ICANON | unix.ISIG
	hidden.Iflag |= unix.ICRNL
	return old, d.setTermios(&hidden)
}

func (d *desk) setTermios(s *unix.Termios) error {
	return d.control(func(fd int) error { return unix.IoctlSetTermios(fd, unix.TCSETS, s) })
}

// control runs f on the descriptor without taking it out of the poller, which
// os.File.Fd would do and deadlines would no longer work.
func (d *desk) control(f func(fd int) error) error {
	c, err := d.f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := c.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// width returns how many columns the terminal shows, 80 when it cannot tell.
func (d *desk) width() (n int) {
	err := d.control(func(fd int) (err error) { n, _, err = term.GetSize(fd); return err })
	return columns(n, err)
}
