"""The official Python SDK, version 2, as an agent would use it: connects with
a bearer token, lists the tools, calls one, prints one line of JSON.

    python py2.py auto|legacy|2026-07-28 URL TOKEN [TOOL JSON_ARGS]
"""

import asyncio
import json
import sys

from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client


async def main(mode, url, token, tool=None, args="{}"):
    http = create_mcp_http_client(headers={"Authorization": f"Bearer {token}"})
    async with http, Client(streamable_http_client(url, http_client=http), mode=mode) as client:
        version = client.protocol_version
        tools = len((await client.list_tools()).tools)
        result = await client.call_tool(tool, json.loads(args)) if tool else None
    line = {"client": "py2", "mode": mode, "protocol_version": version, "tools": tools}
    line["result"] = result and result.model_dump(mode="json", by_alias=True, exclude_none=True)
    print(json.dumps(line))


if len(sys.argv) < 4:
    sys.exit(__doc__)
asyncio.run(main(*sys.argv[1:]))
