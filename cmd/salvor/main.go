// Command salvor is the one program of a repair shop for other people's disks:
// it rescues them into encrypted images, keeps them in custody until a deadline,
// and erases them with proof.
//
// Each command is a file of its own. All of them hang on one [program], which
// holds the three things that come from outside: the terminal, the clock and the
// environment. Nothing below this folder asks for any of them itself.
package main

import (
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"salvor/cmd/salvor/internal/ui"
)

// version is set by the Makefile.
var version = "unknown"

func main() {
	// A reader that goes away must not kill a purge in the middle: writing to it gives
	// EPIPE instead.
	signal.Ignore(unix.SIGPIPE)
	os.Exit(newProgram(ui.Standard(time.Now, os.LookupEnv)).run(os.Args[1:]))
}
