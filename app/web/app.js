// The page: search, play a moment, upload, see the library. All text from outside goes in as text.

const find = (id) => document.getElementById(id);
const PAGE = 20;
let collection = "default";
let libraryCursor = null;
let newestSearch = 0;

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The service does not answer. Is it running?");
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const problem = await answer.json().catch(() => ({}));
  throw new Error(problem.detail || problem.title || `The service answered ${answer.status}.`);
}

const videosPath = () => `/v1/collections/${encodeURIComponent(collection)}/videos`;

function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const minutes = Math.floor(tenths / 600);
  return `${minutes}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

function say(element, text, bad = false) {
  element.textContent = text;
  element.classList.toggle("bad", bad);
}

function fill(template, parts) {
  const item = find(template).content.firstElementChild.cloneNode(true);
  for (const [name, text] of Object.entries(parts)) item.querySelector(`.${name}`).textContent = text;
  return item;
}

// Moments

async function search() {
  const text = find("text").value.trim();
  if (!text) return;
  const mine = ++newestSearch;
  const note = find("results-note");
  history.replaceState(null, "", `?${new URLSearchParams({ q: text, collection })}`);
  say(note, "Searching…");
  try {
    const answer = await ask(`/v1/collections/${encodeURIComponent(collection)}/search`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ text, top_k: PAGE }),
    });
    if (mine !== newestSearch) return;
    find("results").replaceChildren(...answer.results.map(moment));
    const { segments_eligible: count } = answer.index;
    const took = `${Math.round(answer.timings_ms.total)} ms`;
    say(note, count
      ? `The best ${answer.results.length} of ${count} segments, in ${took}. The ranking always fills up: the last ones may show something else.`
      : "This collection has no searchable video yet. Add some below.");
  } catch (error) {
    if (mine !== newestSearch) return;
    find("results").replaceChildren();
    say(note, error.message, true);
  }
}

function moment(result) {
  const item = fill("result", {
    name: result.filename,
    when: `${clock(result.start)} – ${clock(result.end)}`,
    score: result.score.toFixed(2),
  });
  item.querySelector("img").src = result.thumbnail_url;
  item.querySelector("button").addEventListener("click", () =>
    play(`${result.filename}, ${clock(result.start)} – ${clock(result.end)}`, result.clip_url));
  return item;
}

function play(title, url) {
  const dialog = find("player");
  const video = dialog.querySelector("video");
  find("player-title").textContent = title;
  find("player-file").href = url.split("#")[0];
  video.src = url;
  dialog.showModal();
  video.play().catch(() => {}); // a file that the browser cannot play keeps its download link
}

// Library

async function showLibrary(more = false) {
  const note = find("library-note");
  const wanted = collection;
  if (!more) libraryCursor = null;
  try {
    const query = new URLSearchParams({ limit: String(PAGE) });
    if (libraryCursor) query.set("cursor", libraryCursor);
    const page = await ask(`${videosPath()}?${query}`);
    if (wanted !== collection) return;
    if (!more) find("library").replaceChildren();
    find("library").append(...page.items.map(libraryRow));
    libraryCursor = page.next_cursor;
    find("more").hidden = libraryCursor === null;
    say(note, find("library").children.length ? "" : "No videos yet.");
  } catch (error) {
    say(note, error.message, true);
  }
}

function libraryRow(video) {
  const item = document.createElement("li");
  const name = document.createElement("button");
  const state = document.createElement("span");
  name.type = "button";
  name.className = "name";
  name.textContent = video.filename;
  name.addEventListener("click", () => play(video.filename, video.content_url));
  state.className = "state";
  if (video.status === "ready") say(state, `${clock(video.duration_s)} · ${video.width}×${video.height}`);
  else if (video.status === "failed") say(state, video.error ? video.error.message : "Canceled", true);
  else say(state, "Being indexed…");
  item.append(name, state);
  return item;
}

// Uploads

function upload(file) {
  const item = fill("row", { name: file.name, state: "waiting" });
  find("uploads").prepend(item);
  return { file, item, state: item.querySelector(".state"), bar: item.querySelector("progress") };
}

function send({ file, state, bar }) {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    form.append("file", file);
    const request = new XMLHttpRequest(); // fetch cannot tell how much has been sent
    request.open("POST", videosPath());
    request.responseType = "json";
    request.upload.onprogress = (event) => {
      bar.hidden = false;
      bar.value = event.lengthComputable ? event.loaded / event.total : 0;
      say(state, "uploading");
    };
    request.onerror = () => reject(new Error("The upload was cut off."));
    request.onload = () => request.status < 300
      ? resolve({ known: request.status === 200, ...request.response })
      : reject(new Error(request.response?.detail || `The service answered ${request.status}.`));
    request.send(form);
  });
}

async function follow(job, { state, bar }) {
  while (job.status === "queued" || job.status === "running") {
    bar.hidden = false;
    bar.value = job.progress;
    say(state, job.status === "queued" ? "queued" : job.stage || "running");
    await new Promise((resolve) => setTimeout(resolve, 500));
    job = await ask(`/v1/jobs/${job.id}`);
  }
  bar.hidden = true;
  if (job.status === "succeeded") say(state, "searchable");
  else say(state, job.error ? job.error.message : job.status, true);
}

async function uploadAll(files) {
  const waiting = [...files].map(upload);
  const followed = [];
  for (const one of waiting) {
    try {
      const { job, known } = await send(one);
      if (known) say(one.state, "already here");
      followed.push(follow(job, one).catch((error) => say(one.state, error.message, true)));
    } catch (error) {
      one.bar.hidden = true;
      say(one.state, error.message, true);
    }
  }
  await Promise.all(followed);
  await showLibrary();
}

// Start

async function showCollections() {
  const { items } = await ask("/v1/collections");
  const choice = find("collection");
  choice.replaceChildren(...items.map((each) => new Option(`${each.name} (${each.videos})`, each.name)));
  const wanted = new URLSearchParams(location.search).get("collection");
  collection = items.some((each) => each.name === wanted) ? wanted : "default";
  choice.value = collection;
}

async function showModel() {
  const { items } = await ask("/v1/models");
  const name = items[0]?.name;
  if (!name) return;
  find("model").textContent = name === "motion-tiny"
    ? "Model: motion-tiny. It knows coloured shapes in motion and nothing else; name a checkpoint for real footage."
    : `Model: ${name}`;
}

find("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
find("collection").addEventListener("change", (event) => {
  collection = event.target.value;
  showLibrary();
  search();
});
find("more").addEventListener("click", () => showLibrary(true));
find("player").addEventListener("close", () => find("player").querySelector("video").removeAttribute("src"));
find("files").addEventListener("change", (event) => {
  uploadAll(event.target.files);
  event.target.form.reset();
});
const drop = find("upload");
drop.addEventListener("submit", (event) => event.preventDefault());
drop.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  uploadAll(event.dataTransfer.files);
});

await showCollections().catch((error) => say(find("results-note"), error.message, true));
await Promise.all([showModel().catch(() => {}), showLibrary()]);
find("text").value = new URLSearchParams(location.search).get("q") || "";
search();
