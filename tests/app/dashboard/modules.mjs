// The dashboard's modules without a browser: node modules.mjs FOLDER URL KEY JOB
import assert from "node:assert/strict";

const [folder, url, key, job] = process.argv.slice(2);
const load = (name) => import(`${folder}/${name}.js`);
const { Api, Problem, newEpochs } = await load("api");
const { layout, series, step } = await load("curves");
const { duration, figure, left, size } = await load("text");

// Words.
assert.equal(figure(0.123456), "0.1235");
assert.equal(figure(null), "–");
assert.equal(size(999), "999 B");
assert.equal(size(2079229), "2.1 MB");
assert.equal(duration(59.6), "1 min 0 s");
assert.equal(duration(7260), "2 h 1 min");
assert.equal(left({ eta_at: "2025-11-23T13:52:40Z" }, new Date("2025-11-23T13:52:10Z")), "30 s to go");
assert.equal(left({ eta_at: null }, new Date()), "");

// Curves: in order of epochs, within the box, and a dot for a single epoch.
const epochs = [[2, 0.04], [1, 0.02]].map(([epoch, ndcg]) => ({ arm: "cascade", seed: 0, epoch, validation: { "ndcg@10": ndcg } }));
const found = series([...epochs, { arm: "cascade", seed: 0, epoch: 3, validation: null }]);
assert.deepEqual(found, { "cascade, seed 0": { arm: "cascade", points: [[1, 0.02], [2, 0.04]] } });
const box = layout(found);
for (const [, x, y] of box.lines[0].d.matchAll(/([\d.]+) ([\d.]+)/g)) assert.ok(x >= 0 && x <= box.width && y >= 0 && y <= box.height);
assert.equal(box.values.at(-1).label, "0.04");
assert.match(layout(series(epochs.slice(0, 1))).lines[0].d, /^M[\d. ]+h0$/);
assert.equal(layout({}), null);
for (const highest of [1e-6, 0.043, 0.3, 1, 7, 399]) assert.ok(highest / step(highest) <= 5 && highest / step(highest) > 1);

// The API: problems, uploads, pages, and a job's changes.
const api = new Api(key, url);
await assert.rejects(new Api("sr_wrong", url).get("/v1/jobs"), (error) => error instanceof Problem && error.status === 401 && error.hint.includes("keys create"));
const made = await api.upload(new File(["user_id,item_id\n1,2\n"], "täst log.csv"));
assert.deepEqual([made.status, made.filename], ["validating", "täst log.csv"]);
await assert.rejects(api.post("/v1/jobs", { dataset: made.id, epoch: 3 }), (error) => error.errors[0].pointer === "/epoch");
const events = await Array.fromAsync?.(api.rows(`/v1/jobs/${job}/events`, { limit: 1 })) ?? [];
for await (const event of api.rows(`/v1/jobs/${job}/events`, { limit: 1 })) if (!events.some(({ id }) => id === event.id)) events.push(event);
assert.deepEqual(events.map(({ sequence }) => sequence), events.map((_, n) => n + 1));
for await (const _ of api.rows(`/v1/jobs/${job}/events`, { after: events.at(-1).id })) assert.fail("there is none after the last");
const rows = await newEpochs(api, job, []);
assert.deepEqual(rows.map(({ epoch }) => epoch), [1, 2, 3]);
assert.deepEqual(await newEpochs(api, job, rows), rows);
assert.deepEqual(await newEpochs(api, job, [{ id: "0-standard-99" }]), rows, "what is gone is asked for anew");
const seen = [];
for await (const now of api.changes(job)) {
  seen.push(now.status);
  if (now.status === "queued") await api.post(`/v1/jobs/${job}/cancel`);
}
assert.deepEqual([seen[0], seen.at(-1)], ["queued", "cancelled"]);
console.log("all of it");
