// Data sets: uploaded, read, and what the doctor says of one.

import { action, fill, h, status, table } from "./dom.js";
import { count, moment, size } from "./text.js";
import { again } from "./views.js";

export async function datasets(view, { api, signal }) {
  const file = h("input", { type: "file", id: "file" });
  const list = h("div");
  const upload = action("Upload", async () => {
    if (!file.files.length) throw new Error("Choose a file first: csv, tsv, jsonl, parquet, …, gzip or zstd around it.");
    const made = await api.upload(file.files[0]);
    location.hash = `#/datasets/${made.id}`;
  });
  fill(view, h("h1", {}, "Data sets"), h("label", { for: "file" }, "A log of interactions"), h("div", { class: "row" }, file, upload), list);
  await again(signal, 5000, async () => {
    const page = await api.get("/v1/datasets", { limit: 100 }, signal);
    const rows = page.data.map((one) => [
      h("a", { href: `#/datasets/${one.id}` }, one.name),
      { number: String(one.version) },
      status(one.status),
      { number: count(one.stats?.users) },
      { number: count(one.stats?.items) },
      { number: count(one.stats?.interactions) },
      { number: size(one.bytes) },
      moment(one.created_at),
    ]);
    const heads = ["name", { number: "version" }, "status", { number: "users" }, { number: "items" }, { number: "interactions" }, { number: "size" }, "uploaded"];
    list.replaceChildren(table(heads, rows, "No data sets yet."));
  });
}

export async function dataset(view, { api, signal, id }) {
  const shown = h("div");
  fill(view, shown);
  await again(signal, 1000, async () => {
    const one = await api.get(`/v1/datasets/${id}`, {}, signal);
    const parts = [
      h("h1", {}, `${one.name}, version ${one.version}`),
      h("p", {}, status(one.status), " ", h("span", { class: "faint" }, `${one.filename}, ${size(one.bytes)}, ${moment(one.created_at)}`)),
    ];
    if (one.status === "validating") {
      shown.replaceChildren(...parts);
      return true;
    }
    const report = await api.get(`/v1/datasets/${id}/report`, {}, signal);
    if (one.stats) parts.push(h("p", {}, `${count(one.stats.interactions)} interactions of ${count(one.stats.users)} users with ${count(one.stats.items)} items.`));
    if (one.status === "ready") parts.push(h("p", {}, h("a", { href: `#/submit/${id}` }, "Train on it")));
    const found = [...report.problems, ...report.findings];
    const rows = found.map((row) => [h("span", { class: row.severity }, row.severity), row.message, row.fix?.name || row.hint || ""]);
    parts.push(h("h2", {}, "What reading found"), table(["", "", "what helps"], rows, "Nothing odd."));
    shown.replaceChildren(...parts);
    return false;
  });
}
