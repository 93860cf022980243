package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"salvor/cmd/salvor/internal/ui"
	"salvor/rescue/blockdev"
)

// program is what every command hangs on.
type program struct {
	term *ui.Terminal
	now  func() time.Time
	env  func(string) (string, bool)
	euid int

	// carrier says on what a file or a device lies.
	carrier func(path string) (blockdev.Carrier, error)

	begun bool  // a command has begun to run: what goes wrong from here on is no usage error
	wrong error // help was asked of a command that does not exist

	// the flags that every command has
	stateDir string
	as       string
	json     bool
	quiet    bool
}

// newID draws the id of a shop or vault: a ULID in lower case.
func (p *program) newID() string {
	return strings.ToLower(ulid.MustNew(ulid.Timestamp(p.now()), rand.Reader).String())
}

func newProgram(streams ui.Streams) *program {
	term := ui.New(streams)
	term.Fits = fits
	return &program{term: term, now: streams.Now, env: streams.Env, euid: os.Geteuid(), carrier: blockdev.CarrierOf}
}

// run executes one command line and returns its exit status.
func (p *program) run(args []string) int { return p.runRoot(newRoot(p), args) }

func (p *program) runRoot(root *cobra.Command, args []string) int {
	ctx, stop := ui.WithInterrupt(context.Background())
	defer stop()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = p.wrong
	}
	if err = p.term.Lost(err); err == nil {
		return ui.Done
	}
	if _, own := errors.AsType[*ui.Error](err); !own && !p.begun {
		err = usageError(cmd, err)
	}
	p.term.JSON = p.term.JSON || wantsJSON(args)
	err = explain(err)
	if ctx.Err() != nil && ui.ExitCode(err) == ui.Other {
		err = explain(context.Cause(ctx)) // what failed was told to stop
	}
	return p.term.Fail(err)
}

// usageError is what the flag library refuses, in the words of this program.
func usageError(cmd *cobra.Command, err error) error {
	hint := cmd.CommandPath() + " --help"
	if typed, ok := typedWrong(err); ok {
		hint = typed.hint
	}
	return &ui.Error{Code: ui.Usage, What: commandName(cmd), Why: flagWhy(err), Hint: hint, Err: err}
}

// helpOf shows the help of a command. Of one that does not exist the flag library would
// show that of the command above it, as if all were well.
func (p *program) helpOf(show func(*cobra.Command, []string)) func(*cobra.Command, []string) {
	return func(cmd *cobra.Command, args []string) {
		if cmd.HasSubCommands() && cmd.Flags().NArg() > 0 {
			p.wrong = usageError(cmd, errNoCommand)
			return
		}
		// The flag library prints what goes wrong with a line of its own.
		var text bytes.Buffer
		out := cmd.OutOrStdout()
		cmd.SetOut(&text)
		show(cmd, args)
		cmd.SetOut(out)
		_, _ = text.WriteTo(out) // the terminal remembers what goes wrong
	}
}

// wantsJSON looks for --json in a command line that could not be parsed, so that
// a script gets its error as JSON all the same.
func wantsJSON(args []string) bool {
	for _, a := range args {
		if a == "--" {
			return false
		}
		if a == "--json" || a == "--json=true" {
			return true
		}
	}
	return false
}

const exitStatus = `
EXIT STATUS
   0  done
   1  any other error
   2  wrong usage, or a confirmation is needed and there is no terminal
   3  finished but incomplete: sectors not read, cases not purged, not assured
   4  verification failed: image, erasing or ledger
   5  refused for safety: mounted, system disk, serial differs, hold, clock
  10  no such case, image, vault or file
  11  another run holds the lock
  12  wrong key or passphrase
  75  the storage is absent or unreachable: try again later
 130  interrupted
`

// newRoot builds the whole tree of commands.
func newRoot(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:   "salvor",
		Short: "rescue disks into encrypted images, keep them in custody, erase them with proof",
		Long: `salvor images customers' disks (also failing ones) into an encrypted vault,
keeps a signed record of who did what, and erases every image when its deadline
has come, with a signed attest of what was proved.`,
		Example: `  salvor image /dev/sdb --customer "An Peeters" --purpose crash --agreed
  salvor due
  salvor purge`,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			p.term.JSON, p.term.Quiet = p.json, p.quiet
			return nil
		},
		RunE: showHelp,
	}
	root.SetIn(p.term.In)
	root.SetOut(p.term.Out)
	root.SetErr(p.term.Err)
	root.SetFlagErrorFunc(usageError)
	root.SetHelpFunc(p.helpOf(root.HelpFunc()))
	root.CompletionOptions.HiddenDefaultCmd = false
	f := root.PersistentFlags()
	f.StringVar(&p.stateDir, "state", "", "directory of this station's ledger and key")
	f.StringVar(&p.as, "as", "", "login of the operator who acts (default: the person logged in)")
	f.BoolVar(&p.json, "json", false, "print JSON for a script; nothing is asked")
	f.BoolVarP(&p.quiet, "quiet", "q", false, "no progress and no messages, errors excepted")
	f.SortFlags = false

	root.AddGroup(
		&cobra.Group{ID: "setup", Title: "Set up a shop:"},
		&cobra.Group{ID: "bench", Title: "At the bench:"},
		&cobra.Group{ID: "keep", Title: "Keep and erase:"},
		&cobra.Group{ID: "record", Title: "The record:"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("setup", newInit(p), newKey(p), newVault(p), newOperator(p), newStation(p), newProcessor(p), newPolicy(p), newSelftest(p))
	add("bench", newDevices(p), newIntake(p), newImage(p), newMap(p), newLabel(p), newVerify(p), newRestore(p), newWipe(p), newReverify(p))
	add("bench", newAgree(p), newCustody(p), newReturn(p), newConfirm(p), newCorrect(p), newDestroyed(p), newErased(p), newClose(p), newForget(p))
	add("keep", newCases(p), newShow(p), newDue(p), newDeadline(p), newHold(p), newValidate(p), newPurge(p), newSchedule(p))
	add("record", newReport(p), newAudit(p), newSync(p), newLedger(p), newRequest(p), newIncident(p))
	root.AddCommand(newVersion(p))
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "completion":
			c.Short = "the completion script for bash, zsh, fish or powershell"
		case "help":
			c.Short = "help for a command"
			c.Run, c.RunE = nil, helpFor
		}
	}
	p.finish(root)
	return root
}

