// Collections store: the collections of the service, loaded once and shared by the views.

import { api } from "./service.js";
import { store } from "./store.js";

const answer = store({ items: [], error: null });

async function load() {
  try {
    const { items } = await api("/v1/collections?limit=200");
    answer.set({ items, error: null });
  } catch (error) {
    answer.set((before) => ({ ...before, error }));
  }
}

export const collections = { answer, load };
