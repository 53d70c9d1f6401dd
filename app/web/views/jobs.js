// Jobs view: lists ingest jobs with their state, and cancels or retries them.

import { Failed, Heading, IconButton, Notice, Progress } from "../parts/basics.js";
import { cancelJob, ended, follow, retryJob } from "../jobs.js";
import { MoreButton, usePages } from "../pages.js";
import { collectionOf, href, route } from "../route.js";
import { api, at } from "../service.js";
import { useSlow, useStore } from "../store.js";
import { html, useEffect, useRef, useState } from "../view.js";
import { useRenewal } from "../world.js";
import { ago, date, doing } from "../format.js";

const ON_A_PAGE = 30;
const SHOWN = [["", "All"], ["running", "Running"], ["queued", "Queued"], ["succeeded", "Done"],
  ["failed", "Failed"], ["canceled", "Canceled"]];

export function JobsView() {
  const current = useStore(route);
  const collection = collectionOf(current);
  const status = current.params.get("status") ?? "";
  const path = `/v1/jobs?collection=${collection}&limit=${ON_A_PAGE}${status && `&status=${status}`}`;
  const names = useRef(new Map());
  const { value: shown, loading, error, isBefore, list } = usePages(path, async (cursor, signal) => named(
    await api(cursor ? `${path}&cursor=${encodeURIComponent(cursor)}` : path, { signal }),
    collection, names.current, signal));
  useRenewal(list.renew);
  const slow = useSlow(loading);
  const value = error && isBefore ? null : shown; // of another status
  return html`
    <${Heading} title="Jobs" />
    <nav class="chips" aria-label="Which jobs">
      ${SHOWN.map(([code, word]) => html`
        <a class="chip" href=${href("/jobs", { status: code })}
           aria-current=${code === status ? "true" : null}>${word}</a>`)}
    </nav>
    ${error && html`<${Failed} error=${error} again=${list.again} />`}
    ${!value && slow && html`<p role="status" class="quiet">Loading …</p>`}
    ${value && !value.items.length && html`
      <${Notice} icon="list" title=${status ? "No jobs with this status" : "No jobs yet"}>
        <p>Each video you add becomes a job that processes it and makes it searchable.</p><//>`}
    ${value?.items.length > 0 && html`
      <ul class="rows" aria-busy=${loading}>${value.items.map((job) => html`
        <${Job} key=${job.id} first=${job} />`)}</ul>`}
    ${value && html`<${MoreButton} list=${list} value=${value} />`}`;
}

// Adds the names of the videos that still exist to a page of jobs; `names` keeps them.
async function named(page, collection, names, signal) {
  const ids = [...new Set(page.items.map((job) => job.video_id))].filter((id) => !names.has(id));
  await Promise.all(ids.map(async (id) => {
    try {
      names.set(id, (await api(at.video(collection, id), { signal })).filename);
    } catch (error) {
      if (error.status !== 404) throw error;
      names.set(id, null);
    }
  }));
  return { ...page, items: page.items.map((job) => ({ ...job, filename: names.get(job.video_id) })) };
}

function Job({ first }) {
  const [job, setJob] = useState(first);
  const [refused, setRefused] = useState(null);
  const { filename } = first;
  const isOver = ended(job);
  useEffect(() => setJob((now) => (now.revision > first.revision ? now : first)), [first]);
  useEffect(() => isOver ? undefined : follow(job.id, setJob), [job.id, isOver]);
  const act = (what) => async () => {
    setRefused(null);
    try {
      setJob(await what(job.id));
    } catch (error) {
      setRefused(error.message);
    }
  };
  const why = refused ?? job.error?.message;
  const name = filename ?? "a video that was deleted";
  return html`
    <li class="row">
      <span class="name">${filename
        ? html`<a href=${href(`/video/${job.video_id}`)}>${filename}</a>` : html`<i class="quiet">${name}</i>`}
        <span class="quiet small when" title=${date(job.created_at)}>${ago(job.created_at)}${
          job.attempts > 1 ? `, attempt ${job.attempts}` : ""}</span></span>
      <span class=${{ succeeded: "good", failed: "bad" }[job.status] ?? "quiet"}>${doing(job)}</span>
      <span class="acts">
        ${!isOver && html`<${IconButton} name="close" label="Cancel ${name}" onClick=${act(cancelJob)} />`}
        ${filename && ["failed", "canceled"].includes(job.status) && html`
          <${IconButton} name="again" label="Retry ${name}" onClick=${act(retryJob)} />`}
      </span>
      ${!isOver && html`<${Progress} value=${job.progress || null} label="Progress of ${name}" />`}
      ${why && html`
        <span class="why">${why} ${job.error && html`<span class="code">${job.error.code}</span>`}</span>`}
    </li>`;
}
