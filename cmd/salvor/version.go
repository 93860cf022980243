package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion(p *program) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "the version of salvor and of what it links",
		Example: "  salvor version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			modules := map[string]string{}
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, m := range info.Deps {
					modules[m.Path] = m.Version
				}
			}
			if p.json {
				return p.term.Document(map[string]any{"version": version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH, "modules": modules})
			}
			fmt.Fprintf(p.term.Out, "salvor %s, %s, %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}
