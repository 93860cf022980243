// Command benchrescue judges salvor's rescue strategy against the installed GNU
// ddrescue on simulated failing disks.
//
// ddrescue runs as a black box in its test mode, over an empty file of the disk's size
// and a map of the simulated faults; every read in its read log is charged to the same
// simulated disk that the strategy reads, by the same cost model.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"salvor/rescue"
	"salvor/rescue/mapfile"
	"salvor/rescue/sim"
)

func main() {
	var b bench
	var seeds, sizes, models, who, format string
	flag.StringVar(&seeds, "seeds", "101-103", "seeds: 5, 1-20, 3,7")
	flag.StringVar(&sizes, "sizes", "100G", "sizes of the disk: 100G, 2T")
	flag.StringVar(&models, "models", "clusters,dead-head,weak-head,slow-head,scratch,hang", "failure models")
	flag.StringVar(&who, "who", "salvor,default,physical,expert", "contenders: "+strings.Join(names(), ", "))
	flag.StringVar(&b.mapFile, "map", "", "a ddrescue map `file` of a real disk as the failure model, in place of -models and -sizes")
	flag.StringVar(&b.cache, "cache", "", "keep results of ddrescue in this `directory`")
	flag.StringVar(&format, "format", "text", "text or markdown")
	forecast := flag.Bool("forecast", false, "run salvor to its end, and say how well it foresaw it")
	flag.DurationVar(&b.limit, "limit", 72*time.Hour, "end of the simulated time")
	flag.IntVar(&b.jobs, "jobs", 2, "simulations at a time")
	flag.Parse()
	if err := b.parse(seeds, sizes, models, who); err != nil {
		fmt.Fprintln(os.Stderr, "benchrescue:", err)
		os.Exit(2)
	}
	if *forecast {
		b.limit = 1e6 * time.Hour
		b.who = slices.DeleteFunc(b.who, func(c contender) bool { return c.phases != nil })
	}
	results, err := b.run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchrescue:", err)
		os.Exit(1)
	}
	show := report
	if *forecast {
		show = foreseen
	}
	if err := show(os.Stdout, results, format == "markdown"); err != nil {
		fmt.Fprintln(os.Stderr, "benchrescue:", err)
		os.Exit(1)
	}
}

// bench is what to compare.
type bench struct {
	seeds   []uint64
	sizes   []int64
	models  []sim.Model
	who     []contender
	mapFile string
	cache   string
	limit   time.Duration
	jobs    int
}

func (b *bench) parse(seeds, sizes, models, who string) error {
	for part := range strings.SplitSeq(seeds, ",") {
		from, to, ok := strings.Cut(part, "-")
		if !ok {
			to = from
		}
		first, err := strconv.ParseUint(from, 10, 64)
		if err != nil {
			return fmt.Errorf("seed %q: %w", part, err)
		}
		last, err := strconv.ParseUint(to, 10, 64)
		if err != nil {
			return fmt.Errorf("seed %q: %w", part, err)
		}
		for s := first; s <= last; s++ {
			b.seeds = append(b.seeds, s)
		}
	}
	for part := range strings.SplitSeq(sizes, ",") {
		unit := int64(1)
		switch {
		case strings.HasSuffix(part, "T"):
			unit = 1e12
		case strings.HasSuffix(part, "G"):
			unit = 1e9
		case strings.HasSuffix(part, "M"):
			unit = 1e6
		}
		n, err := strconv.ParseInt(strings.TrimRight(part, "TGM"), 10, 64)
		if err != nil {
			return fmt.Errorf("size %q: %w", part, err)
		}
		b.sizes = append(b.sizes, n*unit)
	}
	for part := range strings.SplitSeq(models, ",") {
		if !slices.Contains(sim.Models(), sim.Model(part)) {
			return fmt.Errorf("model %q: there are %v", part, sim.Models())
		}
		b.models = append(b.models, sim.Model(part))
	}
	for part := range strings.SplitSeq(who, ",") {
		i := slices.IndexFunc(contenders, func(c contender) bool { return c.name == part })
		if i < 0 {
			return fmt.Errorf("contender %q: there are %v", part, names())
		}
		b.who = append(b.who, contenders[i])
	}
	if b.mapFile != "" {
		b.models, b.sizes = []sim.Model{"map"}, []int64{0}
	}
	return nil
}

// task is one simulation, and result what came of it.
type task struct {
	model sim.Model
	size  int64
	seed  uint64
	who   contender
}

type result struct {
	task
	score sim.Score
	bad   int64
	err   error
}

func (b *bench) run() ([]result, error) {
	var tasks []task
	for _, size := range b.sizes {
		for _, model := range b.models {
			for _, seed := range b.seeds {
				for _, who := range b.who {
					tasks = append(tasks, task{model, size, seed, who})
				}
			}
		}
	}
	results := make([]result, len(tasks))
	var wg sync.WaitGroup
	work := make(chan int)
	for range max(b.jobs, 1) {
		wg.Go(func() {
			for i := range work {
				results[i] = b.one(tasks[i])
			}
		})
	}
	for i := range tasks {
		work <- i
	}
	close(work)
	wg.Wait()
	for _, r := range results {
		if r.err != nil {
			return nil, fmt.Errorf("%s, %s, seed %d: %w", r.who.name, r.model, r.seed, r.err)
		}
	}
	return results, nil
}

