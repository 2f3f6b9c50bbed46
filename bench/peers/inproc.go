// SPDX-License-Identifier: MIT
// inproc QUESTION WORKERS N: the in-process questions as a Go programmer would write them.
// One line of JSON, as bench/bench.h says.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func yields(parties int) func(n int) time.Duration {
	return func(n int) time.Duration {
		var there, done sync.WaitGroup
		gate := make(chan struct{})
		there.Add(parties)
		done.Add(parties)
		for i := 0; i < parties; i++ {
			go func() {
				there.Done()
				<-gate
				for i := 0; i < n/parties; i++ {
					runtime.Gosched()
				}
				done.Done()
			}()
		}
		there.Wait()
		start := time.Now()
		close(gate)
		done.Wait()
		return time.Since(start)
	}
}

func spawn(n int) time.Duration {
	const batch = 1000
	var done sync.WaitGroup
	start := time.Now()
	for i := 0; i < n; i += batch {
		done.Add(batch)
		for j := 0; j < batch; j++ {
			go func() { done.Done() }()
		}
		done.Wait()
	}
	return time.Since(start)
}

func spawnCold(n int) time.Duration {
	var there, done sync.WaitGroup
	c := make(chan struct{})
	there.Add(n)
	done.Add(n)
	start := time.Now()
	for i := 0; i < n; i++ {
		go func() {
			there.Done()
			<-c
			done.Done()
		}()
	}
	there.Wait()
	took := time.Since(start)
	close(c)
	done.Wait()
	return took
}

type request struct{ piece [3][]byte }

// See bench/bench_alloc.c.
func alloc(n int) time.Duration {
	const side, kept = 4, 64
	c := make(chan *request, 128)
	var done sync.WaitGroup
	done.Add(2 * side)
	start := time.Now()
	for i := 0; i < side; i++ {
		go func(seed uint32) {
			for i := 0; i < n/side; i++ {
				r := new(request)
				for j := range r.piece {
					seed = seed*1664525 + 1013904223
					size := 32 + seed>>16%480
					if seed>>16%16 == 0 {
						size = 512 + seed>>16%3584
					}
					p := make([]byte, size)
					for k := range p {
						p[k] = byte(j)
					}
					r.piece[j] = p
				}
				c <- r
			}
			done.Done()
		}(uint32(i))
		go func() {
			var last [kept]*request
			for i := 0; i < n/side; i++ {
				if r := last[i%kept]; r != nil {
					for j, p := range r.piece {
						if p[len(p)-1] != byte(j) {
							panic("a piece")
						}
					}
				}
				last[i%kept] = <-c
			}
			done.Done()
		}()
	}
	done.Wait()
	return time.Since(start)
}

func pingpong(n int) time.Duration {
	ping, pong := make(chan int), make(chan int)
	go func() {
		for v := range ping {
			pong <- v
		}
	}()
	start := time.Now()
	for i := 0; i < n; i++ {
		ping <- i
		<-pong
	}
	return time.Since(start)
}

func fan(n int) time.Duration {
	const side = 4
	c := make(chan int, 128)
	var done sync.WaitGroup
	done.Add(2 * side)
	start := time.Now()
	for i := 0; i < side; i++ {
		go func() {
			for i := 0; i < n/side; i++ {
				c <- i
			}
			done.Done()
		}()
		go func() {
			for i := 0; i < n/side; i++ {
				<-c
			}
			done.Done()
		}()
	}
	done.Wait()
	return time.Since(start)
}

func node(up chan int, number, size int) {
	if size == 1 {
		up <- number
		return
	}
	c := make(chan int, 10)
	for i := 0; i < 10; i++ {
		go node(c, number+i*(size/10), size/10)
	}
	sum := 0
	for i := 0; i < 10; i++ {
		sum += <-c
	}
	up <- sum
}

func skynet(n int) time.Duration {
	c := make(chan int, 1)
	start := time.Now()
	go node(c, 0, n)
	if <-c != n*(n-1)/2 {
		panic("the sum")
	}
	return time.Since(start)
}

func mutex(n int) time.Duration {
	const parties = 8
	var m sync.Mutex
	var done sync.WaitGroup
	counter := 0
	done.Add(parties)
	start := time.Now()
	for i := 0; i < parties; i++ {
		go func() {
			for i := 0; i < n/parties; i++ {
				m.Lock()
				counter++
				m.Unlock()
			}
			done.Done()
		}()
	}
	done.Wait()
	return time.Since(start)
}

