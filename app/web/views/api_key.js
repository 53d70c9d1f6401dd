// API key form: takes the key that the service asks for.

import { Dialog } from "../parts/basics.js";
import { keyWanted, useKey } from "../service.js";
import { useStore } from "../store.js";
import { html, useState } from "../view.js";

export function KeyForm({ said = "" }) {
  const [why, setWhy] = useState(said);
  const submit = async (event) => {
    event.preventDefault();
    try {
      await useKey(event.target.elements.key.value.trim());
    } catch (error) {
      setWhy(error.message);
    }
  };
  return html`
    <form class="adding" onSubmit=${submit}>
      <label class="wide">Key
        <input name="key" type="password" required autocomplete="off" placeholder="xclip_…"
               data-first /></label>
      <button class="main">Use key</button>
      ${why && html`<p class="bad small wide" role="alert">${why}</p>`}
    </form>`;
}

// Covers the page while the service needs a key.
export function KeyDialog() {
  const wanted = useStore(keyWanted);
  if (!wanted) return null;
  return html`
    <${Dialog} label="This service asks for a key" className="confirm">
      <h2>This service asks for a key</h2>
      <p class="quiet">The operator creates keys with <code>xclip-search keys create</code>. The tabs
        of this page share the key until you close the last one.</p>
      <${KeyForm} said=${wanted.why} />
    <//>`;
}
