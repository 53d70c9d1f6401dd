// Video player: its own controls, so that the scrubber and the timelines below share one time.

import { html, useEffect, useRef, useState } from "../view.js";
import { moment } from "../format.js";
import { IconButton } from "./basics.js";
import { DownloadOriginal } from "./download.js";
import { ScrubPreview } from "./scrub_preview.js";

const STEP_S = 1;
const FAR_S = 5;

// `at` is {start, end}: playing begins there and pauses once at its end. `children(now, seek)` are
// drawn under the scrubber. `length` is the length that the service knows, `sprites` the address of
// the small pictures, `poster` that of the picture until there is one of the video.
export function Player({
  src, filename, poster, at, length, sprites, autoplay = false, before, after, children,
}) {
  const video = useRef(null);
  const [now, setNow] = useState(at?.start ?? 0);
  const [paused, setPaused] = useState(true);
  const [silent, setSilent] = useState(true);
  const [broken, setBroken] = useState(false);
  const [own, setOwn] = useState(length);
  const [over, setOver] = useState(null);
  const total = length ?? own ?? 0;
  const fragment = at ? `#t=${at.start},${at.end}` : "";

  useEffect(() => {
    setBroken(false);
    setNow(at?.start ?? 0);
    if (autoplay) video.current.play().catch(() => {}); // the reader presses play
  }, [src, fragment]);

  const follow = ({ target }) => setNow(target.currentTime);
  const seek = (to) => {
    video.current.currentTime = to;
    setNow(to);
  };
  const toggle = () => (video.current.paused ? video.current.play().catch(() => {})
    : video.current.pause());
  const mute = () => {
    video.current.muted = !video.current.muted;
    setSilent(video.current.muted);
  };
  const point = ({ clientX, currentTarget, pointerType }) => {
    const { left, width } = currentTarget.getBoundingClientRect();
    const share = Math.max(0, Math.min(1, (clientX - left) / width));
    if (pointerType === "mouse") setOver({ seconds: share * total, share });
  };
  const full = () => video.current.requestFullscreen?.();
  useKeys({ toggle, mute, full, before, after, seek, video });

  return html`
    <div class="player">
      <div class="screen">
        <video ref=${video} src=${src + fragment} poster=${poster} muted=${silent} playsinline preload="auto"
               tabindex="-1" onClick=${toggle} onPlay=${() => setPaused(false)}
               onPause=${() => setPaused(true)} onError=${() => setBroken(true)}
               onTimeUpdate=${follow}
               onSeeking=${follow}
               onLoadedMetadata=${({ target }) => setOwn(target.duration)} />
        ${broken && html`
          <div class="over"><p role="alert">This browser cannot play this video. You can still search it, and
            watch it in another player.</p><${DownloadOriginal} href=${src} filename=${filename} /></div>`}
      </div>
      <div class="times" onPointerMove=${point} onPointerLeave=${() => setOver(null)}>
        <${ScrubPreview} sprites=${sprites} over=${over} />
        <input type="range" class="scrubber" min="0" max=${total} step="0.01" value=${now}
               aria-label="Position in the video" aria-valuetext="${moment(now)} of ${moment(total)}"
               onInput=${(event) => seek(Number(event.target.value))} />
        ${children?.(now, seek)}
      </div>
      <div class="controls">
        ${before !== undefined && html`
          <${IconButton} name="before" label="Previous result (P)" disabled=${!before}
                         onClick=${before} />`}
        <${IconButton} name=${paused ? "play" : "pause"} filled=${paused}
                       label=${paused ? "Play (space)" : "Pause (space)"} onClick=${toggle} data-first />
        ${after !== undefined && html`
          <${IconButton} name="after" label="Next result (N)" disabled=${!after} onClick=${after} />`}
        <span class="clock">${moment(now)} <span class="quiet">/ ${moment(total)}</span></span>
        <${IconButton} name=${silent ? "silent" : "sound"} label=${silent ? "Sound on (M)"
          : "Sound off (M)"} onClick=${mute} />
        <${IconButton} name="full" label="Full screen (F)" onClick=${full} />
      </div>
    </div>`;
}

// Keys of a player, unless somebody is typing or the key means something to what has the focus.
function useKeys({ toggle, mute, full, before, after, seek, video }) {
  const doing = useRef(null);
  const near = (step) => () => seek(Math.max(0, video.current.currentTime + step));
  doing.current = {
    " ": toggle, k: toggle, m: mute, f: full, n: after, p: before,
    ArrowLeft: near(-STEP_S), ArrowRight: near(STEP_S), j: near(-FAR_S), l: near(FAR_S),
  };
  useEffect(() => {
    const press = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest("input:not([type=range]), textarea, select, [contenteditable]")) return;
      if (event.key === " " && event.target.closest("button, a, summary")) return;
      const act = doing.current[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}
