// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// An HTTP client with a keep-alive agent that looks at the status and never reads the body.

'use strict';

const http = require('http');

const [port, count] = process.argv.slice(2).map(Number);
const agent = new http.Agent({ keepAlive: true });
const responses = [];

for (let i = 0; i < count; i += 1) {
  http.get({ host: '127.0.0.1', port, agent }, (response) => responses.push(response));
}
setInterval(() => {}, 1000);
