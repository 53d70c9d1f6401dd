// What is asked: as the address says it, as the service takes it, and as a person reads it.

import { href } from "./route.js";
import { keptStore } from "./store.js";

export const CERTAIN = 0.5;
const WITHIN_S = 30;
const OWN_FIELDS = ["video_id", "duration", "created", "start", "end"];
const RECENT = 8;

export const OPERATORS = {
  eq: "is", ne: "is not", gte: "at least", lte: "at most", gt: "more than", lt: "less than",
  exists: "is given",
};

const EMPTY = {
  text: "", then: "", within: WITHIN_S, not: "", like: "", sure: false, windows: false,
  byVideo: false, filters: [],
};

// filters: [[field, operator, value], …]
export function fromParams(params) {
  return {
    ...EMPTY,
    text: params.get("q") ?? "",
    then: params.get("then") ?? "",
    within: Number(params.get("within") ?? WITHIN_S),
    not: params.get("not") ?? "",
    like: params.get("like") ?? "",
    sure: params.has("sure"),
    windows: params.has("windows"),
    byVideo: params.has("byvideo"),
    filters: params.getAll("f").map(parsed).filter(Boolean),
  };
}

function parsed(written) {
  try {
    const filter = JSON.parse(written);
    return Array.isArray(filter) && filter.length === 3 && OPERATORS[filter[1]] ? filter : null;
  } catch {
    return null; // an address that somebody has cut
  }
}

export function toParams(question) {
  const { text, then, within, not, like, sure, windows, byVideo, filters } = question;
  return {
    q: text, then, within: then && within !== WITHIN_S ? within : null, not, like, sure, windows,
    byvideo: byVideo, f: filters.map((filter) => JSON.stringify(filter)),
  };
}

export const address = (question, more = {}) => href("/", { ...toParams(question), ...more });

// The page of a video with one thing of what is asked there changed, the rest as it is.
export const videoAddress = (id, params, change) => href(`/video/${id}`, {
  q: params.get("q"), label: params.getAll("label"), many: params.has("many"), ...change,
});

export const isAsked = ({ text, like }) => Boolean(text || like);

// The texts whose scores over time can be shown.
export const texts = ({ text, then }) => [text, then].filter(Boolean);

export const isFiltered = ({ filters }) => filters.length > 0;

export function body({ text, then, within, not, like, sure, windows, byVideo, filters }) {
  const asked = { filter: filters.length ? { and: filters.map(condition) } : null };
  if (byVideo) asked.group_by = "video";
  if (like) return { ...asked, segment_id: like, merge: !windows };
  if (sure) asked.min_confidence = CERTAIN;
  if (then) return { ...asked, then: [text, then], within_s: within };
  return { ...asked, text, merge: !windows, ...(not ? { negative_text: not } : {}) };
}

const condition = ([field, operator, value]) => ({ [fieldName(field)]: { [operator]: value } });

const fieldName = (field) => (OWN_FIELDS.includes(field) ? field : `metadata.${field}`);

// What a person typed as a value: a number and yes or no are meant as such, quotes keep a text one.
export function valueOf(typed) {
  const text = typed.trim();
  try {
    return /^(true|false|null|-?\d+(\.\d+)?|".*")$/.test(text) ? JSON.parse(text) : text;
  } catch {
    return text; // such as 007
  }
}

export function words({ text, then, not, like, filters }) {
  const said = like ? "more like a moment" : `“${text}”`;
  const parts = [said, then && `then “${then}”`, not && `not “${not}”`, ...filters.map(filterWords)];
  return parts.filter(Boolean).join(", ");
}

export function filterWords([field, operator, value]) {
  if (operator === "exists") return `${field} ${value ? "is given" : "is not given"}`;
  return `${field} ${OPERATORS[operator]} ${value}`;
}

// Recent and saved searches, of this browser: {collection, params}, the newest first.

export const recent = keptStore("xclip-recent", []);
export const saved = keptStore("xclip-saved", []);

const same = (one) => (other) => one.c === other.c && one.href === other.href;

export const entry = (c, question) =>
  ({ c, href: address(question), words: words(question) });

export function remember(c, question) {
  if (question.like) return; // it would say nothing to its reader
  const made = entry(c, question);
  recent.set((before) => [made, ...before.filter((each) => !same(made)(each))].slice(0, RECENT));
}

export function toggleSaved(made) {
  saved.set((before) => (before.some(same(made)) ? before.filter((each) => !same(made)(each))
    : [made, ...before]));
}

export const isSaved = (list, made) => list.some(same(made));
