// Hash router: the view and all that it shows stand in the address behind the #.

import { store } from "./store.js";

export const DEFAULT = "default"; // the collection that every service has

function read() {
  const [path, query = ""] = location.hash.slice(1).split(/\?(.*)/s);
  return { path: path || "/", params: new URLSearchParams(query) };
}

export const route = store(read());

for (const name of ["popstate", "hashchange"]) {
  addEventListener(name, () => {
    if (address(route.get()) !== address(read())) route.set(read());
  });
}

const address = ({ path, params }) => `${path}?${params}`;

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
  history[replace ? "replaceState" : "pushState"](null, "", to);
  route.set(read());
}
