// Focus management: keeps the focus near where it was when what had it is taken off the page.

const NEAR = "a[href], button:not(:disabled), summary";

let last = null; // what had the focus, and all that it stood in
let around = [];

export function keepFocus() {
  addEventListener("focusin", ({ target }) => {
    last = target;
    around = [];
    for (let each = target.parentElement; each; each = each.parentElement) around.push(each);
  });
  new MutationObserver(find).observe(document.getElementById("app"), { childList: true, subtree: true });
}

function find() {
  if (!last || last.isConnected || document.activeElement !== document.body) return;
  const near = around.find((each) => each.isConnected);
  const main = document.getElementById("main");
  const next = main?.contains(near) && near !== main ? near.querySelector(NEAR) : null;
  (next ?? main)?.focus({ preventScroll: true });
}
