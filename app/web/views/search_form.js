// Search form: the search box, and under it the filters and options as removable tokens.

import { Icon, IconButton } from "../parts/basics.js";
import { FIELDS, address, comparison, filterWords, instant, valueOf } from "../query.js";
import { go } from "../route.js";
import { api, at } from "../service.js";
import { html, useEffect, useRef, useState } from "../view.js";

export function SearchForm({ query, collection }) {
  const [text, setText] = useState(query.text);
  const [adding, setAdding] = useState(null);
  const box = useRef(null);
  useEffect(() => setText(query.text), [query.text]);
  useEffect(() => {
    if (matchMedia("(hover: hover)").matches && !query.text) box.current.focus();
  }, []);
  useSlash(box);

  const ask = (change) => {
    setAdding(null);
    go(address({ ...query, text: text.trim(), ...change }));
  };
  const submit = (event) => {
    event.preventDefault();
    if (text.trim()) ask({ like: "" });
  };
  return html`
    <search class="asking">
      <form class="ask" onSubmit=${submit}>
        <${Icon} name="search" />
        <label for="query" class="unseen">Describe the moments to find</label>
        <input id="query" ref=${box} type="search" maxlength="1000" autocomplete="off"
               enterkeyhint="search" placeholder="Describe what happens …"
               value=${text} onInput=${(event) => setText(event.target.value)} />
        <button class="main">Search</button>
      </form>
      <${Tokens} query=${query} ask=${ask} />
      <div class="adders" role="group" aria-label="Narrow the search">
        ${Object.entries(ADDERS).map(([name, { word }]) => html`
          <button type="button" class="chip" aria-expanded=${adding === name}
                  disabled=${isShut(name, query)}
                  onClick=${() => setAdding(adding === name ? null : name)}>
            <${Icon} name="plus" /> ${word}
          </button>`)}
        ${SWITCHES.map(([name, word, title]) => html`
          <button type="button" class="chip" aria-pressed=${query[name]} title=${title}
                  disabled=${isShut(name, query)}
                  onClick=${() => ask({ [name]: !query[name] })}>${word}</button>`)}
      </div>
      ${adding && html`<${ADDERS[adding].form} query=${query} collection=${collection} ask=${ask} />`}
    </search>`;
}

const SWITCHES = [
  ["confident", "Confident only", "Leave out results below 50 % confidence"],
  ["byVideo", "One per video", "Show only the best moment of each video"],
  ["windows", "Every window", "Show overlapping windows one by one instead of joined moments"],
];

// Disables options that cannot be combined.
function isShut(name, { then, not, like }) {
  if (name === "confident") return Boolean(like);
  if (name === "windows") return Boolean(then);
  if (name === "then") return Boolean(not || like || then);
  return name === "not" && Boolean(then || like || not);
}

