// Search: what is asked, and the moments that were found.

import { Failed, Heading, Icon } from "../parts/basics.js";
import { CardsToCome, MomentCard, onArrows } from "../parts/card.js";
import {
  address, body, entry, fromParams, isAsked, isSaved, remember, saved, toggleSaved, words,
} from "../questions.js";
import { collectionOf, go, href, route } from "../route.js";
import { at, post } from "../service.js";
import { useAnswer, useSlow, useStore } from "../store.js";
import { html, useEffect, useMemo } from "../view.js";
import { count } from "../words.js";
import { AskForm } from "./ask.js";
import { Hit } from "./hit.js";
import { Nothing, Unsure } from "./nothing.js";
import { Welcome } from "./welcome.js";

const ON_A_PAGE = 24;

export function SearchView() {
  const place = useStore(route);
  const collection = collectionOf(place);
  const { at: open, ...question } = useMemo(() => (
    { ...fromParams(place.params), at: place.params.get("at") }), [place]);
  const asked = isAsked(question);
  return html`
    <${Heading} title=${asked ? words(question) : "Search"} unseen=${true}>Search<//>
    <${AskForm} question=${question} collection=${collection} />
    ${asked
      ? html`<${Found} question=${question} collection=${collection} open=${open} />`
      : html`<${Welcome} collection=${collection} />`}`;
}

async function search(collection, question, signal, cursor = null) {
  const asked = { ...body(question), top_k: ON_A_PAGE, cursor };
  return post(at.search(collection), asked, signal);
}

function Found({ question, collection, open }) {
  const about = address(question);
  const answer = useAnswer((signal) => search(collection, question, signal), [about]);
  const { value: found, loading, error, again, change } = answer;
  const slow = useSlow(loading);

  useEffect(() => {
    if (found) remember(collection, question);
  }, [found?.query, about]);

  const more = async () => {
    const next = await search(collection, question, undefined, found.next_cursor);
    change((before) => ({ ...next, results: [...before.results, ...next.results] }));
    return next;
  };

  if (error) return html`<${Failed} error=${error} again=${again} />`;
  if (!found) return slow ? html`<p role="status" class="quiet">Searching …</p><${CardsToCome} />` : null;
  const parts = { question, collection, found, more, open };
  return html`
    <div class=${slow ? "stale" : ""} aria-busy=${loading}>
      <${Outcome} ...${parts} />
      ${found.results.length ? html`<${Results} ...${parts} />` : html`<${Nothing} ...${parts} />`}
    </div>`;
}

function Outcome({ question, collection, found }) {
  const { segments_eligible: searched, segments_damaged: damaged } = found.index;
  const made = entry(collection, question);
  const isKept = isSaved(useStore(saved), made);
  const shown = found.results.length;
  const ms = Math.round(found.timings_ms.total);
  return html`
    <div class="outcome">
      <p role="status">${shown ? `${found.next_cursor ? "The best " : ""}${shown} of ${
        count(searched, "moment")} · ${ms} ms` : "Nothing found"}
        ${damaged > 0 && html` <span class="bad">${damaged} cannot be read at present</span>`}</p>
      ${!question.like && html`
        <button type="button" class="plain" aria-pressed=${isKept}
                onClick=${() => toggleSaved(made)}>
          <${Icon} name="star" filled=${isKept} /> ${isKept ? "Saved" : "Save"}
          <span class="unseen"> search</span>
        </button>`}
    </div>`;
}

function Results({ question, collection, found, more, open }) {
  const { results } = found;
  const show = (result) => address(question, { at: result.segment_id });
  const alike = (result) => go(href("/", { like: result.segment_id }));
  return html`
    <${Unsure} question=${question} found=${found} />
    <ol class="cards" onKeyDown=${onArrows}>
      ${results.map((result, place) => html`
        <${MomentCard} key=${result.segment_id + result.start} result=${result} place=${place}
                       to=${show(result)} onAlike=${() => alike(result)} />`)}
    </ol>
    ${found.next_cursor && html`<div class="more">
      <button type="button" onClick=${more}>Show more</button></div>`}
    ${found.confidence_kind === "estimated" && html`
      <p class="quiet small">Percentages are rough estimates: nothing is fitted to this model and
        collection yet.</p>`}
    ${open && html`
      <${Hit} open=${open} results=${results} question=${question} collection=${collection}
              more=${found.next_cursor && more} show=${show} onAlike=${alike} />`}`;
}
