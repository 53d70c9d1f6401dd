// The page: uploads and the library, beside the search.

import { $, collection, element, moment, say, wait } from "./common.js";
import { play } from "./player.js";
import { clearResults } from "./search.js";
import { api, credentials, problem } from "./service.js";

// Upload: one file after another, each followed until its job has ended

function send(file, url, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how much has been sent
    request.open("POST", url);
    for (const [name, value] of Object.entries(credentials())) request.setRequestHeader(name, value);
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

$("collection").addEventListener("change", () => {
  clearResults();
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
