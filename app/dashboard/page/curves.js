// Learning curves: epochs to lines in a box. Numbers only; `job.js` draws them.

// Validation NDCG@10 by arm and seed, in order of epochs: {"cascade, seed 0": {arm, points: [[epoch, value]]}}.
export function series(epochs) {
  const found = {};
  for (const row of epochs) {
    const value = row.validation?.["ndcg@10"];
    if (value === undefined || value === null) continue;
    const name = `${row.arm}, seed ${row.seed}`;
    found[name] ??= { arm: row.arm, points: [] };
    found[name].points.push([row.epoch, value]);
  }
  for (const one of Object.values(found)) one.points.sort((a, b) => a[0] - b[0]);
  return found;
}

// A step of 1, 2 or 5 times a power of ten, so that there are at most `most` of them up to `highest`.
export function step(highest, most = 5) {
  if (!(highest > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(highest / most));
  return [1, 2, 5, 10].map((times) => times * power).find((one) => highest / one <= most);
}

// Paths and ticks in a box of these sizes; null when there is nothing to draw.
export function layout(found, { width = 720, height = 260, margin = 44 } = {}) {
  const points = Object.values(found).flatMap((one) => one.points);
  if (!points.length) return null;
  const lastEpoch = Math.max(...points.map(([epoch]) => epoch));
  const highest = Math.max(...points.map(([, value]) => value), 1e-6);
  const [across, up] = [step(lastEpoch, 8), step(highest)];
  const top = Math.ceil(highest / up - 1e-9) * up;
  const x = (epoch) => margin + ((width - margin - 12) * epoch) / lastEpoch;
  const y = (value) => height - 28 - ((height - 40) * value) / top;
  const ticks = (by, to) => Array.from({ length: Math.floor(to / by + 1e-9) + 1 }, (_, n) => n * by);
  return {
    width,
    height,
    lines: Object.entries(found).map(([name, { arm, points: own }]) => ({
      name,
      arm,
      // A line of no length is a dot: the first epoch is seen too.
      d: own.map(([epoch, value], n) => `${n ? "L" : "M"}${x(epoch).toFixed(1)} ${y(value).toFixed(1)}`).join("") + (own.length === 1 ? "h0" : ""),
    })),
    epochs: ticks(Math.max(1, across), lastEpoch).map((epoch) => ({ at: x(epoch), label: String(epoch) })),
    values: ticks(up, top).map((value) => ({ at: y(value), label: value.toFixed(up < 0.01 ? 3 : 2) })),
  };
}
