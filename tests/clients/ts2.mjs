// The official TypeScript SDK, version 2, as an agent would use it: connects
// with a bearer token, lists the tools, calls some, prints one line of JSON
// with the results, and the first of them once more.
//
//   node ts2.mjs [--features] legacy|auto|2026-07-28 URL TOKEN [TOOL JSON_ARGS]...
//
// With --features it declares elicitation and sampling, answers them with
// fixed values and adds "asked" (methods) to its line.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const argv = process.argv.slice(2);
const features = argv[0] === '--features' && Boolean(argv.shift());
const [mode, url, token, ...calls] = argv;
if (!token) throw new Error('usage: ts2.mjs [--features] legacy|auto|2026-07-28 URL TOKEN [TOOL JSON_ARGS]...');

const asked = [];
const client = new Client({ name: 'ts2', version: '1' }, {
  capabilities: features ? { sampling: {}, elicitation: {} } : {},
  versionNegotiation: { mode: ['legacy', 'auto'].includes(mode) ? mode : { pin: mode } },
});
if (features) {
  const answer = (method, result) => client.setRequestHandler(method, () => (asked.push(method), result));
  answer('sampling/createMessage', { role: 'assistant', model: 'none', content: { type: 'text', text: 'sampled' } });
  answer('elicitation/create', { action: 'accept', content: { name: 'Ada', username: 'ada', email: 'ada@example.com', ok: true } });
}

const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { Authorization: `Bearer ${token}` } } });
await client.connect(transport);
const tools = (await client.listTools()).tools.length;
const results = [];
for (let at = 0; at < calls.length; at += 2)
  results.push(await client.callTool({ name: calls[at], arguments: JSON.parse(calls[at + 1] ?? '{}') }));
const protocol_version = client.getNegotiatedProtocolVersion() ?? transport.protocolVersion;
await client.close();
console.log(JSON.stringify({ client: 'ts2', mode, protocol_version, tools, result: results[0], results, ...(features ? { asked } : {}) }));
