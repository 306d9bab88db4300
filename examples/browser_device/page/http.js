// Requests that prove a key, and the errors that a page can show.

import { proof } from "./jwt.js";

/** An answer that is no success: what it said, and the id that its operator can look it up by. */
export class Refused extends Error {
  constructor(status, error, description, requestId) {
    super(description ?? `The answer was ${status}.`);
    Object.assign(this, { name: "Refused", status, error, requestId });
  }
}

/** No answer that this page may read. */
export class Unreachable extends Error {
  constructor(url, cause) {
    const { origin } = new URL(url);
    super(`${origin} cannot be reached, or does not let pages of ${location.origin} use it.`, { cause });
    this.name = "Unreachable";
  }
}

/** What JSON an answer holds. Throws Refused if it is no success. */
export async function contentOf(response) {
  const document = await response.json().catch(() => ({}));
  if (response.ok) return document;
  const [, code] = /error="([^"]*)"/.exec(response.headers.get("WWW-Authenticate") ?? "") ?? [];
  const requestId = document.request_id ?? response.headers.get("X-Request-Id") ?? undefined;
  throw new Refused(response.status, document.error ?? code, document.error_description, requestId);
}

/** Sends requests, and remembers from the answers what time it is at the issuer and which nonces to use next. */
export class Http {
  #issuer;
  #secondsAhead = 0;
  #nonces = new Map(); // one for each origin (RFC 9449 section 8.2)

  constructor(issuer) {
    this.#issuer = new URL(issuer).origin;
  }

  /** The time in seconds, by the issuer's clock: the clock of a device may be wrong by years. */
  get now() {
    return Math.floor(Date.now() / 1000) + this.#secondsAhead;
  }

  /** A request. Throws Unreachable. */
  async send(url, options = {}) {
    // Not from the browser's cache: the Date of a cached answer is in the past.
    const always = { cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer" };
    let response;
    try {
      response = await fetch(url, { ...options, ...always });
    } catch (error) {
      throw new Unreachable(url, error);
    }
    this.#learn(new URL(url).origin, response.headers);
    return response;
  }

  /**
   * A request with a DPoP proof by these keys, and with a second one when the server wants its nonce in it (RFC 9449
   * sections 8 and 9). `body` is called for each, because an assertion in it must not be sent twice.
   */
  async prove(keys, method, url, { headers = {}, body = () => undefined, accessToken } = {}) {
    const attempt = async () => {
      const nonce = this.#nonces.get(new URL(url).origin);
      const dpop = await proof(keys, { method, url, now: this.now, nonce, accessToken });
      return this.send(url, { method, headers: { ...headers, DPoP: dpop }, body: await body() });
    };
    const response = await attempt();
    return (await wantsNonce(response)) ? attempt() : response;
  }

  #learn(origin, headers) {
    const nonce = headers.get("DPoP-Nonce");
    if (nonce) this.#nonces.set(origin, nonce);
    const date = Date.parse(headers.get("Date") ?? "");
    if (origin === this.#issuer && date) this.#secondsAhead = Math.round((date - Date.now()) / 1000);
  }
}

async function wantsNonce(response) {
  if (response.status !== 400 && response.status !== 401) return false;
  const error = await contentOf(response.clone()).catch((refused) => refused.error);
  return error === "use_dpop_nonce" && response.headers.has("DPoP-Nonce");
}
