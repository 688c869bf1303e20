<?php
// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Leaks: the multi handle, and with it its cache of idle connections, lives as long as the worker.

// docs: begin
function prices(array $urls): array
{
    static $multi = null;
    $multi ??= curl_multi_init();
    $handles = [];
    foreach ($urls as $url) {
        $handle = curl_init($url);
        curl_setopt_array($handle, [CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 30]);
        curl_multi_add_handle($multi, $handle);
        $handles[] = $handle;
    }
    do {
        curl_multi_exec($multi, $running);
        curl_multi_select($multi);
    } while ($running);
    foreach ($handles as $handle) {
        curl_multi_remove_handle($multi, $handle);
    }
    return array_map('curl_multi_getcontent', $handles);
}
// docs: end

// A worker that lives for days: it fetches, works, and waits for the next job.
[, $port, $count] = $argv;
while (true) {
    $found = prices(array_map(fn ($number) => "http://127.0.0.1:$port/price/$number/", range(1, (int) $count)));
    echo "ready\n";
    sleep(300);
}
