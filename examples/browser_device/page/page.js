// The page: what is shown, and what happens when a button is pressed.

import { Device } from "./device.js";
import { Refused } from "./http.js";

const REVOKED = " This browser may have been revoked: remove it, and enrol it anew.";

const element = (id) => document.getElementById(id);
let device;

/** Take an enrolment code out of the address, so that it stays in neither the history nor a copied link. */
function takeCode() {
  const code = location.hash.slice(1);
  if (!code) return;
  history.replaceState(null, "", location.pathname + location.search);
  // It is filled in, and not used: who follows somebody else's link must not become somebody else's device unasked.
  element("code").value = code;
}

function show() {
  const enrolled = device.clientId !== undefined;
  element("state").textContent = enrolled ? `Enrolled as ${device.clientId}` : "Not enrolled";
  element("enrolment").hidden = enrolled;
  element("device").hidden = !enrolled;
}

function say(kind, message, output = "") {
  element("message").dataset.kind = kind;
  element("message").textContent = message;
  element("output").textContent = output && JSON.stringify(output, null, 2);
}

function explain(error) {
  if (!(error instanceof Refused)) return error.message;
  const code = error.error ?? error.status;
  const found = error.requestId ? ` (${code}, request ${error.requestId})` : ` (${code})`;
  return `${error.message}${code === "invalid_client" ? REVOKED : ""}${found}`;
}

/** Do one thing at a time, and say how it ended. */
async function perform(work, done) {
  const buttons = document.querySelectorAll("button");
  for (const button of buttons) button.disabled = true;
  say("busy", "…");
  try {
    const output = await work();
    show();
    say("done", done, output);
  } catch (error) {
    say("error", explain(error));
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

element("enrolment").addEventListener("submit", (event) => {
  event.preventDefault();
  perform(async () => {
    await device.enrol(element("code").value.trim(), element("name").value);
    element("code").value = "";
  }, "This browser is enrolled.");
});
const on = (id, work, done) => element(id).addEventListener("click", () => perform(work, done));
on("call", () => device.call("/images"), "The API answered.");
on("export", () => device.tryToExport(), "That is how exporting the private key ended.");
on("remove", () => device.remove(), "This browser is no device any more.");
addEventListener("hashchange", takeCode);

takeCode();
await perform(async () => {
  device = await Device.open(location.origin);
}, "");
