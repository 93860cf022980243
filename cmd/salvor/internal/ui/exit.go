// Package ui is the program's side of the conversation: what it prints, what it
// asks, and the number it leaves behind.
//
// The picture to keep in mind is three streams and one desk. Data goes to
// standard output. Everything else — messages, progress, refusals — goes to
// standard error. Questions go to /dev/tty, the desk where a person sits, and
// nowhere else: a script that feeds standard input can never answer one by
// accident, and with --json nothing is ever asked. Where a question cannot be
// asked, the program stops with [Usage] and names the flag that answers it.
//
// Text that came from a customer (a name, a disk's serial number, a file name) may
// hold control characters that move the cursor or rewrite the screen.
// [Terminal.Out] and [Terminal.Err] show them as visible escapes whatever was
// printed; only [Terminal.Raw] passes bytes through.
package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The exit status of the program: one table, for people and scripts. The numbers
// are a contract and never change their meaning.
const (
	Done         = 0   // done
	Other        = 1   // any other error
	Usage        = 2   // wrong usage, or a confirmation is needed and there is no terminal
	Incomplete   = 3   // finished but incomplete: sectors not read, cases not purged, erasing not assured
	VerifyFailed = 4   // verification failed: image, erasing or ledger
	Refused      = 5   // refused for safety: mounted, system disk, serial differs, hold, clock
	NotFound     = 10  // no such case, image, vault or device
	Locked       = 11  // another run holds the lock
	WrongKey     = 12  // wrong key or passphrase
	Absent       = 75  // the storage is absent or unreachable; try again later
	Interrupted  = 130 // stopped by Ctrl-C or a termination signal
)

// Error is a refusal or failure as the user reads it: what was not done, why, and
// what to do next. All three are lower case and without a full stop. None may hold
// secrets or personal data.
type Error struct {
	Code int    // one of the exit status constants; 0 counts as Other
	What string // what failed or was refused: "purge B1-2026-0042"
	Why  string // the reason: "the case has a hold"; empty takes Err's text
	Hint string // what to do next; printed on a line of its own; may be empty
	Err  error  // the cause, for errors.Is and errors.As; may be nil
}

// Error returns "what: why".
func (e *Error) Error() string {
	why := e.Why
	if why == "" && e.Err != nil {
		why = e.Err.Error()
	}
	switch {
	case e.What == "":
		return why
	case why == "":
		return e.What
	}
	return e.What + ": " + why
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrInterrupted is the cause with which [WithInterrupt] cancels its context.
var ErrInterrupted = errors.New("interrupted")

// ExitCode returns the exit status for err: [Done] for nil, the code of the first
// [*Error] in its chain, [Interrupted] for a cancelled context, else [Other].
func ExitCode(err error) int {
	if err == nil {
		return Done
	}
	var e *Error
	if errors.As(err, &e) {
		if e.Code == Done {
			return Other
		}
		return e.Code
	}
	if errors.Is(err, ErrInterrupted) || errors.Is(err, context.Canceled) {
		return Interrupted
	}
	return Other
}

// Report writes err for the reader of w: "salvor: what: why" and, when there is
// one, "hint: …". With asJSON it is one JSON line with message_type "error". A nil
// err writes nothing.
func Report(w io.Writer, err error, asJSON bool) {
	report(w, err, asJSON, func(s string) string { return s })
}

func report(w io.Writer, err error, asJSON bool, wrap func(string) string) {
	if err == nil {
		return
	}
	hint := ""
	var e *Error
	if errors.As(err, &e) {
		hint = e.Hint
	}
	if asJSON {
		line, jerr := messageLine("error", struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
			Hint    string `json:"hint,omitempty"`
		}{ExitCode(err), once(err.Error()), hint})
		if jerr == nil {
			fmt.Fprint(w, string(line))
			return
		}
	}
	fmt.Fprintln(w, wrap("salvor: "+lines(once(err.Error()))))
	if hint != "" {
		fmt.Fprintln(w, wrap("hint: "+lines(hint)))
	}
}

// once says once what follows itself: each layer through which an error has come says what
// it is about, and two of them may say the same.
func once(message string) string {
	return strings.Join(slices.Compact(strings.Split(message, ": ")), ": ")
}
