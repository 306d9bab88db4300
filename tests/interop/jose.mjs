// A resource server that verifies an access token as the documentation of `jose` says to.

import { createRemoteJWKSet, jwtVerify } from 'jose';

import { answer } from './program.mjs';

const requiredClaims = ['iss', 'sub', 'aud', 'client_id', 'scope', 'iat', 'exp', 'jti'];

await answer(async ({ jwks_uri, token, issuer, audience, algorithm }) => {
  const keys = createRemoteJWKSet(new URL(jwks_uri));
  const expected = { issuer, audience, algorithms: [algorithm], typ: 'at+jwt', requiredClaims };
  const { payload, protectedHeader } = await jwtVerify(token, keys, expected);
  return { header: protectedHeader, claims: payload };
});
