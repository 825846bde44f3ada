// An OpenID provider (npm's oidc-provider) in which one person is always signed in and agrees to
// everything. Prints its issuer once it listens; ends with its standard input.
//
//     node oidc_provider.mjs PEER_DIR CLIENT_ID CLIENT_SECRET REDIRECT_URI
//
// PEER_DIR is the folder whose node_modules has oidc-provider. The person is `mira` of the groups
// `fleet` and `staff`. PKCE is demanded of every client.

import { once } from 'node:events';
import http from 'node:http';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [peer, clientId, clientSecret, redirectUri] = process.argv.slice(2);
const entry = path.join(peer, 'node_modules', 'oidc-provider', 'lib', 'index.js');
const { default: Provider } = await import(pathToFileURL(entry));

// The issuer names the port, so the socket comes first.
const server = http.createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [redirectUri] }],
  claims: { openid: ['sub'], groups: ['groups'] },
  scopes: ['openid', 'groups'],
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: ['tests'] },
  findAccount: (_, sub) => ({
    accountId: sub,
    claims: () => ({ sub, groups: ['fleet', 'staff'] }),
  }),
});

async function interact(request, response) {
  const details = await provider.interactionDetails(request, response);
  const { prompt, params, session } = details;
  if (prompt.name === 'login') {
    const login = { accountId: 'mira' };
    return provider.interactionFinished(request, response, { login });
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent });
}

const callback = provider.callback();
server.on('request', (request, response) => {
  if (!request.url.startsWith('/interaction/')) return callback(request, response);
  return interact(request, response).catch((error) => {
    response.statusCode = 500;
    response.end(String(error));
  });
});

// The caller reads one line; what the library says further is not for it.
process.stdout.write(`${issuer}\n`);
console.log = console.info = console.error;
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
