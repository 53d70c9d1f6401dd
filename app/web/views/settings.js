// Settings view: the key, the collections, the model and the service's health.

import { Confirm, Failed, Heading, Icon, IconButton } from "../parts/basics.js";
import { recent } from "../query.js";
import { DEFAULT, go, href } from "../route.js";
import { api, at, credentials, forgetKey, keyHeld, write } from "../service.js";
import { useAnswer, useStore } from "../store.js";
import { html, useState } from "../view.js";
import { useRenewal } from "../world.js";
import { count } from "../format.js";
import { collections } from "../collections.js";
import { KeyForm } from "./api_key.js";

export const SettingsView = () => html`
  <${Heading} title="Settings" />
  <div class="settings">
    <${Key} /><${Collections} /><${Health} /><${Model} /><${Browser} />
  </div>`;

function Key() {
  const held = useStore(keyHeld);
  return html`
    <section class="panel" aria-labelledby="key-heading">
      <h2 id="key-heading">Key</h2>
      ${held ? html`
        <p>The tabs of this page hold a key until you close the last one.</p>
        <button type="button" onClick=${forgetKey}><${Icon} name="key" /> Forget the key</button>` : html`
        <p class="quiet">This page holds no key. The service asks for one if it needs it. The operator
          creates keys with <code>xclip-search keys create</code>.</p>
        <${KeyForm} />`}
    </section>`;
}

function Collections() {
  const { items, error } = useStore(collections.answer);
  useRenewal(collections.load);
  const [going, setGoing] = useState(null);
  const [refused, setRefused] = useState(null);
  const remove = async () => {
    const { name } = going;
    setGoing(null);
    try {
      await api(at.collection(name), { method: "DELETE" });
      await collections.load();
      go(href("/settings", { c: DEFAULT }));
    } catch (problem) {
      setRefused(problem);
    }
  };
  return html`
    <section class="panel" aria-labelledby="collections-heading">
      <h2 id="collections-heading">Collections</h2>
      ${error && html`<${Failed} error=${error} again=${collections.load} />`}
      ${refused && html`<${Failed} error=${refused} />`}
      <ul class="rows">${items.map((each) => html`
        <li class="row" key=${each.name}>
          <span class="name"><a href=${href("/", { c: each.name })}>${each.name}</a>
            <span class="quiet small when">windows of ${each.segmentation.window_s} s, every
              ${" "}${each.segmentation.stride_s} s</span></span>
          <span class="quiet">${count(each.videos, "video")}, ${count(each.segments, "segment")}</span>
          <span class="acts">${each.name !== DEFAULT && html`
            <${IconButton} name="bin" label="Delete ${each.name}" onClick=${() => setGoing(each)} />`}</span>
        </li>`)}</ul>
      <${NewCollection} />
      ${going && html`
        <${Confirm} title="Delete this collection?" word="Delete" onYes=${remove} onNo=${() => setGoing(null)}>
          <p>This deletes <b>${going.name}</b> and its ${count(going.videos, "video")}. You cannot undo this.</p>
        <//>`}
    </section>`;
}

function NewCollection() {
  const [error, setError] = useState(null);
  const submit = async (event) => {
    event.preventDefault();
    const { name, window, stride } = event.target.elements;
    const seconds = (field) => (field.value ? field.valueAsNumber : null);
    try {
      await write("PUT", at.collection(name.value),
        { window_s: seconds(window), stride_s: seconds(stride) });
      await collections.load();
      event.target.reset();
      setError(null);
    } catch (refused) {
      setError(refused.message);
    }
  };
  return html`
    <details>
      <summary>New collection</summary>
      <form class="adding" onSubmit=${submit}>
        <label>Name <input name="name" required pattern="[a-z0-9][a-z0-9_\\-]{0,62}"
          title="lower-case letters, digits, - and _" autocomplete="off" /></label>
        <label>Window, seconds
          <input name="window" type="number" min="0.1" step="any" placeholder="default" /></label>
        <label>Stride, seconds
          <input name="stride" type="number" min="0.1" step="any" placeholder="default" /></label>
        <button class="main">Create</button>
      </form>
      ${error && html`<p class="bad small" role="alert">${error}</p>`}
    </details>`;
}

function Model() {
  const { value, error, again } = useAnswer((signal) => api("/v1/models", { signal }), []);
  return html`
    <section class="panel" aria-labelledby="model-heading">
      <h2 id="model-heading">Model</h2>
      ${error && html`<${Failed} error=${error} again=${again} />`}
      ${value?.items.map((model) => html`
        <dl class="facts">
          <div><dt>Name</dt><dd>${model.name}</dd></div>
          <div><dt>Runs on</dt><dd>${model.device}, ${model.dtype}</dd></div>
          <div><dt>Input</dt><dd>${model.num_frames} frames of
            ${" "}${model.image_size} × ${model.image_size} in each window</dd></div>
          <div><dt>Fingerprint</dt><dd class="code">${model.fingerprint.slice(0, 16)}</dd></div>
        </dl>`)}
    </section>`;
}

// 503 is an answer here: it names the checks that fail.
function Health() {
  const load = async (signal) => (await fetch("/readyz", { signal, headers: credentials() })).json();
  const { value, error, again } = useAnswer(load, []);
  return html`
    <section class="panel" aria-labelledby="health-heading">
      <div class="row-head">
        <h2 id="health-heading">Health</h2>
        <button type="button" class="plain" onClick=${again}><${Icon} name="again" /> Check again</button>
      </div>
      ${error && html`<p class="bad" role="alert">The service cannot be reached.</p>`}
      ${value && html`
        <p class=${value.ready ? "good" : "bad"} role="status">${value.ready ? "All checks pass."
          : "Some checks fail."}</p>
        <dl class="facts">${Object.entries(value.checks).map(([name, check]) => html`
          <div><dt>${name}</dt><dd class=${check.ok ? "" : "bad"}>${check.ok ? "ok" : "failed"}${
            check.detail ? `: ${check.detail}` : ""}</dd></div>`)}</dl>`}
      <p><a href="/docs">REST API reference</a></p>
    </section>`;
}

function Browser() {
  const searches = useStore(recent);
  return html`
    <section class="panel" aria-labelledby="browser-heading">
      <h2 id="browser-heading">This browser</h2>
      <p class="quiet">This browser keeps your recent and saved searches; the service does not. The page follows
        the system's light or dark mode.</p>
      <button type="button" disabled=${!searches.length} onClick=${() => recent.set([])}>
        <${Icon} name="bin" /> Forget ${count(searches.length, "recent search", "recent searches")}</button>
    </section>`;
}
