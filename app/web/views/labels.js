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

export function Labels({ video, params, onGo }) {
  const labels = [...new Set(params.getAll("label"))];
  const isMany = params.has("many");
  const set = (next) => go(videoAddress(video.id, params, { label: [...new Set(next)].slice(0, ENOUGH) }));
  const choose = ({ target }) =>
    go(videoAddress(video.id, params, { many: target.value === "many" }));
  return html`
    <section class="panel" aria-labelledby="labels">
      <div class="row-head">
        <h2 id="labels">Labels over time</h2>
        <label class="inline">Applies
          <select value=${isMany ? "many" : "one"}
                  onChange=${choose}>
            <option value="one">one of them</option>
            <option value="many">any number of them</option>
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

function classify(video, labels, isMany, signal) {
  const request = { labels, video_ids: [video.id], mode: isMany ? "multi" : "single" };
  return post(at.classify(video.collection), request, signal);
}

function Scores({ video, labels, isMany, onGo, onRemove }) {
  const { value, loading, error } = useAnswer(
    async (signal) => labels.length > 1 ? classify(video, labels, isMany, signal) : null,
    [video.id, isMany, labels.join("\n")]);
  const slow = useSlow(loading);
  if (error) return html`<p class="bad" role="alert">${error.message}</p>`;
  const scored = value?.videos[0];
  const order = scored ? [...labels].sort((one, other) =>
    (scored.scores[other] ?? 0) - (scored.scores[one] ?? 0)) : labels;
  return html`
    <ul class=${slow ? "labels stale" : "labels"} aria-busy=${loading}>
      ${order.map((label) => html`<${Label} key=${label} label=${label} video=${video} scored=${scored}
        onGo=${onGo} onRemove=${onRemove} />`)}
    </ul>
    ${scored && html`<p class="quiet small">The bar is for the whole video, the strip shows it over time. ${isMany
      ? "Each label has its own confidence." : "Together they add up to 100 %."}</p>`}`;
}

function Label({ label, video, scored, onGo, onRemove }) {
  const probability = scored?.scores[label];
  return html`
    <li>
      <div class="label-head">
        <span class="name">${label}</span>
        <b>${probability === undefined ? "–" : percent(probability)}</b>
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
