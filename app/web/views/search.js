// Search view: the query, and the moments that were found.

import { Failed, Heading, Icon } from "../parts/basics.js";
import { CardsToCome, MomentCard, onArrows } from "../parts/card.js";
import {
  address, body, entry, fromParams, hasQuery, isSaved, remember, saved, toggleSaved, words,
} from "../query.js";
import { collectionOf, go, href, route } from "../route.js";
import { MoreButton, usePages } from "../pages.js";
import { at, post } from "../service.js";
import { useSlow, useStore } from "../store.js";
import { html, useEffect, useMemo, useRef } from "../view.js";
import { count } from "../format.js";
import { SearchForm } from "./search_form.js";
import { ResultDialog } from "./result.js";
import { EmptyState, LowConfidence } from "./empty.js";
import { Welcome } from "./welcome.js";

const ON_A_PAGE = 24;

export function SearchView() {
  const current = useStore(route);
  const collection = collectionOf(current);
  const { at: open, ...query } = useMemo(() => (
    { ...fromParams(current.params), at: current.params.get("at") }), [current]);
  const isQuery = hasQuery(query);
  return html`
    <${Heading} title=${isQuery ? words(query) : "Search"} unseen=${true}>Search<//>
    <${SearchForm} query=${query} collection=${collection} />
    ${isQuery
      ? html`<${Found} query=${query} collection=${collection} open=${open} />`
      : html`<${Welcome} collection=${collection} />`}`;
}

function search(collection, query, cursor, signal) {
  const request = { ...body(query), top_k: ON_A_PAGE, cursor };
  return post(at.search(collection), request, signal);
}

function Found({ query, collection, open }) {
  const about = address(query);
  const answer = usePages(`search ${collection} ${about}`,
    (cursor, signal) => search(collection, query, cursor, signal), "results");
  const { value: found, loading, error, isBefore, list } = answer;
  const slow = useSlow(loading);
  useTopOnChange(about);

  useEffect(() => {
    if (found && !isBefore) remember(collection, query);
  }, [isBefore, found?.query, about]);

  const isOther = error && isBefore && found?.results.length > 0; // found by the search before
  const parts = { query, collection, found, list, open: isBefore ? null : open };
  return html`
    ${error && html`<${Failed} error=${error} again=${list.again} />`}
    ${isOther && html`<p class="quiet">Below are the results of the search before.</p>`}
    ${!found && slow && html`<p role="status" class="quiet">Searching …</p><${CardsToCome} />`}
    ${found && html`
      <div class=${slow ? "stale" : ""} aria-busy=${loading}>
        ${!isOther && html`<${Outcome} ...${parts} />`}
        ${found.results.length ? html`<${Results} ...${parts} />`
          : !isOther && html`<${EmptyState} ...${parts} />`}
      </div>`}`;
}

// A new search is read from its top, wherever on the page it was begun.
function useTopOnChange(about) {
  const before = useRef(about);
  useEffect(() => {
    if (before.current !== about && !route.get().isReturn) scrollTo(0, 0);
    before.current = about;
  }, [about]);
}

function Outcome({ query, collection, found }) {
  const { segments_eligible: searched, segments_damaged: damaged } = found.index;
  const made = entry(collection, query);
  const isKept = isSaved(useStore(saved), made);
  const shown = found.results.length;
  const ms = Math.round(found.timings_ms.total);
  return html`
    <div class="outcome">
      <p role="status">${shown ? `${found.next_cursor ? "The best " : ""}${count(shown, "moment")} from ${
        count(searched, "segment")}${found.index.exact ? "" : ", not all compared"} · ${ms} ms` : "Nothing found"}
        ${damaged > 0 && html` <span class="bad">${damaged} cannot be read right now</span>`}
        ${found.truncated && html` <span class="bad">The text is longer than the model reads: its end was ignored.</span>`}</p>
      ${!query.like && html`
        <button type="button" class="plain" aria-pressed=${isKept}
                onClick=${() => toggleSaved(made)}>
          <${Icon} name="star" filled=${isKept} /> ${isKept ? "Saved" : "Save"}
          <span class="unseen"> search</span>
        </button>`}
    </div>`;
}

// Where the results end, and whether there may be others.
function end({ results, index, score_kind: kind }) {
  const searched = count(index.segments_eligible, "segment");
  const shown = results.flatMap(({ segment_ids: ids }) => ids).length;
  if (kind === "cosine" && index.exact && shown < index.segments_eligible) {
    return `The results end here, with the nearest of ${searched}.`;
  }
  if (index.exact) return `That is all: the search compared every one of ${searched}.`;
  return `The results end here with the ${results.length} nearest. The search compared only the most promising
    of ${searched}, so others may show this too. A filter narrows it to fewer, which are all compared.`;
}

function Results({ query, collection, found, list, open }) {
  const { results } = found;
  const show = (result) => address(query, { at: result.segment_id });
  const alike = (result) => go(href("/", { like: result.segment_id }));
  return html`
    <${LowConfidence} query=${query} found=${found} />
    <ol class="cards" onKeyDown=${onArrows}>
      ${results.map((result, index) => html`
        <${MomentCard} key=${result.segment_id + result.start} result=${result} index=${index}
                       to=${show(result)} onAlike=${() => alike(result)} />`)}
    </ol>
    <${MoreButton} list=${list} value=${found} />
    ${!found.next_cursor && html`<p class="quiet small end">${end(found)}</p>`}
    ${found.confidence_kind === "estimated" && html`
      <p class="quiet small">Confidence is a rough estimate: it has not been calibrated for this model and
        collection yet.</p>`}
    ${open && html`
      <${ResultDialog} open=${open} results=${results} query=${query} collection=${collection}
              more=${found.next_cursor && list.more} show=${show} onAlike=${alike} />`}`;
}
