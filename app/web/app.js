// Application shell: the frame of the page and the view that the address names.

import { Icon, Notice } from "./parts/basics.js";
import { collections } from "./collections.js";
import { keepFocus } from "./focus.js";
import { keepPlaces } from "./places.js";
import { DEFAULT, collectionOf, go, href, route } from "./route.js";
import { sessionBegun } from "./service.js";
import { useStore } from "./store.js";
import { add, dropped, isOver, uploads } from "./uploads.js";
import { html, render, useEffect, useRef, useState } from "./view.js";
import { JobsView } from "./views/jobs.js";
import { KeyDialog } from "./views/api_key.js";
import { LibraryView } from "./views/library.js";
import { SearchView } from "./views/search.js";
import { SettingsView } from "./views/settings.js";
import { VideoView } from "./views/video.js";

const TABS = [["/", "Search", "search"], ["/library", "Library", "film"], ["/jobs", "Jobs", "list"],
  ["/settings", "Settings", "gear"]];
const VIEWS = { "/": SearchView, "/library": LibraryView, "/jobs": JobsView, "/settings": SettingsView };

function App() {
  const { path } = useStore(route);
  const isHeld = useDrop();
  useFocusOnChange(path);
  return html`
    <a class="skip" href="#main" onClick=${toMain}>Skip to content</a>
    <header class="top">
      <a class="brand" href=${href("/")}><img src="/static/icon.svg" alt="" width="26" height="26" />
        <span>X-CLIP Search</span></a>
      <nav class="views" aria-label="Views">
        ${TABS.map(([to, word, icon]) => html`
          <a href=${href(to)} aria-current=${isIn(path, to) ? "page" : null}>
            <${Icon} name=${icon} /><span>${word}</span>${to === "/library" && html`<${UploadCount} />`}</a>`)}
      </nav>
      <${ChooseCollection} />
    </header>
    <main id="main" tabindex="-1"><${View} path=${path} /></main>
    <${KeyDialog} />
    ${isHeld && html`
      <div class="drop-here" aria-hidden="true"><p><${Icon} name="upload" /> Drop to add</p></div>`}`;
}

const isIn = (path, to) => path === to || (to === "/library" && path.startsWith("/video/"));

function View({ path }) {
  const [, id] = path.match(/^\/video\/([\w-]+)$/) ?? [];
  if (id) return html`<${VideoView} key=${id} id=${id} />`;
  if (Object.hasOwn(VIEWS, path)) return html`<${VIEWS[path]} />`;
  return html`<h1 class="unseen">Not found</h1>
    <${Notice} icon="search" title="This page does not exist"><p><a href=${href("/")}>Go to search</a></p><//>`;
}

function toMain(event) {
  event.preventDefault(); // the # belongs to the address of the view
  document.getElementById("main").focus();
}

function UploadCount() {
  const left = useStore(uploads).filter((row) => !isOver(row)).length;
  return left > 0 && html`<span class="count">${left}<span class="unseen"> uploading or in progress</span></span>`;
}

function ChooseCollection() {
  const { items } = useStore(collections.answer);
  const { path, params } = useStore(route);
  const own = collectionOf({ params });
  useEffect(() => {
    collections.load();
  }, []);
  const names = [...new Set([own, ...items.map(({ name }) => name)])].sort();
  const choose = ({ target }) =>
    go(href(path.startsWith("/video/") ? "/library" : path, { c: target.value }));
  if (names.length < 2 && own === DEFAULT) return html`<span class="collection"></span>`;
  return html`
    <label class="collection"><span aria-hidden="true">Collection</span>
      <select value=${own} onChange=${choose} aria-label="Collection">
        ${names.map((name) => html`<option value=${name}>${name}</option>`)}
      </select></label>`;
}

// Accepts files and folders dropped anywhere; returns whether some are held over the page.
function useDrop() {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const leaving = new AbortController();
    const on = (name, act) => addEventListener(name, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault(); // a file dropped must not replace the page
      act(event);
    }, { signal: leaving.signal });
    on("dragenter", () => setOver(true));
    on("dragover", () => setOver(true));
    on("dragleave", (event) => event.relatedTarget ?? setOver(false));
    on("drop", async (event) => {
      setOver(false);
      const collection = collectionOf(route.get());
      const files = await dropped(event.dataTransfer);
      if (files.length) go(href("/library"));
      add(files, collection);
    });
    return () => leaving.abort();
  }, []);
  return over;
}

// Screen readers announce a new view when it takes the focus; the search box takes the focus by itself.
function useFocusOnChange(path) {
  const before = useRef(path);
  useEffect(() => {
    if (before.current === path) return;
    before.current = path;
    if (path !== "/") document.getElementById("main").focus({ preventScroll: true });
  }, [path]);
}

keepPlaces();
keepFocus();
sessionBegun.then(() => render(html`<${App} />`, document.getElementById("app")));
