// Formatting: numbers, times and job states as text.

export function moment(seconds) {
  const tenths = Math.round(seconds * 10);
  const whole = Math.floor(tenths / 10);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const head = hours ? `${hours}:${String(minutes).padStart(2, "0")}` : `${minutes}`;
  const tail = tenths % 10 ? `.${tenths % 10}` : "";
  return `${head}:${String(rest).padStart(2, "0")}${tail}`;
}

// A length, rounded to the second, at least one.
export const length = (seconds) => moment(Math.max(1, Math.round(seconds)));

export const span = ({ start, end }) => `${moment(start)} – ${moment(end)}`;

// Never rounds to 0 % or 100 %.
export function percent(share) {
  if (share < 0.01) return "<1\u00a0%";
  return share > 0.99 ? ">99\u00a0%" : `${Math.round(share * 100)}\u00a0%`;
}

export function bytes(count) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let step = 0;
  // 999.6 kB would be rounded to 1000 kB, and 9.96 kB to 10.0 kB
  while (Math.round(count) >= 1000 && step < units.length - 1) [count, step] = [count / 1000, step + 1];
  return `${step && count < 9.95 ? count.toFixed(1) : Math.round(count)} ${units[step]}`;
}

export function duration(seconds) {
  // by what it is rounded to: 59.7 s is a minute
  if (seconds < 59.5) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 59.5 * 60) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 360) / 10} h`;
}

export const count = (number, one, many = `${one}s`) =>
  `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

export function ago(time) {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  return seconds < 10 ? "just now" : `${duration(seconds)} ago`;
}

export const date = (time) =>
  new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

const STAGES = { probe: "opening", encode: "encoding", commit: "storing" };

// A job's state in words.
export function doing(job) {
  if (job.status === "queued") return job.not_before && job.error ? "waiting to retry" : "queued";
  if (job.status === "running") {
    const left = job.eta_s === null ? "" : `, about ${duration(job.eta_s)} left`;
    return `${STAGES[job.stage] ?? "starting"}${left}`;
  }
  return { succeeded: "ready to search", failed: "failed", canceled: "canceled" }[job.status];
}
