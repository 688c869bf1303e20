// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Fixed: the response is destroyed, and its connection with it.

import https from 'node:https';

const [port, count] = process.argv.slice(2).map(Number);
const agent = new https.Agent({ keepAlive: true, keepAliveMsecs: 30_000 });

// docs: begin
function isUp(url) {
  return new Promise((resolve, reject) => {
    const request = https.get(url, { agent }, (response) => {
      response.destroy();
      resolve(response.statusCode === 200);
    });
    request.on('error', reject);
  });
}
// docs: end

const numbers = Array.from({ length: count }, (_, number) => number);
await Promise.all(numbers.map((number) => isUp(`https://127.0.0.1:${port}/status/${number}/`)));
console.log('ready');
setInterval(() => {}, 60_000);
