// The player, and under it what the video scores over time for each text that was searched.

import { $, collection, element, moment, percent, say, span } from "./common.js";
import { api } from "./service.js";

const CERTAIN = 0.5;
const video = $("video");
let asking = new AbortController();
let strips = [];

export function play(title, url, videoId = null, texts = []) {
  $("player-title").textContent = title;
  say($("player-status"), "");
  video.src = url; // its fragment #t=start,end is the moment
  $("player").showModal();
  video.focus();
  video.play().catch(() => { /* the reader presses play, or the error event speaks */ });
  showHeat(videoId, texts);
}

async function showHeat(videoId, texts) {
  asking = new AbortController();
  const { signal } = asking;
  const path = `/v1/collections/${collection()}/videos/${videoId}/heatmap?q=`;
  try {
    const heats = await Promise.all(
      texts.map((text) => api(path + encodeURIComponent(text), { signal })));
    strips = heats.map(strip);
    $("heat").replaceChildren(...strips.map(({ figure }) => figure), ...legend(heats));
    mark();
  } catch (error) {
    if (error.name !== "AbortError") say($("player-status"), error.message, true);
  }
}

// A slider over the video's time whose track is the bars of its scores.
function strip(heat) {
  const { query, pieces } = heat;
  const length = heat.duration_s ?? pieces.at(-1).end;
  const needle = element("span", { className: "needle" });
  const track = element("div", { className: "track", tabIndex: 0, role: "slider" },
    ...bars(pieces, length), needle);
  track.ariaLabel = `Score over time for “${query}”; arrow keys go from piece to piece`;
  track.ariaValueMin = 0;
  track.ariaValueMax = length;
  track.addEventListener("click", (event) => {
    const { left, width } = track.getBoundingClientRect();
    video.currentTime = (event.clientX - left) / width * length;
  });
  track.addEventListener("keydown", (event) => {
    const goal = reached(event.key, pieces, video.currentTime);
    if (goal === undefined) return;
    event.preventDefault();
    video.currentTime = goal.start;
  });
  const figure = element("figure", {}, element("figcaption", {}, `“${query}”`), track);
  return { figure, track, needle, pieces, length };
}

function legend(heats) {
  if (!heats.length) return [];
  const sure = heats[0].confidence_kind ? `, strong colour: ${percent(CERTAIN)} certain or more` : "";
  const line = `Score over time, the higher the better${sure}. Click to go there.`;
  return [element("p", { className: "quiet" }, line)];
}

function bars(pieces, length) {
  const scores = pieces.map(({ score }) => score);
  const lowest = Math.min(...scores);
  const breadth = Math.max(...scores) - lowest || 1;
  return pieces.map((piece) => {
    const bar = element("span", { className: "bar", title: words(piece) });
    bar.classList.toggle("sure", piece.confidence === null || piece.confidence >= CERTAIN);
    bar.style.left = `${piece.start / length * 100}%`;
    bar.style.width = `${(piece.end - piece.start) / length * 100}%`;
    bar.style.height = `${8 + (piece.score - lowest) / breadth * 92}%`;
    return bar;
  });
}

function words(piece) {
  const chance = piece.confidence === null ? "" : `, ${percent(piece.confidence)} certain`;
  return `${span(piece)}: score ${piece.score.toFixed(2)}${chance}`;
}

function reached(key, pieces, now) {
  const here = pieces.findLastIndex(({ start }) => start <= now + 0.05);
  if (key === "ArrowRight" || key === "ArrowUp") return pieces[here + 1] ?? pieces[here];
  if (key === "ArrowLeft" || key === "ArrowDown") return pieces[Math.max(0, here - 1)];
  if (key === "Home") return pieces[0];
  return key === "End" ? pieces.at(-1) : undefined;
}

function mark() {
  const now = video.currentTime;
  for (const { track, needle, pieces, length } of strips) {
    const piece = pieces.findLast(({ start, end }) => start <= now && now <= end);
    needle.style.left = `${Math.min(1, now / length) * 100}%`;
    track.ariaValueNow = now.toFixed(1);
    track.ariaValueText = piece ? words(piece) : moment(now);
  }
}

for (const name of ["timeupdate", "seeking"]) video.addEventListener(name, mark);
video.addEventListener("error", () => {
  if (video.error) say($("player-status"), "This browser cannot play this video.", true);
});
$("player").addEventListener("close", () => {
  asking.abort();
  strips = [];
  $("heat").replaceChildren();
  video.pause();
  video.removeAttribute("src");
  video.load();
});
