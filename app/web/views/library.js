// Library view: adds files, and lists the videos of a collection.

import { ConfirmDelete, Failed, Heading, Icon, IconButton, Notice } from "../parts/basics.js";
import { retryJob } from "../jobs.js";
import { MoreButton, usePages } from "../pages.js";
import { collectionOf, href, route } from "../route.js";
import { api, at } from "../service.js";
import { useSlow, useStore } from "../store.js";
import { add, arrived, skipped } from "../uploads.js";
import { html, useEffect, useRef, useState } from "../view.js";
import { useRenewal } from "../world.js";
import { ago, count, length } from "../format.js";
import { CardsToCome } from "../parts/card.js";
import { UploadList } from "./upload_list.js";

const ON_A_PAGE = 48;
const SHOWN = [["", "All"], ["ready", "Ready"], ["processing", "Processing"], ["failed", "Failed"]];

export function LibraryView() {
  const current = useStore(route);
  const collection = collectionOf(current);
  const status = current.params.get("status") ?? "";
  return html`
    <${Heading} title="Library" />
    <${Choose} collection=${collection} />
    <${UploadList} />
    <nav class="chips" aria-label="Which videos">
      ${SHOWN.map(([code, word]) => html`
        <a class="chip" href=${href("/library", { status: code })}
           aria-current=${code === status ? "true" : null}>${word}</a>`)}
    </nav>
    <${Videos} collection=${collection} status=${status} />`;
}

// Adds videos: files, a folder, or a drop anywhere on the page.
function Choose({ collection }) {
  const [files, folder] = [useRef(null), useRef(null)];
  const others = useStore(skipped);
  const chosen = (event) => {
    add([...event.target.files], collection);
    event.target.value = "";
  };
  return html`
    <div class="choose">
      <${Icon} name="upload" />
      <p><b class="by-mouse">Drop videos or folders anywhere on this page</b>
        <b class="by-touch">Add videos</b>
        <span class="quiet">The service processes them one after another and keeps them.</span></p>
      <div class="buttons">
        <button type="button" class="main" onClick=${() => files.current.click()}>Choose files</button>
        <button type="button" onClick=${() => folder.current.click()}>Choose a folder</button>
      </div>
      <input ref=${files} id="files" type="file" multiple hidden accept="video/*,.mkv,.ts,.gif"
             aria-label="Video files" onChange=${chosen} />
      <input ref=${folder} id="folder" type="file" webkitdirectory hidden aria-label="A folder"
             onChange=${chosen} />
      <p role="status" class="quiet small">${others > 0
        && `${count(others, "file")} skipped: no video file, or hidden by the system.`}</p>
    </div>`;
}

function Videos({ collection, status }) {
  const ended = useStore(arrived);
  const path = `${at.videos(collection)}?limit=${ON_A_PAGE}${status && `&status=${status}`}`;
  const { value, loading, error, isBefore, list } = usePages(path, (cursor, signal) =>
    api(cursor ? `${path}&cursor=${encodeURIComponent(cursor)}` : path, { signal }));
  const slow = useSlow(loading);
  useEffect(() => {
    list.renew().catch(() => {});
  }, [ended]);
  useRenewal(list.renew);
  const failed = error && html`<${Failed} error=${error} again=${list.again} />`;
  if (failed && isBefore) return failed;
  if (!value || (isBefore && slow)) return slow ? html`<${CardsToCome} />` : null;
  if (!value.items.length) return html`<${NoVideos} status=${status} />`;
  return html`
    ${failed}
    <ul class="cards" aria-label="Videos">${value.items.map((video, index) => html`
      <${VideoCard} key=${video.id} video=${video} index=${index} renew=${list.renew} />`)}</ul>
    <${MoreButton} list=${list} value=${value} />`;
}

const NOTHING = {
  "": ["No videos yet", "Drop your first videos here."],
  ready: ["No videos are ready", "A video is ready once it has been processed."],
  processing: ["No videos are being processed", "All added videos are done."],
  failed: ["No videos have failed", "All added videos could be processed."],
};

const NoVideos = ({ status }) => html`
  <${Notice} icon="film" title=${NOTHING[status][0]}><p>${NOTHING[status][1]}</p><//>`;

const VideoCard = ({ video, index, renew }) => html`
  <li class="card">
    <a class="shot" href=${href(`/video/${video.id}`)}
       aria-label="${video.filename}, ${STATES[video.status] ?? length(video.duration_s)}">
      ${video.status === "ready"
        ? html`<img src=${video.thumbnail_url} alt="" decoding="async"
                    loading=${index < 12 ? "eager" : "lazy"} />
               <span class="length">${length(video.duration_s)}</span>`
        : html`<${State} status=${video.status} />`}
    </a>
    <div class="under"><div class="what">
      <span class="name" title=${video.filename}>${video.filename}</span>
      <span class="quiet small">${video.error ? video.error.message : ago(video.created_at)}</span>
    </div>${video.status === "failed" && html`<${FailedActs} video=${video} renew=${renew} />`}</div>
  </li>`;

// What can be done about a video that failed.
function FailedActs({ video, renew }) {
  const [isAsking, setAsking] = useState(false);
  const [refused, setRefused] = useState("");
  const act = async (what) => {
    setAsking(false);
    setRefused("");
    await what().then(renew).catch((error) => setRefused(error.message));
  };
  return html`
    <${IconButton} name="again" label="Retry ${video.filename}" onClick=${() => act(() => retryJob(video.job_id))} />
    <${IconButton} name="bin" label="Delete ${video.filename}" onClick=${() => setAsking(true)} />
    ${refused && html`<span class="bad small refused" role="alert">${refused}</span>`}
    ${isAsking && html`
      <${ConfirmDelete} video=${video} onNo=${() => setAsking(false)}
        onYes=${() => act(() => api(at.video(video.collection, video.id), { method: "DELETE" }))} />`}`;
}

const State = ({ status }) => html`
  <span class=${status === "failed" ? "state bad" : "state"}>
    <${Icon} name=${status === "failed" ? "alert" : "clock"} /> ${STATES[status]}</span>`;

const STATES = { processing: "Processing", failed: "Failed" };

