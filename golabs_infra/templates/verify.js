(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const filtered = (form, apply) => {
    if (!form) return;
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", apply);
    addEventListener("pageshow", apply);
  };

  const findings = document.getElementById("filter");
  filtered(findings, () => {
    const shown = new Set(all("[name=severity]:checked", findings).map((each) => each.value));
    const text = findings.elements.text.value.trim().toLowerCase();
    let count = 0, total = 0;
    for (const group of all(".group")) {
      let inside = 0;
      for (const each of all(".finding", group)) {
        each.hidden = !(shown.has(each.dataset.severity) && each.dataset.text.includes(text));
        inside += !each.hidden;
        total += 1;
      }
      group.hidden = !inside;
      count += inside;
    }
    findings.querySelector("output").textContent = count === total ? "" : `${count} of ${total} shown`;
  });

  addEventListener("hashchange", () => {
    const wanted = document.getElementById(location.hash.slice(1));
    if (!findings || !wanted || wanted.checkVisibility()) return;
    findings.reset();
    findings.dispatchEvent(new Event("input"));
    wanted.scrollIntoView();
  });

  const services = document.getElementById("services");
  const details = all("details.service");
  filtered(services, () => {
    const text = services.elements.text.value.trim().toLowerCase();
    const only = services.elements.differing.checked;
    for (const each of details) each.hidden = !each.dataset.text.includes(text) || (only && each.dataset.differing === "0");
    const count = details.filter((each) => !each.hidden).length;
    services.querySelector("output").textContent = count === details.length ? "" : `${count} of ${details.length} shown`;
  });
  services?.addEventListener("click", (event) => {
    if (event.target.type !== "button") return;
    for (const each of details) if (!each.hidden) each.open = event.target.name === "open";
  });

  const copy = async (code) => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      return true;
    } catch {
      const range = document.createRange();
      range.selectNodeContents(code);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      return document.execCommand("copy");
    }
  };
  for (const block of all(".copy")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "copy";
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", async () => {
      button.textContent = (await copy(block.querySelector("pre code"))) ? "copied" : "selected";
      setTimeout(() => { button.textContent = "copy"; }, 2000);
    });
    block.querySelector(".caption").append(button);
  }

  const matrix = document.querySelector("table.matrix");
  const heads = all("thead th", matrix ?? document.createElement("table"));
  matrix?.addEventListener("mouseover", (event) => {
    const cell = event.target.closest("td");
    for (const each of heads) each.classList.toggle("here", !!cell && each === heads[cell.cellIndex]);
    if (cell && !cell.title && !cell.firstElementChild) {
      const row = cell.parentElement.cells[0].textContent.trim();
      const column = heads[cell.cellIndex].textContent.trim();
      cell.title = row === column ? `${row}: its own schema` : `${row} is isolated from ${column}`;
    }
  });

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    for (const each of closed) each.open = true;
  });
  addEventListener("afterprint", () => {
    for (const each of closed) each.open = false;
  });
})();
