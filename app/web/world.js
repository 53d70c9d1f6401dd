// Polling: views read what they show again every few seconds, since others change it too.

import { useEffect, useRef } from "./view.js";

const EVERY_MS = 4000;
const MOST_MS = 60_000; // between two attempts, while they fail

// Calls `renew()`, which returns a promise, as long as the view is drawn and the page is seen.
export function useRenewal(renew) {
  const latest = useRef(renew);
  latest.current = renew;
  useEffect(() => {
    let [timer, wait, isLeft] = [null, EVERY_MS, false];
    const plan = () => {
      if (!isLeft && !document.hidden) timer = setTimeout(act, wait);
    };
    const act = async () => {
      try {
        await latest.current();
        wait = EVERY_MS;
      } catch {
        wait = Math.min(MOST_MS, 2 * wait);
      }
      plan();
    };
    const see = () => {
      clearTimeout(timer);
      if (!document.hidden) act();
    };
    document.addEventListener("visibilitychange", see);
    plan();
    return () => {
      isLeft = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", see);
    };
  }, []);
}
