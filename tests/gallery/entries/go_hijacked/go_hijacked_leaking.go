// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Leaks: a hijacked connection is only written to, when there is news; nobody reads that the client has left.

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const upgrade = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: prices\r\n\r\n"

var (
	lock        sync.Mutex
	subscribers = map[net.Conn]time.Time{}
)

// docs: begin
func subscribe(w http.ResponseWriter, _ *http.Request) {
	connection, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	io.WriteString(connection, upgrade)
	lock.Lock()
	subscribers[connection] = time.Now()
	lock.Unlock()
}

// docs: end

func publish(news string) {
	lock.Lock()
	defer lock.Unlock()
	for connection := range subscribers {
		fmt.Fprintln(connection, news)
	}
}

func main() {
	go func() {
		for range time.Tick(time.Hour) {
			publish("42.00")
		}
	}()
	http.HandleFunc("/", subscribe)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("port", listener.Addr().(*net.TCPAddr).Port)
	http.Serve(listener, nil)
}
