// SPDX-License-Identifier: MIT
// beside hogs|tail WORKERS: the echo server of bench/bench_beside.c, which starts it with the
// listening socket as descriptor 3.
package main

import (
	"net"
	"os"
	"runtime"
	"strconv"
	"time"
)

func hog() {
	for {
	}
}

func compute(d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until); {
	}
}

func serve(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 1)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
		if buf[0] == 'c' {
			compute(2 * time.Millisecond)
		}
		if _, err := c.Write(buf); err != nil {
			return
		}
	}
}

func main() {
	workers, _ := strconv.Atoi(os.Args[2])
	runtime.GOMAXPROCS(workers)
	l, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		panic(err)
	}
	if os.Args[1] == "hogs" {
		for i := 0; i < workers; i++ {
			go hog()
		}
	}
	for {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go serve(c)
	}
}
