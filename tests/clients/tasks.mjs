// An agent that knows tasks: the official TypeScript SDK, version 2, with the
// official package for the tasks extension. Calls a tool, prints one line of
// JSON for each state of the task that it is given, and a last one with what
// came of it. With --cancel it cancels the task when it has it; with --hand-off
// it prints a reference to the task and ends; with --resume it goes on with one.
//
//   node tasks.mjs [--cancel | --hand-off] URL TOKEN TOOL JSON_ARGS
//   node tasks.mjs --resume URL TOKEN REFERENCE
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { createTaskSessionFromClient, taskViewFromExecutionEvent } from '@modelcontextprotocol/ext-tasks/client';

const argv = process.argv.slice(2);
const [cancels, handsOff, resumes] = ['--cancel', '--hand-off', '--resume'].map((flag) => argv[0] === flag && Boolean(argv.shift()));
const [url, token, tool, args] = argv;
if (!tool) throw new Error('usage: tasks.mjs [--cancel | --hand-off | --resume] URL TOKEN TOOL|REFERENCE [JSON_ARGS]');

const protocolVersion = '2026-07-28';
const clientInfo = { name: 'ts2-tasks', version: '1' };
const clientCapabilities = { elicitation: {}, extensions: { 'io.modelcontextprotocol/tasks': {} } };
const client = new Client(clientInfo, { capabilities: clientCapabilities, versionNegotiation: { mode: { pin: protocolVersion } } });
const authorization = { Authorization: `Bearer ${token}` };
await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: authorization } }));

// The SDK's own codecs don't let tasks through; the package asks its host for a way beside them.
let next = 1000;
async function rawDispatch(request, options) {
  const headers = {
    ...authorization,
    'Content-Type': 'application/json',
    Accept: 'application/json, text/event-stream',
    'MCP-Protocol-Version': protocolVersion,
    'Mcp-Method': request.method,
    'Mcp-Name': request.params.name ?? request.params.taskId,
  };
  const body = JSON.stringify({ jsonrpc: '2.0', id: next++, ...request });
  const text = await (await fetch(url, { method: 'POST', headers, body, signal: options?.signal })).text();
  const data = text.startsWith('{') ? text : text.split('\n').filter((line) => line.startsWith('data: ')).at(-1).slice(6);
  return JSON.parse(data);
}

const session = createTaskSessionFromClient(client, {
  endpointId: 'gateway',
  rawDispatch,
  v2RequestFraming: { protocolVersion, clientInfo, clientCapabilities },
  onInputRequest: async () => ({ action: 'accept', content: { name: 'Ada' } }),
});
const say = (line) => console.log(JSON.stringify(line));
const execution = resumes ? await session.resumeTask(JSON.parse(tool)) : await session.callTool(tool, JSON.parse(args ?? '{}'));
if (handsOff) {
  // Another process goes on with it; this one ends as if it were killed.
  await execution.handoff((reference) => say({ reference }));
  process.exit(0);
} else {
  if (cancels) await execution.cancel();
  const { outcome } = await execution.settle({
    onEvent: (event) => {
      const task = taskViewFromExecutionEvent(event);
      if (task) say({ task: task.taskId, status: task.status, message: task.statusMessage });
    },
  });
  say({ kind: execution.kind, status: outcome.status, result: outcome.result, error: outcome.error?.message });
}
await session.close();
await client.close();
