// Score timeline: bars over a video's time, as wide as the scrubber; a click seeks.

import { html } from "../view.js";
import { percent, span } from "../format.js";

const HIGH = 40; // of a drawing; its width is the video's length in seconds

// `bars` are {start, end, height, strong, title}, heights from 0 to 1; `marks` are {start, end, current}.
export function Timeline({ label, bars, marks = [], length, now, onGo, thin = false }) {
  const press = ({ clientX, currentTarget }) => {
    const { left, width } = currentTarget.getBoundingClientRect();
    onGo(Math.max(0, Math.min(length, ((clientX - left) / width) * length)));
  };
  return html`
    <svg class=${thin ? "strip thin" : "strip"} viewBox="0 0 ${length} ${HIGH}" role="img"
         preserveAspectRatio="none" aria-label=${label} onPointerDown=${press}>
      ${marks.map(({ start, end, current }) => html`
        <rect class=${current ? "mark current" : "mark"} x=${start} width=${end - start}
              height=${HIGH} />`)}
      ${bars.map((bar) => html`
        <rect key=${bar.start} class=${bar.strong ? "piece strong" : "piece"} x=${bar.start}
              width=${bar.end - bar.start} y=${HIGH * (1 - bar.height)}
              height=${HIGH * bar.height}><title>${bar.title}</title></rect>`)}
      <line class="needle" x1=${now} x2=${now} y1="0" y2=${HIGH} />
    </svg>`;
}

// A text's scores over a video's time, with the highest one in words. Its confidence is that of a
// search of this video alone, which is higher than among all videos: it must not pass for the same.
export function Heatmap({ heat, marks, now, onGo }) {
  const best = heat.pieces.reduce((one, other) => (other.score > one.score ? other : one));
  const confidence = heat.confidence_kind === null ? ""
    : `, ${percent(best.confidence)} confidence within this video`;
  return html`
    <figure class="heat">
      <${Timeline} label="Score over time" bars=${scoreBars(heat)} marks=${marks} now=${now}
                length=${heat.duration_s ?? heat.pieces.at(-1).end} onGo=${onGo} />
      <figcaption class="quiet small"><span class="query">“${heat.query}”</span>
        ${" "}scores highest at ${span(best)}${confidence}</figcaption>
    </figure>`;
}

// Holds the place of a heatmap while it loads, so that what is below it stays where it is.
export const HeatmapToCome = () => html`
  <figure class="heat" aria-hidden="true"><div class="strip waiting-strip"></div>
    <figcaption class="small">${"\u00a0"}</figcaption></figure>`;

// Scales the scores between the video's lowest and highest to heights.
export function scoreBars({ pieces, confidence_kind: kind }) {
  const scores = pieces.map(({ score }) => score);
  const lowest = Math.min(...scores);
  const breadth = Math.max(...scores) - lowest;
  return pieces.map((piece) => {
    const confidence = kind === null ? ""
      : `, ${percent(piece.confidence)} confidence within this video`;
    return {
      ...piece,
      height: breadth ? 0.12 + 0.88 * ((piece.score - lowest) / breadth) : 1,
      strong: kind === null || piece.confidence >= 0.5,
      title: `${span(piece)}: score ${piece.score.toFixed(2)}${confidence}`,
    };
  });
}

// One bar a segment, as high as the label is probable there.
export function labelBars(segments, label) {
  return segments.map(({ start, end, scores }, index) => ({
    start,
    end: segments[index + 1]?.start ?? end, // segments overlap; each is drawn up to the next
    height: Math.max(0.02, scores[label] ?? 0),
    strong: (scores[label] ?? 0) >= 0.5,
    title: `${span({ start, end })}: ${percent(scores[label] ?? 0)}`,
  }));
}
