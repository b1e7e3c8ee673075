package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// progress shows a count on one line of a terminal; elsewhere it is silent.
type progress struct {
	w    io.Writer
	what string
	last time.Time
	live bool
}

func newProgress(w io.Writer, what string) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, what: what, live: ok && term.IsTerminal(int(f.Fd()))}
}

// set shows n, at most ten times a second.
func (p *progress) set(n int) {
	if !p.live || time.Since(p.last) < 100*time.Millisecond {
		return
	}
	p.last = time.Now()
	fmt.Fprintf(p.w, "\r%d %s", n, p.what)
}

// done clears the line.
func (p *progress) done() {
	if p.live {
		fmt.Fprintf(p.w, "\r\033[K")
	}
}
