// Scroll restoration: how far down each entry of the browser's history was, for the way back to it.

import { route } from "./route.js";
import { keptInTab } from "./store.js";

const KEPT = 100; // entries

const written = keptInTab("xclip-places", {});
const places = new Map(Object.entries(written.get()));
let goal = null; // what is to be reached, while the page grows, until the reader moves it
let lastHeight = 0; // of the page, when the goal was last tried

// Begins to keep places, and to restore them; until then the browser does.
export function keepPlaces() {
  history.scrollRestoration = "manual";
  let { path, entry } = route.get();
  if (route.get().isReturn) restore(entry);
  route.subscribe((next) => {
    keep(entry);
    const isNewView = next.path !== path;
    ({ path, entry } = next);
    goal = null;
    if (next.isReturn) restore(entry);
    else if (isNewView) scrollTo(0, 0);
  });
  addEventListener("scroll", () => {
    if (goal !== null && pageHeight() !== lastHeight) approach();
    else if (goal !== null && !isOnTheWay()) goal = null;
    keep(entry);
  }, { passive: true });
  addEventListener("pagehide", () => {
    keep(entry);
    written.set(Object.fromEntries([...places].slice(-KEPT)));
  });
  for (const name of ["wheel", "touchstart", "pointerdown", "keydown"]) {
    addEventListener(name, () => { goal = null; }, { passive: true, capture: true });
  }
  new ResizeObserver(approach).observe(document.body);
}

function keep(entry) {
  if (goal !== null && scrollY !== goal) return;
  places.delete(entry);
  places.set(entry, scrollY);
}

function restore(entry) {
  goal = places.get(entry) ?? 0;
  approach();
}

// Lists come later than the view: tries again whenever the page grows. A page that shrank for a
// moment moves by itself and says so a frame later: that is not the reader.
function approach() {
  if (goal === null) return;
  lastHeight = pageHeight();
  scrollTo(0, goal);
}

// There, or as near as the length of the page allows.
function isOnTheWay() {
  const most = pageHeight() - innerHeight;
  return Math.abs(scrollY - Math.min(goal, Math.max(0, most))) < 2;
}

function pageHeight() {
  return document.documentElement.scrollHeight;
}
