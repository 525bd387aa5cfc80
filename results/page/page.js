"use strict";
// The page is whole without this: it sorts and filters the leaderboard and highlights a row wherever it is drawn.
(() => {
  const board = document.getElementById("board");
  const body = board.tBodies[0];
  const heads = [...board.tHead.rows[0].cells];
  const original = [...body.rows];
  const below = [...(board.tFoot?.rows ?? [])];
  const live = document.getElementById("said");

  const value = (row, column) => row.cells[column].dataset.v;
  const compare = (column, textual, sign) => (a, b) => {
    const [x, y] = [value(a, column), value(b, column)];
    // What is missing stands last in both directions.
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    return sign * (textual ? x.localeCompare(y, "en", { numeric: true }) : x - y);
  };

  function sort(column) {
    const head = heads[column];
    const first = head.dataset.better === "high" ? "descending" : "ascending";
    const second = first === "ascending" ? "descending" : "ascending";
    const next = { [first]: second, [second]: null }[head.getAttribute("aria-sort")];
    const order = next === undefined ? first : next;
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    const rows = [...original];
    const name = head.querySelector("button").textContent;
    if (order) {
      head.setAttribute("aria-sort", order);
      rows.sort(compare(column, head.dataset.better === "text", order === "ascending" ? 1 : -1));
    }
    body.append(...rows);
    live.textContent = order ? `sorted by ${name}, ${order}` : "in the first order again";
  }

  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    button.disabled = false;
    button.addEventListener("click", () => sort(column));
  });

  // Where a table is scrolled, its columns stop beside the one that stays, and a line says that they go on below it.
  for (const region of document.querySelectorAll(".scroll")) {
    const corner = region.querySelector("th");
    if (!corner) continue;
    region.style.scrollPaddingLeft = `${corner.offsetWidth}px`;
    region.addEventListener("scroll", () => region.classList.toggle("scrolled", region.scrollLeft > 0), { passive: true });
  }

  const words = (field) => field.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
  const matches = (name, wanted) => !wanted.length || wanted.some((word) => name.toLowerCase().includes(word));

  function filter() {
    const [rows, tasks] = [words(fields[0]), words(fields[1])];
    let shown = 0;
    for (const row of original) {
      row.hidden = !matches(row.cells[0].dataset.v, rows);
      shown += !row.hidden;
    }
    heads.forEach((head, column) => {
      if (head.dataset.task === undefined) return;
      const hidden = !matches(head.dataset.task, tasks);
      head.hidden = hidden;
      for (const row of [...original, ...below]) row.cells[column].hidden = hidden;
    });
    for (const section of document.querySelectorAll("section.task")) {
      section.hidden = !matches(section.dataset.task, tasks);
    }
    live.textContent = `${shown} of ${original.length} rows`;
  }

  const fields = ["find-row", "find-task"].map((id) => document.getElementById(id));
  fields.forEach((field) => field.addEventListener("input", filter));
  document.querySelector(".find").hidden = false;

  let hovered = [];
  function highlight(event) {
    const on = event.target.closest?.("[data-row]");
    const scope = on?.closest("section");
    hovered.forEach((part) => part.classList.remove("hovered", "hovering"));
    hovered = scope ? [scope, ...scope.querySelectorAll(`[data-row="${on.dataset.row}"]`)] : [];
    hovered.forEach((part) => part.classList.add(part === scope ? "hovering" : "hovered"));
  }
  document.addEventListener("pointerover", highlight);

  const folded = () => [...document.querySelectorAll("details:not([open])")];
  let opened = [];
  addEventListener("beforeprint", () => { opened = folded(); opened.forEach((d) => { d.open = true; }); });
  addEventListener("afterprint", () => { opened.forEach((d) => { d.open = false; }); });
})();
