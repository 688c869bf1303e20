// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Fixed: the body is dumped, so the connection goes back to the pool.

const { request } = require('undici');

const [port, count] = process.argv.slice(2).map(Number);

// docs: begin
async function isUp(url) {
  const { statusCode, body } = await request(url);
  await body.dump();
  return statusCode === 200;
}
// docs: end

async function main() {
  const numbers = Array.from({ length: count }, (_, number) => number);
  await Promise.all(numbers.map((number) => isUp(`http://127.0.0.1:${port}/status/${number}/`)));
  console.log('ready');
  setInterval(() => {}, 60_000);
}

main();
