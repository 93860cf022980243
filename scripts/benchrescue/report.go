package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"salvor/rescue/sim"
)

// report prints a line for every model, size and contender: medians over the seeds.
func report(w io.Writer, results []result, markdown bool) error {
	head := []string{"disk", "contender", "T50", "T90", "T99", "T99.9", "at 30 min", "at 10 min of errors", "bad reads", "per bad sector", "end"}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	line := func(cells []string) {
		if markdown {
			fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
		} else {
			fmt.Fprintln(t, strings.Join(cells, "\t"))
		}
	}
	line(head)
	if markdown {
		line(slices.Repeat([]string{"---"}, len(head)))
	}
	type key struct {
		model sim.Model
		size  int64
		who   string
	}
	var order []key
	groups := map[key][]sim.Score{}
	for _, r := range results {
		k := key{r.model, r.size, r.who.name}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], r.score)
	}
	for _, k := range order {
		g := groups[k]
		hours := func(f func(sim.Score) time.Duration) string {
			v := median(g, f)
			if v == sim.Never {
				return "never"
			}
			return fmt.Sprintf("%.2f", v.Hours())
		}
		percent := func(f func(sim.Score) float64) string { return fmt.Sprintf("%.1f %%", 100*median(g, f)) }
		line([]string{
			fmt.Sprintf("%s %.0f GB", k.model, float64(k.size)/1e9), k.who,
			hours(func(s sim.Score) time.Duration { return s.T50 }),
			hours(func(s sim.Score) time.Duration { return s.T90 }),
			hours(func(s sim.Score) time.Duration { return s.T99 }),
			hours(func(s sim.Score) time.Duration { return s.T999 }),
			percent(func(s sim.Score) float64 { return s.At30 }),
			percent(func(s sim.Score) float64 { return s.AtErrors }),
			fmt.Sprint(median(g, func(s sim.Score) int64 { return s.BadReads })),
			fmt.Sprintf("%.2f", median(g, func(s sim.Score) float64 { return float64(s.BadReads) / float64(max(s.BadKnown, 1)) })),
			hours(func(s sim.Score) time.Duration {
				if !s.Finished {
					return sim.Never
				}
				return s.Elapsed
			}),
		})
	}
	return t.Flush()
}

func median[T cmp.Ordered](g []sim.Score, f func(sim.Score) T) T {
	var v []T
	for _, s := range g {
		v = append(v, f(s))
	}
	slices.Sort(v)
	return v[len(v)/2]
}
