// Paged lists: the pages of a list that are shown, one request at a time, and kept for a return.

import { route } from "./route.js";
import { keptInTab, store } from "./store.js";
import { html, useEffect, useMemo, useRef, useState } from "./view.js";

const KEPT = 20; // lists

const values = new Map(); // by key, the latest last
const counts = keptInTab("xclip-pages", {}); // how many items each list showed, for a reload

function keep(key, value, shown) {
  values.delete(key);
  values.set(key, value);
  for (const old of [...values.keys()].slice(0, -KEPT)) values.delete(old);
  const { [key]: _, ...others } = counts.get();
  counts.set(Object.fromEntries([...Object.entries(others).slice(1 - KEPT), [key, shown]]));
}

// `load(cursor, signal)` returns a page, which holds its items as `field`, and `next_cursor`.
export class PagedList {
  #load; #field; #key;
  #leaving = new AbortController();
  #last = Promise.resolve();
  #more = null;
  #renewal = null;

  constructor(key, load, field = "items", { isReturn = false } = {}) {
    [this.#key, this.#load, this.#field] = [key, load, field];
    const kept = isReturn ? values.get(key) : undefined;
    this.state = store({ value: kept, loading: !kept, error: null, isLoadingMore: false, moreError: null });
    if (kept) return;
    const wanted = isReturn ? counts.get()[key] ?? 0 : 0;
    this.#start(wanted);
  }

  stop = () => this.#leaving.abort();

  again = () => {
    this.#set({ loading: true, error: null });
    return this.#start(this.#shown);
  };

  // The next page; while one is on its way, that one.
  more = () => {
    this.#more ??= this.#run(async () => {
      const { value } = this.state.get();
      this.#set({ isLoadingMore: true, moreError: null });
      if (!value?.next_cursor) return null;
      const next = await this.#load(value.next_cursor, this.#leaving.signal);
      this.#put(this.#joined(value, next));
      return next;
    }).catch((moreError) => this.#set({ moreError })).finally(() => {
      this.#more = null;
      this.#set({ isLoadingMore: false });
    });
    return this.#more;
  };

  // Reads what is shown again, without a sign of it unless something has changed. What is shown
  // stays if that fails.
  renew = () => {
    if (!this.state.get().value) return this.#last; // it is on its way
    this.#renewal ??= this.#run(async () => {
      const before = this.state.get().value;
      if (!before) return;
      const value = await this.#pages(this.#shown);
      if (JSON.stringify(value) !== JSON.stringify(before)) this.#put(value);
    }).finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  };

  change = (make) => this.#put(make(this.state.get().value));

  get #shown() {
    return this.state.get().value?.[this.#field].length ?? 0;
  }

  #start(wanted) {
    return this.#run(async () => this.#put(await this.#pages(wanted)))
      .catch((error) => this.#set({ error, loading: false }));
  }

  // One after another, so that no page is read by a cursor that another one has used.
  #run(work) {
    const next = this.#last.then(work);
    this.#last = next.catch(() => {});
    return next;
  }

  async #pages(wanted) {
    const { signal } = this.#leaving;
    let value = await this.#load(null, signal);
    while (value.next_cursor && value[this.#field].length < wanted) {
      value = this.#joined(value, await this.#load(value.next_cursor, signal));
    }
    return value;
  }

  #joined(value, next) {
    return { ...next, [this.#field]: [...value[this.#field], ...next[this.#field]] };
  }

  #put(value) {
    if (this.#leaving.signal.aborted) return;
    this.#set({ value, loading: false, error: null, moreError: null });
    keep(this.#key, value, this.#shown);
  }

  #set(parts) {
    if (!this.#leaving.signal.aborted) this.state.set((before) => ({ ...before, ...parts }));
  }
}

// The list that `key` names. Until its first page has come, `value` is that of the list before and
// `isBefore` is true.
export function usePages(key, load, field) {
  const list = useMemo(
    () => new PagedList(key, load, field, { isReturn: route.get().isReturn }), [key]);
  const [, redraw] = useState(null);
  const before = useRef(undefined);
  useEffect(() => {
    redraw(list.state.get());
    const leave = list.state.subscribe(redraw);
    return () => {
      leave();
      list.stop();
    };
  }, [list]);
  const state = list.state.get();
  const value = state.value ?? before.current;
  useEffect(() => {
    before.current = value;
  }, [value]);
  return { ...state, value, isBefore: state.value === undefined, list };
}

// The button under a list that has more pages, and why its last press failed.
export function MoreButton({ list, value }) {
  const { isLoadingMore, moreError } = list.state.get();
  const press = async ({ currentTarget: button }) => {
    const links = () => document.querySelectorAll("main .cards a.shot, main .rows a");
    const shown = links().length;
    await list.more();
    requestAnimationFrame(() => { // after the last page there is no button to keep the focus
      if (!button.isConnected) links()[shown]?.focus();
    });
  };
  return html`
    ${moreError && html`
      <p class="bad more-failed" role="alert"><span>${moreError.message}</span>
        ${moreError.code === "cursor_expired" && html`
          <button type="button" onClick=${list.again}>Read the list again</button>`}</p>`}
    ${value.next_cursor && html`
      <div class="more"><button type="button" aria-disabled=${isLoadingMore ? "true" : null}
        onClick=${press}>${isLoadingMore ? "Loading …" : "Show more"}</button></div>`}`;
}
