// What the parts of the page share. All data goes in as text, never as markup.

export const $ = (id) => document.getElementById(id);
export const collection = () => encodeURIComponent($("collection").value);
export const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export function say(place, words, isBad = false) {
  place.textContent = words;
  place.classList.toggle("bad", isBad);
}

export function moment(seconds) {
  const tenths = Math.round(seconds * 10);
  const rest = String(Math.floor(tenths / 10) % 60).padStart(2, "0");
  return `${Math.floor(tenths / 600)}:${rest}.${tenths % 10}`;
}

export const span = ({ start, end }) => `${moment(start)} – ${moment(end)}`;

// Never rounded to certainty.
export function percent(confidence) {
  if (confidence === null) return "—";
  if (confidence < 0.01) return "<1%";
  return confidence > 0.99 ? ">99%" : `${Math.round(confidence * 100)}%`;
}
