// Observable stores: values that several views read, and the hooks that redraw them.

import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "./view.js";

export function store(first) {
  let value = first;
  const readers = new Set();
  return {
    get: () => value,
    set(next) {
      value = typeof next === "function" ? next(value) : next;
      for (const reader of new Set(readers)) reader(value); // readers come and go meanwhile
    },
    subscribe(reader) {
      readers.add(reader);
      return () => readers.delete(reader);
    },
  };
}

export function useStore(kept) {
  const [value, setValue] = useState(kept.get());
  useLayoutEffect(() => {
    setValue(kept.get()); // it may have changed since the first drawing
    return kept.subscribe(setValue);
  }, [kept]);
  return value;
}

// A value that localStorage keeps, for as long as the browser lets it.
export const keptStore = (name, first) => keptBy(() => localStorage, name, first);

// A value that the tab keeps through reloads.
export const keptInTab = (name, first) => keptBy(() => sessionStorage, name, first);

function keptBy(storage, name, first) {
  const kept = store(read(storage, name) ?? first);
  kept.subscribe((value) => {
    try {
      storage().setItem(name, JSON.stringify(value));
    } catch { /* private windows may refuse: then it lasts as long as the page */ }
  });
  return kept;
}

function read(storage, name) {
  try {
    return JSON.parse(storage().getItem(name));
  } catch {
    return null;
  }
}

const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);

// Loads by `load(signal)`; the previous value stays visible until the next one arrives.
export function useAnswer(load, inputs) {
  const [state, setState] = useState({ loading: true });
  const [turn, setTurn] = useState(0);
  const [latest, shown] = [useRef(load), useRef("")];
  [latest.current, shown.current] = [load, inputs.join("\n")];
  useEffect(() => {
    const asking = new AbortController();
    setState((before) => ({ ...before, loading: true, error: null }));
    load(asking.signal).then(
      (value) => asking.signal.aborted || setState({ value, loading: false, error: null }),
      (error) => asking.signal.aborted
        || setState((before) => ({ ...before, loading: false, error })),
    );
    return () => asking.abort();
  }, [...inputs, turn]);
  const again = useCallback(() => setTurn((before) => before + 1), []);
  const change = useCallback(
    (make) => setState((before) => ({ ...before, value: make(before.value) })), []);
  // Reads it again without a sign of it, unless it has changed.
  const renew = useCallback(async () => {
    const about = inputs.join("\n");
    const value = await latest.current();
    setState((before) => (about !== shown.current || isSame(before.value, value) ? before
      : { ...before, value }));
  }, inputs);
  return { ...state, again, change, renew };
}

// Debounce: true once `is` has held for `ms`, so that fast answers show no loading state.
export function useSlow(is, ms = 250) {
  const [slow, setSlow] = useState(false);
  const timer = useRef(null);
  useEffect(() => {
    if (is) timer.current = setTimeout(() => setSlow(true), ms);
    else setSlow(false);
    return () => clearTimeout(timer.current);
  }, [is]);
  return is && slow;
}
