// Search query: its form in the address, in the request body and in words.

import { href } from "./route.js";
import { keptStore } from "./store.js";

export const CONFIDENT = 0.5; // the confidence from which the page calls a result confident
const WITHIN_S = 30;
const LONGEST_WITHIN_S = 86_400;
const OWN_FIELDS = ["video_id", "filename", "sha256", "size", "container", "codec", "width", "height",
  "duration", "created", "start", "end"];
const RECENT = 8;

export const OPERATORS = {
  eq: "is", ne: "is not", gte: "at least", lte: "at most", gt: "more than", lt: "less than",
  exists: "exists",
};

const NUMBERS = { gte: "at least", lte: "at most", gt: "more than", lt: "less than", eq: "is", ne: "is not" };
// What a field of the service's own is, and how it can be compared; metadata is any of this.
export const FIELDS = {
  created: { kind: "time", operators: { gte: "on or after", lt: "before" } },
  size: { kind: "number", operators: NUMBERS },
  width: { kind: "number", operators: NUMBERS },
  height: { kind: "number", operators: NUMBERS },
  duration: { kind: "number", operators: NUMBERS },
  start: { kind: "number", operators: NUMBERS },
  end: { kind: "number", operators: NUMBERS },
};

export const comparison = (field) => (Object.hasOwn(FIELDS, field) ? FIELDS[field]
  : { kind: "any", operators: OPERATORS });

const EMPTY = {
  text: "", then: "", within: WITHIN_S, not: "", like: "", confident: false, windows: false,
  byVideo: false, filters: [],
};

// filters: [[field, operator, value], …]
export function fromParams(params) {
  return {
    ...EMPTY,
    text: params.get("q") ?? "",
    then: params.get("then") ?? "",
    within: withinOf(params.get("within")),
    not: params.get("not") ?? "",
    like: params.get("like") ?? "",
    confident: params.has("sure"), // as in addresses that people have kept
    windows: params.has("windows"),
    byVideo: params.has("byvideo"),
    filters: params.getAll("f").map(parsed).filter(Boolean),
  };
}

function withinOf(written) {
  const seconds = Number(written || WITHIN_S);
  return seconds >= 0 ? Math.min(seconds, LONGEST_WITHIN_S) : WITHIN_S;
}

function parsed(written) {
  try {
    const filter = JSON.parse(written);
    return Array.isArray(filter) && filter.length === 3 && Object.hasOwn(OPERATORS, filter[1])
      ? filter : null;
  } catch {
    return null; // a truncated address
  }
}

export function toParams(query) {
  const { text, then, within, not, like, confident, windows, byVideo, filters } = query;
  return {
    q: text, then, within: then && within !== WITHIN_S ? within : null, not, like, sure: confident, windows,
    byvideo: byVideo, f: filters.map((filter) => JSON.stringify(filter)),
  };
}

export const address = (query, more = {}) => href("/", { ...toParams(query), ...more });

// The address of a video's view with some parameters changed and the rest kept.
export const videoAddress = (id, params, change) => href(`/video/${id}`, {
  q: params.get("q"), label: params.getAll("label"), one: params.has("one"), ...change,
});

export const hasQuery = ({ text, like }) => Boolean(text || like);

// The texts whose scores over time can be shown.
export const texts = ({ text, then }) => [text, then].filter(Boolean);

export const isFiltered = ({ filters }) => filters.length > 0;

export function body({ text, then, within, not, like, confident, windows, byVideo, filters }) {
  const request = { filter: filters.length ? { and: filters.map(condition) } : null };
  if (byVideo) request.group_by = "video";
  if (like) return { ...request, segment_id: like, merge: !windows };
  if (confident) request.min_confidence = CONFIDENT;
  if (then) return { ...request, then: [text, then], within_s: within };
  return { ...request, text, merge: !windows, ...(not ? { negative_text: not } : {}) };
}

function condition([field, operator, value]) {
  if (field === "created" && isDay(value) && ["eq", "ne"].includes(operator)) {
    const day = { created: { gte: instant(value), lt: instant(value, 1) } };
    return operator === "eq" ? day : { not: day };
  }
  return { [fieldName(field)]: { [operator]: field === "created" ? instant(value) : value } };
}

const isDay = (value) => /^\d{4}-\d\d-\d\d$/.test(value);

function timeOf(written) {
  if (!/^\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?$/i.test(written)) return null;
  const time = new Date(isDay(written) ? `${written}T00:00` : written);
  return Number.isNaN(time.getTime()) ? null : time;
}

// The instant, as the service reads it, of a day or a time that is written as it is here.
export function instant(written, daysLater = 0) {
  const time = timeOf(written);
  if (!time) return written; // the service says what is wrong with it
  time.setDate(time.getDate() + daysLater);
  return time.toISOString();
}

const fieldName = (field) => (OWN_FIELDS.includes(field) ? field : `metadata.${field}`);

// Parses a typed value: numbers, true and false become such; quotes keep text as text.
export function valueOf(typed) {
  const text = typed.trim();
  try {
    return /^(true|false|null|-?\d+(\.\d+)?|".*")$/.test(text) ? JSON.parse(text) : text;
  } catch {
    return text; // for example 007
  }
}

export function words({ text, then, not, like, filters }) {
  const said = like ? "more like a moment" : `“${text}”`;
  const parts = [said, then && `then “${then}”`, not && `not “${not}”`, ...filters.map(filterWords)];
  return parts.filter(Boolean).join(", ");
}

export function filterWords([field, operator, value]) {
  if (operator === "exists") return `${field} ${value ? "exists" : "does not exist"}`;
  const word = comparison(field).operators[operator] ?? OPERATORS[operator];
  return `${field} ${word} ${field === "created" ? timeWords(value) : value}`;
}

// A day, or a day and a time, as they are written here.
function timeWords(value) {
  const time = timeOf(value);
  if (!time) return String(value);
  const isMidnight = !time.getHours() && !time.getMinutes();
  return time.toLocaleString([], { dateStyle: "medium", ...(isMidnight ? {} : { timeStyle: "short" }) });
}

// Recent and saved searches, of this browser: {collection, params}, the newest first.

export const recent = keptStore("xclip-recent", []);
export const saved = keptStore("xclip-saved", []);

const same = (one) => (other) => one.c === other.c && one.href === other.href;

export const entry = (c, query) =>
  ({ c, href: address(query), words: words(query) });

export function remember(c, query) {
  if (query.like) return; // its words would not say which moment
  const made = entry(c, query);
  recent.set((before) => [made, ...before.filter((each) => !same(made)(each))].slice(0, RECENT));
}

export function toggleSaved(made) {
  saved.set((before) => (before.some(same(made)) ? before.filter((each) => !same(made)(each))
    : [made, ...before]));
}

export const isSaved = (list, made) => list.some(same(made));
