"""The official Python SDK, version 1, as an agent would use it: connects with
a bearer token, lists the tools, calls some, prints one line of JSON with the
results, and the first of them once more.

    python py1.py [--features] [--sse] URL TOKEN [TOOL JSON_ARGS]...

With --features it declares sampling and elicitation, answers them with fixed
values and adds "asked" (methods) to its line. With --sse it uses the older
pair of endpoints, at URL/sse.
"""

import asyncio
import contextlib
import json
import sys

import mcp.types as types
from mcp import ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from answers import answers


@contextlib.asynccontextmanager
async def transport(is_sse, url, token):
    headers = {"Authorization": f"Bearer {token}"}
    if is_sse:
        async with sse_client(f"{url}/sse", headers=headers) as streams:
            yield streams
    else:
        http = create_mcp_http_client(headers=headers)
        async with http, streamable_http_client(url, http_client=http) as (read, write, _):
            yield read, write


async def main(features, is_sse, url, token, *calls):
    asked = []
    callbacks = answers(types, asked) if features else {}
    async with transport(is_sse, url, token) as (read, write):
        async with ClientSession(read, write, **callbacks) as session:
            version = (await session.initialize()).protocolVersion
            tools = len((await session.list_tools()).tools)
            pairs = list(zip(calls[::2], calls[1::2]))
            results = [await session.call_tool(tool, json.loads(args)) for tool, args in pairs]
    line = {"client": "py1", "mode": "initialize", "protocol_version": version, "tools": tools, "asked": asked}
    line["results"] = [result.model_dump(mode="json", by_alias=True, exclude_none=True) for result in results]
    line["result"] = line["results"][0] if results else None
    print(json.dumps(line))


argv = sys.argv[1:]
flags = [argv[:1] == [flag] and bool(argv.pop(0)) for flag in ("--features", "--sse")]
if len(argv) < 2:
    sys.exit(__doc__)
asyncio.run(main(*flags, *argv))
