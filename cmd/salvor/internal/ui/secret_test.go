package ui

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestASecretIsReadFromAFileThatNobodyElseCanRead(t *testing.T) {
	term, _, _, _ := plainTerminal()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ctx := context.Background()
	for _, c := range []struct {
		path, want string
		code       int
	}{
		{write("lf", "correct horse\n", 0o600), "correct horse", Done},
		{write("crlf", "correct horse\r\n", 0o400), "correct horse", Done},
		{write("spaces", " two \n\n", 0o600), " two \n", Done},
		{write("empty", "\n", 0o600), "", Usage},
		{write("open", "x", 0o640), "", Refused},
		{write("world", "x", 0o604), "", Refused},
		{write("huge", strings.Repeat("x", maxSecret+1), 0o600), "", Usage},
		{filepath.Join(dir, "absent"), "", NotFound},
		{dir, "", Usage},
	} {
		got, err := term.ReadSecret(ctx, SecretFrom{File: c.path}, Question{})
		if string(got) != c.want || ExitCode(err) != c.code {
			t.Errorf("%s: %q, %v", filepath.Base(c.path), got, err)
		}
	}
}

func TestASecretIsReadFromADescriptor(t *testing.T) {
	term, _, _, _ := plainTerminal()
	ctx := context.Background()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w.WriteString("through a pipe\n")
	w.Close()
	got, err := term.ReadSecret(ctx, SecretFrom{FD: strconv.Itoa(int(r.Fd()))}, Question{})
	if err != nil || string(got) != "through a pipe" {
		t.Errorf("%q %v", got, err)
	}
	term.In = strings.NewReader("from standard input")
	if got, err := term.ReadSecret(ctx, SecretFrom{FD: "0"}, Question{}); err != nil || string(got) != "from standard input" {
		t.Errorf("%q %v", got, err)
	}
	for _, bad := range []string{"1", "2", "-1", "x", "03", " 3", "3x", "999", "99999999999999999999"} {
		if _, err := term.ReadSecret(ctx, SecretFrom{FD: bad}, Question{}); ExitCode(err) != Usage {
			t.Errorf("descriptor %q: %v", bad, err)
		}
	}
	tty, _, _ := ttyTerminal(t)
	if _, err := tty.ReadSecret(ctx, SecretFrom{FD: "0"}, Question{}); ExitCode(err) != Usage {
		t.Errorf("a terminal that would show the secret: %v", err)
	}
}

func TestASecretIsReadFromSystemdsCredentials(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "salvor.key"), []byte("credential\n"), 0o440); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"CREDENTIALS_DIRECTORY": dir}
	term := New(Streams{Now: newClock().now, Env: func(k string) (string, bool) { v, ok := env[k]; return v, ok }})
	ctx := context.Background()
	got, err := term.ReadSecret(ctx, SecretFrom{Credential: "salvor.key"}, Question{})
	if err != nil || string(got) != "credential" {
		t.Errorf("%q %v", got, err)
	}
	for name, code := range map[string]int{"absent": NotFound, "../x": Usage, "": Usage, ".": Usage, "a/b": Usage} {
		if name == "" {
			continue
		}
		if _, err := term.ReadSecret(ctx, SecretFrom{Credential: name}, Question{}); ExitCode(err) != code {
			t.Errorf("%q: %v", name, err)
		}
	}
	env["CREDENTIALS_DIRECTORY"] = "relative"
	if _, err := term.ReadSecret(ctx, SecretFrom{Credential: "salvor.key"}, Question{}); ExitCode(err) != NotFound {
		t.Error(err)
	}
}

func TestASecretComesFromOnePlaceOnly(t *testing.T) {
	term, _, _, _ := plainTerminal()
	from := SecretFrom{File: "/a", FD: "3"}
	if _, err := term.ReadSecret(context.Background(), from, Question{}); ExitCode(err) != Usage || !from.Given() {
		t.Error(err)
	}
	// No place and no terminal: the hint names the flag.
	_, err := term.ReadSecret(context.Background(), SecretFrom{}, Question{Text: "passphrase", Flag: "--passphrase-file FILE"})
	var e *Error
	if !errors.As(err, &e) || e.Code != Usage || e.Hint != "give --passphrase-file FILE" {
		t.Error(err)
	}
}

func TestANewSecretIsJudgedWhereverItComesFrom(t *testing.T) {
	term, _, _, _ := plainTerminal()
	path := filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(p []byte) error { return errors.New("too short") }
	if _, err := term.ReadNewSecret(context.Background(), SecretFrom{File: path}, Question{Text: "passphrase"}, check); ExitCode(err) != Usage || strings.Contains(err.Error(), "short\n") {
		t.Error(err)
	}
	if got, err := term.ReadNewSecret(context.Background(), SecretFrom{File: path}, Question{}, nil); err != nil || string(got) != "short" {
		t.Error(err)
	}
}
