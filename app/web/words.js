// How numbers, times and states are said.

export function moment(seconds) {
  const tenths = Math.round(seconds * 10);
  const whole = Math.floor(tenths / 10);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const head = hours ? `${hours}:${String(minutes).padStart(2, "0")}` : `${minutes}`;
  const tail = tenths % 10 ? `.${tenths % 10}` : "";
  return `${head}:${String(rest).padStart(2, "0")}${tail}`;
}

// To the second, as lengths are said.
export const length = (seconds) => moment(Math.max(1, Math.round(seconds)));

export const stretch = ({ start, end }) => `${moment(start)} – ${moment(end)}`;

// Never rounded to certainty.
export function percent(chance) {
  if (chance < 0.01) return "<1\u00a0%";
  return chance > 0.99 ? ">99\u00a0%" : `${Math.round(chance * 100)}\u00a0%`;
}

export function bytes(count) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (count >= 1000 && step < units.length - 1) [count, step] = [count / 1000, step + 1];
  return `${step && count < 10 ? count.toFixed(1) : Math.round(count)} ${units[step]}`;
}

export function lasting(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 360) / 10} h`;
}

export const count = (number, one, many = `${one}s`) =>
  `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

export function ago(time) {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  return seconds < 10 ? "just now" : `${lasting(seconds)} ago`;
}

export const date = (time) =>
  new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

const STAGES = { probe: "opening", encode: "reading", commit: "storing" };

// What a job does now, in words.
export function doing(job) {
  if (job.status === "queued") return job.not_before && job.error ? "waits to try again" : "in line";
  if (job.status === "running") {
    const left = job.eta_s === null ? "" : `, about ${lasting(job.eta_s)} left`;
    return `${STAGES[job.stage] ?? "starting"}${left}`;
  }
  return { succeeded: "can be searched", failed: "failed", canceled: "canceled" }[job.status];
}
