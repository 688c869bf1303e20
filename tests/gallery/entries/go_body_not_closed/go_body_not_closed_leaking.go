// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Leaks: the body of a response that is an error is not closed.

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
)

// docs: begin
func price(url string) (float64, error) {
	response, err := http.Get(url)
	if err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", url, response.Status)
	}
	defer response.Body.Close()
	var answer struct{ Price float64 }
	err = json.NewDecoder(response.Body).Decode(&answer)
	return answer.Price, err
}

// docs: end

func main() {
	count, _ := strconv.Atoi(os.Args[2])
	failures := 0
	for number := 0; number < count; number++ {
		if _, err := price(fmt.Sprintf("http://127.0.0.1:%s/price/%d/503", os.Args[1], number)); err != nil {
			failures++
		}
	}
	fmt.Println("ready", failures)
	select {}
}
