// Copyright (c) 2026 the lastack authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
"use strict";
(() => {
  const order = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const count = (number) => number.toLocaleString("en");
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : order.compare(a, b));

  // Elements are made by name and filled by textContent: no text of a host is ever read as HTML.
  const make = (tag, className, ...children) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...children);
    return element;
  };
  const button = (...children) => {
    const element = make("button", "", ...children);
    element.type = "button";
    return element;
  };

  // Makes the headings of a table buttons; `sort` gets the column and 1 (ascending) or -1.
  const sortable = (table, sort) => {
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, column) => {
      const press = button(...header.childNodes);
      press.addEventListener("click", () => {
        const first = header.classList.contains("figures") ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const direction = header.getAttribute("aria-sort") === first ? other : first;
        for (const cell of headers) cell.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", direction);
        sort(column, direction === "ascending" ? 1 : -1);
      });
      header.append(press);
    });
  };

  const key = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return "";
    return cell.dataset.key === undefined ? cell.textContent.trim() : Number(cell.dataset.key);
  };
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    sortable(table, (column, sign) => {
      for (const body of table.tBodies) {
        const rows = [...body.rows].map((row) => [key(row, column), row]);
        rows.sort((a, b) => sign * compare(a[0], b[0]));
        body.append(...rows.map(([, row]) => row));
      }
    });
  }

  // The table of hosts: all of them are data, and a page of them are rows.
  const hostTable = () => {
    const table = document.getElementById("hosts-table");
    if (!table) return null;
    const data = JSON.parse(document.getElementById("hosts-data").textContent);
    const size = 50;
    const printed = 500;
    const columns = table.tHead.rows[0].cells.length;
    const labels = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
    const hosts = data.hosts.map(
      ([name, view = 0, critical = 0, warning = 0, leaked = 0, dead = 0, timeWait = 0, sockets = 0, used = 0, limit = 0,
        apps = [], findings = [], unlisted = 0, reason = 0, anchor = ""]) => {
        const word = data.texts[view];
        const audited = word.startsWith("complete") || word === "partial";
        return { name, view: word, audited, figures: [critical, warning, leaked, dead, timeWait, sockets], used, limit,
          apps, findings, unlisted, reason: reason ? data.texts[reason] : "", anchor, text: "" };
      },
    );
    const value = (host, column) => {
      if (column === 0) return host.name;
      if (column === columns - 1) return host.view;
      if (!host.audited) return -2;
      return column === columns - 2 ? host.used : host.figures[column - 1];
    };
    const words = (host) => {
      host.text ||= [host.name, host.view, host.reason,
        ...host.apps.filter((_, index) => index % 2 === 0).map((app) => "leaks " + data.texts[app]),
        ...host.findings.map((finding) => data.findings[finding].join(" "))].join("\n").toLowerCase();
      return host.text;
    };

    const figure = (host, column) => {
      const number = host.figures[column - 1];
      const unknown = column === 3 ? "not judged" : column === 4 ? "not looked for" : "unknown";
      const mark = column === 1 ? " alarm" : column === 2 ? " attention" : " strong";
      const cell = make("td", "figures" + (column > 4 ? "" : number > 0 ? mark : " zero"), number < 0 ? unknown : count(number));
      cell.dataset.label = labels[column];
      return cell;
    };
    const bar = (used) => {
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      const set = (element, values) => Object.entries(values).forEach(([name, is]) => element.setAttribute(name, is));
      set(svg, { class: "bar", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" });
      for (const [name, width] of [["track", 100], [used >= 90 ? "hot" : used >= 70 ? "warm" : "calm", Math.min(used, 100)]]) {
        const rect = document.createElementNS(svg.namespaceURI, "rect");
        set(rect, { class: name, width, height: 6 });
        svg.append(rect);
      }
      return svg;
    };
    const found = (host) => {
      const list = make("ul", "plain");
      for (const number of host.findings) {
        const [severity, id, subject] = data.findings[number];
        const known = ["critical", "warning"].includes(severity) ? severity : "info";
        let name = make("code", "id", id);
        const page = document.getElementById("explain-" + id.replace(/[^A-Za-z0-9]+/g, "-").toLowerCase());
        if (page) {
          name = make("a", "", name);
          name.href = "#" + page.id;
        }
        list.append(make("li", "", make("span", "severity " + known, severity), " ", make("bdi", "", subject), " ", name));
      }
      if (host.unlisted) list.append(make("li", "quiet", `${count(host.unlisted)} more in the host's report`));
      const cell = make("td", "", list);
      cell.colSpan = columns;
      return make("tr", "more", cell);
    };
    const row = (host) => {
      const name = make("bdi", "name", host.name);
      const head = make("th");
      head.scope = "row";
      const line = make("tr", "", head);
      if (host.anchor) {
        const link = make("a", "", name);
        link.href = "#" + host.anchor;
        head.append(link);
      } else if (host.findings.length) {
        const press = button(name);
        press.className = "disclosure";
        press.setAttribute("aria-expanded", "false");
        press.addEventListener("click", () => {
          const open = press.getAttribute("aria-expanded") === "true";
          press.setAttribute("aria-expanded", String(!open));
          if (open) line.nextElementSibling.remove();
          else line.after(found(host));
        });
        head.append(press);
      } else head.append(name);
      const leaking = host.apps.slice(0, 6).flatMap((part, index) =>
        index % 2 ? [` ${count(part)}`] : [index ? ", " : "", make("bdi", "", data.texts[part])]);
      if (leaking.length) head.append(make("span", "sub", ...leaking));
      const use = make("td");
      if (host.audited) {
        for (let column = 1; column < columns - 2; column++) line.append(figure(host, column));
      } else {
        use.className = "prose";
        use.colSpan = columns - 2;
        use.textContent = host.reason;
      }
      if (host.limit) {
        use.append(make("span", "share", bar(host.used), make("span", "", `${percent(host.used)} of ${count(host.limit)}`)));
        use.dataset.label = labels[columns - 2];
      }
      const view = make("td", "", make("span",
        host.audited ? (host.view === "partial" ? "severity warning" : "quiet") : "severity critical", host.view));
      view.dataset.label = labels[columns - 1];
      line.append(use, view);
      return line;
    };
    const percent = (used) => (used > 0 && used < 1 ? "<1 %" : `${Math.floor(used)} %`);

    let sorted = hosts;
    let shown = hosts;
    let from = 0;
    let wanted = [];
    const pagers = [];
    const render = (most = size) => {
      table.tBodies[0].replaceChildren(...shown.slice(from, from + most).map(row));
      const to = Math.min(from + most, shown.length);
      const matching = shown.length < hosts.length ? " that match" : "";
      for (const { nav, status, presses } of pagers) {
        nav.hidden = hosts.length <= size;
        status.textContent = shown.length ? `Hosts ${count(from + 1)} to ${count(to)} of ${count(shown.length)}${matching}` : "No host matches";
        // Disabled buttons would lose the focus of a keyboard.
        presses.forEach((press, index) =>
          press.setAttribute("aria-disabled", String(index < 2 ? from === 0 : from + size >= shown.length)));
      }
    };
    const last = () => Math.max(0, Math.ceil(shown.length / size) - 1) * size;
    const steps = [["First", () => 0], ["Previous", () => Math.max(0, from - size)],
      ["Next", () => Math.min(from + size, last())], ["Last", last]];
    for (const place of ["before", "after"]) {
      const status = make("span");
      const presses = steps.map(([label, step], index) => {
        const press = button(label);
        press.addEventListener("click", () => {
          if (press.getAttribute("aria-disabled") === "true") return;
          from = step();
          render();
          if (place === "before") return;
          // The reader of the next page starts at its top.
          pagers[0].presses[index].focus({ preventScroll: true });
          pagers[0].nav.scrollIntoView({ block: "center" });
        });
        return press;
      });
      const nav = make("nav", "pager", ...presses.slice(0, 2), status, ...presses.slice(2));
      nav.setAttribute("aria-label", `Pages of the table of hosts, ${place === "before" ? "above" : "below"} it`);
      if (place === "before") status.setAttribute("role", "status");
      table.parentElement[place](nav);
      pagers.push({ nav, status, presses });
    }
    const fits = (host) => wanted.every((word) => words(host).includes(word));
    sortable(table, (column, sign) => {
      const keys = new Map(hosts.map((host) => [host, value(host, column)]));
      sorted = [...hosts].sort((a, b) => sign * compare(keys.get(a), keys.get(b)));
      shown = wanted.length ? sorted.filter(fits) : sorted;
      from = 0;
      render();
    });
    document.getElementById("hosts-without-script")?.remove();
    render();
    return {
      total: hosts.length,
      filter: (asked) => {
        // What fitted before a word grew is all that can fit after it.
        const narrower = wanted.length && asked.length === wanted.length && asked.every((word, index) => word.startsWith(wanted[index]));
        wanted = asked;
        shown = wanted.length ? (narrower ? shown : sorted).filter(fits) : sorted;
        from = 0;
        render();
        return shown.length;
      },
      print: (begins) => render(begins ? printed : size),
    };
  };
  const hosts = hostTable();

  const input = document.getElementById("filter");
  const status = document.getElementById("filter-status");
  const items = [...document.querySelectorAll("table[data-filter] tbody tr, [data-filter-item]")];
  const texts = new Map();
  const tables = [...document.querySelectorAll("table[data-filter]")].map((table) => {
    const none = make("p", "hint", "Nothing here matches the filter.");
    none.hidden = true;
    table.parentElement.before(none);
    return { table, none };
  });
  let asked = "";
  const filter = () => {
    // Words in any order; what stands in quotes is looked for as it stands.
    const words = [...input.value.toLowerCase().matchAll(/"([^"]*)"?|[^\s"]+/g)].map(([word, quoted]) => quoted ?? word).filter(Boolean);
    if (words.join("\n") === asked) return;
    asked = words.join("\n");
    let shown = hosts ? hosts.filter(words) : 0;
    for (const item of items) {
      if (words.length && !texts.has(item)) texts.set(item, `${item.textContent}\n${item.dataset.also ?? ""}`.toLowerCase());
      const fits = words.every((word) => texts.get(item).includes(word));
      item.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    for (const { table, none } of tables) {
      none.hidden = Boolean(table.querySelector("tbody tr:not([hidden])"));
      table.parentElement.hidden = !none.hidden;
    }
    const all = items.length + (hosts ? hosts.total : 0);
    status.textContent = !words.length ? "" : shown ? `${count(shown)} of ${count(all)} rows` : "Nothing matches";
  };
  input.addEventListener("input", filter);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { input.value = ""; filter(); }
  });
  // The number of hosts of an application or a finding leads to these hosts.
  for (const link of document.querySelectorAll("a[data-find]")) {
    link.addEventListener("click", () => { input.value = `"${link.dataset.find}"`; filter(); });
  }
  if (items.length || hosts) document.querySelector(".filter").hidden = false;

  const open = () => {
    const target = location.hash ? document.getElementById(location.hash.slice(1)) : null;
    const details = target && target.closest("details");
    if (details && !details.open) { details.open = true; target.scrollIntoView(); }
  };
  window.addEventListener("hashchange", open);
  open();

  let closed = [];
  window.addEventListener("beforeprint", () => {
    if (hosts) hosts.print(true);
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const details of closed) details.open = true;
  });
  window.addEventListener("afterprint", () => {
    if (hosts) hosts.print(false);
    for (const details of closed) details.open = false;
  });
})();