func (b *bench) disk(t task) (*sim.Disk, error) {
	if b.mapFile == "" {
		return sim.New(t.model, t.size, t.seed)
	}
	f, err := os.Open(b.mapFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	file, err := mapfile.Parse(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.mapFile, err)
	}
	m, err := file.Sectors(sim.Sector, file.Blocks.Sectors())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.mapFile, err)
	}
	return sim.FromMap(m, t.seed)
}

// one does one simulation.
func (b *bench) one(t task) result {
	r := result{task: t}
	d, err := b.disk(t)
	if err != nil {
		r.err = err
		return r
	}
	r.bad = d.Bad()
	d.Sense(t.who.sense)
	if t.who.phases == nil {
		o := t.who.options
		r.score, _, r.err = sim.Drive(d, func(m *mapfile.Map, i rescue.Info) sim.Strategy {
			return rescue.NewStrategy(m, i, o)
		}, b.limit)
		return r
	}
	kept := ""
	if b.cache != "" && b.mapFile == "" {
		kept = filepath.Join(b.cache, fmt.Sprintf("%s-%d-%d-%s-%s.json", t.model, t.size, t.seed, t.who.name, b.limit))
		if text, err := os.ReadFile(kept); err == nil && json.Unmarshal(text, &r.score) == nil {
			return r
		}
	}
	r.score, r.err = ddrescue(d, t.who, b.limit)
	if text, err := json.Marshal(r.score); err == nil && r.err == nil && kept != "" {
		r.err = os.WriteFile(kept, text, 0o600)
	}
	return r
}

// ddrescue lets the installed ddrescue rescue the disk.
func ddrescue(d *sim.Disk, who contender, limit time.Duration) (sim.Score, error) {
	base := "/dev/shm" // reading a hole costs least there
	if _, err := os.Stat(base); err != nil {
		base = ""
	}
	dir, err := os.MkdirTemp(base, "benchrescue-")
	if err != nil {
		return sim.Score{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := writeMap(at("truth"), d.Map(), d.Info()); err != nil {
		return sim.Score{}, err
	}
	if err := writeMap(at("domain"), d.Allocated(), d.Info()); err != nil {
		return sim.Score{}, err
	}
	source, err := os.Create(at("source"))
	if err != nil {
		return sim.Score{}, err
	}
	defer source.Close()
	if err := source.Truncate(d.Info().Bytes); err != nil {
		return sim.Score{}, err
	}
	replay := sim.NewReplay(d, limit)
	for _, options := range who.phases {
		args := []string{"--quiet", "--force", "--test-mode=" + at("truth"), "--log-reads=" + at("log"), "--mapfile-interval=10000,10000"}
		for _, o := range options {
			args = append(args, strings.ReplaceAll(o, "DOMAIN", at("domain")))
		}
		over, err := phase(replay, at("log"), append(args, at("source"), "/dev/null", at("map")))
		if err != nil {
			return sim.Score{}, err
		}
		if over {
			return replay.Finish(false), nil
		}
	}
	return replay.Finish(true), nil
}

// phase is one run of ddrescue. It reports whether the time limit ended it.
func phase(replay *sim.Replay, log string, args []string) (bool, error) {
	cmd := exec.Command("ddrescue", args...) //nolint:noctx // ended by the time limit of the simulation
	var said strings.Builder
	cmd.Stderr = &said
	// ddrescue refuses to begin a second log in the place of the first, and any log that is a pipe.
	if err := os.Remove(log); err != nil && !os.IsNotExist(err) {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	f := &follower{path: log, ended: make(chan struct{})}
	var waited error
	go func() {
		waited = cmd.Wait()
		close(f.ended)
	}()
	over, logErr := replay.Log(f)
	if over || logErr != nil {
		_ = cmd.Process.Kill()
	}
	<-f.ended
	f.close()
	switch {
	case logErr != nil:
		return false, logErr
	case over:
		return true, nil
	case waited != nil:
		return false, fmt.Errorf("ddrescue %v: %w: %s", args, waited, said.String())
	}
	return false, nil
}

// follower reads a file that grows until its writer has ended.
type follower struct {
	path  string
	file  *os.File
	ended chan struct{}
}

func (f *follower) Read(p []byte) (int, error) {
	for {
		last := false
		select {
		case <-f.ended:
			last = true // what is there by now is all there will be
		default:
		}
		if f.file == nil {
			file, err := os.Open(f.path)
			if err == nil {
				f.file = file
			} else if !os.IsNotExist(err) {
				return 0, err
			}
		}
		if f.file != nil {
			if n, err := f.file.Read(p); n > 0 || err != nil && !errors.Is(err, io.EOF) {
				return n, err
			}
		}
		if last {
			return 0, io.EOF
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (f *follower) close() {
	if f.file != nil {
		f.file.Close()
	}
}

func writeMap(path string, m *mapfile.Map, info rescue.Info) error {
	file, err := mapfile.FromMap(m, info.Sector, info.Bytes)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := file.WriteTo(f); err != nil {
		return err
	}
	return f.Close()
}
