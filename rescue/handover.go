package rescue

import (
	"context"
	"fmt"
	"sync"

	"salvor/rescue/mapfile"
)

// backlog is how many operations may wait for the sink before nothing more is read.
const backlog = 64

// handover passes data and statuses to the sink in their order, from a goroutine of
// its own, so that a sink that waits for its disk keeps nobody else waiting.
type handover struct {
	sink   Sink
	sector int64

	mu    sync.Mutex
	queue []parcel
	last  bool // nothing more will be added
	err   error

	wake   chan struct{} // the queue has grown, or last was set
	shrunk chan struct{} // the queue has shrunk
	done   chan struct{} // the goroutine has ended
}

// parcel is one call of the sink: a Write when it has data, else a Mark.
type parcel struct {
	first, n int64
	data     []byte
	release  func()
	status   mapfile.Status
	pass     uint8
}

func newHandover(ctx context.Context, sink Sink, info Info) *handover {
	h := &handover{
		sink: sink, sector: int64(info.Sector),
		wake: make(chan struct{}, 1), shrunk: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go h.work(ctx)
	return h
}

// add never blocks.
func (h *handover) add(p parcel) {
	h.mu.Lock()
	h.queue = append(h.queue, p)
	h.mu.Unlock()
	notify(h.wake)
}

// finish says that nothing more will be added; done is closed once all is handed over.
func (h *handover) finish() {
	h.mu.Lock()
	h.last = true
	h.mu.Unlock()
	notify(h.wake)
}

func (h *handover) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.queue)
}

// failure is the sink's error; nil while there is none.
func (h *handover) failure() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// refused gives the data that the sink did not accept, after an error or while it hangs.
func (h *handover) refused() []mapfile.Run {
	h.mu.Lock()
	defer h.mu.Unlock()
	var runs []mapfile.Run
	for _, p := range h.queue {
		if p.data != nil {
			runs = append(runs, mapfile.Run{First: p.first, Sectors: p.n, Status: mapfile.Rescued})
		}
	}
	return runs
}

func (h *handover) work(ctx context.Context) {
	defer close(h.done)
	for {
		h.mu.Lock()
		if len(h.queue) == 0 {
			last := h.last
			h.mu.Unlock()
			if last {
				return
			}
			<-h.wake
			continue
		}
		p := h.queue[0] // stays in the queue until it is accepted
		h.mu.Unlock()

		var err error
		if p.data != nil {
			err = h.sink.Write(ctx, p.first, p.data, p.pass, p.release)
		} else {
			err = h.sink.Mark(ctx, p.first, p.n, byte(p.status), p.pass)
		}
		h.mu.Lock()
		if err != nil {
			h.err = fmt.Errorf("write sectors %d to %d to the image: %w", p.first, p.first+p.n-1, err)
			h.mu.Unlock()
			return
		}
		h.queue[0] = parcel{}
		h.queue = h.queue[1:]
		h.mu.Unlock()
		notify(h.shrunk)
	}
}

// notify leaves a note for a goroutine that may be waiting; one note is enough.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
