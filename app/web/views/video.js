// Video view: plays, searches, labels, describes and deletes one video.

import { ConfirmDelete, Failed, Heading, Icon, Notice } from "../parts/basics.js";
import { DownloadOriginal } from "../parts/download.js";
import { Player } from "../parts/player.js";
import { Heatmap, HeatmapToCome } from "../parts/timeline.js";
import { videoAddress } from "../query.js";
import { collectionOf, go, href, route } from "../route.js";
import { api, at } from "../service.js";
import { useAnswer, useSlow, useStore } from "../store.js";
import { arrived } from "../uploads.js";
import { html, useEffect, useRef, useState } from "../view.js";
import { useRenewal } from "../world.js";
import { doing } from "../format.js";
import { follow, retryJob } from "../jobs.js";
import { VideoDetails } from "./video_details.js";
import { Labels } from "./labels.js";
import { Segments } from "./segments.js";

export function VideoView({ id }) {
  const current = useStore(route);
  const collection = collectionOf(current);
  const load = async (signal) => {
    const video = await api(at.video(collection, id), { signal });
    const { items } = await api(`${at.video(collection, id)}/segments`, { signal });
    return { video, segments: items };
  };
  const { value, loading, error, again, change } = useAnswer(load, [collection, id]);
  const slow = useSlow(loading);
  // Its status, metadata or existence may change; its segments only with its status.
  useRenewal(async () => {
    if (loading) return;
    const next = await api(at.video(collection, id)).catch((problem) => {
      if (problem.status !== 404) throw problem;
      return null;
    });
    if (next?.status !== value?.video.status) again();
    else if (JSON.stringify(next) !== JSON.stringify(value?.video)) {
      change((before) => ({ ...before, video: next }));
    }
  });
  if (error?.status === 404) return html`<${Gone} />`;
  if (error) return html`<${Failed} error=${error} again=${again} />`;
  if (!value) return slow ? html`<p role="status" class="quiet">Loading …</p>` : null;
  const { video, segments } = value;
  return html`
    <${Heading} title=${video.filename} />
    ${video.status === "ready"
      ? html`<${Ready} video=${video} segments=${segments} params=${current.params}
                       onVideo=${(next) => change((before) => ({ ...before, video: next }))} />`
      : html`<${NotReady} video=${video} again=${again} />`}
    <${Delete} video=${video} />`;
}

const Gone = () => html`
  <${Heading} title="Not found" />
  <${Notice} icon="film" title="This collection has no such video">
    <p>It was deleted, or it belongs to another collection.</p>
    <p><a class="button" href=${href("/library")}>Go to the library</a></p>
  <//>`;

function NotReady({ video, again }) {
  const [job, setJob] = useState(null);
  const [refused, setRefused] = useState("");
  const isFailed = video.status === "failed";
  const retry = () => retryJob(video.job_id).then(again).catch((error) => setRefused(error.message));
  useEffect(() => isFailed ? undefined : follow(video.job_id, (next) => {
    setJob(next);
    if (next.finished_at) again();
  }), [video.id, isFailed]);
  return isFailed
    ? html`<${Notice} icon="alert" title="This video could not be processed" bad=${true}>
        <p>${video.error?.message}${" "}<span class="code">${video.error?.code}</span></p>
        ${refused && html`<p class="bad" role="alert">${refused}</p>`}
        <div class="buttons">
          <button type="button" onClick=${retry}><${Icon} name="again" /> Retry</button>
          <${DownloadOriginal} href=${video.content_url} filename=${video.filename} />
          <a class="button" href=${href("/jobs", { status: "failed" })}>Show failed jobs</a></div>
      <//>`
    : html`<${Notice} icon="clock" title="This video is being processed" role="status">
        <p>${job ? doing(job) : "queued"}. You can search it as soon as processing is done.</p>
      <//>`;
}

// `t` and `e` of the address are the moment it was opened at, `q` and `label` its query and labels.
function Ready({ video, segments, params, onVideo }) {
  const [start, end] = ["t", "e"].map((name) => Number(params.get(name) ?? NaN));
  const [goal, setGoal] = useState(null);
  const text = params.get("q") ?? "";
  const length = video.duration_s;
  const given = Number.isFinite(start) ? { start, end: Number.isFinite(end) ? end : length } : undefined;
  const { value: heat, error } = useAnswer(
    async (signal) => (text ? { of: text, ...await api(`${
      at.video(video.collection, video.id)}/heatmap?q=${encodeURIComponent(text)}`, { signal }) } : null),
    [video.id, text]);
  const screen = useRef(null);
  const jump = (moment) => {
    setGoal({ ...moment });
    screen.current.scrollIntoView({ block: "nearest" });
  };
  return html`
    <div class="video-page">
      <div class="main-column">
        <div ref=${screen}>
          <${Player} src=${video.content_url} filename=${video.filename} at=${goal ?? given}
                     poster=${given ? `${video.thumbnail_url}?t=${given.start}` : video.thumbnail_url} length=${length}
                     sprites=${`${at.video(video.collection, video.id)}/sprite`}
                     autoplay=${Boolean(goal ?? given)}>
            ${(now, seek) => (heat?.of === text ? heat.pieces.length > 0 && html`
              <${Heatmap} heat=${heat} now=${now} onGo=${seek} />`
              : text && !error && html`<${HeatmapToCome} />`)}
          <//>
        </div>
        <${VideoSearch} video=${video} text=${text} params=${params} />
        ${error && html`<p class="bad" role="alert">${error.message}</p>`}
        <${Labels} video=${video} params=${params} onGo=${jump} />
      </div>
      <div class="side-column">
        <${VideoDetails} video=${video} onVideo=${onVideo} />
        <${Segments} segments=${segments} onGo=${jump} />
      </div>
    </div>`;
}

function VideoSearch({ video, text, params }) {
  const submit = (event) => {
    event.preventDefault();
    go(videoAddress(video.id, params, { q: event.target.elements.text.value.trim() }));
  };
  return html`
    <form class="ask slim" onSubmit=${submit} role="search">
      <${Icon} name="search" />
      <label for="within-video" class="unseen">What happens in this video</label>
      <input id="within-video" name="text" type="search" maxlength="1000" autocomplete="off" key=${text}
             defaultValue=${text} placeholder="When does this video show …" />
      <button>Show when</button>
    </form>`;
}

function Delete({ video }) {
  const [asking, setAsking] = useState(false);
  const [error, setError] = useState(null);
  const remove = async () => {
    setAsking(false);
    try {
      await api(at.video(video.collection, video.id), { method: "DELETE" });
      arrived.set((before) => before + 1);
      go(href("/library"));
    } catch (refused) {
      setError(refused);
    }
  };
  return html`
    <div class="at-end">
      ${error && html`<${Failed} error=${error} />`}
      <button type="button" class="plain bad" onClick=${() => setAsking(true)}>
        <${Icon} name="bin" /> Delete this video</button>
    </div>
    ${asking && html`
      <${ConfirmDelete} video=${video} onYes=${remove} onNo=${() => setAsking(false)} />`}`;
}
