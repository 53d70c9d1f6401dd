// API client: sends requests to the service, and holds the key that it may ask for.

import { store } from "./store.js";

const NAME = "xclip-key"; // it goes with the last tab of this page: each gives it to those that open
export const TUS = { "tus-resumable": "1.0.0" };

export const keyHeld = store(sessionStorage.getItem(NAME) !== null);
// Set while the service wants a key: what was wrong with the one before, and whom to tell.
export const keyWanted = store(null);

export class Problem extends Error {
  constructor(message, { status = 0, code = null, retryAfter = null } = {}) {
    super(message);
    Object.assign(this, { status, code, retryAfter });
  }
}

// Makes a Problem of an error response; problem+json supplies the message.
export function problem(status, body, retryAfter = null) {
  let why = `The service answered ${status}.`;
  let code = null;
  try {
    const said = JSON.parse(body);
    why = said.errors?.map(({ msg }) => msg).join("; ") || said.detail || why;
    code = said.code ?? null;
  } catch { /* not JSON: only the status is known */ }
  return new Problem(why, { status, code, retryAfter });
}

export function credentials() {
  const key = sessionStorage.getItem(NAME);
  return key ? { authorization: `Bearer ${key}` } : {};
}

// Returns the response, asking for a key as often as it is refused; throws Problem or AbortError.
export async function ask(path, options = {}) {
  let sent = sessionStorage.getItem(NAME);
  let answer = await send(path, options);
  while (answer.status === 401) {
    const why = await refusal(answer);
    // Another key may have come while this request was on its way.
    if (sent === sessionStorage.getItem(NAME)) await wantKey(why);
    sent = sessionStorage.getItem(NAME);
    answer = await send(path, options);
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

export async function api(path, options = {}) {
  const answer = await ask(path, options);
  return answer.status === 204 ? null : answer.json();
}

export const post = (path, body, signal) => write("POST", path, body, signal);

export const write = (method, path, body, signal) =>
  api(path, {
    method, signal, body: JSON.stringify(body), headers: { "content-type": "application/json" },
  });

async function send(path, options) {
  try {
    return await fetch(path, { ...options, headers: { ...options.headers, ...credentials() } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The service cannot be reached.", { code: "unreachable" });
  }
}

const refusal = async (answer) =>
  problem(answer.status, await answer.text(), Number(answer.headers.get("retry-after")) || null);

let wanting = null;

// Returns once the reader has entered a key that the service accepts.
function wantKey(why) {
  wanting ??= new Promise((resolve) => {
    keyWanted.set({ why: keyHeld.get() ? why.message : "", resolve });
  }).finally(() => {
    wanting = null;
    keyWanted.set(null);
  });
  return wanting;
}

// Keeps the key if the service accepts it, for the other tabs too; throws Problem if not.
export async function useKey(key) {
  await holdKey(key);
  tell({ key });
}

async function holdKey(key) {
  sessionStorage.setItem(NAME, key);
  try {
    await beginSession();
  } catch (error) {
    sessionStorage.removeItem(NAME);
    keyHeld.set(false);
    throw error;
  }
  keyHeld.set(true);
  keyWanted.get()?.resolve();
}

// <img> and <video> are loaded by the browser, which sends no key: a cookie stands in for it.
async function beginSession() {
  const answer = await send("/v1/session", { method: "POST" });
  if (!answer.ok) throw await refusal(answer);
}

export async function forgetKey() {
  await send("/v1/session", { method: "DELETE" });
  sessionStorage.removeItem(NAME);
  tell({ isForgotten: true });
  location.reload();
}

// The other tabs of this page in this browser.
const tabs = "BroadcastChannel" in globalThis ? new BroadcastChannel(NAME) : null;
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel has one origin
const tell = (message) => tabs?.postMessage(message);
tabs?.addEventListener("message", ({ data }) => {
  const key = sessionStorage.getItem(NAME);
  if (data.isWanted && key) tell({ key });
  else if (data.key && data.key !== key && (!key || keyWanted.get())) holdKey(data.key).catch(() => {});
  else if (data.isForgotten && key) {
    sessionStorage.removeItem(NAME);
    location.reload();
  }
});
if (!keyHeld.get()) tell({ isWanted: true });

// After a reload the cookie may have ended; if the key has, the next answer asks for another.
export const sessionBegun = keyHeld.get() ? beginSession().catch(() => {}) : Promise.resolve();

// Every address of the REST API that the page uses.
const collection = (name) => `/v1/collections/${encodeURIComponent(name)}`;
export const at = {
  collection,
  videos: (name) => `${collection(name)}/videos`,
  video: (name, id) => `${collection(name)}/videos/${encodeURIComponent(id)}`,
  uploads: (name) => `${collection(name)}/uploads`,
  search: (name) => `${collection(name)}/search`,
  classify: (name) => `${collection(name)}/classify`,
  job: (id) => `/v1/jobs/${encodeURIComponent(id)}`,
};
