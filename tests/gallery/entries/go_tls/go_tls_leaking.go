// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Leaks: a pool of one's own keeps TLS connections, and nobody looks at those that are idle.

package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// docs: begin
type pooled struct {
	net.Conn
}

type pool chan pooled

func (p pool) put(connection net.Conn) {
	p <- pooled{connection}
}

func (p pool) get(address string) (net.Conn, error) {
	for {
		select {
		case idle := <-p:
			return idle.Conn, nil
		default:
			return tls.Dial("tcp", address, nil)
		}
	}
}

// docs: end

func main() {
	count, _ := strconv.Atoi(os.Args[2])
	prices, busy := make(pool, count), make([]net.Conn, count)
	for number := range busy {
		busy[number], _ = prices.get("127.0.0.1:" + os.Args[1])
		fmt.Fprint(busy[number], "GET /price/ HTTP/1.1\r\nHost: shop.example\r\n\r\n")
	}
	for _, connection := range busy {
		if answer, err := http.ReadResponse(bufio.NewReader(connection), nil); err == nil {
			io.Copy(io.Discard, answer.Body)
			prices.put(connection)
		}
	}
	time.Sleep(700 * time.Millisecond) // the server closes what has been idle for 300 ms
	fmt.Println("ready")
	select {}
}
