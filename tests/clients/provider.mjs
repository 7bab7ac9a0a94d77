// A certified OpenID provider (oidc-provider) as the authorization server of an MCP server at /mcp: dynamic
// registration, PKCE, resource indicators, rotation of refresh tokens.
//
//   node provider.mjs        says "loopback port N" on standard error
//
// GET /browser?url=… plays the person: it opens the URL, agrees to everything, and answers with the callback's address.
import http from 'node:http';
import { Provider } from 'oidc-provider';

const server = http.createServer();
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${server.address().port}`;
const resource = `${origin}/mcp`;

const provider = new Provider(origin, {
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, named) => {
        if (named !== resource) throw new Error('unknown resource');
        return { scope: 'read write', audience: resource, accessTokenTTL: 60, accessTokenFormat: 'opaque' };
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

async function agree(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
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

async function browse(url) {
  const jar = new Map();
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

function say(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

const callback = provider.callback();
server.on('request', (request, response) => {
  const url = new URL(request.url, origin);
  const failed = error => say(response, 500, `${error.message}`);
  if (url.pathname === '/browser') {
    browse(url.searchParams.get('url')).then(found => say(response, 200, found), failed);
  } else if (url.pathname.startsWith('/interaction/')) {
    agree(request, response).catch(failed);
  } else if (url.pathname === '/.well-known/oauth-protected-resource/mcp') {
    say(response, 200, { resource, authorization_servers: [origin], scopes_supported: ['read', 'write'] });
  } else {
    callback(request, response);
  }
});
console.error(`loopback port ${server.address().port}`);
