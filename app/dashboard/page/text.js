// Figures, times and sizes as people read them.

export function figure(value, digits = 4) {
  return value === null || value === undefined ? "–" : value.toFixed(digits);
}

export function count(value) {
  return value === null || value === undefined ? "–" : value.toLocaleString("en");
}

export function size(bytes) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${unit ? bytes.toFixed(1) : bytes} ${units[unit]}`;
}

export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${rest} s` : `${rest} s`;
}

export function moment(text) {
  return text ? new Date(text).toLocaleString() : "–";
}

// What is left, as the job's progress tells it; "" when that is not known.
export function left(progress, now) {
  return progress?.eta_at ? `${duration((new Date(progress.eta_at) - now) / 1000)} to go` : "";
}
