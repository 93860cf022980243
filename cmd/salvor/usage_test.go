package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
)

// inProcess runs a command line in a directory without a station.
func inProcess(t *testing.T, edit func(root *cobra.Command), args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	state := filepath.Join(t.TempDir(), "state")
	p := newProgram(ui.Streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr, Now: time.Now, Env: func(name string) (string, bool) {
		return state, name == "SALVOR_STATE"
	}})
	root := newRoot(p)
	if edit != nil {
		edit(root)
	}
	return p.runRoot(root, args), stdout.String(), stderr.String()
}

func TestWhateverIsTypedWrongExitsTwo(t *testing.T) {
	for _, line := range []string{
		"nonsense", "nonsense --help", "nonsense -h", "custody nonsense", "custody nonsense --help", "report nonsense --help", "operator key nonsense --help",
		"help nonsense", "help custody nonsense", "completion nonsense", "completion nonsense --help",
		"show", "show a b", "cases x", "show T1-2026-0001 --nonsense", "cases --which", "restore T1-2026-0001 x --fill 256", "restore T1-2026-0001 x --fill",
		"intake --agreed=perhaps", "hold add T1-2026-0001 --kind legal --kind legal", "--nonsense", "--state", "cases --json=perhaps",
	} {
		code, out, errs := inProcess(t, nil, strings.Fields(line)...)
		if code != ui.Usage || out != "" || !strings.Contains(errs, "hint: ") {
			t.Errorf("salvor %s: exit status %d, %q, %q", line, code, out, errs)
		}
	}
	for _, line := range []string{"", "--help", "custody", "custody --help", "custody offer --help", "help", "help custody offer", "show a b --help", "version", "completion"} {
		if code, out, errs := inProcess(t, nil, strings.Fields(line)...); code != ui.Done || out == "" || errs != "" {
			t.Errorf("salvor %s: exit status %d, %q", line, code, errs)
		}
	}
	if code, _, _ := inProcess(t, nil, "cases"); code != ui.NotFound {
		t.Errorf("without a station: exit status %d", code)
	}
}

// What the flag library refuses about several flags at once is a usage error too.
func TestFlagsThatDoNotGoTogetherExitTwo(t *testing.T) {
	groups := func(root *cobra.Command) {
		cases, _, _ := root.Find([]string{"cases"})
		cases.MarkFlagsMutuallyExclusive("mine", "operator")
		show, _, _ := root.Find([]string{"due"})
		show.MarkFlagsRequiredTogether("place", "operator")
		if err := show.MarkFlagRequired("sort"); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{"cases --mine --operator jan", "due --place L-03 --sort case", "due"} {
		if code, _, errs := inProcess(t, groups, strings.Fields(line)...); code != ui.Usage || !strings.Contains(errs, "hint: ") {
			t.Errorf("salvor %s: exit status %d, %q", line, code, errs)
		}
	}
}
