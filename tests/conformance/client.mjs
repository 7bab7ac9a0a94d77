// The gateway in the place of the client that the conformance suite tests.
//
//   ATRYUM=PATH_OF_THE_BINARY conformance client --command "node client.mjs" --scenario auth/metadata-default
//
// The suite starts a server, and what gives out its tokens, and appends the server's URL. This starts a gateway in a
// directory of its own, registers that URL, and is everybody around the gateway: the agent (the official SDK), the operator,
// and the operator's browser. It ends with 0 when every call that the scenario prescribes was answered.
//
// LOGINS is how often a call that fails may be followed by a login before it is given up; 3 unless it is set.
// AGENT is `legacy` for an agent of the legacy era; else it is of the era of the scenario.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { createRequire } from 'node:module';

const { Client, StreamableHTTPClientTransport } = createRequire(new URL('../clients/', import.meta.url))('@modelcontextprotocol/client');

const upstream = process.argv.at(-1);
const scenario = process.env.MCP_CONFORMANCE_SCENARIO ?? '';
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const isModern = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION === '2026-07-28' && process.env.AGENT !== 'legacy';
const logins = Number(process.env.LOGINS ?? 3);
const operator = 'conformance-operator-0123456789abcdef0123456789abcdef';
const say = (...words) => console.error('[client]', ...words);

/** Starts a gateway; its URL, and what ends it. */
async function start() {
  const directory = await mkdtemp(path.join(tmpdir(), 'atryum-conformance-'));
  const env = {
    PATH: process.env.PATH,
    XDG_CONFIG_HOME: path.join(directory, 'config'),
    ATRYUM_DATA_DIR: path.join(directory, 'data'),
    ATRYUM_LISTEN: '127.0.0.1:0',
    ATRYUM_ADMIN_TOKEN: operator,
    // The suite knows no other.
    ATRYUM_OAUTH__CLIENT_METADATA_URL: 'https://conformance-test.local/client-metadata.json',
  };
  const gateway = spawn(process.env.ATRYUM, ['serve'], { env, cwd: directory, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise(resolve => gateway.once('exit', resolve));
  const stop = async () => {
    gateway.kill('SIGTERM');
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
  // Whoever gives up on this leaves no gateway behind.
  process.once('SIGTERM', () => stop().finally(() => process.exit(1)));
  process.stdin.once('end', () => stop().finally(() => process.exit(1))).resume().unref?.();
  for await (const line of createInterface({ input: gateway.stdout })) {
    const [, url] = line.match(/^listening on (\S+)/) ?? [];
    if (url) return { url, stop };
  }
  throw new Error('the gateway did not start');
}

const { url: gateway, stop } = await start();

/** Asks the REST interface as the operator. */
async function ask(method, resource, body) {
  const headers = { authorization: `Bearer ${operator}`, ...(body && { 'content-type': 'application/json' }) };
  const answer = await fetch(`${gateway}/api/v1/${resource}`, { method, headers, body: body && JSON.stringify(body) });
  const json = await answer.json();
  if (!answer.ok) throw new Error(`${method} ${resource}: ${answer.status} ${JSON.stringify(json)}`);
  return json;
}

/** Whether the status of the server asks for a login; it may come a moment after the call that failed. */
async function wantsLogin() {
  for (let tries = 0; tries < 20; tries += 1) {
    const { connection, credentials } = await ask('GET', 'servers/up');
    if (!tries || tries === 19) say('status', JSON.stringify({ connection, credentials }));
    if ([credentials, connection].some(({ action }) => ['connect', 'reconnect'].includes(action))) return true;
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  return false;
}

/** Clicks Connect, and follows the browser from the authorization server back to the gateway. Whether it helped shows when
 *  the call is made again: a server may want another login at once. */
async function logIn() {
  const { flow_id, authorize_url } = await ask('POST', 'servers/up/connect', {});
  say('opens', authorize_url);
  const there = await fetch(authorize_url, { redirect: 'manual' });
  const back = there.headers.get('location');
  if (!back?.startsWith(gateway)) throw new Error(`the authorization server answers ${there.status}, and ${back}`);
  const page = await fetch(back, { redirect: 'manual' });
  const flow = await ask('GET', `servers/up/connect/${flow_id}`);
  say('comes back', page.status, JSON.stringify(flow));
}

/** Does a step, and does it again after a login as long as the gateway asks for one. */
async function withLogins(step) {
  for (let done = 0; ; done += 1) {
    try {
      return await step();
    } catch (error) {
      say(error.message);
      if (done === logins || !(await wantsLogin())) throw error;
    }
    await logIn();
  }
}

async function connect(key) {
  const capabilities = { elicitation: { form: { applyDefaults: true } } };
  const mode = isModern ? { pin: '2026-07-28' } : 'legacy';
  const agent = new Client({ name: 'agent', version: '1' }, { capabilities, versionNegotiation: { mode } });
  agent.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: {} }));
  const headers = { Authorization: `Bearer ${key}` };
  await agent.connect(new StreamableHTTPClientTransport(new URL(`${gateway}/mcp/up`), { requestInit: { headers } }));
  return agent;
}

/** What the scenario wants to see called; any tool will do for most. */
function calls(tools) {
  if (context.toolCalls) return context.toolCalls;
  if (scenario === 'json-schema-ref-no-deref') return [];
  if (scenario === 'json-schema-2020-12-preservation') {
    const { inputSchema: schema } = tools.find(({ name }) => name === 'json_schema_2020_12_tool');
    return [{ name: 'json_schema_echo', arguments: { schema } }];
  }
  const named = tools.map(({ name }) => ({ name, arguments: { a: 2, b: 3, region: 'north' } }));
  // The same call twice: a server may change its mind about tokens in between.
  return scenario.startsWith('auth/') ? [...named.slice(0, 1), ...named.slice(0, 1)] : named;
}

async function run() {
  const everything = { agents: ['*'], servers: ['*'], tools: ['*'], methods: ['*'] };
  await ask('POST', 'rules', { action: 'allow', ...everything });
  const { key } = await ask('POST', 'agents', { name: 'agent', servers: ['*'] });
  const { client_id, client_secret } = context;
  const auth = client_id && { oauth: { client_id, client_secret } };
  await ask('POST', 'servers', { name: 'up', mode: 'http', base_url: upstream, ...(auth && { auth }) });
  const agent = await withLogins(() => connect(key));
  const { tools } = await withLogins(() => agent.listTools());
  say('tools', tools.map(({ name }) => name).join(' '));
  for (const call of calls(tools)) {
    const result = await withLogins(async () => {
      const answered = await agent.callTool(call);
      if (answered.isError) throw new Error(`${call.name}: ${JSON.stringify(answered.content)}`);
      return answered;
    });
    say('called', call.name, JSON.stringify(result).slice(0, 200));
  }
  await agent.close();
}

try {
  await run();
} catch (error) {
  say('ends with', error.message);
  process.exitCode = 1;
} finally {
  await stop();
}