// Processor time, not time: see bench/bench_sleepers.c.
func sleepers(n int) time.Duration {
	var done sync.WaitGroup
	done.Add(n)
	start := cpuTime()
	for i := 0; i < n; i++ {
		go func() {
			time.Sleep(time.Duration(i*7919%1000+1) * time.Millisecond)
			done.Done()
		}()
	}
	done.Wait()
	return cpuTime() - start
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// Bytes, not time: growth of VmRSS and VmPTE, see bench/bench_parked.c.
func parked(n int) time.Duration {
	c := make(chan struct{})
	var there, done sync.WaitGroup
	there.Add(n)
	done.Add(n)
	before := memory()
	for i := 0; i < n; i++ {
		go func() {
			there.Done()
			<-c
			done.Done()
		}()
	}
	there.Wait()
	grown := memory() - before
	close(c)
	done.Wait()
	return time.Duration(grown)
}

func memory() int {
	status, _ := os.ReadFile("/proc/self/status")
	sum := 0
	for _, line := range strings.Split(string(status), "\n") {
		f := strings.Fields(line)
		if len(f) > 1 && (f[0] == "VmRSS:" || f[0] == "VmPTE:") {
			kib, _ := strconv.Atoi(f[1])
			sum += kib * 1024
		}
	}
	return sum
}

// A whole line of its own: see bench/bench_million.c.
func million(n int) {
	var there, done sync.WaitGroup
	c := make(chan struct{})
	there.Add(n)
	done.Add(n)
	before := memory()
	start := time.Now()
	for i := 0; i < n; i++ {
		go func() {
			there.Done()
			<-c
			done.Done()
		}()
	}
	there.Wait()
	created := time.Since(start)
	bytes := memory() - before
	start = time.Now()
	close(c)
	done.Wait()
	woken := time.Since(start)
	fmt.Printf("{\"value\": %.1f, \"unit\": \"bytes\", \"n\": %d, \"create_ms\": %.1f, \"wake_ms\": %.1f}\n",
		float64(bytes)/float64(n), n, created.Seconds()*1e3, woken.Seconds()*1e3)
}

// See bench/bench_asleep.c.
func asleep(n int) {
	var there, done sync.WaitGroup
	there.Add(n)
	done.Add(n)
	before := memory()
	start := time.Now()
	wake := start.Add(time.Second + time.Duration(n)*12*time.Microsecond)
	for i := 0; i < n; i++ {
		go func() {
			there.Done()
			time.Sleep(time.Until(wake))
			done.Done()
		}()
	}
	there.Wait()
	created := time.Since(start)
	bytes := memory() - before
	if !time.Now().Before(wake) {
		panic("making them in time")
	}
	done.Wait()
	fmt.Printf("{\"value\": %.1f, \"unit\": \"bytes\", \"n\": %d, \"create_ms\": %.1f, \"wake_ms\": %.1f}\n",
		float64(bytes)/float64(n), n, created.Seconds()*1e3, time.Since(wake).Seconds()*1e3)
}

// See bench/bench_connections.c; Go raises the soft limit of descriptors by itself.
func connections(n int) {
	var limit syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	if most := (int(limit.Max) - 200) / 2; n > most {
		n = most
	}
	var there, done sync.WaitGroup
	there.Add(n)
	done.Add(n)
	clients := make([]int, n)
	var l net.Listener
	var to syscall.SockaddrInet4
	before := memory()
	start := time.Now()
	for i := range clients {
		if i%20000 == 0 {
			l, _ = net.Listen("tcp", "127.0.0.1:0")
			to = syscall.SockaddrInet4{Port: l.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}
		}
		clients[i], _ = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err := syscall.Connect(clients[i], &to); err != nil {
			panic(err)
		}
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			var b [1]byte
			there.Done()
			c.Read(b[:])
			c.Close()
			done.Done()
		}()
	}
	there.Wait()
	took := time.Since(start)
	time.Sleep(100 * time.Millisecond)
	bytes := memory() - before
	for _, fd := range clients {
		syscall.Close(fd)
	}
	done.Wait()
	fmt.Printf("{\"value\": %.1f, \"unit\": \"bytes each\", \"n\": %d, \"accept_us\": %.2f}\n",
		float64(bytes)/float64(n), n, took.Seconds()*1e6/float64(n))
}

