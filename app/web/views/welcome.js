// Start view: recent and saved searches, and the newest videos.

import { Failed, Icon, IconButton, Notice } from "../parts/basics.js";
import { recent, saved, toggleSaved } from "../query.js";
import { href } from "../route.js";
import { api, at } from "../service.js";
import { useAnswer, useSlow, useStore } from "../store.js";
import { arrived } from "../uploads.js";
import { html } from "../view.js";
import { useRenewal } from "../world.js";
import { count, length } from "../format.js";

const NEWEST = 12;
// Examples that the bundled model understands.
const TRY = ["a red circle moving left", "a green star growing", "a blue square moving up"];

export function Welcome({ collection }) {
  const ended = useStore(arrived);
  const load = (signal) => Promise.all([
    api(at.collection(collection), { signal }),
    api(`${at.videos(collection)}?status=ready&limit=${NEWEST}`, { signal }),
  ]);
  const { value, loading, error, again, renew } = useAnswer(load, [collection, ended]);
  useRenewal(renew);
  const slow = useSlow(loading);
  if (error) return html`<${Failed} error=${error} again=${again} />`;
  if (!value) return slow ? html`<p role="status" class="quiet">Loading …</p>` : null;
  const [about, { items }] = value;
  return html`
    <${Kept} collection=${collection} isTiny=${about.model === "motion-tiny" && items.length > 0} />
    ${items.length ? html`
      <section aria-labelledby="newest">
        <div class="row-head">
          <h2 id="newest">Newest videos</h2>
          <a href=${href("/library")}>${count(about.videos, "video")}, ${" "}
            ${count(about.segments, "moment")}</a>
        </div>
        <ul class="cards small-cards">${items.map(newest)}</ul>
      </section>` : html`
      <${Notice} icon="film" title="An empty collection">
        <p>Add videos, then search them by describing what happens in them. Your
          videos stay on this server.</p>
        ${about.model === "motion-tiny" && html`<p class="quiet">The current model, motion-tiny,
          knows only moving coloured shapes.</p>`}
        <p><a class="button main" href=${href("/library")}>Add videos</a></p>
      <//>`}`;
}

const newest = (video) => html`
  <li class="card" key=${video.id}>
    <a class="shot" href=${href(`/video/${video.id}`)} aria-label=${video.filename}>
      <img src=${video.thumbnail_url} alt="" decoding="async" />
      <span class="length">${length(video.duration_s)}</span>
    </a>
    <div class="under"><span class="name" title=${video.filename}>${video.filename}</span></div>
  </li>`;

// Of this collection only: an address leads into its own.
function Kept({ collection, isTiny }) {
  const own = (list) => list.filter(({ c }) => c === collection);
  const [mine, before] = [own(useStore(saved)), own(useStore(recent))];
  const fresh = before.filter((each) => !mine.some(({ href: to }) => to === each.href));
  if (!mine.length && !fresh.length && !isTiny) return null;
  return html`
    <div class="kept">
      ${mine.length > 0 && html`
        <h2>Saved</h2>
        <ul class="tokens">${mine.map((each) => html`
          <li class="token" key=${each.href}>
            <${Icon} name="star" filled=${true} /><a href=${each.href}>${each.words}</a>
            <${IconButton} name="close" label="Remove saved search: ${each.words}"
                           onClick=${() => toggleSaved(each)} /></li>`)}</ul>`}
      ${fresh.length > 0 && html`
        <h2>Recent</h2>
        <ul class="tokens">${fresh.map((each) => html`
          <li class="token" key=${each.href}>
            <${Icon} name="clock" /><a href=${each.href}>${each.words}</a>
            <${IconButton} name="close" label="Forget search: ${each.words}"
              onClick=${() => recent.set((all) => all.filter((one) => one !== each))} /></li>`)}</ul>`}
      ${!mine.length && !fresh.length && html`
        <h2>Try</h2>
        <ul class="tokens">${TRY.map((text) => html`
          <li class="token"><${Icon} name="search" /><a href=${href("/", { q: text })}>${text}</a></li>`)}</ul>`}
    </div>`;
}
