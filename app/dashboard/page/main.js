// The page: a key, a view by the address's fragment, and an end to the view before.

import { Api } from "./api.js";
import { dataset, datasets } from "./datasets.js";
import { h, problem } from "./dom.js";
import { job } from "./job.js";
import { jobs } from "./jobs.js";
import { model, models } from "./models.js";
import { submit } from "./submit.js";
import { pause } from "./views.js";

const KEY = "steadyrank.key";
// The API is beside the page, also behind a proxy that puts both under a path of its own.
const BASE = new URL("..", location.href).pathname.replace(/\/$/, "");
const VIEWS = { jobs: [jobs, job], datasets: [datasets, dataset], models: [models, model], submit: [submit, submit] };
const main = document.getElementById("view");
const leave = document.getElementById("leave");
let open = new AbortController();

async function show() {
  open.abort();
  open = new AbortController();
  const { signal } = open;
  const key = sessionStorage.getItem(KEY);
  leave.hidden = key === null;
  const [, section = "jobs", id] = location.hash.split("/");
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash.startsWith(`#/${section}`)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (key === null) return main.replaceChildren(...entrance());
  const views = VIEWS[section] ?? VIEWS.jobs;
  const given = { api: new Api(key, BASE), signal, id: id && decodeURIComponent(id) };
  for (;;) {
    const view = h("div");
    main.replaceChildren(view);
    try {
      return await views[id ? 1 : 0](view, given);
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 401) return main.replaceChildren(...entrance(error));
      main.append(problem(error instanceof TypeError ? { message: "The service does not answer; asking again." } : error));
      const passes = error instanceof TypeError || error.status === 429 || error.status === 503;
      if (!passes) return;
      await pause(signal, 3000).catch(() => {});
      if (signal.aborted) return;
    }
  }
}

function entrance(error) {
  const field = h("input", { id: "key", type: "password", autocomplete: "off", size: 44, placeholder: "sr_…" });
  const enter = (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEY, field.value.trim());
    show();
  };
  return [
    h("h1", {}, "Your API key"),
    error ? problem(error) : "",
    h("form", { onsubmit: enter }, h("label", { for: "key" }, "Key"), h("div", { class: "row" }, field, h("button", {}, "Enter"))),
    h(
      "p",
      { class: "faint" },
      "It stays in this tab, and goes with it. `steadyrank keys create` makes one; that of `steadyrank up` is in the file api-key of its data folder. A key with the scope read may look, one with submit may also upload, train and steer.",
    ),
  ];
}

leave.addEventListener("click", () => {
  sessionStorage.removeItem(KEY);
  show();
});
addEventListener("hashchange", show);
show();
