// Downloads: a moment cut from its video, and the video as it was uploaded.

import { ask, at } from "../service.js";
import { html, useState } from "../view.js";
import { Icon } from "./basics.js";

// What the service cuts without coding it again, as docs/media.md says.
const CUT_FROM = {
  mp4: ["h264", "hevc", "av1", "vp9", "mpeg4"],
  matroska: ["h264", "hevc", "av1", "vp9", "mpeg4", "vp8"],
  webm: ["vp8", "vp9", "av1"],
  flv: ["h264", "hevc", "av1"],
};

const isCuttable = ({ container, codec }) =>
  Object.hasOwn(CUT_FROM, container) && CUT_FROM[container].includes(codec);

// Saves a moment's clip, or says why there is none. `video` is null until it is known.
export function SaveClip({ video, collection, result }) {
  const [state, setState] = useState({});
  const cut = `${at.video(collection, result.video_id)}/clip?start=${result.start}&end=${result.end}`;
  const why = video && !isCuttable(video)
    ? `No clips of ${video.codec} in ${video.container}: it would have to be coded again. Download the original.`
    : state.error;
  const save = async () => {
    if (state.isBusy) return;
    setState({ isBusy: true });
    try {
      const answer = await ask(cut);
      saveAs(await answer.blob(), named(answer) ?? "clip.mp4");
      setState({});
    } catch (error) {
      setState({ error: error.message });
    }
  };
  return html`
    <button type="button" onClick=${save} disabled=${video && !isCuttable(video)}
            aria-describedby=${why ? "why-no-clip" : null}>
      <${Icon} name="download" /> ${state.isBusy ? "Cutting …" : "Save clip"}</button>
    ${why && html`<p id="why-no-clip" class=${state.error ? "small bad" : "small quiet"}
      role=${state.error ? "alert" : null}>${why}</p>`}`;
}

// The name that the service gives a file.
function named(answer) {
  const header = answer.headers.get("content-disposition") ?? "";
  const [, written] = header.match(/filename\*?=(?:utf-8'')?"?([^";]+)"?/i) ?? [];
  return written && decodeURIComponent(written);
}

function saveAs(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser has begun by then
}

// Not through memory, as a video may be large.
export const DownloadOriginal = ({ href, filename, children = "Download original" }) => html`
  <a class="button" href=${href} download=${filename}><${Icon} name="download" /> ${children}</a>`;
