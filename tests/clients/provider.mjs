// A certified OpenID provider (oidc-provider) as the authorization server of a real MCP server at /mcp (guarded.mjs):
// dynamic registration, PKCE, resource indicators, rotation of refresh tokens.
//
//   node provider.mjs        says "loopback port N" on standard error
//
// GET /browser?url=… plays the person: it opens the URL, agrees to everything (or, with &refuse=1, to nothing), and answers
// with the callback's address.
//
// GET /control answers what was counted. POST /control takes a JSON object of what is to be different from now on or done
// at once, and answers the same:
//   access_seconds   how long access tokens live that are given out from now on
//   token            how the token endpoint answers: "well"; "slow" (after half a second), "error" (500, nothing done),
//                    "hang" (never, nothing done), "cut" (does its work and closes the connection), "hold" (does its work
//                    and keeps the answer until it is something else)
//   expire           true: no access token that was given out is good any more
//   revoke           true: nor is a refresh token; the grants are over
//   forget           true: no client is known any more
//   held             true: the answer waits until the token endpoint holds one back
import http from 'node:http';
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { Provider, errors } from 'oidc-provider';
import { guarded } from './guarded.mjs';

const server = http.createServer();
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${server.address().port}`;
const resource = `${origin}/mcp`;
const counts = { registrations: 0, authorizations: 0, exchanges: 0, refreshes: 0, refusals: 0, calls: 0, refused: 0 };
const settings = { access_seconds: 60, token: 'well' };

const provider = new Provider(origin, {
  // Somebody registered this one by hand; the port of a callback on this machine is free.
  clients: [{
    client_id: 'typed',
    client_secret: 'typed-secret',
    application_type: 'native',
    redirect_uris: ['http://127.0.0.1/oauth/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
  }],
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, named) => {
        if (named !== resource) throw new errors.InvalidTarget('unknown resource');
        const accessTokenTTL = settings.access_seconds;
        return { scope: 'read write', audience: resource, accessTokenTTL, accessTokenFormat: 'opaque' };
      },
      useGrantedResource: () => true,
    },
  },
  pkce: { required: () => true },
  issueRefreshToken: () => true,
  rotateRefreshToken: true,
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});

// What was given out: it can be taken back.
const given = { access: new Map(), clients: new Set() };
provider.on('access_token.saved', token => given.access.set(token.jti, token));
provider.on('registration_create.success', (_, client) => {
  counts.registrations += 1;
  given.clients.add(client.clientId);
});
provider.on('authorization.success', () => void (counts.authorizations += 1));
provider.on('grant.success', ({ oidc }) => {
  counts[oidc.params.grant_type === 'refresh_token' ? 'refreshes' : 'exchanges'] += 1;
});
provider.on('grant.error', () => void (counts.refusals += 1));

async function expire() {
  for (const token of given.access.values()) await token.destroy();
}

async function revoke() {
  const grants = new Set([...given.access.values()].map(token => token.grantId));
  for (const id of grants) {
    await Promise.all([provider.AccessToken, provider.RefreshToken].map(model => model.revokeByGrantId(id)));
    await provider.Grant.adapter.destroy(id);
  }
}

async function forget() {
  for (const id of given.clients) await provider.Client.adapter.destroy(id);
}

// Who waits for the token endpoint to answer, and for it not to.
const held = { answers: [], observers: [] };
const wait = waiting => new Promise(resolve => waiting.push(resolve));
const wake = waiting => waiting.splice(0).forEach(resolve => resolve());

provider.use(async (context, next) => {
  if (context.path !== '/token') return next();
  if (settings.token === 'slow') await new Promise(resolve => setTimeout(resolve, 500));
  if (settings.token === 'error') return void (context.status = 500);
  if (settings.token === 'hang') await wait(held.answers);
  await next();
  if (settings.token === 'cut') return void context.req.socket.destroy();
  if (settings.token !== 'hold') return;
  const answered = wait(held.answers);
  wake(held.observers);
  await answered;
});

async function control(wanted) {
  Object.assign(settings, Object.fromEntries(Object.entries(wanted).filter(([name]) => name in settings)));
  if (wanted.token) wake(held.answers);
  if (wanted.expire) await expire();
  if (wanted.revoke) await revoke();
  if (wanted.forget) await forget();
  if (wanted.held && !held.answers.length) await wait(held.observers);
  return counts;
}

async function agree(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (/\brefuse=1\b/.test(request.headers.cookie)) {
    const error = { error: 'access_denied', error_description: 'The person said no.' };
    await provider.interactionFinished(request, response, error);
    return;
  }
  if (prompt.name === 'login') {
    await provider.interactionFinished(request, response, { login: { accountId: 'ann' } });
    return;
  }
  const known = grantId && (await provider.Grant.find(grantId));
  const grant = known || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope ?? '');
  grant.addResourceScope(resource, params.scope ?? '');
  await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
}

async function browse(url, jar) {
  for (let hops = 0; hops < 12; hops += 1) {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(url, { redirect: 'manual', headers: { cookie } });
    for (const line of answer.headers.getSetCookie()) {
      const [name, value] = line.split(';')[0].split(/=(.*)/s);
      jar.set(name, value);
    }
    const location = answer.headers.get('location');
    if (!location) throw new Error(`${answer.status} at ${url}: ${await answer.text()}`);
    url = new URL(location, url).href;
    if (!url.startsWith(origin)) return url;
  }
  throw new Error('too many hops');
}

const verifier = {
  async verifyAccessToken(value) {
    const token = await provider.AccessToken.find(value);
    if (!token) throw new InvalidTokenError('the token is not known, or over');
    return { token: value, clientId: token.clientId, scopes: [...token.scopes], expiresAt: token.exp, resource: token.aud };
  },
};

function say(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

async function read(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return JSON.parse(text || '{}');
}

const callback = provider.callback();
const metadataUrl = `${origin}/.well-known/oauth-protected-resource/mcp`;
const mcp = guarded({ resource, metadataUrl, verifier, counts });
server.on('request', (request, response) => {
  const url = new URL(request.url, origin);
  const failed = error => say(response, 500, `${error.message}`);
  if (url.pathname === '/browser') {
    const jar = new Map(url.searchParams.has('refuse') ? [['refuse', '1']] : []);
    browse(url.searchParams.get('url'), jar).then(found => say(response, 200, found), failed);
  } else if (url.pathname === '/control') {
    read(request).then(control).then(answer => say(response, 200, answer)).catch(failed);
  } else if (url.pathname.startsWith('/interaction/')) {
    agree(request, response).catch(failed);
  } else if (request.url === new URL(metadataUrl).pathname) {
    say(response, 200, { resource, authorization_servers: [origin], scopes_supported: ['read', 'write'] });
  } else if (url.pathname === '/mcp') {
    mcp(request, response);
  } else {
    callback(request, response);
  }
});
console.error(`loopback port ${server.address().port}`);
