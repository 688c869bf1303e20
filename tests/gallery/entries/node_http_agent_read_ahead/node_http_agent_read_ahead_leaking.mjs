// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Leaks: the request has a time-out, but nobody acts on it; 110 kB wait in Node, the kernel sees an idle connection.
// Leaks: the request has a time-out, but nobody acts on it; 110 kB wait in Node, the kernel sees an idle connection.

import http from 'node:http';

const [port, count] = process.argv.slice(2).map(Number);
const agent = new http.Agent({ keepAlive: true, keepAliveMsecs: 30_000 });

// docs: begin
function isUp(url) {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent, timeout: 1000 }, (response) => {
      resolve(response.statusCode === 200);
    });
    request.on('error', reject);
  });
}
// docs: end

const numbers = Array.from({ length: count }, (_, number) => number);
await Promise.all(numbers.map((number) => isUp(`http://127.0.0.1:${port}/status/${number}/`)));
console.log('ready');
setInterval(() => {}, 60_000);
