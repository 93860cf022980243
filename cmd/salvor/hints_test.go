package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"salvor/cmd/salvor/internal/ui"
	"salvor/custody"
)

// Every command that the program tells somebody to type exists, with the flags that it
// names: those of the steps, and those in every text of the source.

// said is a command in a text: "salvor", then words up to what ends a phrase.
var said = regexp.MustCompile(`\bsalvor ([a-z][a-z-]*(?: [^\s;,()"` + "`" + `]+)*)`)

// understood reads a command as somebody would who copies it, up to the first word that
// is prose, and returns what is wrong with it.
func understood(root *cobra.Command, line string) error {
	words := strings.Fields(line)
	cmd, rest, err := root.Find(words)
	if err != nil || cmd == root {
		return fmt.Errorf("there is no such command")
	}
	var given []string
	for i := 0; i < len(rest); i++ {
		word := strings.TrimRight(rest[i], ".:")
		name, isFlag := strings.CutPrefix(word, "--")
		switch {
		case isFlag:
			name, _, _ = strings.Cut(name, "=")
			flag := lookup(cmd, name)
			if name != "help" && flag == nil {
				return fmt.Errorf("%s has no flag --%s", cmd.CommandPath(), name)
			}
			if flag != nil && flag.NoOptDefVal == "" {
				i++ // its value
			}
		case word == "…": // and whatever else
		case placeholder(word):
			given = append(given, word)
		default:
			i = len(rest) // prose begins
		}
	}
	if most := len(arguments(cmd)); len(given) > most {
		return fmt.Errorf("%s takes %d words, not %q", cmd.CommandPath(), most, given)
	}
	return nil
}

func lookup(cmd *cobra.Command, name string) *pflag.Flag {
	if f := cmd.Flags().Lookup(name); f != nil {
		return f
	}
	return cmd.InheritedFlags().Lookup(name)
}

// placeholder tells an argument from prose: CASE, LOGIN, %s, …, T1-2026-0001, /dev/sdb.
func placeholder(word string) bool {
	return strings.ContainsAny(word, "%/…0123456789") || word == strings.ToUpper(word) && strings.ToLower(word) != word
}

func TestEveryCommandThatIsNamedExists(t *testing.T) {
	root := newRoot(newProgram(ui.Streams{Now: time.Now}))
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	look := func(file string, n ast.Node) {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return
		}
		text, err := strconv.Unquote(lit.Value)
		if err != nil {
			t.Fatal(err)
		}
		// An example goes on behind a backslash; that of report is made for each paper.
		text = strings.NewReplacer("\\\n", " ", "%[1]s%[2]s", "custody CASE").Replace(text)
		for _, m := range said.FindAllStringSubmatch(text, -1) {
			line := strings.Join(strings.Fields(m[1]), " ")
			if prose(line) {
				continue
			}
			found++
			if err := understood(root, line); err != nil {
				t.Errorf("%s: salvor %s: %v", file, line, err)
			}
		}
	}
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			inspect(t, file, func(n ast.Node) { look(file, n) })
		}
	}
	if found < 150 {
		t.Errorf("only %d commands are found: the test looks past them", found)
	}
}

// prose tells the few sentences in which salvor is not a command line.
func prose(line string) bool {
	first, _, _ := strings.Cut(line, " ")
	return slices.Contains([]string{
		"images", "offers", "compares", "never", "needs", "on", "itself", "is", "has", "of", "wrote", "writes", "was", "as", "can", "and", "or", "the", "that", "knows", "alone", "remembers", "keeps", "did", "does",
	}, first)
}

// The command of each step is taken as it stands, once its words are filled in.
func TestEveryStepsCommandIsTaken(t *testing.T) {
	fill := strings.NewReplacer("NO", "T1-2026-0001", "SUBJECT", "x-1", "DISK", "/dev/sdb", "TARGET", "/dev/sdc", "LOGIN", "jan", "DATE", "2026-11-22", "NAME", "nas")
	for _, code := range stepCodes(t) {
		for _, line := range strings.Split(stepTexts(code).command, "; ") {
			words := strings.Fields(fill.Replace(line))
			root := newRoot(newProgram(ui.Streams{Now: time.Now}))
			cmd, rest, err := root.Find(words[1:])
			if err != nil || cmd == root {
				t.Errorf("%s: %s: no such command", code, line)
				continue
			}
			if slices.Contains(rest, "--help") {
				continue
			}
			if err := cmd.ParseFlags(rest); err != nil {
				t.Errorf("%s: %s: %v", code, line, err)
			}
			if err := cmd.Args(cmd, cmd.Flags().Args()); err != nil {
				t.Errorf("%s: %s: %v", code, line, err)
			}
		}
	}
}

// What each refusal of the rules means at the desk is said somewhere.
func TestEveryRefusalHasAVerdict(t *testing.T) {
	said := make(map[string]bool)
	for _, name := range []string{"explain.go", "refusals.go", "alarms.go"} {
		inspect(t, name, func(n ast.Node) {
			if s, ok := n.(*ast.SelectorExpr); ok && fmt.Sprint(s.X) == "custody" {
				said[s.Sel.Name] = true
			}
		})
	}
	found := 0
	files, err := filepath.Glob("../../custody/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		inspect(t, name, func(n ast.Node) {
			v, ok := n.(*ast.ValueSpec)
			if !ok || !strings.HasPrefix(v.Names[0].Name, "Err") || strings.HasSuffix(name, "_test.go") {
				return
			}
			found++
			if !said[v.Names[0].Name] {
				t.Errorf("custody.%s has no verdict", v.Names[0].Name)
			}
		})
	}
	if found < 60 {
		t.Errorf("only %d refusals are found: the test looks past them", found)
	}
	for _, v := range slices.Concat(recordVerdicts(), verdicts(), dutyVerdicts()) {
		if v.code == ui.Done || v.code == ui.Other || v.err.Error() == "" {
			t.Errorf("%v: exit status %d", v.err, v.code)
		}
	}
}

func TestEveryExceptionHasWords(t *testing.T) {
	for _, kind := range constants[custody.ExceptionKind](t, "../../custody/case.go", "ExceptionKind") {
		if exceptionText(kind) == string(kind) {
			t.Errorf("%s has no words", kind)
		}
	}
}

// stepCodes reads the steps from the source, so that none is forgotten.
func stepCodes(t *testing.T) []custody.StepCode {
	return constants[custody.StepCode](t, "../../custody/next.go", "StepCode")
}

// constants are the values of a type's constants, as a source file gives them.
func constants[T ~string](t *testing.T, file, name string) (values []T) {
	t.Helper()
	inspect(t, file, func(n ast.Node) {
		v, ok := n.(*ast.ValueSpec)
		if !ok || v.Type == nil || fmt.Sprint(v.Type) != name {
			return
		}
		text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, T(text))
	})
	if len(values) < 10 {
		t.Fatalf("only %d constants of %s are found", len(values), name)
	}
	return values
}

func inspect(t *testing.T, file string, look func(ast.Node)) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		look(n)
		return true
	})
}
