// The project's jobs, newest first, kept up to date.

import { fill, h, status, table } from "./dom.js";
import { left, moment } from "./text.js";
import { again } from "./views.js";

export async function jobs(view, { api, signal }) {
  const list = h("div");
  const older = [];
  fill(view, h("h1", {}, "Jobs"), list);
  await again(signal, 5000, async () => {
    const page = await api.get("/v1/jobs", { limit: 50 }, signal);
    const rows = [...page.data, ...older].map((job) => [
      h("a", { href: `#/jobs/${job.id}` }, job.name || job.id),
      status(job.status),
      `${Math.round(100 * job.progress.fraction)} %`,
      job.status === "running" ? left(job.progress, new Date()) : "",
      job.model,
      job.arms.join(", "),
      moment(job.created_at),
    ]);
    const heads = ["job", "status", "done", "", "model", "arms", "submitted"];
    list.replaceChildren(table(heads, rows, "No jobs yet: upload a log and submit one."));
    if (page.has_more && !older.length) {
      const more = h("button", { type: "button" }, "Show all");
      more.addEventListener("click", async () => {
        more.disabled = true;
        for await (const job of api.rows("/v1/jobs", { limit: 100 }, signal)) older.push(job);
        older.splice(0, page.data.length);
        more.remove();
      });
      list.append(h("p", {}, more));
    }
  });
}
