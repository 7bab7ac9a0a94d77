// A real MCP server (the official TypeScript SDK) that wants a token of its authorization server: with the SDK's own guard,
// which answers 401 and 403 with a challenge. Its tools: `echo` (text; scope `read`) and `write` (text; scopes `read write`).
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { CallToolRequestSchema, ListToolsRequestSchema, isInitializeRequest } from '@modelcontextprotocol/sdk/types.js';
import { randomUUID } from 'node:crypto';

/** Returns a handler of requests for `/mcp`. `verifier` tells the SDK about a token; `counts` is counted up. */
export function guarded({ resource, metadataUrl, verifier, counts }) {
  const sessions = new Map();
  const app = createMcpExpressApp();
  const guard = requiredScopes =>
    requireBearerAuth({ verifier, requiredScopes, resourceMetadataUrl: metadataUrl, expectedResource: resource });
  const [readers, writers] = [guard(['read']), guard(['read', 'write'])];

  app.use('/mcp', (request, response, next) => {
    const isCall = request.body?.method === 'tools/call';
    response.on('finish', () => {
      if ([401, 403].includes(response.statusCode)) counts.refused += 1;
      else if (isCall) counts.calls += 1;
    });
    (isCall && request.body.params?.name === 'write' ? writers : readers)(request, response, next);
  });
  app.post('/mcp', async (request, response) => {
    const known = sessions.get(request.headers['mcp-session-id']);
    if (known) return known.handleRequest(request, response, request.body);
    if (!isInitializeRequest(request.body)) return response.status(404).json(unknown(request.body?.id));
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: id => void sessions.set(id, transport),
      onsessionclosed: id => void sessions.delete(id),
    });
    await server().connect(transport);
    await transport.handleRequest(request, response, request.body);
  });
  const others = (request, response) => {
    const known = sessions.get(request.headers['mcp-session-id']);
    return known ? known.handleRequest(request, response) : response.status(404).json(unknown());
  };
  app.get('/mcp', others);
  app.delete('/mcp', others);
  return app;
}

function unknown(id = null) {
  return { jsonrpc: '2.0', id, error: { code: -32001, message: 'Session not found' } };
}

function server() {
  const server = new Server({ name: 'guarded', version: '1' }, { capabilities: { tools: {} } });
  const inputSchema = { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] };
  const tools = ['echo', 'write'].map(name => ({ name, inputSchema }));
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools }));
  server.setRequestHandler(CallToolRequestSchema, ({ params }) => ({
    content: [{ type: 'text', text: params.arguments.text }],
  }));
  return server;
}
