// A device that enrols, gets tokens bound to its key, and calls an API with them, by `oauth4webapi`.

import * as oauth from 'oauth4webapi';

import { answer } from './program.mjs';

const loopback = { [oauth.allowInsecureRequests]: true };

async function discover(issuer) {
  return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...loopback }));
}

// RFC 9449 section 8: whoever is told to use a nonce asks again with it, once.
async function withNonce(dance, request) {
  try {
    return await request();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    dance.nonces += 1;
    return request();
  }
}

async function register(server, { code }, keys, DPoP, dance) {
  const key = await crypto.subtle.exportKey('jwk', keys.publicKey);
  const metadata = {
    client_name: 'a device of node',
    token_endpoint_auth_method: 'private_key_jwt',
    grant_types: ['client_credentials'],
    jwks: { keys: [key] },
    device: { platform: 'node' },
  };
  const options = { initialAccessToken: code, DPoP, ...loopback };
  return withNonce(dance, async () =>
    oauth.processDynamicClientRegistrationResponse(await oauth.dynamicClientRegistrationRequest(server, metadata, options)),
  );
}

async function requestToken(server, client, keys, DPoP, dance, parameters) {
  const authenticate = oauth.PrivateKeyJwt(keys.privateKey);
  return withNonce(dance, async () => {
    const request = oauth.clientCredentialsGrantRequest(server, client, authenticate, parameters, { DPoP, ...loopback });
    return oauth.processClientCredentialsResponse(server, client, await request);
  });
}

async function call(api, token, DPoP, dance) {
  const request = () => oauth.protectedResourceRequest(token, 'GET', new URL(api), undefined, undefined, { DPoP, ...loopback });
  return (await withNonce(dance, request)).status;
}

async function callAsBearer(api, token) {
  const response = await fetch(api, { headers: { authorization: `Bearer ${token}` } });
  return response.status;
}

await answer(async (question) => {
  const server = await discover(new URL(question.issuer));
  const keys = await oauth.generateKeyPair(question.algorithm);
  const dance = { nonces: 0 };
  const registered = await register(server, question, keys, oauth.DPoP({}, keys), dance);
  const client = { client_id: registered.client_id, [oauth.clockSkew]: question.clock_skew ?? 0 };
  const DPoP = oauth.DPoP(client, keys);
  const { access_token, ...response } = await requestToken(server, client, keys, DPoP, dance, question.parameters);
  const thief = oauth.DPoP({}, await oauth.generateKeyPair(question.algorithm));
  return {
    registered,
    response,
    nonces: dance.nonces,
    api: await call(question.api, access_token, DPoP, dance),
    bearer: await callAsBearer(question.api, access_token),
    thief: await call(question.api, access_token, thief, dance).catch((error) => error.status),
  };
});
