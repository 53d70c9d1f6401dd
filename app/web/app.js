// The page: search, upload, library. All data goes in as text, never as markup.

const $ = (id) => document.getElementById(id);
const collection = () => encodeURIComponent($("collection").value);
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function say(place, words, isBad = false) {
  place.textContent = words;
  place.classList.toggle("bad", isBad);
}

function moment(seconds) {
  const tenths = Math.round(seconds * 10);
  const rest = String(Math.floor(tenths / 10) % 60).padStart(2, "0");
  return `${Math.floor(tenths / 600)}:${rest}.${tenths % 10}`;
}

// A refusal comes as problem+json; its sentence is what the reader gets.
function problem(status, body) {
  let why = `The service answered ${status}.`;
  try {
    const { detail, code } = JSON.parse(body);
    if (detail) why = code ? `${detail} (${code})` : detail;
  } catch { /* not JSON: the status has to do */ }
  return new Error(why);
}

async function api(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The service cannot be reached.");
  }
  const body = await answer.text();
  if (!answer.ok) throw problem(answer.status, body);
  return JSON.parse(body);
}

// Search

let asking = new AbortController();

async function search(text) {
  asking.abort();
  asking = new AbortController();
  $("results").replaceChildren();
  say($("search-status"), "Searching …");
  try {
    const found = await api(`/v1/collections/${collection()}/search`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ text, top_k: 12 }),
      signal: asking.signal,
    });
    $("results").replaceChildren(...found.results.map(card));
    const { segments_eligible: searched } = found.index;
    const time = `${Math.round(found.timings_ms.total)} ms`;
    const none = "There is nothing to search yet: no video of this collection is ready.";
    say($("search-status"), searched ? `Best of ${searched} moments, in ${time}` : none);
  } catch (error) {
    if (error.name !== "AbortError") say($("search-status"), error.message, true);
  }
}

function card(result) {
  const when = `${moment(result.start)} – ${moment(result.end)}`;
  const picture = element("img", { src: result.thumbnail_url, alt: "", loading: "lazy" });
  const button = element("button", { type: "button" }, picture,
    element("span", { className: "text" },
      element("span", { className: "name", textContent: result.filename }),
      element("span", { textContent: when }),
      element("span", { className: "quiet", textContent: `score ${result.score.toFixed(2)}` })));
  button.addEventListener("click", () => play(`${result.filename}, ${when}`, result.clip_url));
  return element("li", {}, button);
}

// Player

function play(title, url) {
  $("player-title").textContent = title;
  say($("player-status"), "");
  $("video").src = url; // its fragment #t=start,end is the moment
  $("player").showModal();
  $("video").play().catch(() => { /* the reader presses play, or the error event speaks */ });
}

$("video").addEventListener("error", () => {
  if ($("video").error) say($("player-status"), "This browser cannot play this video.", true);
});
$("player").addEventListener("close", () => {
  $("video").pause();
  $("video").removeAttribute("src");
  $("video").load();
});

// Upload: one file after another, each followed until its job has ended

function send(file, url, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how much has been sent
    request.open("POST", url);
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded / event.total));
    request.addEventListener("error", () => reject(new Error("The upload was cut off.")));
    request.addEventListener("load", () => {
      if (request.status >= 400) reject(problem(request.status, request.responseText));
      else resolve({ ...JSON.parse(request.responseText), isNew: request.status === 202 });
    });
    const form = new FormData();
    form.append("file", file);
    request.send(form);
  });
}

async function ended(job, onJob) {
  for (let pause = 200; job.status === "queued" || job.status === "running";) {
    onJob(job);
    await wait(pause);
    pause = Math.min(2000, pause * 1.5);
    job = await api(`/v1/jobs/${job.id}`);
  }
  return job;
}

