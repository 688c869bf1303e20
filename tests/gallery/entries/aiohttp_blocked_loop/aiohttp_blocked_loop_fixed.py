# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixed: the blocking call has a thread of its own, and the loop closes idle connections as they end."""

import asyncio
import queue
import sys

import aiohttp

JOBS: queue.Queue[str] = queue.Queue()


# docs: begin
async def next_job() -> str:
    return await asyncio.to_thread(JOBS.get)


# docs: end


async def fetch(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url) as response:
        return await response.read()


async def main() -> None:
    async with aiohttp.ClientSession() as session:
        urls = [f"http://127.0.0.1:{sys.argv[1]}/prices/{number}/" for number in range(int(sys.argv[2]))]
        await asyncio.gather(*(fetch(session, url) for url in urls))
        print("ready", flush=True)
        await fetch(session, await next_job())


if __name__ == "__main__":
    asyncio.run(main())
