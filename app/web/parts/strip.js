// Something over a video's time, drawn as wide as the scrubber: click to go there.

import { html } from "../view.js";
import { percent, stretch } from "../words.js";

const HIGH = 40; // of a drawing; its width is the video's length in seconds

// `pieces` are {start, end, height, strong, says}, heights from 0 to 1; `marks` are stretches.
export function Strip({ label, pieces, marks = [], length, now, onGo, thin = false }) {
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
      ${pieces.map((piece) => html`
        <rect key=${piece.start} class=${piece.strong ? "piece strong" : "piece"} x=${piece.start}
              width=${piece.end - piece.start} y=${HIGH * (1 - piece.height)}
              height=${HIGH * piece.height}><title>${piece.says}</title></rect>`)}
      <line class="needle" x1=${now} x2=${now} y1="0" y2=${HIGH} />
    </svg>`;
}

// What a video scores for a text over time, and where it is highest in words.
export function Heat({ heat, marks, now, onGo }) {
  const best = heat.pieces.reduce((one, other) => (other.score > one.score ? other : one));
  const sure = heat.confidence_kind === null ? "" : `, ${percent(best.confidence)} certain`;
  const said = `“${heat.query}” most at ${stretch(best)}${sure}`;
  return html`
    <figure class="heat">
      <${Strip} label="Score over time" pieces=${heatPieces(heat)} marks=${marks} now=${now}
                length=${heat.duration_s ?? heat.pieces.at(-1).end} onGo=${onGo} />
      <figcaption class="quiet small">${said}</figcaption>
    </figure>`;
}

// As high as the scores lie between the lowest and the highest of the video.
function heatPieces({ pieces, confidence_kind: kind }) {
  const scores = pieces.map(({ score }) => score);
  const lowest = Math.min(...scores);
  const breadth = Math.max(...scores) - lowest;
  return pieces.map((piece) => {
    const sure = kind === null ? "" : `, ${percent(piece.confidence)} certain`;
    return {
      ...piece,
      height: breadth ? 0.12 + 0.88 * ((piece.score - lowest) / breadth) : 1,
      strong: kind === null || piece.confidence >= 0.5,
      says: `${stretch(piece)}: score ${piece.score.toFixed(2)}${sure}`,
    };
  });
}

// How probable a label is over time.
export function chancePieces(segments, label) {
  return segments.map(({ start, end, scores }, place) => ({
    start,
    end: segments[place + 1]?.start ?? end, // segments overlap; each is drawn up to the next
    height: Math.max(0.02, scores[label] ?? 0),
    strong: (scores[label] ?? 0) >= 0.5,
    says: `${stretch({ start, end })}: ${percent(scores[label] ?? 0)}`,
  }));
}
