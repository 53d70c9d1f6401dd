// Result card: a moment's picture in a grid, which plays the moment on hover.

import { html, useEffect, useRef, useState } from "../view.js";
import { moment, percent, span } from "../format.js";
import { Confidence, IconButton } from "./basics.js";

const PAUSE_MS = 120; // a pointer that only passes plays nothing
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

export function MomentCard({ result, index, to, onAlike }) {
  const { active, ...watching } = useWatching();
  const name = `${result.filename}, ${span(result)}`;
  const confidence = result.confidence === null ? "" : `, ${percent(result.confidence)} confidence`;
  return html`
    <li class="card">
      <a class="shot" href=${to} aria-label=${name + confidence} ...${watching}>
        <img src=${result.thumbnail_url} alt="" decoding="async"
             loading=${index < 12 ? "eager" : "lazy"} />
        ${active && html`<${Preview} ...${result} />`}
        <span class="badges"><${Confidence} value=${result.confidence} />
          <span class="length">${span(result)}</span></span>
      </a>
      <div class="under">
        <div class="what">
          <span class="name" title=${result.filename}>${result.filename}</span>
          ${result.steps?.map(({ text, start }) => html`
            <span class="quiet small"><b>${moment(start)}</b> ${text}</span>`)}
        </div>
        ${onAlike && html`
          <${IconButton} name="alike" label="More like ${name}" onClick=${onAlike} />`}
      </div>
    </li>`;
}

// Whether a pointer rests on something, or the keyboard is at it.
function useWatching() {
  const [active, setActive] = useState(false);
  const timer = useRef(null);
  const begin = () => {
    clearTimeout(timer.current);
    if (!STILL.matches) timer.current = setTimeout(() => setActive(true), PAUSE_MS);
  };
  const end = () => {
    clearTimeout(timer.current);
    setActive(false);
  };
  useEffect(() => end, []);
  return {
    active,
    onPointerEnter: (event) => event.pointerType === "mouse" && begin(),
    onPointerLeave: end,
    onFocus: (event) => event.target.matches(":focus-visible") && begin(),
    onBlur: end,
  };
}

// The moment itself, muted, again and again.
function Preview({ clip_url: src, start, end }) {
  const video = useRef(null);
  const [shown, setShown] = useState(false);
  useEffect(() => {
    const playing = video.current;
    playing.muted = true;
    const play = () => playing.play().catch(() => {}); // the picture stays
    const repeat = () => {
      playing.currentTime = start;
      play();
    };
    play();
    playing.addEventListener("pause", () => playing.currentTime >= end - 0.1 && repeat());
    playing.addEventListener("ended", repeat);
    return () => {
      playing.removeAttribute("src");
      playing.load(); // stops what is still being fetched
    };
  }, []);
  return html`<video ref=${video} src=${src} class=${shown ? "shown" : ""} muted playsinline
    tabindex="-1" aria-hidden="true" onPlaying=${() => setShown(true)} />`;
}

// Skeleton cards while the first answer loads.
export const CardsToCome = ({ number = 12 }) => html`
  <ul class="cards waiting" aria-hidden="true">
    ${Array.from({ length: number }, () => html`
      <li class="card"><div class="shot"></div><div class="under"><span class="bone"></span></div></li>`)}
  </ul>`;

// Arrow keys move between cards as they lie in the grid.
export function onArrows(event) {
  const cards = [...event.currentTarget.querySelectorAll(".shot")];
  const here = cards.indexOf(document.activeElement);
  if (here < 0) return;
  const { top } = cards[0].getBoundingClientRect();
  const below = cards.findIndex((card) => card.getBoundingClientRect().top > top + 1);
  const columns = below < 0 ? cards.length : below;
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  if (!step || !cards[here + step]) return;
  event.preventDefault();
  cards[here + step].focus();
}