// A whole line of its own: see bench/bench_wake.c. The writer is a thread that only writes.
func wake(n int) {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	fd := int(w.Fd())
	start := time.Now()
	go func() {
		runtime.LockOSThread()
		for i := 0; i < n; i++ {
			ms := syscall.Timespec{Nsec: 1000000}
			syscall.Nanosleep(&ms, nil)
			var word [8]byte
			binary.LittleEndian.PutUint64(word[:], uint64(time.Since(start)))
			syscall.Write(fd, word[:])
		}
	}()
	delays := make([]float64, n)
	for i := range delays {
		var word [8]byte
		if _, err := io.ReadFull(r, word[:]); err != nil {
			panic(err)
		}
		written := time.Duration(binary.LittleEndian.Uint64(word[:]))
		delays[i] = float64(time.Since(start)-written) / 1e3
	}
	sort.Float64s(delays)
	fmt.Printf("{\"value\": %.1f, \"unit\": \"us, p50\", \"n\": %d, \"p99\": %.1f}\n",
		delays[n/2], n, delays[n*99/100])
}

// A whole line of its own: see bench/bench_hog.c.
func hog(workers, n int) {
	for i := 0; i < workers; i++ {
		go func() {
			for {
			}
		}()
	}
	delays := make([]float64, n)
	for i := range delays {
		when := time.Now().Add(time.Millisecond)
		time.Sleep(time.Millisecond)
		delays[i] = float64(time.Since(when)) / 1e3
	}
	sort.Float64s(delays)
	fmt.Printf("{\"value\": %.1f, \"unit\": \"us\", \"n\": %d, \"p999\": %.1f, \"max\": %.1f}\n",
		delays[n/2], n, delays[n*999/1000], delays[n-1])
}

func switches() int64 {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return r.Nvcsw + r.Nivcsw
}

// A whole line of its own: see bench/bench_idle.c.
func idle(n, seconds int) {
	c := make(chan struct{})
	var answered, gone sync.WaitGroup
	gone.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			for range c {
				answered.Done()
			}
			gone.Done()
		}()
	}
	call := func() {
		answered.Add(n)
		for i := 0; i < n; i++ {
			c <- struct{}{}
		}
		answered.Wait()
	}
	call()
	time.Sleep(2 * time.Second)
	cpu, count := cpuTime(), switches()
	time.Sleep(time.Duration(seconds) * time.Second)
	cpu, count = cpuTime()-cpu, switches()-count
	call()
	close(c)
	gone.Wait()
	fmt.Printf("{\"value\": %.1f, \"unit\": \"CPU us in %d s\", \"n\": %d, \"switches\": %d}\n",
		float64(cpu)/1e3, seconds, n, count)
}

func main() {
	questions := map[string]func(int) time.Duration{"switch": yields(2), "spawn": spawn,
		"switch_1000": yields(1000), "switch_100000": yields(100000), "spawn_cold": spawnCold, "alloc": alloc,
		"pingpong": pingpong, "fan": fan, "skynet": skynet, "mutex": mutex,
		"sleepers": sleepers, "parked": parked}
	workers, _ := strconv.Atoi(os.Args[2])
	n, _ := strconv.Atoi(os.Args[3])
	runtime.GOMAXPROCS(workers)
	whole := map[string]func(int){"million": million, "asleep": asleep, "connections": connections}
	if f := whole[os.Args[1]]; f != nil {
		f(n)
		return
	}
	switch os.Args[1] {
	case "wake":
		wake(n)
		return
	case "hog":
		hog(workers, n)
		return
	case "idle":
		seconds := 5
		if len(os.Args) > 4 {
			seconds, _ = strconv.Atoi(os.Args[4])
		}
		idle(n, seconds)
		return
	}
	took := questions[os.Args[1]](n)
	unit, scale := "ns", 1.0
	switch os.Args[1] {
	case "skynet":
		unit = "ms per million"
	case "sleepers":
		unit, scale = "CPU us each", 1000
	case "parked":
		unit = "bytes each"
	}
	fmt.Printf("{\"value\": %.3f, \"unit\": %q, \"n\": %d}\n",
		float64(took.Nanoseconds())/float64(n)/scale, unit, n)
}
