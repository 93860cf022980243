package vault

import (
	"context"
	"sync"
)

// inOrder runs work on many jobs at once and hands them to consume one after the other, in the order in which produce
// put them. put blocks while depth jobs are under way and returns false when it is time to stop. The first error ends
// it all, and ends the context that produce is given; when inOrder returns, nothing of it is running any more.
func inOrder[J any](ctx context.Context, workers, depth int, produce func(ctx context.Context, put func(J) bool) error, work func(J) error, consume func(J) error) error {
	type task struct {
		job  J
		err  error
		done chan struct{}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	todo, order := make(chan *task, depth), make(chan *task, depth)
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for t := range todo {
				t.err = work(t.job)
				close(t.done)
			}
		})
	}
	var produced error
	running.Go(func() {
		defer close(order)
		defer close(todo)
		produced = produce(ctx, func(j J) bool {
			t := &task{job: j, done: make(chan struct{})}
			select {
			case order <- t:
			case <-ctx.Done():
				return false
			}
			todo <- t // as deep as order, and drained until it is closed
			return true
		})
	})
	var first error
	for t := range order {
		<-t.done
		if first != nil {
			continue
		}
		if first = t.err; first == nil {
			first = consume(t.job)
		}
		if first == nil {
			first = ctx.Err()
		}
		if first != nil {
			stop()
		}
	}
	running.Wait()
	switch {
	case first != nil:
		return first
	case produced != nil:
		return produced
	}
	return ctx.Err()
}
