package main

import "salvor/rescue"

// contender is a way to rescue a disk.
type contender struct {
	name    string
	about   string
	sense   bool
	options rescue.StrategyOptions
	phases  [][]string // runs of ddrescue over one map file, with these options
}

var contenders = []contender{
	{name: "salvor", about: "the full strategy, with sense data", sense: true},
	{name: "salvor-pread", about: "the same without sense data: a failed read brings nothing"},
	{name: "default", about: "ddrescue without options", phases: [][]string{nil}},
	{name: "physical", about: "ddrescue told the physical sector", phases: [][]string{{"-b4096"}}},
	{name: "expert", about: "the physical sector, first the easy parts without trimming and scraping, with large reads and jumps", phases: [][]string{
		{"-b4096", "-c256", "-K10Mi,1Gi", "-n", "-N"}, {"-b4096", "-n"}, {"-b4096"},
	}},
	{name: "domain", about: "the same, first only what a map of the file systems says is allocated", phases: [][]string{
		{"-b4096", "-c256", "-K10Mi,1Gi", "-n", "-N", "-m", "DOMAIN"}, {"-b4096", "-m", "DOMAIN", "-n"}, {"-b4096", "-m", "DOMAIN"}, {"-b4096"},
	}},
}

func names() (out []string) {
	for _, c := range contenders {
		out = append(out, c.name)
	}
	return out
}