// finish gives every command what all of them have: the arguments that its use line
// names, the table of exit states at the end of its help, and usage errors that exit 2.
func (p *program) finish(cmd *cobra.Command) {
	cmd.SetUsageTemplate(usageTemplate)
	cmd.SetHelpTemplate(helpTemplate)
	cmd.DisableFlagsInUseLine = true
	cmd.Long, cmd.Example = reflow(cmd.Long), strings.TrimRight(cmd.Example, "\n")
	if cmd.Name() != "help" && (cmd.Parent() == nil || cmd.Parent().Name() != "completion") {
		cmd.Args = func(c *cobra.Command, args []string) error {
			err := takes(c, args)
			if err == nil {
				return nil
			}
			return usageError(c, err)
		}
		p.complete(cmd)
	}
	if do := cmd.RunE; do != nil {
		cmd.RunE = func(c *cobra.Command, args []string) error {
			p.begun = true
			return do(c, args)
		}
	}
	single := func(f *pflag.Flag) {
		if _, many := f.Value.(pflag.SliceValue); !many {
			f.Value = &once{Value: f.Value, flag: f.Name, name: valueName(f)}
		}
	}
	cmd.LocalNonPersistentFlags().VisitAll(single)
	cmd.PersistentFlags().VisitAll(single)
	for _, c := range cmd.Commands() {
		p.finish(c)
	}
}

// once is the value of a flag that may be given once: of two deadlines, neither is
// the one that was meant.
type once struct {
	pflag.Value
	flag  string
	name  string // what the help calls the value
	given bool
}

// Type implements [pflag.Value]; the help shows it behind the flag.
func (o *once) Type() string {
	if o.name != "" {
		return o.name
	}
	return o.Value.Type()
}

// valueName says what stands behind a flag: "--keep TIME".
func valueName(f *pflag.Flag) string {
	switch f.Name {
	case "state":
		return "DIR"
	case "as":
		return "LOGIN"
	case "keep", "within":
		return "TIME"
	case "case", "image", "station", "kind", "purpose", "format", "lang", "language", "label", "verify":
		return strings.ToUpper(f.Name)
	case "review", "agreement", "training", "date":
		return "DATE"
	case "map", "out", "identity", "passphrase-file":
		return "FILE"
	case "name", "customer", "shop", "vault", "passphrase-credential":
		return "NAME"
	case "passphrase-fd":
		return "N"
	case "confirm-serial":
		return "SERIAL"
	case "timezone":
		return "ZONE"
	}
	if f.Value.Type() == "string" {
		return "TEXT"
	}
	return ""
}

// Set implements [pflag.Value].
func (o *once) Set(text string) error {
	if o.given {
		return errors.New("given twice")
	}
	o.given = true
	if err := fits(o.flag, text); err != nil {
		return err
	}
	return o.Value.Set(text)
}

// commandName is what an error is about: "image", "hold end".
func commandName(cmd *cobra.Command) string {
	if cmd.Parent() == nil {
		return "command"
	}
	return strings.TrimPrefix(cmd.CommandPath(), "salvor ")
}

// flagWhy shortens what the flag library says, and keeps a value that somebody
// typed at the wrong place, which may be a name, out of the message.
func flagWhy(err error) string {
	why := err.Error()
	if before, _, ok := strings.Cut(why, " for \"salvor"); ok {
		return before
	}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		why = errors.Unwrap(err).Error()
		if strings.HasPrefix(why, "strconv") || strings.Contains(why, "invalid syntax") {
			why = "not such a value"
		}
		return "--" + invalid.GetFlag().Name + ": " + why
	}
	return why
}

// An example comes first, the exit states last.
const (
	helpTemplate = `{{if .HasExample}}Example:
{{.Example}}

{{end}}{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{if or .Runnable .HasSubCommands}}{{.UsageString}}{{end}}` + exitStatus

	usageTemplate = `Usage:{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND{{else}}
  {{.UseLine}}{{end}}{{if .HasAvailableSubCommands}}{{$cmds := .Commands}}{{if eq (len .Groups) 0}}

Commands:{{range $cmds}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{else}}{{range $group := .Groups}}

{{.Title}}{{range $cmds}}{{if (and (eq .GroupID $group.ID) .IsAvailableCommand)}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}

Other:{{range $cmds}}{{if (and (eq .GroupID "") (or .IsAvailableCommand (eq .Name "help")))}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Flags of every command:
{{.InheritedFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{end}}
`
)