async function upload(files) {
  const url = `/v1/collections/${collection()}/videos`;
  const rows = [...files].map((file) => ({ file, ...uploadRow(file) }));
  const jobs = [];
  for (const { file, state, bar, fail } of rows) {
    state.textContent = "sending";
    try {
      const { job, isNew } = await send(file, url, (share) => { bar.value = share; });
      jobs.push(follow(job, isNew, state, bar, fail));
    } catch (error) {
      fail(error.message);
    }
  }
  await Promise.all(jobs);
}

async function follow(job, isNew, state, bar, fail) {
  bar.removeAttribute("value");
  try {
    const last = await ended(job, ({ stage, progress }) => {
      state.textContent = stage ?? "waiting";
      if (progress) bar.value = progress;
    });
    if (last.status !== "succeeded") fail(last.error?.message ?? "The job was canceled.");
    else say(state, isNew ? "can be searched" : "was there already");
    state.classList.toggle("good", last.status === "succeeded");
  } catch (error) {
    fail(error.message);
  }
  bar.remove();
  await showLibrary();
}

function uploadRow(file) {
  const state = element("span", { textContent: "waiting" });
  const bar = element("progress", { max: 1, value: 0, ariaLabel: `Progress of ${file.name}` });
  const name = element("span", { className: "name", textContent: file.name });
  const row = element("li", {}, name, state, bar);
  $("uploads").prepend(row);
  const fail = (why) => {
    say(state, "failed", true);
    bar.remove();
    row.append(element("span", { className: "why quiet", textContent: why }));
  };
  return { state, bar, fail };
}

// Library

const STATUS = { processing: "being read", ready: "ready", failed: "failed" };

async function showLibrary(cursor = null) {
  const asked = collection();
  const page = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
  try {
    const [about, videos] = await Promise.all([
      api(`/v1/collections/${asked}`),
      api(`/v1/collections/${asked}/videos?limit=20${page}`),
    ]);
    if (asked !== collection()) return; // another one was chosen meanwhile
    const rows = videos.items.map(libraryRow);
    if (cursor === null) $("library").replaceChildren(...rows);
    else $("library").append(...rows);
    const counts = `${about.videos} videos, ${about.segments} moments, model ${about.model}`;
    say($("library-status"), about.videos ? counts : `No videos yet. ${hint(about.model)}`);
    $("more").hidden = videos.next_cursor === null;
    $("more").onclick = () => showLibrary(videos.next_cursor);
  } catch (error) {
    say($("library-status"), error.message, true);
  }
}

function hint(model) {
  const tiny = "The model motion-tiny knows coloured shapes that move, and nothing else.";
  return model === "motion-tiny" ? `Add some above. ${tiny}` : "Add some above.";
}

function libraryRow(video) {
  const length = video.duration_s === null ? "" : ` · ${moment(video.duration_s)}`;
  const name = element("button", { type: "button", className: "name" }, video.filename);
  name.addEventListener("click", () => play(video.filename, video.content_url));
  const row = element("li", {},
    video.status === "ready" ? name : element("span", { className: "name" }, video.filename),
    element("span", { className: video.status === "failed" ? "bad" : "quiet" },
      STATUS[video.status] + length));
  if (video.error) row.append(element("span", { className: "why quiet" }, video.error.message));
  return row;
}

async function start() {
  try {
    const { items } = await api("/v1/collections?limit=200");
    $("collection").replaceChildren(...items.map(({ name }) => new Option(name, name)));
    if (items.some(({ name }) => name === "default")) $("collection").value = "default";
  } catch (error) {
    say($("library-status"), error.message, true);
    return;
  }
  await showLibrary();
}

$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search($("text").value);
});
$("collection").addEventListener("change", () => {
  asking.abort();
  $("results").replaceChildren();
  say($("search-status"), "");
  showLibrary();
});
$("files").addEventListener("change", () => {
  upload($("files").files);
  $("files").value = "";
});
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault(); // a file dropped beside the box must not replace the page
    $("drop").classList.toggle("over", name === "dragenter" || name === "dragover");
    if (name === "drop" && event.dataTransfer.files.length) upload(event.dataTransfer.files);
  });
}
start();
