// SPDX-License-Identifier: MIT
// whole QUESTION WORKERS N: whole programs as a Go programmer would write them.
// One line of JSON, as bench/bench.h says.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

func sieve(n int) time.Duration {
	filter := func(prime int, in, out chan int) {
		for i := range in {
			if i%prime != 0 {
				out <- i
			}
		}
	}
	start := time.Now()
	in := make(chan int)
	go func(out chan int) {
		for i := 2; ; i++ {
			out <- i
		}
	}(in)
	for i := 0; i < n; i++ {
		prime, out := <-in, make(chan int)
		go filter(prime, in, out)
		in = out
	}
	return time.Since(start)
}

// A power series: asked for a term, tells it (McIlroy; see bench_powser.c).
type series struct {
	asked chan bool
	told  chan float64
}

func newSeries() series { return series{make(chan bool), make(chan float64)} }

func (s series) term() float64 {
	s.asked <- true
	return <-s.told
}

// Gives terms made by next, each when it is asked for.
func (s series) give(next func() float64) {
	for {
		<-s.asked
		s.told <- next()
	}
}

func add(a, b series) series {
	s := newSeries()
	go s.give(func() float64 { x := a.term(); return x + b.term() })
	return s
}

func scale(a series, factor float64) series {
	s := newSeries()
	go s.give(func() float64 { return factor * a.term() })
	return s
}

type cell struct {
	next  atomic.Pointer[cell]
	value float64
}

func split(from series) (halves [2]series) {
	var lock sync.Mutex
	first := &cell{}
	last := first
	for i := range halves {
		at := first
		halves[i] = newSeries()
		go halves[i].give(func() float64 {
			if at.next.Load() == nil {
				lock.Lock()
				if at.next.Load() == nil {
					c := &cell{value: from.term()}
					last.next.Store(c)
					last = c
				}
				lock.Unlock()
			}
			at = at.next.Load()
			return at.value
		})
	}
	return halves
}

func multiply(a, b series) series {
	s := newSeries()
	go func() {
		<-s.asked
		x, y := a.term(), b.term()
		s.told <- x * y
		<-s.asked
		as, bs := split(a), split(b)
		w := add(scale(bs[0], x), scale(as[0], y))
		s.told <- w.term()
		rest := add(w, multiply(as[1], bs[1]))
		s.give(rest.term)
	}()
	return s
}

func powser(n int) time.Duration {
	start := time.Now()
	tan := newSeries()
	halves := split(tan)
	factors := split(halves[0])
	square, first := multiply(factors[0], factors[1]), true
	k := 0
	go tan.give(func() float64 { // the integral of 1 + tan * tan
		if k++; k == 1 {
			return 0
		}
		x := square.term()
		if first {
			x, first = x+1, false
		}
		return x / float64(k-1)
	})
	sum := 0.0
	for i := 0; i < n; i++ {
		sum += halves[1].term()
	}
	if n >= 30 && (sum < 1.557 || sum > 1.558) {
		panic("tan 1")
	}
	return time.Since(start)
}

func main() {
	questions := map[string]func(int) time.Duration{"sieve": sieve, "powser": powser}
	workers, _ := strconv.Atoi(os.Args[2])
	n, _ := strconv.Atoi(os.Args[3])
	runtime.GOMAXPROCS(workers)
	took := questions[os.Args[1]](n)
	fmt.Printf("{\"value\": %.3f, \"unit\": \"us\", \"n\": %d}\n",
		float64(took.Nanoseconds())/float64(n)/1000, n)
}
