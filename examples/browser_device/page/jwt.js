// JSON Web Tokens signed by a key that only WebCrypto can use, and the DPoP proofs among them.

const CURVE = { name: "ECDSA", namedCurve: "P-256" };
const SIGNATURE = { name: "ECDSA", hash: "SHA-256" };

/** A key pair for ES256. The private key can sign and cannot be exported, by this page as little as by its attacker. */
export function generateKeys() {
  return crypto.subtle.generateKey(CURVE, false, ["sign"]);
}

/** The public key as a JWK with the members that RFC 7638 wants, and no others. */
export async function publicJwk(keys) {
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", keys.publicKey);
  return { kty, crv, x, y };
}

/** A compact JWS with this header and these claims. */
export async function sign(keys, header, claims) {
  const input = `${base64urlOfJson({ alg: "ES256", ...header })}.${base64urlOfJson(claims)}`;
  // WebCrypto's signature is r followed by s, 32 bytes each, which is what a JWS has (RFC 7518 section 3.4).
  const signature = await crypto.subtle.sign(SIGNATURE, keys.privateKey, utf8(input));
  return `${input}.${base64url(signature)}`;
}

/** A DPoP proof (RFC 9449 section 4.2) for one request. `now` is in seconds; nonce and access token may be absent. */
export async function proof(keys, { method, url, now, nonce, accessToken }) {
  const { origin, pathname } = new URL(url);
  const claims = { jti: crypto.randomUUID(), htm: method, htu: origin + pathname, iat: now, nonce };
  if (accessToken) claims.ath = base64url(await crypto.subtle.digest("SHA-256", utf8(accessToken)));
  return sign(keys, { typ: "dpop+jwt", jwk: await publicJwk(keys) }, claims);
}

/** A client assertion (RFC 7523 section 3) for one request, good for a minute. `now` is in seconds. */
export function assertion(keys, { clientId, issuer, now }) {
  const claims = { iss: clientId, sub: clientId, aud: issuer, iat: now, exp: now + 60, jti: crypto.randomUUID() };
  return sign(keys, { typ: "JWT" }, claims);
}

function base64url(bytes) {
  const binary = String.fromCharCode(...new Uint8Array(bytes));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function base64urlOfJson(value) {
  return base64url(utf8(JSON.stringify(value)));
}

function utf8(text) {
  return new TextEncoder().encode(text);
}
