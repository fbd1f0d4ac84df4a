// What views share: looking again, and waiting in a way that leaving the view ends.

export function pause(signal, milliseconds) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("left", "AbortError"));
    });
  });
}

// Look until the view is left, or `look` says false; a hidden page does not ask.
export async function again(signal, milliseconds, look) {
  for (;;) {
    if (!document.hidden && (await look()) === false) return;
    await pause(signal, milliseconds);
  }
}
