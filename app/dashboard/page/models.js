// Models: what they scored, their files, and what one recommends, also if a click had been another.

import { action, fill, h, save, table } from "./dom.js";
import { figure, moment, size } from "./text.js";

export async function models(view, { api, signal }) {
  const page = await api.get("/v1/models", { limit: 100 }, signal);
  const rows = page.data.map((one) => [
    h("a", { href: `#/models/${one.id}` }, `${one.name}@${one.version}`),
    one.arm,
    { number: figure(one.metrics?.test?.["ndcg@10"]) },
    one.aliases.join(", "),
    moment(one.created_at),
  ]);
  fill(view, h("h1", {}, "Models"), table(["model", "arm", { number: "test NDCG@10" }, "aliases", "trained"], rows, "No models yet."));
}

export async function model(view, { api, signal, id }) {
  const one = await api.get(`/v1/models/${id}`, {}, signal);
  const files = one.files.map((file) => [file.path, { number: size(file.bytes) }]);
  const bundle = action("Download as zip", async () => save(await api.blob(`/v1/models/${one.id}/bundle`, "application/zip"), `${one.name}-${one.version}.zip`));
  const history = h("input", { id: "history", placeholder: "50 181 174", size: 40 });
  const instead = h("input", { id: "instead", placeholder: "1", size: 8 });
  const answer = h("div");
  const ask = action("What comes next?", async () => {
    const items = history.value.split(/[\s,]+/).filter(Boolean);
    const lists = [await recommended(api, one.id, items)];
    const heads = ["", "next"];
    if (instead.value.trim()) {
      lists.push(await recommended(api, one.id, items, { "-1": instead.value.trim() }));
      heads.push(`if the last had been ${instead.value.trim()}`);
    }
    const kept = lists.length > 1 ? lists[0].filter((item) => lists[1].includes(item)).length : null;
    answer.replaceChildren(
      table(heads, lists[0].map((_, place) => [String(place + 1), ...lists.map((list) => list[place] ?? "")]), "Nothing."),
      kept === null ? "" : h("p", {}, `${kept} of ${lists[0].length} stay.`),
    );
  });
  fill(
    view,
    h("h1", {}, `${one.name}@${one.version}`),
    h("p", { class: "faint" }, `arm ${one.arm}, seed ${one.seed}, test NDCG@10 ${figure(one.metrics?.test?.["ndcg@10"])}; ${moment(one.created_at)}`),
    h("div", { class: "row" }, bundle),
    table(["file", { number: "size" }], files, ""),
    h("h2", {}, "Try it"),
    h("label", { for: "history" }, "A history of item ids, oldest first"),
    history,
    h("label", { for: "instead" }, "What if the last one had been"),
    h("div", { class: "row" }, instead, ask),
    answer,
  );
}

async function recommended(api, id, history, replace = {}) {
  const answer = await api.post(`/v1/models/${id}/recommend`, { history, k: 10, replace });
  return (answer.items ?? answer.data[0].items).map((one) => one.item);
}
