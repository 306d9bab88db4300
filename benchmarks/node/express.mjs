// The same express application, once for each way to protect it: `/open` is open, `/protected` takes an access token.
//
//     node express.mjs WAY PORT
//
// The setting comes as JSON in the environment variable BENCHMARK_SETTING. benchmarks/protected.py starts it.

import { createPublicKey } from 'node:crypto';

import express from 'express';
import { auth, requiredScopes } from 'express-oauth2-jwt-bearer';
import { createVerifier } from 'fast-jwt';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const SCOPE = 'images:read';
const AT_JWT = 'at+jwt';

const [way, port] = process.argv.slice(2);
const { issuer, audience, algorithm, jwk } = JSON.parse(process.env.BENCHMARK_SETTING);
const jwksUri = `${issuer}/.well-known/jwks.json`;
const algorithms = [algorithm];

// What a verifier of tokens becomes in an application: the token out of its header, the scope checked, errors told.
function byHand(verify) {
  return async (request, response, next) => {
    const [scheme, token] = (request.get('authorization') ?? '').split(' ');
    if (scheme.toLowerCase() !== 'bearer') return response.sendStatus(401);
    try {
      request.claims = await verify(token);
    } catch {
      return response.sendStatus(401);
    }
    if (!(request.claims.scope ?? '').split(' ').includes(SCOPE)) return response.sendStatus(403);
    return next();
  };
}

function jose() {
  const keys = createRemoteJWKSet(new URL(jwksUri));
  const options = { algorithms, issuer, audience, typ: AT_JWT };
  return byHand(async (token) => (await jwtVerify(token, keys, options)).payload);
}

function fastJwt(cache) {
  const key = createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
  return byHand(createVerifier({ key, algorithms, allowedIss: issuer, allowedAud: audience, checkTyp: AT_JWT, cache }));
}

const WAYS = {
  'express-oauth2-jwt-bearer': () => [auth({ issuer, jwksUri, audience }), requiredScopes(SCOPE)],
  jose: () => [jose()],
  'fast-jwt': () => [fastJwt(false)],
  'fast-jwt with its cache': () => [fastJwt(true)],
};

const app = express();
app.get('/open', (_request, response) => response.json({ subject: 'tests:somebody' }));
app.get('/protected', ...WAYS[way](), (request, response) => {
  const { sub } = request.claims ?? request.auth.payload;
  response.json({ subject: sub });
});
app.listen(Number(port), '127.0.0.1');
