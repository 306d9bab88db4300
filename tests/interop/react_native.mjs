// The TypeScript of the page about React Native, after compilation, with a key of node's in the place of the hardware's.
// Asked in JSON on standard input: for bytes, or to enrol with what was scanned and to call an API.
import { createHash, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';

const [, , compiled] = process.argv;
const page = await import(compiled);
const asked = JSON.parse(readFileSync(0, 'utf8'));

function softwareKey() {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x, y } = publicKey.export({ format: 'jwk' });
  const point = Buffer.concat([Buffer.from([4]), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  return {
    publicKey: async () => point.toString('base64url'),
    sign: async (input) => sign('sha256', Buffer.from(input, 'ascii'), privateKey).toString('base64url'),
  };
}

const platform = {
  sha256: async (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest()),
  unique: () => randomUUID(),
};

async function bytes({ point, der }) {
  const fromHex = (text) => new Uint8Array(Buffer.from(text, 'hex'));
  const jwk = page.jwk(fromHex(point));
  return {
    jwk,
    thumbprint: page.base64url(await platform.sha256(page.ascii(jwk))),
    raw: Buffer.from(page.raw(fromHex(der))).toString('hex'),
    again: Buffer.from(page.fromBase64url(page.base64url(fromHex(point)))).toString('hex'),
  };
}

async function conversation({ scanned, resource, url }) {
  const [device, clientId] = await page.enrol(scanned, softwareKey(), platform);
  const token = await device.token(resource, 'images:read');
  const again = await device.token(resource, 'images:read');
  const statuses = [];
  for (let call = 0; call < 3; call += 1) statuses.push((await device.call('GET', url, token)).status);
  return { clientId, kept: token === again, statuses };
}

console.log(JSON.stringify(await (asked.der ? bytes(asked) : conversation(asked))));
