// Zero-shot classification: how probable each label is for the whole video, and over time.

import { IconButton } from "../parts/basics.js";
import { Timeline, labelBars } from "../parts/timeline.js";
import { videoAddress } from "../query.js";
import { go } from "../route.js";
import { api, at, post } from "../service.js";
import { useAnswer, useSlow } from "../store.js";
import { html, useRef } from "../view.js";
import { percent } from "../format.js";

const ENOUGH = 100; // labels, for a page
const FILLER = "\u2026";

export function Labels({ video, params, onGo }) {
  const labels = [...new Set(params.getAll("label"))];
  const isMany = !params.has("one");
  const set = (next) => go(videoAddress(video.id, params, { label: [...new Set(next)].slice(0, ENOUGH) }));
  const choose = ({ target }) =>
    go(videoAddress(video.id, params, { one: target.value === "one" }));
  return html`
    <section class="panel" aria-labelledby="labels">
      <div class="row-head">
        <h2 id="labels">Labels over time</h2>
        <label class="inline">Applies
          <select value=${isMany ? "many" : "one"}
                  onChange=${choose}>
            <option value="many">any number of them</option>
            <option value="one">exactly one of them</option>
          </select></label>
      </div>
      <${AddLabels} onAdd=${(more) => set([...labels, ...more])} />
      ${labels.length === 1 && !isMany && html`
        <p class="quiet small">Add another label: labels are compared with each other.</p>`}
      ${labels.length > 0 && html`
        <${Scores} video=${video} labels=${labels} isMany=${isMany} onGo=${onGo}
                   onRemove=${(gone) => set(labels.filter((label) => label !== gone))} />`}
    </section>`;
}

// Adds typed labels, or those of a stored set.
function AddLabels({ onAdd }) {
  const field = useRef(null);
  const { value: sets } = useAnswer((signal) => api("/v1/label-sets?limit=200", { signal }), []);
  const submit = (event) => {
    event.preventDefault();
    const typed = field.current.value.split(/[,;\n]/).map((label) => label.trim()).filter(Boolean);
    field.current.value = "";
    if (typed.length) onAdd(typed);
  };
  const choose = async (event) => {
    const { labels } = await api(`/v1/label-sets/${event.target.value}`);
    onAdd(labels);
  };
  return html`
    <form class="adding" onSubmit=${submit}>
      <label class="wide">Labels, separated by commas
        <input ref=${field} maxlength="4000" autocomplete="off" required
               placeholder="a person walking, an empty street" /></label>
      <button>Add</button>
      ${sets?.items.length > 0 && html`
        <label>or a stored set
          <select value="" onChange=${choose}>
            <option value="" disabled>choose …</option>
            ${sets.items.map(({ name, size }) => html`<option value=${name}>${name} (${size})</option>`)}
          </select></label>`}
    </form>`;
}

// By the confidence of each label or, where none is known or wanted, by how the labels compare.
async function classify(video, labels, isMany, signal) {
  const send = (mode, all) =>
    post(at.classify(video.collection), { labels: all, video_ids: [video.id], mode }, signal);
  if (!isMany) return labels.length > 1 ? send("single", labels) : null;
  try {
    // A request names two labels at least, and in this mode they do not depend on each other.
    return { isMany, ...await send("multi", labels.length > 1 ? labels : [...labels, FILLER]) };
  } catch (error) {
    if (error.code !== "not_calibrated") throw error;
    return labels.length > 1 ? { isUncalibrated: true, ...await send("single", labels) }
      : { isUncalibrated: true, videos: [] };
  }
}

// What the numbers mean.
function meaning({ isMany, isUncalibrated }) {
  if (isMany) return "Each label has its own confidence: none, one or several may apply.";
  return `${isUncalibrated ? "No confidence is known for this model, so the labels are compared with each other. "
    : ""}Together they add up to 100 %: one wins even where none applies.`;
}

function Scores({ video, labels, isMany, onGo, onRemove }) {
  const { value, loading, error } = useAnswer(
    (signal) => classify(video, labels, isMany, signal),
    [video.id, isMany, labels.join("\n")]);
  const slow = useSlow(loading);
  if (error) return html`<p class="bad" role="alert">${error.message}</p>`;
  const scored = value?.videos[0];
  const order = scored ? [...labels].sort((one, other) =>
    (scored.scores[other] ?? 0) - (scored.scores[one] ?? 0)) : labels;
  return html`
    <ul class=${slow ? "labels stale" : "labels"} aria-busy=${loading}>
      ${order.map((label) => html`<${Label} key=${label} label=${label} video=${video} scored=${scored}
        unit=${value?.isMany ? "confidence" : ""} onGo=${onGo} onRemove=${onRemove} />`)}
    </ul>
    ${scored && html`<p class="quiet small">The bar is for the whole video, the strip shows it over time.
      ${" "}${meaning(value)}</p>`}
    ${value && labels.length === 1 && !scored && html`
      <p class="quiet small">No confidence is known for this model. Add another label to compare with.</p>`}`;
}

function Label({ label, video, scored, unit, onGo, onRemove }) {
  const probability = scored?.scores[label];
  return html`
    <li>
      <div class="label-head">
        <span class="name">${label}</span>
        <span class="value"><b>${probability === undefined ? "–" : percent(probability)}</b>
          ${unit && html`<span class="quiet small">${` ${unit}`}</span>`}</span>
        <${IconButton} name="close" label="Remove ${label}" onClick=${() => onRemove(label)} />
      </div>
      <svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        <rect class="all" width="100" height="6" />
        <rect class="much" width=${100 * (probability ?? 0)} height="6" /></svg>
      ${probability !== undefined && html`
        <${Timeline} thin=${true} label=${strongest(label, scored.segments)} now=${-1}
                  bars=${labelBars(scored.segments, label)} length=${video.duration_s}
                  onGo=${(start) => onGo({ start, end: video.duration_s })} />`}
    </li>`;
}

function strongest(label, segments) {
  const best = segments.reduce((one, other) =>
    ((other.scores[label] ?? 0) > (one.scores[label] ?? 0) ? other : one));
  return `${label} over time, at most ${percent(best.scores[label] ?? 0)}`;
}
