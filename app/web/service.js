// How the page asks the service, and how it gets the key that the service may want.

import { $, say } from "./common.js";

const NAME = "xclip-key"; // of this tab: it goes with the tab, and other tabs do not have it
let asking = null;

// A refusal comes as problem+json: its sentences are what the reader gets.
export function problem(status, body) {
  let why = `The service answered ${status}.`;
  try {
    const { detail, code, errors } = JSON.parse(body);
    if (detail) why = errors?.map(({ msg }) => msg).join("; ") || detail;
    if (code) why += ` (${code})`;
  } catch { /* not JSON: the status has to do */ }
  return new Error(why);
}

export async function api(path, options = {}) {
  let answer = await send(path, options);
  while (answer.status === 401) {
    await (asking ??= askForKey(answer));
    answer = await send(path, options);
  }
  const body = await answer.text();
  if (!answer.ok) throw problem(answer.status, body);
  return JSON.parse(body);
}

export function credentials() {
  const key = sessionStorage.getItem(NAME);
  return key ? { authorization: `Bearer ${key}` } : {};
}

async function send(path, options) {
  try {
    return await fetch(path, { ...options, headers: { ...options.headers, ...credentials() } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The service cannot be reached.");
  }
}

// Returns once the reader has given a key that the service takes.
async function askForKey(refused) {
  const why = problem(refused.status, await refused.text()).message;
  say($("key-status"), sessionStorage.getItem(NAME) ? why : "", true);
  $("key").showModal();
  await new Promise((resolve) => {
    $("key-form").onsubmit = async (event) => {
      event.preventDefault();
      sessionStorage.setItem(NAME, $("key-text").value.trim());
      try {
        await beginSession();
        resolve();
      } catch (error) {
        sessionStorage.removeItem(NAME);
        say($("key-status"), error.message, true);
      }
    };
  });
  $("key-form").reset();
  $("key").close();
  asking = null;
}

// <img> and <video> are loaded by the browser, which sends no key: a cookie stands in for it.
async function beginSession() {
  const answer = await send("/v1/session", { method: "POST" });
  if (!answer.ok) throw problem(answer.status, await answer.text());
  $("forget").hidden = false;
}

async function forget() {
  await send("/v1/session", { method: "DELETE" });
  sessionStorage.removeItem(NAME);
  location.reload();
}

$("key").addEventListener("cancel", (event) => event.preventDefault());
$("forget").addEventListener("click", forget);
// After a reload the cookie may have ended; if the key has, the next answer asks for another.
if (sessionStorage.getItem(NAME)) beginSession().catch(() => {});
