// The search form and its results.

import { $, collection, element, moment, percent, say, span } from "./common.js";
import { play } from "./player.js";
import { api } from "./service.js";

const ON_A_PAGE = 12;
const CERTAIN = 0.5;
const MEANING = {
  calibrated: "Percent: the chance that a moment truly shows this, fitted to this model.",
  estimated: "Percent: a rough estimate of the chance that a moment shows this; "
    + "nothing is fitted to this model yet.",
};
const UNKNOWN = "—: no chance is known. Searches by example have none, nor has a model that nothing "
  + "is fitted to.";

let asking = new AbortController();

// What the form asks, as the body of a search.
function question() {
  const [text, then, not] = ["text", "then", "not"].map((id) => $(id).value.trim());
  const certain = $("certain").checked ? { min_confidence: CERTAIN } : {};
  // No number in the field is sent as null: the service's own.
  if (then) return { then: [text, then], within_s: $("within").valueAsNumber, ...certain };
  const other = not ? { negative_text: not } : {};
  return { text, merge: $("merge").checked, ...other, ...certain };
}

// `begin` says what is shown where that is not in the form; `cursor` goes on after a page.
async function ask(body, begin = "", cursor = null) {
  if (cursor === null) clearResults();
  asking.abort();
  asking = new AbortController();
  say($("search-status"), "Searching …");
  try {
    const found = await api(`/v1/collections/${collection()}/search`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...body, top_k: ON_A_PAGE, cursor }),
      signal: asking.signal,
    });
    show(found, body, begin);
  } catch (error) {
    if (error.name !== "AbortError") say($("search-status"), error.message, true);
  }
}

export function clearResults() {
  asking.abort();
  $("results").replaceChildren();
  say($("search-status"), "");
  say($("meaning"), "");
  $("abstained").hidden = $("more-results").hidden = true;
}

function show(found, body, begin) {
  const texts = body.then ?? (body.text ? [body.text] : []);
  $("results").append(...found.results.map((result) => card(result, texts, found)));
  say($("search-status"), begin + outcome(found, body));
  $("abstained").hidden = !(found.abstained && found.index.segments_total);
  $("anyway").onclick = () => askAnyway(body);
  say($("meaning"), found.results.length ? MEANING[found.confidence_kind] ?? UNKNOWN : "");
  $("more-results").hidden = found.next_cursor === null;
  $("more-results").onclick = () => ask(body, begin, found.next_cursor);
}

function outcome(found, body) {
  const { segments_total: total, segments_eligible: searched } = found.index;
  if (!total) return "There is nothing to search yet: no video of this collection is ready.";
  if (found.abstained) return "";
  if (!found.results.length) {
    return body.then ? "No video shows these events one after the other in that time."
      : "There is no other moment.";
  }
  return `Best of ${searched} moments, in ${Math.round(found.timings_ms.total)} ms`;
}

function card(result, texts, found) {
  const title = `${result.filename}, ${span(result)}`;
  const picture = element("img", { src: result.thumbnail_url, alt: "", loading: "lazy" });
  const shown = element("button", { type: "button", className: "shown" }, picture,
    element("span", { className: "text" },
      element("span", { className: "name", textContent: result.filename }),
      element("span", { textContent: span(result) }),
      ...(result.steps ?? []).map(step),
      certainty(result.confidence, found.confidence_kind),
      element("span", { className: "quiet", textContent: `score ${result.score.toFixed(2)}` })));
  shown.addEventListener("click", () => play(title, result.clip_url, result.video_id, texts));
  const alike = element("button", { type: "button", className: "alike" }, "More like this");
  alike.ariaLabel = `More like ${title}`;
  alike.addEventListener("click", () => askAlike(result.segment_id, title));
  return element("li", {}, shown, alike);
}

function step({ text, start }) {
  return element("span", { className: "step quiet", textContent: `${moment(start)} ${text}` });
}

function certainty(confidence, kind) {
  const filled = element("span");
  filled.style.width = `${(confidence ?? 0) * 100}%`;
  const bar = element("span", { className: "chance", ariaHidden: "true" }, filled);
  const label = confidence === null ? "—" : `${percent(confidence)} certain`;
  const parts = confidence === null ? [label] : [bar, label];
  return element("span", { className: "certainty", title: MEANING[kind] ?? UNKNOWN }, ...parts);
}

function askAlike(segmentId, title) {
  ask({ segment_id: segmentId, merge: $("merge").checked }, `More like ${title}. `);
  $("search-status").focus(); // the button that had it is gone
}

function askAnyway({ min_confidence: _, ...body }) {
  $("certain").checked = false;
  showOptions();
  ask(body);
  $("search-status").focus();
}

// What cannot go together is locked; how many options are set shows on the closed box, too.
function showOptions() {
  const isSequence = $("then").value.trim() !== "";
  const isContrast = $("not").value.trim() !== "";
  $("then").disabled = isContrast && !isSequence;
  $("not").disabled = $("merge").disabled = isSequence;
  $("within").disabled = !isSequence;
  const isWindows = !isSequence && !$("merge").checked;
  const set = [isSequence, isContrast && !isSequence, isWindows, $("certain").checked];
  const count = set.filter(Boolean).length;
  $("options-set").textContent = count ? ` (${count} set)` : "";
}

$("search").addEventListener("input", showOptions);
$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  ask(question());
});
showOptions(); // a reload keeps what the fields held
