// Hash router: the view and all that it shows stand in the address behind the #.

import { store } from "./store.js";

export const DEFAULT = "default"; // the collection that every service has

let entries = 0;

// `entry` names the entry of the browser's history; `isReturn` tells that it was shown before.
function read() {
  const [path, query = ""] = location.hash.slice(1).split(/\?(.*)/s);
  const isReturn = Boolean(history.state?.entry);
  if (!isReturn) history.replaceState({ entry: newEntry() }, "");
  return { path: path || "/", params: new URLSearchParams(query), entry: history.state.entry, isReturn };
}

const newEntry = () => `${performance.timeOrigin}-${++entries}`;

export const route = store(read());

for (const name of ["popstate", "hashchange"]) {
  addEventListener(name, () => {
    const next = read();
    if (next.entry !== route.get().entry) route.set(next);
  });
}

export const collectionOf = ({ params }) => params.get("c") || DEFAULT;

// An address of the page, in the collection the reader is in unless `params` names another one.
export function href(path, params = {}) {
  const all = new URLSearchParams();
  const own = collectionOf(route.get());
  for (const [name, value] of Object.entries({ c: own, ...params })) {
    if (name === "c" && value === DEFAULT) continue;
    for (const each of [value].flat()) {
      if (each !== undefined && each !== null && each !== "" && each !== false) {
        all.append(name, each === true ? "1" : each);
      }
    }
  }
  const query = all.toString();
  return `#${path}${query ? `?${query}` : ""}`;
}

export function go(to, { replace = false } = {}) {
  if (to === location.hash) return;
  if (replace) history.replaceState({ entry: route.get().entry }, "", to);
  else history.pushState({ entry: newEntry() }, "", to);
  route.set({ ...read(), isReturn: false });
}
