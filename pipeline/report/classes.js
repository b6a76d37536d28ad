"use strict";
const table = document.getElementById("classes");
if (table) {
  const body = table.tBodies[0];
  const input = document.getElementById("find");
  const found = document.getElementById("found");
  const none = document.getElementById("none");
  let rows = [...body.rows].map((row) => ({ row, text: folded(row.cells[0].textContent), link: row.querySelector("a") }));
  let shown = rows;

  function folded(text) {
    return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  }

  function filter() {
    const wanted = folded(input.value).split(/\s+/).filter(Boolean);
    shown = rows.filter(({ row, text }) => {
      const fits = wanted.every((word) => text.includes(word));
      row.hidden = !fits;
      return fits;
    });
    found.value = wanted.length ? `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}` : "";
    none.hidden = shown.length > 0;
  }

  function value(row, column) {
    const text = row.cells[column].textContent.replaceAll(",", "");
    return text === "–" ? NaN : Number(text);
  }

  function sort(heading) {
    const column = heading.cellIndex;
    const rising = heading.getAttribute("aria-sort") !== "ascending";
    const keys = new Map(rows.map(({ row, text }) => [row, column ? value(row, column) : text]));
    const sign = rising ? 1 : -1;
    rows.sort((a, b) => {
      const [x, y] = [keys.get(a.row), keys.get(b.row)];
      if (!column) return sign * x.localeCompare(y);
      return Number.isNaN(x) - Number.isNaN(y) || sign * (x - y) || 0; // what is not known comes last both ways
    });
    for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
    body.append(...rows.map(({ row }) => row));
    filter();
  }

  function step(by) {
    const at = shown.findIndex(({ link }) => link === document.activeElement) + by;
    if (at < 0) input.focus();
    else if (at < shown.length) shown[at].link.focus();
  }

  for (const heading of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(heading));
    heading.append(button);
  }

  input.addEventListener("input", filter);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inside = event.target === input;
    if (event.key === "/" && !inside) input.select();
    else if (event.key === "Escape" && (inside || body.contains(event.target))) {
      input.value = "";
      filter();
      input.focus();
    } else if (event.key === "ArrowDown" && (inside || body.contains(event.target))) step(1);
    else if (event.key === "ArrowUp" && body.contains(event.target)) step(-1);
    else if (event.key === "Enter" && inside && shown.length && input.value) shown[0].link.click();
    else return;
    event.preventDefault();
  });
  document.getElementById("search").hidden = false;
  window.addEventListener("pageshow", filter); // a browser that comes back keeps what was typed
}
