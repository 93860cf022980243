// Wipefaults shows what a wiping program leaves on a failing disk: for every fault it
// makes a disk of random content on a file that fails, runs each program on it, and
// counts the sectors of the old content that are still there.
//
// usage: wipefaults [-size MIB] NAME=COMMAND...
//
// In COMMAND, {dev} stands for the disk and {name} for its kernel name. It needs root,
// losetup and FUSE.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"salvor/wipe/device/faulty"
)

const (
	sector = 512
	mib    = 1 << 20
)

// fault is something that a disk does, and what of the old content it keeps for that.
type fault struct {
	name string
	plan func(size int64) faulty.Plan
	must int64 // sectors that nobody can overwrite
}

func faults() []fault {
	at := func(ranges ...faulty.Range) []faulty.Range { return ranges }
	return []fault{
		{"none", func(int64) faulty.Plan { return faulty.Plan{} }, 0},
		{"1 bad sector", func(size int64) faulty.Plan {
			return faulty.Plan{BadWrite: at(faulty.Range{Off: size / 3 / sector * sector, Len: sector})}
		}, 1},
		{"2 bad sectors", func(size int64) faulty.Plan {
			return faulty.Plan{BadWrite: at(faulty.Range{Off: size / 3 / sector * sector, Len: sector}, faulty.Range{Off: size / 3 * 2 / sector * sector, Len: sector})}
		}, 2},
		{"1 MiB of writes lost", func(size int64) faulty.Plan {
			return faulty.Plan{Lost: at(faulty.Range{Off: size / 2, Len: mib})}
		}, mib / sector},
		{"1 sector unreadable", func(size int64) faulty.Plan {
			return faulty.Plan{BadRead: at(faulty.Range{Off: size / 4, Len: sector})}
		}, 0},
	}
}

func main() {
	size := flag.Int64("size", 64, "MiB of the disk")
	limit := flag.Duration("limit", 2*time.Minute, "how long a program may take")
	flag.Parse()
	if flag.NArg() == 0 || *size < 8 {
		flag.Usage()
		os.Exit(2)
	}
	fmt.Printf("%-24s %-20s %14s %14s  %s\n", "fault", "program", "sectors left", "unavoidable", "exit")
	for _, f := range faults() {
		for _, arg := range flag.Args() {
			name, command, ok := strings.Cut(arg, "=")
			if !ok {
				flag.Usage()
				os.Exit(2)
			}
			left, exit, err := try(f, *size*mib, command, *limit)
			if err != nil {
				fmt.Fprintf(os.Stderr, "wipefaults: %s on %s: %v\n", name, f.name, err)
				os.Exit(1)
			}
			fmt.Printf("%-24s %-20s %14d %14d  %s\n", f.name, name, left, f.must, exit)
		}
	}
}

func losetup(args ...string) error {
	return exec.CommandContext(context.Background(), "losetup", args...).Run()
}

// try runs one program on one disk and counts what is left.
func try(f fault, size int64, command string, limit time.Duration) (left int64, exit string, err error) {
	dir, err := os.MkdirTemp("", "wipefaults")
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	old := make([]byte, size)
	if _, err := rand.Read(old); err != nil {
		return 0, "", err
	}
	file := filepath.Join(dir, "content")
	if err := os.WriteFile(file, old, 0o600); err != nil {
		return 0, "", err
	}
	content, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return 0, "", err
	}
	defer content.Close()
	mnt := filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o700); err != nil {
		return 0, "", err
	}
	disk, err := faulty.New(mnt, content, size, faulty.Plan{})
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	out, err := exec.CommandContext(context.Background(), "losetup", "--direct-io=on", "-f", "--show", disk.Path).CombinedOutput()
	if err != nil {
		return 0, "", fmt.Errorf("losetup: %w: %s", err, out)
	}
	dev := strings.TrimSpace(string(out))
	defer func() {
		for range 50 { // udev or the program may let it go a moment later
			if losetup("-d", dev) == nil && losetup(dev) != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	disk.Set(f.plan(size))
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	command = strings.NewReplacer("{dev}", dev, "{name}", filepath.Base(dev), "{bytes}", fmt.Sprint(size)).Replace(command)
	run := exec.CommandContext(ctx, "sh", "-c", command)
	run.WaitDelay = 5 * time.Second
	err = run.Run()
	var status *exec.ExitError
	switch {
	case ctx.Err() != nil:
		exit = "never ends"
	case errors.As(err, &status):
		exit = fmt.Sprint(status.ExitCode())
	case err != nil:
		return 0, "", err
	default:
		exit = "0"
	}
	_ = exec.CommandContext(context.Background(), "blockdev", "--flushbufs", dev).Run()
	disk.Set(faulty.Plan{})
	now, err := os.ReadFile(file)
	if err != nil {
		return 0, "", err
	}
	for off := int64(0); off < size; off += sector {
		if bytes.Equal(now[off:off+sector], old[off:off+sector]) {
			left++
		}
	}
	return left, exit, nil
}
