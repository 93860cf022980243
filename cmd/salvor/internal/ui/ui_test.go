package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
)

// clock is a time that moves only when it is told to.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 21, 18, 5, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// plainTerminal is a run without any terminal: three buffers.
func plainTerminal() (t *Terminal, out, err *bytes.Buffer, c *clock) {
	out, err, c = &bytes.Buffer{}, &bytes.Buffer{}, newClock()
	return New(Streams{In: strings.NewReader(""), Out: out, Err: err, Now: c.now}), out, err, c
}

func TestExitCodeIsTheTableOfTheHelp(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{&Error{Code: Usage}, 2},
		{&Error{Code: Incomplete}, 3},
		{&Error{Code: VerifyFailed}, 4},
		{fmt.Errorf("outer: %w", &Error{Code: Refused, Err: context.Canceled}), 5},
		{&Error{Code: NotFound}, 10},
		{&Error{Code: Locked}, 11},
		{&Error{Code: WrongKey}, 12},
		{&Error{Code: Absent}, 75},
		{&Error{Code: Interrupted}, 130},
		{&Error{What: "an error that forgot its code"}, 1},
		{fmt.Errorf("read: %w", context.Canceled), 130},
		{fmt.Errorf("read: %w", ErrInterrupted), 130},
		{context.DeadlineExceeded, 1},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

func TestReportSaysWhatWhyAndWhatToDo(t *testing.T) {
	cause := errors.New("errno")
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{errors.New("plain"), "salvor: plain\n"},
		{&Error{What: "purge", Why: "the case has a hold", Hint: "salvor hold end"}, "salvor: purge: the case has a hold\nhint: salvor hold end\n"},
		{&Error{What: "purge", Err: cause}, "salvor: purge: errno\n"},
		{&Error{Why: "only why"}, "salvor: only why\n"},
		{fmt.Errorf("outer: %w", &Error{What: "in", Hint: "h"}), "salvor: outer: in\nhint: h\n"},
		{errors.New("evil \x1b[2J\u202e"), "salvor: evil \\x1b[2J\\u202e\n"},
	} {
		var b bytes.Buffer
		Report(&b, c.err, false)
		if diff := cmp.Diff(c.want, b.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if !errors.Is(&Error{Err: cause}, cause) {
		t.Error("the cause is lost")
	}
	var b bytes.Buffer
	Report(&b, &Error{Code: Refused, What: "purge", Why: "hold", Hint: "wait"}, true)
	if diff := cmp.Diff(`{"message_type":"error","code":5,"message":"purge: hold","hint":"wait"}`+"\n", b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCleanLeavesNothingThatSteersATerminal(t *testing.T) {
	for in, want := range map[string]string{
		"Marie-Hélène Ångström 日本": "Marie-Hélène Ångström 日本",
		"two\nlines\tand":          "two lines and",
		"\x1b]0;title\a":           `\x1b]0;title\x07`,
		"c1 \u009b31m":             `c1 \x9b31m`,
		"raw \x9b31m \xff":         `raw \x9b31m \xff`,
		"over \u202egnp.exe":       `over \u202egnp.exe`,
		"zero\u200bwidth\ufeff":    `zero\u200bwidth\ufeff`,
		"tag \U000e0041":           `tag \U000e0041`,
		"\r\b\x7f":                 `\x0d\x08\x7f`,
	} {
		if got := Clean(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("plain", "\x1b[2J\u202e\xc3")
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, r := range Clean(a) {
			if hostile(r) {
				t.Fatalf("%q let %U through", a, r)
			}
		}
		// The same text gives the same output however it is cut into writes.
		var whole, parts bytes.Buffer
		g := &guard{w: &whole}
		fmt.Fprint(g, a+b, "\n")
		h := &guard{w: &parts}
		fmt.Fprint(h, a)
		fmt.Fprint(h, b)
		fmt.Fprint(h, "\n")
		if whole.String() != parts.String() {
			t.Errorf("%q in one piece, %q in parts", whole.String(), parts.String())
		}
	})
}

func TestOutputIsGuardedAndRawIsNot(t *testing.T) {
	term, out, errw, _ := plainTerminal()
	fmt.Fprintf(term.Out, "name: %s\n", "Eve\x1b[31m")
	fmt.Fprintf(term.Err, "%s\n", "Eve\x9b")
	if out.String() != "name: Eve\\x1b[31m\n" || errw.String() != "Eve\\x9b\n" {
		t.Errorf("%q %q", out, errw)
	}
	out.Reset()
	term.Raw().Write([]byte{0x1b, 0xff, 0})
	if !bytes.Equal(out.Bytes(), []byte{0x1b, 0xff, 0}) {
		t.Errorf("%q", out)
	}
}

func TestARuneSplitOverTwoWritesStaysWhole(t *testing.T) {
	var b bytes.Buffer
	g := &guard{w: &b}
	for _, c := range []byte("é日\U0001f5c4\n") {
		if n, err := g.Write([]byte{c}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if b.String() != "é日\U0001f5c4\n" {
		t.Errorf("%q", b.String())
	}
}

func TestJSONIsOneDocumentOrLinesAndSafeToLookAt(t *testing.T) {
	term, out, _, _ := plainTerminal()
	type doc struct {
		Name string `json:"name"`
	}
	evil := "<&> \x1b \u009b \u202e \U000e0041 é"
	if err := term.Document(doc{evil}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\u009b\u202e\U000e0041") || strings.Contains(out.String(), `\u003c`) {
		t.Errorf("%q", out)
	}
	var back doc
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || back.Name != evil {
		t.Errorf("%q, %v", back.Name, err)
	}
	out.Reset()
	if err := term.Message("summary", doc{"x"}); err != nil {
		t.Fatal(err)
	}
	if err := term.Message("empty", struct{}{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("{\"message_type\":\"summary\",\"name\":\"x\"}\n{\"message_type\":\"empty\"}\n", out.String()); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []any{nil, 1, "text", []int{1}, make(chan int)} {
		if err := term.Message("x", bad); err == nil {
			t.Errorf("%v was taken for an object", bad)
		}
	}
}

func TestMessagesAreSilentWhereTheyMustBe(t *testing.T) {
	term, _, errw, _ := plainTerminal()
	term.Say("one %d", 1)
	term.Quiet = true
	term.Say("two")
	term.Warn("three")
	term.Quiet, term.JSON = false, true
	term.Say("four")
	term.Warn("five")
	want := "salvor: one 1\nsalvor: warning: three\n{\"message_type\":\"warning\",\"message\":\"five\"}\n"
	if diff := cmp.Diff(want, errw.String()); diff != "" {
		t.Error(diff)
	}
}

func TestShownFigures(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 1500: "1.5 kB", 999_949: "999.9 kB", 999_999: "1.0 MB",
		2_000_398_934_016: "2.0 TB", 1 << 62: "4.6 EB", -1: "?",
	} {
		if got := Size(n); got != want {
			t.Errorf("size %d: %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0 s", 45 * time.Second: "45 s", 725 * time.Second: "12 min 05 s", 200 * time.Minute: "3 h 20 min",
		52 * time.Hour: "2 d 4 h", -time.Second: "0 s", 59*time.Second + 600*time.Millisecond: "1 min 00 s",
	} {
		if got := Duration(d); got != want {
			t.Errorf("duration %v: %q, want %q", d, got, want)
		}
	}
	for _, c := range []struct {
		done, total int64
		want        string
	}{{0, 100, "0.0 %"}, {999_999, 1_000_000, "99.9 %"}, {5, 5, "100.0 %"}, {0, 0, "100.0 %"}, {-1, 5, "0.0 %"}} {
		if got := Percent(c.done, c.total); got != c.want {
			t.Errorf("%d of %d: %q, want %q", c.done, c.total, got, c.want)
		}
	}
	if got := Rate(140_200_000); got != "140.2 MB/s" {
		t.Error(got)
	}
}

func TestDatesAreTheShopsDays(t *testing.T) {
	term, _, _, c := plainTerminal()
	zone, err := time.LoadLocation("Europe/Brussels")
	if err != nil {
		t.Skip(err)
	}
	term.Zone = zone
	late := time.Date(2026, 11, 22, 23, 30, 0, 0, time.UTC) // the 23rd in Brussels
	if got := term.Date(late) + " " + term.DateTime(late) + " " + term.Date(time.Time{}); got != "2026-11-23 2026-11-23 00:30+01:00 -" {
		t.Error(got)
	}
	c.at = time.Date(2026, 10, 24, 22, 30, 0, 0, time.UTC) // the 25th in Brussels, a day of 25 hours
	for deadline, want := range map[time.Time]int{
		time.Date(2026, 10, 25, 22, 0, 0, 0, time.UTC):  0,
		time.Date(2026, 10, 25, 23, 0, 0, 0, time.UTC):  1,
		time.Date(2026, 10, 24, 21, 59, 0, 0, time.UTC): -1,
		time.Date(2027, 10, 25, 10, 0, 0, 0, time.UTC):  365,
	} {
		if got := term.DaysLeft(deadline); got != want {
			t.Errorf("%v: %d days, want %d", deadline, got, want)
		}
	}
}

func TestTableFitsTheTerminalAndLosesNothingOffIt(t *testing.T) {
	fill := func(term *Terminal) *Table {
		tb := term.Table("case", "~customer", ">size", "~reason")
		tb.Row("B1-2026-0042", "Marie-Hélène Vandenbroucke-Desmedt van de Velde", Size(2_000_398_934_016), strings.Repeat("long reason ", 5))
		tb.Row("B1-2026-0043", "Bo\x1b\nx", Size(512), "")
		tb.Row("B1-2026-0044")
		return tb
	}
	term, out, _, _ := plainTerminal()
	tb := fill(term)
	if tb.Len() != 3 {
		t.Error(tb.Len())
	}
	if err := tb.Flush(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "Vandenbroucke-Desmedt van de Velde") || strings.Contains(out.String(), "…") {
		t.Errorf("cut off a terminal:\n%s", out)
	}
	out.Reset()
	tb = fill(term)
	tb.limit = 80
	if err := tb.Flush(); err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(out.String(), "\n") {
		if n := len([]rune(line)); n > 80 {
			t.Errorf("line %d has %d columns", i, n)
		}
	}
	for _, must := range []string{"B1-2026-0042  Marie-Hélène", "2.0 TB  long", "Bo\\x1b x", "512 B  -\n", "…"} {
		if !strings.Contains(out.String(), must) {
			t.Errorf("%q is missing in\n%s", must, out)
		}
	}
	for limit, want := range map[int]string{
		80: "CASE          STATE\nB1-2026-0042  kept\n    " + strings.Repeat("look at it again ", 5) + "\nB1-2026-0043  due\n",
		0:  "CASE          STATE  NEXT\nB1-2026-0042  kept   " + strings.Repeat("look at it again ", 5) + "\nB1-2026-0043  due    -\n",
	} {
		out.Reset()
		tb = term.Table("case", "state", "^next")
		tb.Row("B1-2026-0042", "kept", strings.Repeat("look at it again ", 5)+"!")
		tb.Row("B1-2026-0043", "due")
		tb.limit = limit
		if err := tb.Flush(); err != nil || out.String() != strings.ReplaceAll(want, "again \n", "again !\n") {
			t.Errorf("%d columns: %v\n%s", limit, err, out)
		}
	}
	out.Reset()
	if err := term.Table("a").Flush(); err != nil || out.Len() != 0 {
		t.Errorf("an empty table wrote %q, %v", out, err)
	}
}

func TestProgressIsALineAMinuteOffATerminal(t *testing.T) {
	term, out, errw, c := plainTerminal()
	p := term.Progress("image B1-2026-0042", Bytes)
	for i := range int64(150) {
		p.Set(i*1_000_000_000, 500_000_000_000, UnknownRate, "2 bad sectors")
		c.pass(time.Second)
	}
	p.End()
	p.End()
	p.Set(1, 2, 3, "after the end")
	want := "salvor: image B1-2026-0042: 60.0 GB of 500.0 GB (12.0 %), 1.0 GB/s, 7 min 20 s left, 2 bad sectors\n" +
		"salvor: image B1-2026-0042: 120.0 GB of 500.0 GB (24.0 %), 1.0 GB/s, 6 min 20 s left, 2 bad sectors\n"
	if diff := cmp.Diff(want, errw.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if out.Len() != 0 {
		t.Errorf("standard output has %q", out)
	}
}

func TestProgressIsJSONLinesUnderJSON(t *testing.T) {
	term, out, errw, c := plainTerminal()
	term.JSON = true
	p := term.Progress("verify", Items)
	p.Set(0, 10, 0, "")
	p.Set(1, 10, 0, "")
	c.pass(time.Second)
	p.Set(2, 10, 2, "x")
	p.Set(9, 10, 2, "x")
	p.End()
	want := `{"message_type":"progress","what":"verify","done":0,"total":10,"rate_per_second":0,"seconds_elapsed":0}
{"message_type":"progress","what":"verify","done":2,"total":10,"rate_per_second":2,"seconds_left":4,"seconds_elapsed":1,"words":"x"}
{"message_type":"progress","what":"verify","done":9,"total":10,"rate_per_second":2,"seconds_left":0,"seconds_elapsed":1,"words":"x"}
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if errw.Len() != 0 {
		t.Errorf("standard error has %q", errw)
	}
}

func TestProgressSurvivesAClockThatStepsBack(t *testing.T) {
	term, out, _, c := plainTerminal()
	term.JSON = true
	p := term.Progress("x", Bytes)
	p.Set(1, 10, UnknownRate, "")
	c.pass(-time.Hour)
	p.Set(2, 10, UnknownRate, "")
	p.End()
	if n := strings.Count(out.String(), "\n"); n != 3 {
		t.Errorf("%d lines:\n%s", n, out)
	}
}

// ttyTerminal is a run whose standard error and controlling terminal are one
// pseudo-terminal; the other end is returned.
func ttyTerminal(t *testing.T) (*Terminal, *os.File, *clock) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skip("no pseudo-terminal: ", err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	c := newClock()
	return New(Streams{
		In: slave, Out: slave, Err: slave, Now: c.now,
		TTY: func() (*os.File, error) { return os.OpenFile(slave.Name(), os.O_RDWR, 0) },
	}), master, c
}

// screen collects what a terminal shows. Each await goes on behind the text that the
// one before it found.
type screen struct {
	t      *testing.T
	master *os.File
	seen   strings.Builder
	passed int
}

func (s *screen) await(text string) {
	s.t.Helper()
	buf := make([]byte, 1024)
	for !strings.Contains(s.seen.String()[s.passed:], text) {
		n, err := s.master.Read(buf)
		s.seen.Write(buf[:n])
		if err != nil {
			s.t.Fatalf("waiting for %q: %v; seen %q", text, err, s.seen.String())
		}
	}
	s.passed += strings.Index(s.seen.String()[s.passed:], text) + len(text)
}

func (s *screen) typed(text string) {
	s.t.Helper()
	if _, err := s.master.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

func TestProgressDrawsABarOnATerminal(t *testing.T) {
	term, master, c := ttyTerminal(t)
	s := &screen{t: t, master: master}
	p := term.Progress("image", Bytes)
	p.Set(0, 1000, 0, "")
	c.pass(time.Second)
	p.Set(500, 1000, 100, strings.Repeat("many words ", 20))
	term.Say("a message between")
	p.End()
	term.Say("the end")
	s.await("the end")
	got := s.seen.String()
	for _, must := range []string{"49% [", "500 B of 1.0 kB, 100 B/s, 5 s left, many", "…", "salvor: a message between\r\n"} {
		if !strings.Contains(got, must) {
			t.Errorf("%q is missing in %q", must, got)
		}
	}
	for _, line := range strings.FieldsFunc(got, func(r rune) bool { return r == '\r' || r == '\n' }) {
		for _, piece := range strings.Split(line, "\x1b[2K") {
			if n := len([]rune(strings.ReplaceAll(piece, "\x1b[0K", ""))); n > 80 {
				t.Errorf("%d columns: %q", n, piece)
			}
		}
	}
}

func TestAnswersComeFromTheTerminal(t *testing.T) {
	term, master, _ := ttyTerminal(t)
	term.Fits = func(flag, answer string) error {
		if flag == "--customer" && len(answer) > 20 {
			return errors.New("too long for a name")
		}
		return nil
	}
	s := &screen{t: t, master: master}
	ctx := context.Background()
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			name, err := term.Line(ctx, Question{Text: "customer's name", Flag: "--customer", Check: func(a string) error {
				if a == "" {
					return errors.New("a name is needed")
				}
				return nil
			}})
			if err != nil || name != "An Peeters" {
				return fmt.Errorf("line: %q %w", name, err)
			}
			keep, err := term.Line(ctx, Question{Text: "keep", Default: "90d"})
			if err != nil || keep != "90d" {
				return fmt.Errorf("default: %q %w", keep, err)
			}
			yes, err := term.YesNo(ctx, Question{Text: "agreed?"})
			if err != nil || !yes {
				return fmt.Errorf("yes: %v %w", yes, err)
			}
			no, err := term.YesNo(ctx, Question{Text: "sure?", Default: "no"})
			if err != nil || no {
				return fmt.Errorf("no: %v %w", no, err)
			}
			for _, want := range []string{"reinstall", "transfer"} {
				got, err := term.Choice(ctx, Question{Text: "purpose"}, []Option{{"crash", "it fails"}, {"reinstall", "set up anew"}, {"transfer", "new computer"}})
				if err != nil || got != want {
					return fmt.Errorf("choice: %q %w", got, err)
				}
			}
			if err := term.ConfirmExact(ctx, Question{Text: "everything on it is destroyed"}, "WD-WX31A\x1b"); err == nil {
				return errors.New("a wrong serial number was accepted")
			} else if ExitCode(err) != Refused {
				return err
			}
			return term.ConfirmExact(ctx, Question{Text: "everything on it is destroyed"}, "WD-WX31A ")
		}()
	}()
	// Typed ahead, line by line: each question takes its own and leaves the rest.
	s.typed("\nAn Peeters and all the others\nAn Peeters\n\nmaybe\nYES\n\n9\n2\ntransfer\nwd-wx31a\nWD-WX31A\n")
	s.await("to confirm: ")
	s.await("to confirm: ")
	if err := <-done; err != nil {
		t.Fatalf("%v; seen %q", err, s.seen.String())
	}
	s.typed("\n")
	for _, must := range []string{"customer's name: ", "a name is needed", "too long for a name", "keep [90d]: ", "agreed? [y/n] ", "please answer yes or no", "sure? [y/N] ", "2) reinstall", "1 to 3"} {
		if !strings.Contains(s.seen.String(), must) {
			t.Errorf("%q was not shown: %q", must, s.seen.String())
		}
	}
	if strings.Contains(s.seen.String(), "\x1b") {
		t.Error("an escape sequence reached the terminal")
	}
}

func TestASecretIsNeverShownAndAskedTwice(t *testing.T) {
	term, master, _ := ttyTerminal(t)
	s := &screen{t: t, master: master}
	type answer struct {
		secret []byte
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		secret, err := term.NewSecret(context.Background(), Question{Text: "passphrase"}, func(p []byte) error {
			if len(p) < 8 {
				return errors.New("too short")
			}
			return nil
		})
		done <- answer{secret, err}
	}()
	s.await("passphrase: ")
	s.typed("short\n")
	s.await("too short")
	s.await("passphrase: ")
	s.typed("correct horse\n")
	s.await("again: ")
	s.typed("battery staple\n")
	s.await("not equal")
	s.await("passphrase: ")
	s.typed("correct horse\n")
	s.await("again: ")
	s.typed("correct horse\n")
	a := <-done
	if a.err != nil || string(a.secret) != "correct horse" {
		t.Errorf("%q %v", a.secret, a.err)
	}
	s.typed("shown again\n")
	s.await("shown again") // the echo is back
	if strings.Contains(s.seen.String(), "horse") || strings.Contains(s.seen.String(), "staple") {
		t.Errorf("the secret was shown: %q", s.seen.String())
	}
}

func TestAnInterruptEndsAQuestionAndPutsTheEchoBack(t *testing.T) {
	term, master, _ := ttyTerminal(t)
	s := &screen{t: t, master: master}
	signals := make(chan os.Signal, 2)
	ctx, stop := interruptible(context.Background(), signals, func(int) {})
	defer stop()
	done := make(chan error, 1)
	go func() {
		_, err := term.Secret(ctx, Question{Text: "passphrase"})
		done <- err
	}()
	s.await("passphrase: ")
	signals <- os.Interrupt
	if err := <-done; !errors.Is(err, ErrInterrupted) || ExitCode(err) != Interrupted {
		t.Errorf("%v", err)
	}
	s.typed("visible\n")
	s.await("visible")
}

func TestNothingIsAskedWithoutATerminalOrUnderJSON(t *testing.T) {
	ctx := context.Background()
	noTTY, _, _, _ := plainTerminal()
	failing := New(Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}, Now: newClock().now, TTY: func() (*os.File, error) { return nil, os.ErrNotExist }})
	json, _, _ := ttyTerminal(t)
	json.JSON = true
	q := Question{Text: "customer's name", Flag: "--customer NAME"}
	for name, term := range map[string]*Terminal{"none": noTTY, "not openable": failing, "json": json} {
		if term.CanAsk() {
			t.Errorf("%s: CanAsk", name)
		}
		_, line := term.Line(ctx, q)
		_, yes := term.YesNo(ctx, q)
		_, choice := term.Choice(ctx, q, []Option{{"a", "b"}})
		_, secret := term.Secret(ctx, q)
		_, twice := term.NewSecret(ctx, q, nil)
		for _, err := range []error{line, yes, choice, secret, twice, term.ConfirmExact(ctx, q, "x")} {
			var e *Error
			if !errors.As(err, &e) || e.Code != Usage || e.Hint != "give --customer NAME" {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestAQuestionIsBrokenAtWords(t *testing.T) {
	term, master, _ := ttyTerminal(t)
	s := &screen{t: t, master: master}
	done := make(chan error, 1)
	go func() {
		_, err := term.Line(context.Background(), Question{Text: strings.Repeat("destroyed ", 9) + "for good"})
		done <- err
	}()
	s.await("destroyed\r\ndestroyed for good: ")
	s.typed("yes\n")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAClosedTerminalIsNoAnswer(t *testing.T) {
	term, master, _ := ttyTerminal(t)
	s := &screen{t: t, master: master}
	done := make(chan error, 1)
	go func() {
		_, err := term.YesNo(context.Background(), Question{Text: "sure?", Default: "yes"})
		done <- err
	}()
	s.await("sure?")
	s.typed("\x04") // Ctrl-D
	if err := <-done; ExitCode(err) != Usage {
		t.Errorf("%v", err)
	}
}

func TestConfirmExactNeedsSomethingToCompareWith(t *testing.T) {
	term, _, _ := ttyTerminal(t)
	if err := term.ConfirmExact(context.Background(), Question{Text: "wipe"}, "  "); ExitCode(err) != Refused {
		t.Errorf("%v", err)
	}
}

func TestTheFirstInterruptStopsAndTheSecondLeaves(t *testing.T) {
	signals := make(chan os.Signal)
	left := make(chan int, 1)
	ctx, stop := interruptible(context.Background(), signals, func(code int) { left <- code })
	defer stop()
	if ctx.Err() != nil {
		t.Fatal("cancelled before any signal")
	}
	signals <- os.Interrupt
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), ErrInterrupted) {
		t.Error(context.Cause(ctx))
	}
	select {
	case code := <-left:
		t.Fatal("left at the first signal with", code)
	default:
	}
	signals <- os.Interrupt
	if code := <-left; code != Interrupted {
		t.Error(code)
	}
	stop()
	stop()
}
