// The API as this page asks it: a key, JSON, and problem documents (RFC 9457) as errors.

// crypto.randomUUID is there on https and localhost alone; a service in a local network has neither.
const key = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `The service answered ${status}.`);
    this.status = status;
    this.code = body.code || "unknown";
    this.hint = body.hint || "";
    this.errors = body.errors || [];
  }
}

export class Api {
  constructor(key, base = "") {
    this.key = key;
    this.base = base;
  }

  // The raw answer; 304 is one too. Throws Problem, and TypeError when the service cannot be reached.
  async ask(method, path, { query = {}, body, type, headers = {}, signal } = {}) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
    const search = given.length ? `?${new URLSearchParams(given)}` : "";
    const all = { Authorization: `Bearer ${this.key}`, Accept: "application/json", ...headers };
    let content = body;
    if (body !== undefined && type === undefined) {
      content = JSON.stringify(body);
      all["Content-Type"] = "application/json";
    } else if (type !== undefined) {
      all["Content-Type"] = type;
    }
    // Of a POST that is sent once, whatever the network does in between.
    if (method === "POST") all["Idempotency-Key"] ??= key();
    const answer = await fetch(this.base + path + search, { method, headers: all, body: content, signal, cache: "no-store" });
    if (answer.ok || answer.status === 304) return answer;
    throw new Problem(answer.status, await answer.json().catch(() => ({})));
  }

  async get(path, query, signal) {
    return (await this.ask("GET", path, { query, signal })).json();
  }

  async post(path, body, query) {
    return (await this.ask("POST", path, { body, query })).json();
  }

  async remove(path) {
    return (await this.ask("DELETE", path)).json();
  }

  async blob(path, accept, query) {
    return (await this.ask("GET", path, { query, headers: { Accept: accept } })).blob();
  }

  // A file as it is, in one request. Returns the data set, which is `validating`.
  async upload(file) {
    const query = { filename: file.name };
    return (await this.ask("POST", "/v1/datasets", { query, body: file, type: "application/octet-stream" })).json();
  }

  // Every row of a list, in order; those after `query.after`, if that is given.
  async *rows(path, query = {}, signal) {
    for (let after = query.after; ; ) {
      const page = await this.get(path, { ...query, after }, signal);
      yield* page.data;
      if (!page.has_more) return;
      after = page.last_id;
    }
  }

  // A job each time that it has changed, until it has ended; the connection waits, and not the reader.
  async *changes(id, signal) {
    for (let etag; ; ) {
      const headers = etag ? { "If-None-Match": etag } : {};
      const answer = await this.ask("GET", `/v1/jobs/${id}`, { query: { wait: etag ? 25 : undefined }, headers, signal });
      if (answer.status === 304) continue;
      etag = answer.headers.get("ETag");
      const job = await answer.json();
      yield job;
      if (ENDED.has(job.status)) return;
    }
  }
}

export const ENDED = new Set(["succeeded", "failed", "cancelled"]);

// Epochs of a job: those after the newest known one; all of them again when that one is gone (begun anew).
export async function newEpochs(api, id, known, signal) {
  const newest = known.length ? known[known.length - 1].id : undefined;
  const found = [];
  try {
    for (let after = newest; ; ) {
      const page = await api.get(`/v1/jobs/${id}/metrics`, { after, limit: 1000 }, signal);
      found.push(...page.data);
      if (!page.has_more) break;
      after = page.last_id;
    }
  } catch (error) {
    if (newest !== undefined && error.code === "unknown_cursor") return newEpochs(api, id, [], signal);
    throw error;
  }
  const again = new Set(found.map((row) => row.id)); // an epoch repeated after a resume replaces its row
  return [...known.filter((row) => !again.has(row.id)), ...found];
}
