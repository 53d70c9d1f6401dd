// Scrub preview: a small picture above the scrubber of the moment under the pointer.

import { ask } from "../service.js";
import { html, useEffect, useRef, useState } from "../view.js";
import { moment } from "../format.js";

const CUE = /(\S+) --> (\S+)\n\S*#xywh=(\d+),(\d+),(\d+),(\d+)/g;

// `over` is {seconds, share}: the moment, and where that is of the width; null: nowhere.
export function ScrubPreview({ sprites, over }) {
  const sheet = useSheet(sprites, over !== null);
  const picture = useRef(null);
  const tile = over && sheet?.tiles.find(({ end }) => over.seconds < end);
  useEffect(() => {
    if (!tile) return;
    picture.current.getContext("2d").drawImage(
      sheet.image, tile.x, tile.y, tile.width, tile.height, 0, 0, tile.width, tile.height);
  }, [tile]);
  return tile && html`
    <figure class="peek" aria-hidden="true" style=${{ left: `${100 * over.share}%` }}>
      <canvas ref=${picture} width=${tile.width} height=${tile.height} />
      <figcaption>${moment(over.seconds)}</figcaption>
    </figure>`;
}

// The sheet and its tiles, from when they are first wanted; nothing for a video that has none.
function useSheet(url, wanted) {
  const [kept, setKept] = useState(null);
  useEffect(() => {
    if (!wanted || kept?.url === url) return;
    setKept({ url });
    load(url).then(setKept, () => {}); // the scrubber does without
  }, [url, wanted]);
  return kept?.url === url && kept.image ? kept : null;
}

async function load(url) {
  const index = await (await ask(`${url}.vtt`)).text();
  const tiles = [...index.matchAll(CUE)].map(([, , end, ...box]) => {
    const [x, y, width, height] = box.map(Number);
    return { end: seconds(end), x, y, width, height };
  });
  const image = new Image();
  image.src = url;
  await image.decode();
  return { url, tiles, image };
}

const seconds = (clock) => clock.split(":").reduce((sum, part) => 60 * sum + Number(part), 0);
