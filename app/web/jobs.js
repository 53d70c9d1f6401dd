// Job events: follows each job's stream of server-sent events until the job ends.
//
// fetch reads the streams, since an EventSource cannot send a key. A browser opens six connections
// over HTTP/1.1, so only a few jobs are followed at a time; a queued job yields its turn to the next.

import { api, ask, at } from "./service.js";

const AT_ONCE = 2;
const TURN_MS = 3000; // how long a queued job is followed while others wait for their turn
const AGAIN_MS = 2000;

const waiting = [];
let following = 0;

export const ended = ({ status }) => ["succeeded", "failed", "canceled"].includes(status);
export const cancelJob = (id) => api(`${at.job(id)}:cancel`, { method: "POST" });
export const retryJob = (id) => api(`${at.job(id)}:retry`, { method: "POST" });

// Calls onJob(job) at every change until the job has ended; returns how to stop.
export function follow(id, onJob) {
  const stopping = new AbortController();
  waiting.push({ id, onJob, stop: stopping.signal });
  serve();
  return () => stopping.abort();
}

function serve() {
  while (following < AT_ONCE && waiting.length) {
    const next = waiting.shift();
    if (next.stop.aborted) continue;
    following += 1;
    attend(next).then((isOver) => {
      following -= 1;
      if (!isOver && !next.stop.aborted) waiting.push(next);
      serve();
    });
  }
}

// True when this job cannot change any more.
async function attend({ id, onJob, stop }) {
  const leaving = new AbortController();
  const turn = setTimeout(() => waiting.length && leaving.abort(), TURN_MS);
  const signal = AbortSignal.any([stop, leaving.signal]);
  try {
    for await (const job of changes(id, signal)) {
      if (job.status === "running") clearTimeout(turn);
      onJob(job);
      if (ended(job)) return true;
    }
  } catch (error) {
    if (error.status === 404) return true;
    if (error.name !== "AbortError") await pause(1000 * (error.retryAfter ?? AGAIN_MS / 1000));
  } finally {
    clearTimeout(turn);
  }
  return lastLook(id, onJob, stop);
}

// The stream was left or broke off: what is the job now?
async function lastLook(id, onJob, signal) {
  try {
    const job = await api(at.job(id), { signal });
    onJob(job);
    return ended(job);
  } catch (error) {
    return error.status === 404;
  }
}

async function* changes(id, signal) {
  const answer = await ask(`${at.job(id)}/events`, { signal });
  if (answer.status === 204) return;
  let text = "";
  for await (const part of read(answer.body.pipeThrough(new TextDecoderStream()))) {
    const events = (text + part).split("\n\n");
    text = events.pop();
    for (const event of events) {
      const data = event.split("\n").find((row) => row.startsWith("data: "));
      if (data) yield JSON.parse(data.slice(6));
    }
  }
}

// Not every browser iterates streams by itself.
async function* read(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.releaseLock();
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
