// Result dialog: plays one moment that was found, over its video's score timeline.

import { Dialog, Icon, IconButton, Meter } from "../parts/basics.js";
import { DownloadOriginal, SaveClip } from "../parts/download.js";
import { Player } from "../parts/player.js";
import { Heatmap, HeatmapToCome } from "../parts/timeline.js";
import { address, texts } from "../query.js";
import { go, href } from "../route.js";
import { api, at } from "../service.js";
import { useAnswer } from "../store.js";
import { html, useEffect, useState } from "../view.js";
import { percent, span } from "../format.js";

export function ResultDialog({ open, results, query, collection, more, show, onAlike }) {
  const index = results.findIndex(({ segment_id: id }) => id === open);
  const result = results[index];
  const close = () => go(address(query));
  const turn = async (step) => {
    const next = results[index + step] ?? (await more?.())?.results[0];
    if (next) go(show(next), { replace: true });
  };
  useEffect(() => { // an address may name a moment further down
    if (!result && more) more();
  }, [result, results.length]);
  if (!result) return null;
  const isLast = index === results.length - 1 && !more;
  return html`
    <${Dialog} label=${`${result.filename}, ${span(result)}`} onClose=${close} className="theatre">
      <header class="hit-head">
        <h2>${result.filename}</h2>
        <span class="quiet">result ${index + 1} of ${results.length}${more ? "+" : ""}</span>
        <${IconButton} name="close" label="Close (Escape)" onClick=${close} />
      </header>
      <${Playing} result=${result} results=${results} query=${query} collection=${collection}
                  before=${index > 0 && (() => turn(-1))} after=${!isLast && (() => turn(1))} />
      <${About} result=${result} query=${query} collection=${collection} onAlike=${onAlike} />
    <//>`;
}

const contentOf = (result) => result.clip_url.split("#")[0];

function Playing({ result, results, query, collection, before, after }) {
  const { video_id: id } = result;
  const queryTexts = texts(query);
  const heat = (text, signal) =>
    api(`${at.video(collection, id)}/heatmap?q=${encodeURIComponent(text)}`, { signal });
  const { value: heats, error } = useAnswer(
    (signal) => Promise.all(queryTexts.map((text) => heat(text, signal))), [id, ...queryTexts]);
  const marks = results.filter(({ video_id: other }) => other === id)
    .map(({ start, end, segment_id: own }) => ({ start, end, current: own === result.segment_id }));
  const isHere = heats?.every(({ video_id: other }) => other === id);
  const length = isHere ? heats[0]?.duration_s : undefined;
  return html`
    <${Player} key=${id} src=${contentOf(result)} filename=${result.filename}
               poster=${result.thumbnail_url} at=${result} autoplay=${true} length=${length} sprites=${`${at.video(collection, id)}/sprite`} before=${before} after=${after}>
      ${(now, seek) => (isHere ? heats.map((heatmap) => heatmap.pieces.length > 0 && html`
        <${Heatmap} heat=${heatmap} marks=${marks} now=${now} onGo=${seek} />`)
        : queryTexts.map((text) => html`<${HeatmapToCome} key=${text} />`))}
    <//>
    ${error && html`<p class="bad small" role="alert">Cannot show scores over time: ${error.message}</p>`}`;
}

function About({ result, query, collection, onAlike }) {
  const { confidence, score, metadata } = result;
  const to = href(`/video/${result.video_id}`, { q: query.text, t: result.start, e: result.end });
  const { value: video } = useAnswer((signal) => api(at.video(collection, result.video_id), { signal }),
    [result.video_id]);
  const known = Object.entries(metadata).filter(([, value]) => typeof value !== "object");
  const narrowed = (filter) => address({ ...query, filters: [...query.filters, filter] });
  return html`
    <div class="about">
      <dl class="facts">
        <div><dt>Moment</dt><dd>${span(result)}</dd></div>
        <div><dt>Confidence</dt><dd>${confidence === null ? "unknown" : html`
          <${Meter} value=${confidence} /> ${percent(confidence)}`}</dd></div>
        <div><dt>Score</dt><dd>${score.toFixed(2)}</dd></div>
      </dl>
      ${result.steps && html`
        <ol class="steps">${result.steps.map((step) => html`
          <li>${step.text} <span class="quiet">${span(step)}</span></li>`)}</ol>`}
      ${known.length > 0 && html`
        <ul class="tokens" aria-label="Metadata; a link narrows the search to it">
          ${known.map(([key, value]) => html`
            <li class="token"><a href=${narrowed([key, "eq", value])}>${key}: ${String(value)}</a></li>`)}
        </ul>`}
      <div class="buttons">
        <button type="button" onClick=${() => onAlike(result)}><${Icon} name="alike" /> More like this</button>
        <a class="button" href=${to}><${Icon} name="open" /> Whole video</a>
        <${CopyLink} to=${to} />
        <${DownloadOriginal} href=${contentOf(result)} filename=${result.filename} />
        <${SaveClip} key=${result.segment_id} collection=${collection} result=${result}
                     video=${video?.id === result.video_id ? video : null} />
      </div>
    </div>`;
}

function CopyLink({ to }) {
  const [done, setDone] = useState(false);
  if (!navigator.clipboard) return null; // browsers offer it only over https or on localhost
  const copy = async () => {
    await navigator.clipboard.writeText(new URL(to, location.href).href);
    setDone(true);
  };
  return html`
    <button type="button" onClick=${copy}><${Icon} name="link" />
      <span aria-live="polite">${done ? "Copied" : "Copy link"}</span></button>`;
}
