// A workload that discovers the server and asks for a token by `openid-client`.

import * as client from 'openid-client';

import { answer } from './program.mjs';
import { identityAsAssertion } from './workload.mjs';

function discover({ issuer, discovery, client_id, client_assertion }) {
  const authenticate = client_assertion ? identityAsAssertion(client_assertion) : client.None();
  const options = { algorithm: discovery, execute: [client.allowInsecureRequests] };
  return client.discovery(new URL(issuer), client_id, undefined, authenticate, options);
}

function requestToken(config, { grant_type, parameters }) {
  return grant_type === 'client_credentials'
    ? client.clientCredentialsGrant(config, parameters)
    : client.genericGrantRequest(config, grant_type, parameters);
}

await answer(async (question) => {
  const config = await discover(question);
  const { access_token, ...response } = await requestToken(config, question);
  return { metadata: config.serverMetadata(), response };
});
