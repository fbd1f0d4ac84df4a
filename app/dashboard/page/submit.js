// A new job: a data set, arms, and settings as JSON; checked and estimated before it is submitted.

import { action, fill, h } from "./dom.js";
import { duration, size } from "./text.js";

const ARMS = ["standard", "adversarial", "cascade", "cascade_replacement"];

export async function submit(view, { api, signal, id }) {
  const ready = (await api.get("/v1/datasets", { limit: 100 }, signal)).data.filter((one) => one.status === "ready");
  const dataset = h(
    "select",
    { id: "dataset" },
    ready.map((one) => h("option", { value: one.id, selected: one.id === id }, `${one.name}, version ${one.version}`)),
  );
  const name = h("input", { id: "name", maxlength: 200 });
  const arms = ARMS.map((arm) => [arm, h("input", { type: "checkbox", id: `arm-${arm}`, checked: arm !== "cascade_replacement" })]);
  const settings = h("textarea", { id: "settings", rows: 6, spellcheck: "false" }, '{\n  "epochs": 60\n}');
  const told = h("div");
  const body = () => {
    const chosen = arms.filter(([, box]) => box.checked).map(([arm]) => arm);
    return { ...parsed(settings.value), dataset: dataset.value, arms: chosen, ...(name.value ? { name: name.value } : {}) };
  };
  const check = action("Check and estimate", async () => {
    const { estimate } = await api.post("/v1/jobs", body(), { validate_only: true });
    const { low, expected, high } = estimate.seconds;
    told.replaceChildren(
      h("p", {}, `About ${duration(expected)} (${duration(low)} to ${duration(high)}), ${size(estimate.peak_memory_bytes)} of memory, ${size(estimate.stored_bytes)} stored.`),
    );
  });
  const go = action("Submit", async () => {
    const made = await api.post("/v1/jobs", body());
    location.hash = `#/jobs/${made.id}`;
  });
  fill(
    view,
    h("h1", {}, "New job"),
    h("label", { for: "dataset" }, "Data set"),
    dataset,
    ready.length ? null : h("p", { class: "faint" }, "None is ready yet: ", h("a", { href: "#/datasets" }, "upload one"), "."),
    h("label", { for: "name" }, "Name"),
    name,
    h("label", {}, "Arms"),
    arms.map(([arm, box]) => h("label", { class: "choice" }, box, ` ${arm}`)),
    h("label", { for: "settings" }, "Settings (each has a default; the API page lists them)"),
    settings,
    h("div", { class: "row" }, check, go),
    told,
  );
}

export function parsed(text) {
  let given;
  try {
    given = text.trim() ? JSON.parse(text) : {};
  } catch (error) {
    throw new Error(`The settings are not JSON: ${error.message}`);
  }
  if (given === null || typeof given !== "object" || Array.isArray(given)) throw new Error("The settings must be a JSON object.");
  return given;
}