// "/" goes to the search box from anywhere.
function useSlash(box) {
  useEffect(() => {
    const press = (event) => {
      if (event.key !== "/" || event.target.closest("input, textarea, select, dialog")) return;
      event.preventDefault();
      box.current.select();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

function Tokens({ query, ask }) {
  const { then, within, not, like, filters } = query;
  const all = [
    like && ["similar to a moment that was found", { like: "" }],
    then && [`then “${then}” within ${within} s`, { then: "" }],
    not && [`not “${not}”`, { not: "" }],
    ...filters.map((filter) =>
      [filterWords(filter), { filters: filters.filter((other) => other !== filter) }]),
  ].filter(Boolean);
  if (!all.length) return null;
  return html`
    <ul class="tokens" aria-label="What narrows the search">
      ${all.map(([said, without]) => html`
        <li class="token"><span>${said}</span>
          <${IconButton} name="close" label="Remove: ${said}" onClick=${() => ask(without)} /></li>`)}
    </ul>`;
}

function useFocus() {
  const field = useRef(null);
  useEffect(() => field.current.focus(), []);
  return field;
}

function ThenForm({ query, ask }) {
  const field = useFocus();
  const submit = (event) => {
    event.preventDefault();
    const { then, within } = event.target.elements;
    if (then.value.trim()) ask({ then: then.value.trim(), within: within.valueAsNumber || 30 });
  };
  return html`
    <form class="adding" onSubmit=${submit}>
      <label>What happens next
        <input ref=${field} name="then" maxlength="1000" autocomplete="off" required /></label>
      <label>Within seconds
        <input name="within" type="number" min="0" max="86400" step="any" value=${query.within} /></label>
      <button class="main">Add</button>
    </form>`;
}

function NotForm({ ask }) {
  const field = useFocus();
  const submit = (event) => {
    event.preventDefault();
    const not = event.target.elements.not.value.trim();
    if (not) ask({ not });
  };
  return html`
    <form class="adding" onSubmit=${submit}>
      <label>What the moment should not show
        <input ref=${field} name="not" maxlength="1000" autocomplete="off" required /></label>
      <button class="main">Add</button>
    </form>`;
}

function FilterForm({ query, collection, ask }) {
  const field = useFocus();
  const known = useKnown(collection);
  const [name, setName] = useState("");
  const [chosen, setOperator] = useState("eq");
  const { kind, operators } = comparison(name.trim());
  const operator = operators[chosen] ? chosen : Object.keys(operators)[0];
  const submit = (event) => {
    event.preventDefault();
    const filter = [name.trim(), operator, operator === "exists" || VALUES[kind].read(event.target.elements)];
    if (name.trim()) ask({ filters: [...query.filters, filter] });
  };
  return html`
    <form class="adding" onSubmit=${submit}>
      <label>Field
        <input ref=${field} list="fields" maxlength="200" autocomplete="off" required value=${name}
               placeholder="duration, camera …" onInput=${(event) => setName(event.target.value)} /></label>
      <datalist id="fields">
        ${[...Object.keys(FIELDS), ...known.keys()].map((each) => html`<option value=${each} />`)}
      </datalist>
      <label>is
        <select value=${operator} onChange=${(event) => setOperator(event.target.value)}>
          ${Object.entries(operators).map(([code, word]) => html`<option value=${code}>${word}</option>`)}
        </select></label>
      ${operator !== "exists" && VALUES[kind].fields(known.get(name.trim()) ?? [])}
      <button class="main">Add</button>
    </form>`;
}

// How a value is entered, and what the filter holds of it, by the kind of its field.
const VALUES = {
  any: {
    read: ({ value }) => valueOf(value.value),
    fields: (known) => html`
      <label>Value
        <input name="value" list="values" maxlength="1000" autocomplete="off" required /></label>
      <datalist id="values">${[...known].map((each) => html`<option value=${each} />`)}</datalist>`,
  },
  number: {
    read: ({ value }) => value.valueAsNumber,
    fields: () => html`
      <label>Seconds <input name="value" type="number" min="0" step="any" required /></label>`,
  },
  time: { // local, as the reader knows it; midnight unless a time is given
    read: ({ value, time }) => instant(`${value.value}T${time.value || "00:00"}`),
    fields: () => html`
      <label>Day <input name="value" type="date" min="1970-01-01" max="9999-12-31" required /></label>
      <label>Time, if it matters <input name="time" type="time" /></label>`,
  },
};

// Suggestions: metadata keys of the newest videos, each with some of its values.
function useKnown(collection) {
  const [known, setKnown] = useState(new Map());
  useEffect(() => {
    const asking = new AbortController();
    api(`${at.videos(collection)}?limit=100`, { signal: asking.signal }).then(({ items }) => {
      const found = new Map();
      for (const [key, value] of items.flatMap(({ metadata }) => Object.entries(metadata))) {
        const values = [value].flat().filter((each) => typeof each !== "object").map(String);
        found.set(key, new Set([...(found.get(key) ?? []), ...values].slice(0, 50)));
      }
      setKnown(found);
    }, () => {}); // then nothing is suggested
    return () => asking.abort();
  }, [collection]);
  return known;
}

const ADDERS = {
  filter: { word: "Filter", form: FilterForm },
  then: { word: "Followed by", form: ThenForm },
  not: { word: "But not", form: NotForm },
};
