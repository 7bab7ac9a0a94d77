// The official TypeScript SDK, version 1, as an agent would use it: connects
// with a bearer token, lists the tools, calls some, prints one line of JSON
// with the results, and the first of them once more.
//
//   node ts1.mjs [--features] [--remote|--sse] URL TOKEN [TOOL JSON_ARGS]...
//
// With --sse it uses the older pair of endpoints, at URL/sse.
// With --remote it speaks over stdio to mcp-remote, which speaks to URL.
// With --features it declares sampling, elicitation and roots, answers them
// with fixed values, and adds to its line what it was asked and told meanwhile:
// "asked" (methods), "progress", "logs" and "changed" (notification params or methods).
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema, LoggingMessageNotificationSchema,
  PromptListChangedNotificationSchema, ResourceUpdatedNotificationSchema, ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';

const argv = process.argv.slice(2);
const features = argv[0] === '--features' && Boolean(argv.shift());
const remote = argv[0] === '--remote' && Boolean(argv.shift());
const sse = argv[0] === '--sse' && Boolean(argv.shift());
const [url, token, ...calls] = argv;
if (!token) throw new Error('usage: ts1.mjs [--features] [--remote|--sse] URL TOKEN [TOOL JSON_ARGS]...');

const capabilities = features ? { sampling: {}, elicitation: {}, roots: { listChanged: true } } : {};
const client = new Client({ name: 'ts1', version: '1' }, { capabilities });
const seen = { asked: [], progress: [], logs: [], changed: [] };
if (features) {
  const answer = (schema, result) => client.setRequestHandler(schema, request => (seen.asked.push(request.method), result(request)));
  answer(CreateMessageRequestSchema, () => ({ role: 'assistant', model: 'none', content: { type: 'text', text: 'sampled' } }));
  answer(ListRootsRequestSchema, () => ({ roots: [{ uri: 'file:///root', name: 'root' }] }));
  answer(ElicitRequestSchema, ({ params }) => ({ action: 'accept', content: fill(params.requestedSchema) }));
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void seen.logs.push(params));
  for (const schema of [ToolListChangedNotificationSchema, PromptListChangedNotificationSchema, ResourceUpdatedNotificationSchema])
    client.setNotificationHandler(schema, ({ method }) => void seen.changed.push(method));
}

/** Gives every required property, and every one with a default, a value of its type. */
function fill({ properties = {}, required = [] }) {
  const value = p => p.default ?? p.enum?.[0] ?? p.oneOf?.[0].const ?? { boolean: true, number: 1.5, integer: 1, array: [] }[p.type] ?? 'Ada';
  const names = Object.keys(properties).filter(name => required.includes(name) || 'default' in properties[name]);
  return Object.fromEntries(names.map(name => [name, value(properties[name])]));
}

const headers = { Authorization: `Bearer ${token}` };
const proxy = new URL('node_modules/mcp-remote/dist/proxy.js', import.meta.url).pathname;
const transport = remote
  ? new StdioClientTransport({
    command: process.execPath,
    args: [proxy, url, '--transport', 'http-only', '--header', 'Authorization:${HEADER}'],
    env: { ...process.env, HEADER: headers.Authorization },
  })
  : sse
    ? new SSEClientTransport(new URL(`${url}/sse`), { requestInit: { headers } })
    : new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
let agreed;
if (remote || sse) transport.setProtocolVersion = version => void (agreed = version);
await client.connect(transport);
const tools = (await client.listTools()).tools.length;
const onprogress = features ? update => void seen.progress.push(update) : undefined;
const results = [];
for (let at = 0; at < calls.length; at += 2)
  results.push(await client.callTool({ name: calls[at], arguments: JSON.parse(calls[at + 1] ?? '{}') }, undefined, { onprogress }));
if (features) await new Promise(done => setTimeout(done, 300)); // what comes on the other stream
const protocol_version = agreed ?? transport.protocolVersion;
const line = { client: 'ts1', mode: 'initialize', protocol_version, tools, result: results[0], results, ...(features ? seen : {}) };
await transport.terminateSession?.();
await client.close();
console.log(JSON.stringify(line));
