// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Leaks: the body of an error is neither read nor cancelled, and the error keeps the response.

const [port, count] = process.argv.slice(2).map(Number);
const failures = [];

// docs: begin
class StatusError extends Error {
  constructor(response) {
    super(`${response.url}: ${response.status}`);
    this.response = response;
  }
}

async function price(url) {
  const response = await fetch(url);
  if (!response.ok) {
    throw new StatusError(response);
  }
  return response.json();
}
// docs: end

const urls = Array.from({ length: count }, (_, number) => `http://127.0.0.1:${port}/price/${number}/503`);
await Promise.all(urls.map((url) => price(url).catch((error) => failures.push(error))));
console.log('ready');
setInterval(() => {}, 60_000);
