// A browser as a device: it enrols once with a key of its own, and then gets tokens that are good with that key alone.

import { contentOf, Http } from "./http.js";
import { assertion, generateKeys, publicJwk } from "./jwt.js";
import * as storage from "./storage.js";

const ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const EARLY = 30; // seconds before its end at which a token is replaced

export class Device {
  #api; // what the API says of itself (RFC 9728)
  #server; // what its authorization server says of itself (RFC 8414)
  #http;
  #record;
  #token; // in memory alone: whoever reads the disk finds none

  /** This browser as a device of the API at `origin`, enrolled or not. */
  static async open(origin) {
    const device = new Device();
    const document = await fetch(new URL("/.well-known/oauth-protected-resource", origin), { cache: "no-store" });
    device.#api = await contentOf(document);
    const [issuer] = device.#api.authorization_servers;
    device.#http = new Http(issuer);
    device.#server = await contentOf(await device.#http.send(metadataUrl(issuer)));
    if (device.#server.issuer !== issuer) throw new Error(`${issuer} says that it is another issuer.`);
    device.#record = await storage.load();
    return device;
  }

  /** The name that this browser enrolled under, or undefined. */
  get clientId() {
    return this.#record?.clientId;
  }

  /** Enrol with a code. When the answer was lost, the same code can be used again: the key is still the same then. */
  enrol(code, name) {
    return navigator.locks.request("enrolment", async () => { // or two tabs would make two keys
      this.#record = await storage.load();
      if (this.clientId) return; // another tab was faster
      this.#record ??= { keys: await generateKeys() };
      await storage.save(this.#record);
      const registered = await this.#register(code, name);
      this.#record = { ...this.#record, clientId: registered.client_id, url: registered.registration_client_uri };
      await storage.save(this.#record);
      // Asks the browser not to evict the key when space runs short. It may say no, and nothing waits for it.
      navigator.storage.persist().catch(() => {});
    });
  }

  /** What the API answers to a GET of `path`. */
  async call(path) {
    const accessToken = await this.#accessToken();
    const url = new URL(path, this.#api.resource).href;
    const headers = { Authorization: `DPoP ${accessToken}` };
    const response = await this.#http.prove(this.#record.keys, "GET", url, { headers, accessToken });
    if (response.status === 401) this.#token = undefined; // the next call begins with a new one
    return contentOf(response);
  }

  /** Have this browser revoked, and forget its key. A browser that is revoked already only forgets. */
  async remove() {
    const response = await this.#http.prove(this.#record.keys, "DELETE", this.#record.url);
    if (response.status !== 401) await contentOf(response);
    await storage.forget();
    this.#record = this.#token = undefined;
  }

  /** How every way to take the private key out ends. */
  async tryToExport() {
    const attempt = (format) => crypto.subtle.exportKey(format, this.#record.keys.privateKey);
    const outcomes = ["jwk", "pkcs8"].map(async (format) => {
      const outcome = await attempt(format).then(() => "exported", (error) => `refused: ${error.name}`);
      return [format, outcome];
    });
    return Object.fromEntries(await Promise.all(outcomes));
  }

  async #register(code, name) {
    const { keys } = this.#record;
    const registration = JSON.stringify({
      client_name: name,
      token_endpoint_auth_method: "private_key_jwt",
      grant_types: ["client_credentials"],
      jwks: { keys: [await publicJwk(keys)] },
      device: { platform: "browser", app_id: location.origin },
    });
    const headers = { "Content-Type": "application/json", Authorization: `Bearer ${code}` };
    const url = this.#server.registration_endpoint;
    try {
      return await contentOf(await this.#http.prove(keys, "POST", url, { headers, body: () => registration }));
    } catch (error) {
      // Begin the next attempt with a new key: this one may be known from an enrolment whose code is no good any more.
      if (error.status === 400 || error.status === 401) await storage.forget();
      throw error;
    }
  }

  async #accessToken() {
    if (!this.#token || this.#token.until <= this.#http.now) this.#token = await this.#newToken();
    return this.#token.value;
  }

  async #newToken() {
    const { keys, clientId } = this.#record;
    const body = async () =>
      new URLSearchParams({
        grant_type: "client_credentials",
        client_id: clientId,
        client_assertion_type: ASSERTION_TYPE,
        client_assertion: await assertion(keys, { clientId, issuer: this.#server.issuer, now: this.#http.now }),
        resource: this.#api.resource,
        scope: this.#api.scopes_supported.join(" "),
      });
    const granted = await contentOf(await this.#http.prove(keys, "POST", this.#server.token_endpoint, { body }));
    // Another type would mean a token that whoever steals it could use (RFC 9449 section 5).
    if (granted.token_type !== "DPoP") throw new Error("The token is not bound to the key of this browser.");
    return { value: granted.access_token, until: this.#http.now + granted.expires_in - EARLY };
  }
}

/** Where an issuer's metadata is (RFC 8414 section 3.1): before its path, if it has one. */
function metadataUrl(issuer) {
  const { origin, pathname } = new URL(issuer);
  return `${origin}/.well-known/oauth-authorization-server${pathname === "/" ? "" : pathname}`;
}
