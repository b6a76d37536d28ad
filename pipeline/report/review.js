"use strict";
const asks = [...document.querySelectorAll(".ask")];
const wnids = new Map([...document.querySelectorAll("#classes option")].map((option) => [option.value, option.dataset.wnid]));
const key = "winnow-review-" + document.body.dataset.list;
const marks = new Map(stored());

function stored() {
  try {
    return JSON.parse(localStorage.getItem(key) || "[]");
  } catch {
    return []; // a browser may forbid a page of its own files to keep anything
  }
}

function keep() {
  try {
    localStorage.setItem(key, JSON.stringify([...marks]));
  } catch {
    // the marks are still on the page
  }
}

function show(ask) {
  const verdict = marks.get(ask.dataset.id) || "";
  const suggested = verdict !== "" && verdict === ask.dataset.suggested;
  const plain = verdict === "right" || verdict === "wrong";
  ask.dataset.state = plain ? verdict : verdict ? "other" : "";
  for (const button of ask.querySelectorAll("button")) {
    const own = button.dataset.mark === "suggested" ? suggested : button.dataset.mark === verdict;
    button.setAttribute("aria-pressed", String(own));
  }
  const input = ask.querySelector("input");
  const other = verdict && !plain && !suggested;
  const option = [...wnids].find(([, wnid]) => wnid === verdict);
  input.value = other ? (option ? option[0] : verdict) : "";
  input.classList.toggle("set", Boolean(other));
}

function count() {
  document.getElementById("progress").value = marks.size;
  document.getElementById("told").textContent = `${marks.size} of ${asks.length} marked`;
}

function mark(ask, verdict) {
  if (verdict) marks.set(ask.dataset.id, verdict);
  else marks.delete(ask.dataset.id);
  keep();
  show(ask);
  count();
}

function go(place) {
  const ask = asks[Math.max(0, Math.min(place, asks.length - 1))];
  if (!ask) return;
  ask.focus({ preventScroll: true });
  ask.scrollIntoView({ block: "start" });
}

function current() {
  return asks.findIndex((ask) => ask.contains(document.activeElement));
}

function guarded(text) {
  return /^['=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]/.test(text) ? "'" + text : text;
}

function csv() {
  const lines = asks.map((ask) => {
    const verdict = guarded(marks.get(ask.dataset.id) || "").replaceAll('"', '""');
    return `${ask.dataset.line},"${verdict}"`;
  });
  return "\uFEFF" + [document.body.dataset.header, ...lines].join("\r\n") + "\r\n";
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "verdicts.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

for (const [place, ask] of asks.entries()) {
  show(ask);
  ask.addEventListener("click", (event) => {
    const given = event.target.dataset.mark;
    if (given) mark(ask, given === "suggested" ? ask.dataset.suggested : given);
    else if (event.target.tagName !== "INPUT") ask.focus({ preventScroll: true });
  });
  ask.querySelector("input").addEventListener("change", (event) => {
    const written = event.target.value.trim();
    mark(ask, wnids.get(written) || written);
    if (written) go(place + 1);
  });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
  const place = current();
  const ask = asks[Math.max(place, 0)];
  if (!ask) return;
  const verdict = { r: "right", w: "wrong", s: ask.dataset.suggested }[event.key.toLowerCase()];
  if (event.key === "ArrowRight" || event.key === "ArrowDown" || event.key === "j") go(place + 1);
  else if (event.key === "ArrowLeft" || event.key === "ArrowUp" || event.key === "k") go(place - 1);
  else if (event.key.toLowerCase() === "o") ask.querySelector("input").focus();
  else if (event.key.toLowerCase() === "u") mark(ask, "");
  else if (verdict) {
    mark(ask, verdict);
    go(Math.max(place, 0) + 1);
  } else return;
  event.preventDefault();
});

document.getElementById("download").addEventListener("click", download);
count();
