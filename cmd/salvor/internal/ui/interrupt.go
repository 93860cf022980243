package ui

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// WithInterrupt returns a context that the first Ctrl-C (or Ctrl-\, or SIGTERM, or the
// loss of the terminal, SIGHUP) cancels with the cause [ErrInterrupted], so that the work can
// stop cleanly. The second leaves the program at once with [Interrupted]. stop gives
// the signals back and must be called.
//
// A signal that was ignored when the program started (nohup) stays ignored.
func WithInterrupt(ctx context.Context) (_ context.Context, stop context.CancelFunc) {
	var heed []os.Signal
	for _, s := range []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT} {
		if !signal.Ignored(s) {
			heed = append(heed, s)
		}
	}
	c := make(chan os.Signal, 2)
	if len(heed) > 0 { // Notify without a list would mean every signal
		signal.Notify(c, heed...)
	}
	ctx, cancel := interruptible(ctx, c, os.Exit)
	return ctx, func() {
		signal.Stop(c)
		cancel()
	}
}

// interruptible is WithInterrupt with the signals and the way out given.
func interruptible(ctx context.Context, signals <-chan os.Signal, exit func(int)) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		for first := true; ; first = false {
			select {
			case <-signals:
			case <-done:
				return
			}
			if !first {
				exit(Interrupted)
				return
			}
			cancel(ErrInterrupted)
		}
	}()
	var stopped bool
	return ctx, func() {
		cancel(context.Canceled)
		if !stopped {
			stopped = true
			close(done)
		}
	}
}
