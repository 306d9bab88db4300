// node's oidc-provider, set up as its documentation says for clients that sign their assertions and ask for access
// tokens in the form of a JWT (RFC 9068). benchmarks/issuing/oidc_provider.py starts it, and says everything that it
// needs in a file: where it listens, who it is, its keys, its clients and its API.
//
// What it remembers is in the adapter that comes with it, in memory, which forgets all but the last thousand things. A
// real one would ask a database, and be slower.

import { readFileSync } from 'node:fs';

import Provider from 'oidc-provider';

const { port, issuer, jwks, clients, audience, scope } = JSON.parse(readFileSync(process.argv[2], 'utf8'));

const api = {
  scope,
  audience,
  accessTokenFormat: 'jwt',
  accessTokenTTL: 3600,
  jwt: { sign: { alg: 'ES256' } },
};

const provider = new Provider(issuer, {
  jwks,
  clients,
  scopes: [scope],
  clientAuthMethods: ['private_key_jwt'],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    dPoP: { enabled: true },
    resourceIndicators: { enabled: true, getResourceServerInfo: () => api },
  },
});

provider.on('server_error', (_context, error) => console.error(error));
provider.listen(port, '127.0.0.1');
