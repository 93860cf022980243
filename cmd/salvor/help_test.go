package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
)

func TestEveryHelpBeginsWithAnExampleAndFitsEightyColumns(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Name() == "help" || cmd.Name() == "completion" {
			return
		}
		var out bytes.Buffer
		cmd.SetOut(&out)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		if !strings.HasPrefix(text, "Example:\n  salvor") {
			t.Errorf("%s: the help does not begin with an example", cmd.CommandPath())
		}
		if !strings.HasSuffix(text, exitStatus) {
			t.Errorf("%s: the help does not end with the exit states", cmd.CommandPath())
		}
		for line := range strings.Lines(text) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 {
				t.Errorf("%s: a line of %d columns: %s", cmd.CommandPath(), n, line)
			}
		}
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(newRoot(newProgram(ui.Streams{Now: time.Now})))
}
