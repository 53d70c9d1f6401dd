// Resumable uploads by the tus protocol: sends files, resumes cut ones and follows their jobs.
// They outlive the view that shows them.

import { cancelJob, ended, follow, retryJob } from "./jobs.js";
import { TUS, api, ask, at, credentials, problem } from "./service.js";
import { store } from "./store.js";

const AT_ONCE = 2;
const VIDEO = /\.(mp4|m4v|mov|mkv|webm|avi|ts|mts|m2ts|mpe?g|flv|wmv|asf|ogv|gif|3gp)$/i;

export const uploads = store([]); // {id, file, collection, state, sent, job, why, stop}
export const skipped = store(0); // how many of the files added last are not sent
export const arrived = store(0); // counts the ends of jobs: lists of videos are read again

let lastId = 0;

export const isVideo = (file) =>
  !isHidden(file) && (file.type.startsWith("video/") || VIDEO.test(file.name));

// What systems keep beside the files of people: `._clip.mp4` of macOS is no video, whatever its name.
const HIDDEN = /^(\..*|@eaDir|#recycle|#snapshot|__MACOSX|\$RECYCLE\.BIN|System Volume Information|lost\+found|@recycle|@recently-snapshot|@tmp|~snapshot|Network Trash Folder|Temporary Items|recycler|recycled)$/i;
const paths = new WeakMap(); // of files that came in a dropped folder

function isHidden(file) {
  if (file.name.startsWith("._")) return true;
  const path = paths.get(file) || file.webkitRelativePath;
  return path.split("/").filter(Boolean).some((part) => HIDDEN.test(part));
}
export const isOver = ({ state }) => ["ready", "failed", "canceled"].includes(state);

// Queues the videos among the files; returns how many files are not sent.
export function add(files, collection) {
  const videos = files.filter(isVideo);
  const rows = videos.map((file) => ({
    id: ++lastId, file, collection, state: "waiting", sent: 0, job: null, why: null, url: null,
  }));
  uploads.set((before) => [...before, ...rows]);
  serve();
  skipped.set(files.length - videos.length);
  return skipped.get();
}

export const clear = () => uploads.set((before) => before.filter((row) => !isOver(row)));

function change(id, parts) {
  uploads.set((before) => before.map((row) => (row.id === id ? { ...row, ...parts } : row)));
}

const look = (id) => uploads.get().find((row) => row.id === id);

function serve() {
  const sending = uploads.get().filter(({ state }) => state === "sending").length;
  const waiting = uploads.get().filter(({ state }) => state === "waiting");
  for (const { id } of waiting.slice(0, AT_ONCE - sending)) {
    const stopping = new AbortController();
    change(id, { state: "sending", stop: stopping });
    send(id, stopping.signal).catch((error) => fail(id, error)).finally(serve);
  }
}

function fail(id, error) {
  if (error.name === "AbortError") change(id, { state: "canceled", why: null });
  else change(id, { state: "failed", why: error.message });
}

async function send(id, signal) {
  const { file, collection, url: begun } = look(id);
  if (!file.size) throw new Error("The file is empty.");
  const url = begun ?? (await announce(file, collection, signal));
  change(id, { url });
  const offset = begun ? await reached(url, signal) : 0;
  await bring(url, file, offset, signal, (sent) => change(id, { sent }));
  const { job } = await api(url, { signal });
  change(id, { state: "job", job, sent: file.size });
  watch(id, job);
}

async function announce(file, collection, signal) {
  const described = [`filename ${base64(file.name)}`];
  if (file.type) described.push(`filetype ${base64(file.type)}`);
  const path = (paths.get(file) || file.webkitRelativePath || "").replace(/^\//, "");
  if (path) described.push(`metadata ${base64(JSON.stringify({ path }))}`);
  const answer = await ask(at.uploads(collection), {
    method: "POST",
    signal,
    headers: { ...TUS, "upload-length": file.size, "upload-metadata": described.join(",") },
  });
  return answer.headers.get("location");
}

async function reached(url, signal) {
  const answer = await ask(url, { method: "HEAD", headers: TUS, signal });
  return Number(answer.headers.get("upload-offset"));
}

// The rest of a file from `offset` on. Not by fetch, which does not tell how much has been sent.
function bring(url, file, offset, signal, onSent) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PATCH", url);
    const type = { "content-type": "application/offset+octet-stream", "upload-offset": offset };
    for (const [name, value] of Object.entries({ ...TUS, ...type, ...credentials() })) {
      request.setRequestHeader(name, value);
    }
    request.upload.addEventListener("progress", ({ loaded }) => onSent(offset + loaded));
    request.addEventListener("error", () => reject(new Error("The connection was cut.")));
    request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    request.addEventListener("load", () => {
      if (request.status >= 400) reject(problem(request.status, request.responseText));
      else resolve();
    });
    signal.addEventListener("abort", () => request.abort());
    request.send(file.slice(offset));
  });
}

function watch(id, job) {
  const settle = (now) => {
    const state = { succeeded: "ready", failed: "failed", canceled: "canceled" }[now.status];
    change(id, { job: now, state: state ?? "job", why: now.error?.message ?? null });
    if (ended(now)) arrived.set((before) => before + 1);
  };
  if (ended(job)) settle(job);
  else follow(job.id, settle);
}

// Cancels a file's upload or job, and deletes what was uploaded so far.
export async function cancel(id) {
  const row = look(id);
  if (row.state === "job") await cancelJob(row.job.id);
  else if (row.state === "sending") row.stop.abort();
  else change(id, { state: "canceled" });
  if (row.url && !row.job) {
    await ask(row.url, { method: "DELETE", headers: TUS }).catch(() => {}); // or it expires
    change(id, { url: null, sent: 0 });
  }
}

// Resumes a cut upload, or starts a failed job again.
export async function retry(id) {
  const { job } = look(id);
  if (!job) {
    change(id, { state: "waiting", why: null });
    serve();
    return;
  }
  const again = await retryJob(job.id);
  change(id, { state: "job", job: again, why: null });
  watch(id, again);
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

// The files of a drop, those in folders included.
export async function dropped(transfer) {
  // All of them before the first wait: after it the browser has taken them back.
  const dragged = [...transfer.items].filter(({ kind }) => kind === "file")
    .map((item) => [item.webkitGetAsEntry(), item.getAsFile()]);
  const found = dragged.map(([entry, file]) => (entry ? filesOf(entry) : [file]));
  return (await Promise.all(found)).flat();
}

async function filesOf(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    if (entry.fullPath.lastIndexOf("/") > 0) paths.set(file, entry.fullPath);
    return [file];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) { // a reader tells a hundred entries at a time
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map(filesOf))).flat();
}

addEventListener("beforeunload", (event) => {
  if (uploads.get().some(({ state }) => ["waiting", "sending"].includes(state))) {
    event.preventDefault(); // the browser asks whether to leave what is not sent yet
  }
});
