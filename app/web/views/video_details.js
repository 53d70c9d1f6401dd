// Video details: technical facts and editable metadata of one video.

import { Icon } from "../parts/basics.js";
import { DownloadOriginal } from "../parts/download.js";
import { valueOf } from "../query.js";
import { at, write } from "../service.js";
import { html, useState } from "../view.js";
import { bytes, date, length } from "../format.js";

export function VideoDetails({ video, onVideo }) {
  const { width, height, codec, container } = video;
  return html`
    <section class="panel" aria-labelledby="facts">
      <h2 id="facts">About</h2>
      <dl class="facts">
        <div><dt>Length</dt><dd>${length(video.duration_s)}</dd></div>
        <div><dt>Picture</dt><dd>${width} × ${height}, ${codec} in ${container}</dd></div>
        <div><dt>Size</dt><dd>${bytes(video.size_bytes)}</dd></div>
        <div><dt>Added</dt><dd>${date(video.created_at)}</dd></div>
        ${video.lost_s > 0 && html`
          <div><dt>Unreadable</dt><dd class="bad">${length(video.lost_s)} of it</dd></div>`}
      </dl>
      <div class="buttons"><${DownloadOriginal} href=${video.content_url} filename=${video.filename} /></div>
      <${Metadata} video=${video} onVideo=${onVideo} />
    </section>`;
}

function Metadata({ video, onVideo }) {
  const [editing, setEditing] = useState(false);
  const known = Object.entries(video.metadata);
  if (editing) {
    return html`<${Edit} video=${video} onDone=${(next) => {
      setEditing(false);
      if (next) onVideo(next);
    }} />`;
  }
  return html`
    ${known.length > 0 && html`
      <dl class="facts given">${known.map(([key, value]) => html`
        <div key=${key}><dt>${key}</dt><dd>${written(value)}</dd></div>`)}</dl>`}
    <button type="button" class="plain" onClick=${() => setEditing(true)}>
      <${Icon} name="plus" /> ${known.length ? "Edit metadata" : "Add metadata to filter by"}</button>`;
}

const written = (value) => (typeof value === "string" ? value
  : [value].flat().every((each) => typeof each !== "object") ? [value].flat().join(", ")
    : JSON.stringify(value));

// One line each: "camera: north". Lists and objects are JSON.
function Edit({ video, onDone }) {
  const [error, setError] = useState(null);
  const lines = Object.entries(video.metadata).map(([key, value]) => `${key}: ${line(value)}`);
  const save = async (event) => {
    event.preventDefault();
    try {
      const metadata = parsed(event.target.elements.metadata.value);
      onDone(await write("PATCH", at.video(video.collection, video.id), { metadata }));
    } catch (refused) {
      setError(refused.message);
    }
  };
  return html`
    <form class="editing" onSubmit=${save}>
      <label>Metadata, one entry per line
        <textarea name="metadata" rows=${Math.max(4, lines.length + 1)} spellcheck=${false}
                  placeholder="camera: north" defaultValue=${lines.join("\n")}></textarea></label>
      ${error && html`<p class="bad small" role="alert">${error}</p>`}
      <div class="buttons">
        <button class="main">Save</button>
        <button type="button" onClick=${() => onDone(null)}>Cancel</button>
      </div>
    </form>`;
}

const line = (value) =>
  (typeof value === "string" && valueOf(value) === value ? value : JSON.stringify(value));

function parsed(text) {
  const rows = text.split("\n").filter((row) => row.trim());
  return Object.fromEntries(rows.map((row) => {
    const [, key, value] = row.match(/^\s*([^:]+?)\s*:\s*(.*)$/) ?? [];
    if (key === undefined) throw new Error(`“${row.trim()}” needs a colon.`);
    return [key, /^[[{]/.test(value) ? JSON.parse(value) : valueOf(value)];
  }));
}
