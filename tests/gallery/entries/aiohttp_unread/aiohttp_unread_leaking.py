# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaks: a response is looked at and left; its connection is neither free again nor closed."""

import asyncio
import sys

import aiohttp


# docs: begin
async def size(session: aiohttp.ClientSession, url: str) -> int:
    response = await session.get(url)
    return int(response.headers["Content-Length"])


# docs: end


async def main() -> None:
    async with aiohttp.ClientSession() as session:
        urls = [f"http://127.0.0.1:{sys.argv[1]}/films/{number}/" for number in range(int(sys.argv[2]))]
        await asyncio.gather(*(size(session, url) for url in urls))
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
