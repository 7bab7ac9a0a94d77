"""The official Python SDK, version 2, as an agent would use it: connects with
a bearer token, lists the tools, calls some, prints one line of JSON with the
results, and the first of them once more.

    python py2.py [--features] auto|legacy|2026-07-28 URL TOKEN [TOOL JSON_ARGS]...

With --features it declares sampling and elicitation, answers them with fixed
values and adds "asked" (methods) to its line.
"""

import asyncio
import json
import sys

import mcp_types as types
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from answers import answers


async def main(features, mode, url, token, *calls):
    http = create_mcp_http_client(headers={"Authorization": f"Bearer {token}"})
    asked = []
    callbacks = answers(types, asked) if features else {}
    async with http, Client(streamable_http_client(url, http_client=http), mode=mode, **callbacks) as client:
        version = client.protocol_version
        tools = len((await client.list_tools()).tools)
        pairs = list(zip(calls[::2], calls[1::2]))
        results = [await client.call_tool(tool, json.loads(args)) for tool, args in pairs]
    line = {"client": "py2", "mode": mode, "protocol_version": version, "tools": tools, "asked": asked}
    line["results"] = [result.model_dump(mode="json", by_alias=True, exclude_none=True) for result in results]
    line["result"] = line["results"][0] if results else None
    print(json.dumps(line))


argv = sys.argv[1:]
features = argv[:1] == ["--features"]
if len(argv) < 3 + features:
    sys.exit(__doc__)
asyncio.run(main(features, *argv[features:]))
