// Empty state: says why a search found nothing, or nothing with confidence, and what to try.

import { Failed, Notice } from "../parts/basics.js";
import { CONFIDENT, address, body, isFiltered } from "../query.js";
import { href } from "../route.js";
import { at, post } from "../service.js";
import { useAnswer } from "../store.js";
import { html } from "../view.js";
import { count, percent } from "../format.js";

export function EmptyState({ query, collection, found }) {
  const { segments_total: total, segments_eligible: searched } = found.index;
  if (!total) return html`<${NoVideosYet} />`;
  if (!searched) return html`<${FilteredOut} query=${query} total=${total} />`;
  if (found.abstained) {
    return html`<${Abstained} query=${query} collection=${collection} found=${found} />`;
  }
  const why = query.then
    ? `No video shows “${query.text}” and then “${query.then}” within ${query.within} s.`
    : "There are no other segments to compare with.";
  return html`
    <${Notice} icon="search" title="Nothing found">
      <p>${why}</p>
      ${query.then && html`
        <p><a href=${address({ ...query, within: query.within * 4 })}>Allow
          ${" "}${query.within * 4} s between them</a></p>`}
    <//>`;
}

const NoVideosYet = () => html`
  <${Notice} icon="film" title="There is nothing to search yet">
    <p>No video in this collection is ready. You can search a video as soon as it has been
      processed.</p>
    <p><a class="button main" href=${href("/library")}>Add videos</a></p>
  <//>`;

const FilteredOut = ({ query, total }) => html`
  <${Notice} icon="search" title="The filters leave nothing to search">
    <p>None of the ${count(total, "segment")} matches all filters.</p>
    <p><a class="button" href=${address({ ...query, filters: [] })}>Search without filters</a></p>
  <//>`;

// Looks up the nearest moment too: its confidence explains why nothing was found.
function Abstained({ query, collection, found }) {
  const anyway = { ...query, confident: false };
  const { value: nearest, error } = useAnswer(
    (signal) => post(at.search(collection), { ...body(anyway), top_k: 1 }, signal),
    [address(query)]);
  if (error) return html`<${Failed} error=${error} />`;
  const best = nearest?.results[0];
  return html`
    <${Notice} icon="search" title="Most likely nothing here shows this">
      <p>The search compared ${found.index.exact ? "" : "the most promising of "}${
      count(found.index.segments_eligible, "segment")}, and none reaches
        ${" "}${percent(CONFIDENT)} confidence.
        ${best && html` The nearest, in ${best.filename}, has <b>${percent(best.confidence)}</b> confidence.`}</p>
      <${Advice} query=${query} model=${found.index.model} />
      <p><a class="button" href=${address(anyway)}>Show the nearest anyway</a></p>
    <//>`;
}

// Stands above results when none of them is confident.
export function LowConfidence({ query, found }) {
  const values = found.results.map(({ confidence }) => confidence);
  if (values.some((value) => value === null || value >= CONFIDENT)) return null;
  return html`
    <${Notice} icon="alert" title="Probably not here">
      <p>The best of these moments has ${percent(Math.max(...values))} confidence. They are only the
        nearest ones.</p>
      <${Advice} query=${query} model=${found.index.model} />
    <//>`;
}

const Advice = ({ query, model }) => html`
  ${model === "motion-tiny" && html`
    <p class="quiet">The current model, motion-tiny, knows only moving coloured shapes.</p>`}
  ${!isFiltered(query) && model !== "motion-tiny" && html`
    <p class="quiet">Confidence rises when there are fewer segments to compare: try a filter.</p>`}`;
