package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody/ledger"
)

// helpWidth is the width that the help is made for.
const helpWidth = 78

// reflow breaks paragraphs at words. Lines that begin with a space stay as they are.
func reflow(text string) string {
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		if strings.HasPrefix(p, " ") {
			continue
		}
		paragraphs[i] = ui.Wrap(strings.Join(strings.Fields(p), " "), helpWidth)
	}
	return strings.Join(paragraphs, "\n\n")
}

// arguments are the names of what a command takes, from its use line.
func arguments(cmd *cobra.Command) []string {
	var names []string
	for _, word := range strings.Fields(cmd.Use)[1:] {
		if word == strings.ToUpper(word) {
			names = append(names, word)
		}
	}
	return names
}

var errNoCommand = errors.New("no such command")

// helpFor shows the help of the command that the words name.
func helpFor(cmd *cobra.Command, words []string) error {
	about, rest, err := cmd.Root().Find(words)
	if err != nil || len(rest) > 0 {
		return usageError(cmd, errNoCommand)
	}
	return about.Help()
}

// showHelp is what a command does that only has others below it.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// takes wants exactly the arguments of the use line, and says which.
func takes(cmd *cobra.Command, args []string) error {
	names := arguments(cmd)
	least := len(names)
	if least > 0 && strings.HasPrefix(names[least-1], "[") {
		least-- // the last may be left out
	}
	switch {
	case len(args) >= least && len(args) <= len(names):
		return nil
	case len(names) == 0 && cmd.HasSubCommands():
		return errNoCommand
	case len(names) == 0:
		return errors.New("it takes no arguments")
	}
	return fmt.Errorf("it takes %s", strings.Join(names, " and "))
}

// complete offers what a flag or an argument may be, instead of file names.
func (p *program) complete(cmd *cobra.Command) {
	for flag, values := range map[string][]string{
		"purpose": {"crash", "reinstall", "transfer"}, "kind": {"restriction", "legal", "incident", "other"},
		"lang": {"nl", "fr", "de", "en"}, "language": {"nl", "fr", "de", "en"}, "verify": {"media", "quick"}, "format": {"pdf", "html", "text", "json"}, "copy": {"customer", "shop"},
	} {
		if cmd.Flags().Lookup(flag) != nil {
			_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	names := arguments(cmd)
	if len(names) == 0 {
		return
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(names) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		switch strings.Trim(names[len(args)], "[]") {
		case "CASE":
			return p.caseNumbers(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
		case "KIND":
			return []string{"attest", "custody"}, cobra.ShellCompDirectiveNoFileComp
		case "SOURCE", "TARGET", "DIR":
			return nil, cobra.ShellCompDirectiveDefault
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// caseNumbers are the cases for the shell to offer; none when there is no station.
func (p *program) caseNumbers(ctx context.Context) (list []string) {
	_ = p.withStationAlone(ctx, func(s *station) error {
		cases, err := s.ledger.Cases(ctx, ledger.Filter{})
		for _, c := range cases {
			list = append(list, string(c.No))
		}
		return err
	})
	return list
}
