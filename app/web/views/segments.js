// Segment list: the windows of a video that the index holds, each with its picture.

import { html, useState } from "../view.js";
import { count, span } from "../format.js";

const SHOWN = 24;

const kept = new Map(); // how many were shown of a video, for the way back to it

export function Segments({ segments, onGo }) {
  const about = segments[0]?.video_id;
  const [shown, setShown] = useState(kept.get(about) ?? SHOWN);
  const more = () => {
    kept.set(about, shown + 4 * SHOWN);
    setShown(shown + 4 * SHOWN);
  };
  return html`
    <section class="panel" aria-labelledby="segments">
      <h2 id="segments">${count(segments.length, "segment")}</h2>
      <ol class="segments">
        ${segments.slice(0, shown).map((segment) => html`
          <li key=${segment.id}>
            <button type="button" onClick=${() => onGo(segment)} aria-label="Play ${span(segment)}">
              <img src=${segment.thumbnail_url} alt="" loading="lazy" decoding="async" />
              <span>${span(segment)}</span>
            </button>
          </li>`)}
      </ol>
      ${segments.length > shown && html`<button type="button" class="plain"
        onClick=${more}>Show more</button>`}
    </section>`;
}
