// Why there is nothing, or nothing certain, among what was found: and what to do about it.

import { Failed, Notice } from "../parts/basics.js";
import { CERTAIN, address, body, isFiltered } from "../questions.js";
import { href } from "../route.js";
import { at, post } from "../service.js";
import { useAnswer } from "../store.js";
import { html } from "../view.js";
import { count, percent } from "../words.js";

export function Nothing({ question, collection, found }) {
  const { segments_total: total, segments_eligible: searched } = found.index;
  if (!total) return html`<${NothingYet} />`;
  if (!searched) return html`<${FilteredOut} question=${question} total=${total} />`;
  if (found.abstained) {
    return html`<${Abstained} question=${question} collection=${collection} found=${found} />`;
  }
  const why = question.then
    ? `No video shows “${question.text}” and then “${question.then}” within ${question.within} s.`
    : "There is no other moment to compare with.";
  return html`
    <${Notice} icon="search" title="Nothing found">
      <p>${why}</p>
      ${question.then && html`
        <p><a href=${address({ ...question, within: question.within * 4 })}>Allow
          ${" "}${question.within * 4} s between them</a></p>`}
    <//>`;
}

const NothingYet = () => html`
  <${Notice} icon="film" title="There is nothing to search yet">
    <p>No video of this collection is ready. What you add can be searched as soon as it has been
      read.</p>
    <p><a class="button main" href=${href("/library")}>Add videos</a></p>
  <//>`;

const FilteredOut = ({ question, total }) => html`
  <${Notice} icon="search" title="The filters leave nothing to search">
    <p>None of ${count(total, "moment")} fits all of them.</p>
    <p><a class="button" href=${address({ ...question, filters: [] })}>Search without filters</a></p>
  <//>`;

// The nearest is looked up too: how far off it is, says why nothing was found.
function Abstained({ question, collection, found }) {
  const anyway = { ...question, sure: false };
  const { value: nearest, error } = useAnswer(
    (signal) => post(at.search(collection), { ...body(anyway), top_k: 1 }, signal),
    [address(question)]);
  if (error) return html`<${Failed} error=${error} />`;
  const best = nearest?.results[0];
  return html`
    <${Notice} icon="search" title="Most likely nothing here shows this">
      <p>${count(found.index.segments_eligible, "moment")} were compared, and none is at least
        ${" "}${percent(CERTAIN)} certain.
        ${best && html` The nearest is <b>${percent(best.confidence)}</b> certain, in ${best.filename}.`}</p>
      <${Advice} question=${question} model=${found.index.model} />
      <p><a class="button" href=${address(anyway)}>Show the nearest anyway</a></p>
    <//>`;
}

// Over results none of which is certain.
export function Unsure({ question, found }) {
  const chances = found.results.map(({ confidence }) => confidence);
  if (chances.some((chance) => chance === null || chance >= CERTAIN)) return null;
  return html`
    <${Notice} icon="alert" title="Probably not here">
      <p>The surest of these moments is ${percent(Math.max(...chances))} certain. They are the nearest
        there are.</p>
      <${Advice} question=${question} model=${found.index.model} />
    <//>`;
}

const Advice = ({ question, model }) => html`
  ${model === "motion-tiny" && html`
    <p class="quiet">The model that runs, motion-tiny, knows coloured shapes that move, and nothing
      else.</p>`}
  ${!isFiltered(question) && model !== "motion-tiny" && html`
    <p class="quiet">Among fewer moments it is easier to be sure: a filter helps.</p>`}`;
