// Elements without markup in strings: what the service sends is text, and stays text.

export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

// Add to an element what `h` takes as children.
export function fill(element, ...children) {
  return filled(element, {}, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// A table; a cell that is {number: text} stands to the right.
export function table(heads, rows, empty) {
  if (!rows.length) return h("p", { class: "faint" }, empty);
  const cell = (tag) => (one) =>
    one !== null && typeof one === "object" && "number" in one ? h(tag, { class: "number" }, one.number) : h(tag, {}, one);
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, heads.map(cell("th")))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell("td"))))),
    ),
  );
}

export function status(word) {
  return h("span", { class: `status ${word}` }, word);
}

export function problem(error) {
  const faults = (error.errors || []).map((one) => h("li", {}, h("code", {}, one.pointer), ` ${one.message}`, one.hint ? ` ${one.hint}` : ""));
  return h(
    "div",
    { class: "panel problem", role: "alert" },
    h("strong", {}, error.message),
    error.hint ? h("div", {}, error.hint) : null,
    faults.length ? h("ul", {}, faults) : null,
  );
}

// A button that works once at a time, and shows beside itself what went wrong.
export function action(label, work) {
  const button = h("button", { type: "button" }, label);
  button.addEventListener("click", async () => {
    button.disabled = true;
    button.parentElement.querySelector(".problem")?.remove();
    try {
      await work();
    } catch (error) {
      button.parentElement.append(problem(error));
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
