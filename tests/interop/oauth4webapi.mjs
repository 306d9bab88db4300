// A workload that discovers the server and asks for a token, and a resource server that validates it, by `oauth4webapi`.

import * as oauth from 'oauth4webapi';

import { answer } from './program.mjs';
import { identityAsAssertion } from './workload.mjs';

const loopback = { [oauth.allowInsecureRequests]: true };

async function discover(issuer, algorithm) {
  const response = await oauth.discoveryRequest(issuer, { algorithm, ...loopback });
  return oauth.processDiscoveryResponse(issuer, response);
}

async function requestToken(server, { client_id, client_assertion, grant_type, parameters }) {
  const client = { client_id };
  if (grant_type === 'client_credentials') {
    const authenticate = identityAsAssertion(client_assertion);
    const response = await oauth.clientCredentialsGrantRequest(server, client, authenticate, parameters, loopback);
    return oauth.processClientCredentialsResponse(server, client, response);
  }
  const anyone = oauth.None();
  const response = await oauth.genericTokenEndpointRequest(server, client, anyone, grant_type, parameters, loopback);
  return oauth.processGenericTokenEndpointResponse(server, client, response);
}

async function validate(server, token, { audience, algorithm }) {
  const request = new Request(audience, { headers: { authorization: `Bearer ${token}` } });
  return oauth.validateJwtAccessToken(server, request, audience, { signingAlgorithms: [algorithm], ...loopback });
}

await answer(async (question) => {
  const server = await discover(new URL(question.issuer), question.discovery);
  const { access_token, ...response } = await requestToken(server, question);
  return { metadata: server, response, claims: await validate(server, access_token, question) };
});
