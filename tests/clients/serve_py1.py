"""A server with sessions, made with the official Python SDK, version 1.  Listens
on a free port of 127.0.0.1 and says which.

    python serve_py1.py
"""

import socket
import sys

import uvicorn
from mcp.server.fastmcp import FastMCP

server = FastMCP("echoes", log_level="ERROR")


@server.tool()
async def echo(message: str) -> str:
    return f"Echo: {message}"


listener = socket.create_server(("127.0.0.1", 0))
print(f"loopback port {listener.getsockname()[1]}", file=sys.stderr, flush=True)
uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="error")).run(sockets=[listener])
