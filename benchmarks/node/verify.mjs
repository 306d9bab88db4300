// Verifies access tokens with the libraries of this ecosystem, and tells what that cost this process.
//
// One JSON document a line comes in: which library, what it knows beforehand, and tokens; `again` asks for the cost of
// tokens that were verified a moment ago. One goes out: microseconds of processor time for each, or that one was
// refused. benchmarks/middleware/node.py is at the other end.

import { createPublicKey } from 'node:crypto';
import { createInterface } from 'node:readline';

import { createVerifier } from 'fast-jwt';
import { importJWK, jwtVerify } from 'jose';
import jsonwebtoken from 'jsonwebtoken';

const AT_JWT = 'at+jwt';

async function jose({ algorithm, issuer, audience, jwk }) {
  const key = await importJWK(jwk, algorithm);
  const options = { algorithms: [algorithm], issuer, audience, typ: AT_JWT };
  return (token) => jwtVerify(token, key, options);
}

function fastJwt({ algorithm, issuer, audience, jwk }, cache) {
  const key = pem(jwk);
  const algorithms = [algorithm];
  return createVerifier({ key, algorithms, allowedIss: issuer, allowedAud: audience, checkTyp: AT_JWT, cache });
}

function webtoken({ algorithm, issuer, audience, jwk }) {
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  const options = { algorithms: [algorithm], issuer, audience };
  return (token) => jsonwebtoken.verify(token, key, options);
}

const LIBRARIES = {
  jose,
  'fast-jwt': (setting) => fastJwt(setting, false),
  'fast-jwt with its cache': (setting) => fastJwt(setting, true),
  jsonwebtoken: webtoken,
};

function pem(jwk) {
  return createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
}

const verifiers = new Map();

async function verifierOf(library, setting) {
  const name = `${library} ${setting.algorithm} ${setting.issuer}`;
  if (!verifiers.has(name)) verifiers.set(name, await LIBRARIES[library](setting));
  return verifiers.get(name);
}

// What returns no promise is not awaited, or it would be charged for one.
async function all(verify, tokens) {
  for (const token of tokens) {
    const claims = verify(token);
    if (claims instanceof Promise) await claims;
  }
}

async function cost({ library, setting, tokens, again }) {
  const verify = await verifierOf(library, setting);
  if (again) await all(verify, tokens);
  const before = process.cpuUsage();
  await all(verify, tokens);
  const { user, system } = process.cpuUsage(before);
  return { microseconds: (user + system) / tokens.length };
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await cost(JSON.parse(line)).catch((error) => ({ refused: error.code ?? error.message }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
