// Basic components: icons, buttons, notices, dialogs, meters.

import { html, useEffect, useRef } from "../view.js";
import { percent } from "../format.js";

const PATHS = {
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14ZM20 20l-4-4",
  film: "M4 5h16v14H4zM8 5v14M16 5v14M4 9.7h4M4 14.3h4M16 9.7h4M16 14.3h4",
  list: "M4 6h2M4 12h2M4 18h2M10 6h10M10 12h10M10 18h10",
  gear: "M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4",
  close: "M6 6l12 12M18 6 6 18",
  plus: "M12 5v14M5 12h14",
  star: "m12 4 2.5 5.2 5.7.8-4.1 4 1 5.7-5.1-2.7-5.1 2.7 1-5.7-4.1-4 5.7-.8z",
  play: "M8 5.5v13l10-6.5z",
  pause: "M8.5 5.5v13M15.5 5.5v13",
  before: "M18 6v12l-9-6zM6 6v12",
  after: "M6 6v12l9-6zM18 6v12",
  sound: "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11",
  silent: "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5",
  full: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  alike: "M4 4h10v10H4zM10 14v6h10V10h-6",
  clock: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16ZM12 8v4.5l3 1.8",
  upload: "M12 16V5M7.5 9.5 12 5l4.5 4.5M5 19h14",
  download: "M12 5v11M7.5 11.5 12 16l4.5-4.5M5 19h14",
  bin: "M5 7h14M10 7V4.5h4V7M7 7l1 12.5h8L17 7M10.5 10.5v6M13.5 10.5v6",
  again: "M19 12a7 7 0 1 1-2.2-5.1M19 4v4h-4",
  link: "M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1",
  open: "M14 5h5v5M19 5l-8 8M17 14v5H5V7h5",
  key: "M14.5 4a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11ZM10.5 13.5 4 20M6.5 17.5 9 20",
  alert: "M12 4 3 19.500h18zM12 10v4M12 16.700v.3",
};

export const Icon = ({ name, filled = false }) => html`
  <svg class=${filled ? "icon filled" : "icon"} viewBox="0 0 24 24" aria-hidden="true"
       focusable="false"><path d=${PATHS[name]} /></svg>`;

// An icon that does something; `label` is its name for screen readers and as a tooltip.
export const IconButton = ({ name, label, filled, ...rest }) => html`
  <button type="button" class="icon-button" aria-label=${label} title=${label} ...${rest}>
    <${Icon} name=${name} filled=${filled} />
  </button>`;

// Stands instead of an empty list and says why it is empty.
export const Notice = ({ icon, title, children, bad = false, role }) => html`
  <div class=${bad ? "notice bad-notice" : "notice"} role=${role}>
    <${Icon} name=${icon} />
    <div>
      <h2>${title}</h2>
      ${children}
    </div>
  </div>`;

export const Failed = ({ error, again }) => html`
  <${Notice} icon="alert" title="Something went wrong" bad=${true} role="alert">
    <p>${error.message}${error.code && html` <span class="code">${error.code}</span>`}</p>
    ${error.retryAfter && html`<p>Try again in ${error.retryAfter} s.</p>`}
    ${again && html`<button type="button" onClick=${again}>Try again</button>`}
  <//>`;

export const Meter = ({ value, label }) => html`
  <svg class="meter" viewBox="0 0 100 8" preserveAspectRatio="none" role="img"
       aria-label=${label} aria-hidden=${label ? null : "true"}>
    <rect class="all" width="100" height="8" />
    <rect class=${value >= 0.5 ? "much" : "little"} width=${100 * value} height="8" />
  </svg>`;

export const Confidence = ({ value }) => value === null ? null : html`
  <span class=${value >= 0.5 ? "confidence high" : "confidence"}
        title="Confidence: the probability that this moment shows what you searched for">
    <span class="unseen">confidence </span>${percent(value)}
  </span>`;

export const Progress = ({ value, label }) => html`
  <progress max="1" value=${value ?? undefined} aria-label=${label}></progress>`;

// A dialog that is open as long as it is drawn, and gives the focus back when it is not. What is
// marked data-first has the focus first.
export function Dialog({ label, onClose, className = "", children }) {
  const box = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    box.current.showModal();
    box.current.querySelector("[data-first]")?.focus();
    return () => before?.isConnected && before.focus({ preventScroll: true });
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    onClose?.();
  };
  const press = (event) => event.target === box.current && onClose?.();
  return html`
    <dialog ref=${box} class=${className} aria-label=${label} onCancel=${cancel}
            onPointerDown=${press}>
      <div class="inside">${children}</div>
    </dialog>`;
}

export const Confirm = ({ title, children, word, onYes, onNo }) => html`
  <${Dialog} label=${title} onClose=${onNo} className="confirm">
    <h2>${title}</h2>
    ${children}
    <div class="buttons">
      <button type="button" onClick=${onNo} data-first>Cancel</button>
      <button type="button" class="danger" onClick=${onYes}>${word}</button>
    </div>
  <//>`;

export const ConfirmDelete = ({ video, onYes, onNo }) => html`
  <${Confirm} title="Delete this video?" word="Delete" onYes=${onYes} onNo=${onNo}>
    <p><b>${video.filename}</b> and everything derived from it will be deleted from the disk. You cannot
      undo this.</p>
  <//>`;

// Names the view in the browser's tab and to screen readers.
export function Heading({ title, unseen = false, children }) {
  const heading = useRef(null);
  useEffect(() => {
    document.title = `${title} · X-CLIP Search`;
  }, [title]);
  return html`<h1 ref=${heading} tabindex="-1" class=${unseen ? "unseen" : ""}>${children ?? title}</h1>`;
}
