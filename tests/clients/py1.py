"""The official Python SDK, version 1, as an agent would use it: connects with
a bearer token, lists the tools, calls one, prints one line of JSON.

    python py1.py URL TOKEN [TOOL JSON_ARGS]
"""

import asyncio
import json
import sys

from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client


async def main(url, token, tool=None, args="{}"):
    http = create_mcp_http_client(headers={"Authorization": f"Bearer {token}"})
    async with http, streamable_http_client(url, http_client=http) as (read, write, _):
        async with ClientSession(read, write) as session:
            version = (await session.initialize()).protocolVersion
            tools = len((await session.list_tools()).tools)
            result = await session.call_tool(tool, json.loads(args)) if tool else None
    line = {"client": "py1", "mode": "initialize", "protocol_version": version, "tools": tools}
    line["result"] = result and result.model_dump(mode="json", by_alias=True, exclude_none=True)
    print(json.dumps(line))


if len(sys.argv) < 3:
    sys.exit(__doc__)
asyncio.run(main(*sys.argv[1:]))
