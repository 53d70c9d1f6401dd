// Upload list: each file with its progress, and buttons to cancel or retry it.

import { IconButton, Progress } from "../parts/basics.js";
import { href } from "../route.js";
import { useStore } from "../store.js";
import { cancel, clear, isOver, retry, uploads } from "../uploads.js";
import { html, useState } from "../view.js";
import { bytes, count, doing } from "../format.js";

const SHOWN = 50;
const UNFOLDED = 3; // so many that are done are shown one by one
// First what needs somebody, then what is going on.
const ORDER = [["failed"], ["sending", "job"], ["waiting"], ["canceled"]];

export function UploadList() {
  const rows = useStore(uploads);
  if (!rows.length) return null;
  const over = rows.filter(isOver).length;
  const failed = rows.filter(({ state }) => state === "failed");
  const left = rows.length - over;
  const done = rows.filter(({ state }) => state === "ready");
  const isFolded = done.length > UNFOLDED;
  const open = ORDER.flatMap((states) => rows.filter(({ state }) => states.includes(state)));
  const order = isFolded ? open : [...open, ...done];
  return html`
    <section class="uploads" aria-labelledby="uploads">
      <div class="row-head">
        <h2 id="uploads"><span role="status">${left ? `${count(left, "file")} in progress`
          : `${count(rows.length, "file")} done`}${failed.length > 0 && html`,
          ${" "}<span class="bad">${failed.length} failed</span>`}</span></h2>
        <div class="buttons">
          ${failed.length > 1 && html`<button type="button" class="plain"
            onClick=${() => failed.forEach(({ id }) => retry(id).catch(() => {}))}>Retry all</button>`}
          ${over > 0 && html`<button type="button" class="plain" onClick=${clear}>Clear the list</button>`}
        </div>
      </div>
      <${Rows} rows=${order} />
      ${isFolded && html`<${Done} rows=${done} />`}
    </section>`;
}

// As many as can be read, and on request the others.
function Rows({ rows }) {
  const [most, setMost] = useState(SHOWN);
  return html`
    <ul class="rows">${rows.slice(0, most).map((row) => html`<${Row} key=${row.id} row=${row} />`)}</ul>
    ${rows.length > most && html`<button type="button" class="plain"
      onClick=${() => setMost(most + 4 * SHOWN)}>Show ${count(rows.length - most, "more file")}</button>`}`;
}

// Folded to their number, since there is nothing to do about them.
function Done({ rows }) {
  const [isOpen, setOpen] = useState(false);
  return html`
    <details onToggle=${(event) => setOpen(event.currentTarget.open)}>
      <summary>${count(rows.length, "file")} ready to search</summary>
      ${isOpen && html`<${Rows} rows=${rows} />`}
    </details>`;
}

function Row({ row }) {
  const [refused, setRefused] = useState(null);
  const act = (what) => () => {
    setRefused(null);
    what(row.id).catch((error) => setRefused(error.message));
  };
  const { file, state, job } = row;
  const why = refused ?? row.why;
  return html`
    <li class="row">
      <span class="name" title=${file.name}>${state === "ready"
        ? html`<a href=${href(`/video/${job.video_id}`, { c: row.collection })}>${file.name}</a>`
        : file.name}</span>
      <span class=${{ ready: "good", failed: "bad" }[state] ?? "quiet"}>${said(row)}</span>
      <span class="acts">
        ${!isOver(row) && html`
          <${IconButton} name="close" label="Cancel ${file.name}" onClick=${act(cancel)} />`}
        ${["failed", "canceled"].includes(state) && html`
          <${IconButton} name="again" label="Retry ${file.name}" onClick=${act(retry)} />`}
      </span>
      ${!isOver(row) && html`<${Progress} value=${share(row)} label="Progress of ${file.name}" />`}
      ${why && html`<span class="why">${why}</span>`}
    </li>`;
}

function said({ file, state, sent, job }) {
  if (state === "waiting") return `waiting, ${bytes(file.size)}`;
  if (state === "sending") return `sending, ${bytes(sent)} of ${bytes(file.size)}`;
  return job ? doing(job) : state;
}

function share({ file, state, sent, job }) {
  if (state === "job") return job.status === "running" && job.progress > 0 ? job.progress : null;
  return sent / file.size;
}
