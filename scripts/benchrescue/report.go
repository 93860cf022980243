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
	line, end := table(w, head, markdown)
	order, groups := grouped(results)
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
	return end()
}

// foreseen prints how often the range of the time left held the end: all moments of a
// run count, spread evenly over it, and all runs count the same.
func foreseen(w io.Writer, results []result, markdown bool) error {
	line, end := table(w, []string{"disk", "contender", "runs", "moments with an answer", "end in the range", "earlier", "later", "runs that held in 80 %"}, markdown)
	order, groups := grouped(results)
	percent := func(a, n float64) string { return fmt.Sprintf("%.1f %%", 100*a/max(n, 1)) }
	var all, allHeld float64
	for _, k := range order {
		var known, held, early, good float64
		for _, s := range groups[k] {
			f := s.Forecast
			n := float64(max(f.Known, 1))
			known += float64(f.Known) / float64(max(f.Asked, 1))
			held += float64(f.Held) / n
			early += float64(f.Early) / n
			if float64(f.Held) >= 0.8*n {
				good++
			}
		}
		n := float64(len(groups[k]))
		all, allHeld = all+n, allHeld+held
		line([]string{
			fmt.Sprintf("%s %.0f GB", k.model, float64(k.size)/1e9), k.who, fmt.Sprint(len(groups[k])),
			percent(known, n), percent(held, n), percent(early, n), percent(n-held-early, n), fmt.Sprint(good),
		})
	}
	line([]string{"all", "", fmt.Sprint(all), "", percent(allHeld, all), "", "", ""})
	return end()
}

// table begins a table: a function for its lines, and one for its end.
func table(w io.Writer, head []string, markdown bool) (line func([]string), end func() error) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	line = func(cells []string) {
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
	return line, t.Flush
}

type key struct {
	model sim.Model
	size  int64
	who   string
}

// grouped gathers the seeds of every line, in the order in which they ran.
func grouped(results []result) (order []key, groups map[key][]sim.Score) {
	groups = map[key][]sim.Score{}
	for _, r := range results {
		k := key{r.model, r.size, r.who.name}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], r.score)
	}
	return order, groups
}

func median[T cmp.Ordered](g []sim.Score, f func(sim.Score) T) T {
	var v []T
	for _, s := range g {
		v = append(v, f(s))
	}
	slices.Sort(v)
	return v[len(v)/2]
}
