// One job: where it stands, its curves while it trains, and what it found.

import { ENDED, newEpochs } from "./api.js";
import { layout, series } from "./curves.js";
import { action, fill, h, problem, save, status, svg, table } from "./dom.js";
import { figure, left, moment } from "./text.js";

const STEPS = {
  queued: ["pause", "cancel"],
  running: ["pause", "cancel"],
  pausing: ["cancel"],
  paused: ["resume", "cancel"],
  failed: ["retry"],
  cancelled: ["retry"],
};

export async function job(view, { api, signal, id }) {
  const [head, curves, found, happened] = [h("div"), h("div"), h("div"), h("div")];
  fill(view, head, curves, found, happened);
  const events = [];
  let epochs = [];
  for await (const seen of api.changes(id, signal)) {
    head.replaceChildren(...heading(api, seen));
    epochs = await newEpochs(api, id, epochs, signal);
    curves.replaceChildren(...drawn(epochs));
    const after = events.at(-1)?.id;
    for await (const event of api.rows(`/v1/jobs/${id}/events`, { after, limit: 1000 }, signal)) events.push(event);
    const lines = events.map((event) => `${moment(event.created_at)}  ${event.message}`);
    happened.replaceChildren(h("h2", {}, "Events"), h("pre", { class: "panel" }, lines.reverse().join("\n")));
    if (seen.status === "succeeded") found.replaceChildren(...(await results(api, seen, signal)));
  }
}

function heading(api, seen) {
  const told = [seen.phase, seen.arm, seen.seed === null ? null : `seed ${seen.seed}`, left(seen.progress, new Date())];
  const waits = seen.queue ? `place ${seen.queue.position}: ${seen.queue.reason}` : "";
  const steps = (STEPS[seen.status] || []).map((word) =>
    action(word[0].toUpperCase() + word.slice(1), () => api.post(`/v1/jobs/${seen.id}/${word}`)),
  );
  return [
    h("h1", {}, seen.name || seen.id),
    h("p", {}, status(seen.status), " ", h("span", { class: "faint" }, [...told, waits].filter(Boolean).join(", "))),
    ENDED.has(seen.status) ? null : h("progress", { max: 1, value: seen.progress.fraction, "aria-label": "Progress" }),
    h("div", { class: "row" }, steps),
    seen.error ? problem({ message: `${seen.error.code}: ${seen.error.message}`, hint: seen.error.hint }) : null,
    h(
      "p",
      { class: "faint" },
      `${seen.model}, ${seen.arms.join(", ")}, on `,
      h("a", { href: `#/datasets/${seen.dataset}` }, seen.dataset_facts.name),
      `; submitted ${moment(seen.created_at)}`,
    ),
  ].filter(Boolean);
}

function drawn(epochs) {
  const box = layout(series(epochs));
  if (box === null) return [];
  const grid = box.values.map(({ at, label }) => [
    svg("line", { class: "grid", x1: 44, x2: box.width - 12, y1: at, y2: at }),
    svg("text", { x: 38, y: at + 4, "text-anchor": "end" }, label),
  ]);
  const below = box.epochs.map(({ at, label }) => svg("text", { x: at, y: box.height - 8, "text-anchor": "middle" }, label));
  const lines = box.lines.map(({ name, arm, d }) => svg("path", { class: `arm-${arm}`, d }, svg("title", {}, name)));
  const legend = [...new Map(box.lines.map((line) => [line.arm, line])).values()].map(({ arm }) =>
    h("span", { class: "legend" }, svg("svg", { class: "curves", viewBox: "0 0 24 8" }, svg("path", { class: `arm-${arm}`, d: "M0 4L24 4" })), arm),
  );
  return [
    h("h2", {}, "Validation NDCG@10 by epoch"),
    svg("svg", { class: "curves", viewBox: `0 0 ${box.width} ${box.height}`, role: "img", "aria-label": "Learning curves" }, grid.flat(), below, lines),
    h("p", {}, legend),
  ];
}

async function results(api, seen, signal) {
  const report = await api.get(`/v1/jobs/${seen.id}/report`, {}, signal);
  const attacked = (body) => body.attacks.find((row) => row.position === "end" && row.count === 1 && row.replacement === "uniform");
  const rows = Object.entries({ ...report.arms, ...report.baselines }).map(([name, body]) => {
    const row = attacked(body);
    const values = [body.test["hr@10"], body.test["ndcg@10"], row?.["ndcg@10"], row?.kept, row?.overlap];
    return [name, ...values.map((value, n) => ({ number: figure(value, n > 2 ? 2 : 4) }))];
  });
  const heads = ["", "HR@10", "NDCG@10", "last item wrong", "kept", "overlap"].map((head, n) => (n ? { number: head } : head));
  const download = (format, type) =>
    action(`Report as ${format}`, async () => save(await api.blob(`/v1/jobs/${seen.id}/report`, type), `report-${seen.id}.${format}`));
  const models = [];
  for (const id of seen.models) {
    const one = await api.get(`/v1/models/${id}`, {}, signal);
    models.push(h("li", {}, h("a", { href: `#/models/${id}` }, `${one.name}@${one.version}`), ` ${one.arm}, seed ${one.seed}`));
  }
  const figures = h("div", { class: "figures" });
  for await (const one of api.rows(`/v1/jobs/${seen.id}/figures`, {}, signal)) {
    const picture = await api.blob(`/v1/jobs/${seen.id}/figures/${one.id}.svg`, "image/svg+xml");
    figures.append(h("img", { src: URL.createObjectURL(picture), alt: one.id.replaceAll("_", " ") }));
  }
  return [
    h("h2", {}, "What was found"),
    h("div", { class: "panel" }, report.verdict),
    table(heads, rows, ""),
    h("div", { class: "row" }, download("html", "text/html"), download("md", "text/markdown"), download("json", "application/json")),
    h("h2", {}, "Models"),
    h("ul", {}, models),
    figures,
  ];
}
