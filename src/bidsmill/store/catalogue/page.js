
"use strict";
// Search and filters of a catalogue page, and the lines that load a dataset. Texts of datasets come
// from outside: they become text nodes and properties, never HTML.
(() => {
  const AT_ONCE = 25;      // cards shown, and added by each press of the button
  const CHOICES_SHOWN = 8; // values of a filter shown before one types
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const listed = (text) => [...new Set(text.split(", ").filter(Boolean))];
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const counted = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
  const byText = (a, b) => a.localeCompare(b, "en", { numeric: true, sensitivity: "base" });

  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name.startsWith("aria-") || name === "for") element.setAttribute(name, value);
      else element[name] = value;
    }
    element.append(...children);
    return element;
  }

  // The datasets

  function dataset(place) {
    const row = {};
    for (const column of Object.keys(data)) if (column !== "tags") row[column] = data[column][place];
    row.datatypes = listed(row.datatypes);
    row.tasks = listed(row.tasks);
    row.labels = listed(row.labels);
    row.channels = listed(row.channels).map(Number);
    row.rates = listed(row.sampling_rates).map(Number);
    row.licence = row.license || "not stated";
    row.paths = row.hed.map((tag) => data.tags[tag]);
    row.tags = [...new Set(row.paths.map((path) => path.split("/").pop()))];
    // A dataset with Event/Sensory-event is found by Event, too.
    row.terms = [...new Set(row.paths.flatMap((path) => path.split("/")))];
    row.title = row.name || row.dataset;
    // The DOI stands by itself below.
    row.cite = row.doi && row.citation.endsWith(row.doi) ? row.citation.slice(0, -row.doi.length) : row.citation;
    row.text = plain([
      row.dataset, row.name, row.version, row.citation, row.doi, row.licence, row.split,
      row.channel_types, ...row.datatypes, ...row.tasks, ...row.labels, ...row.terms,
    ].join("\n"));
    return row;
  }
  const rows = data.dataset.map((_, place) => dataset(place));

  const CHOICES = [
    { key: "modality", title: "Modality", of: (row) => row.datatypes },
    { key: "task", title: "Task", of: (row) => row.tasks },
    { key: "hed", title: "HED tag", hint: "all of", of: (row) => row.terms, first: (row) => row.tags, every: true },
    { key: "licence", title: "Licence", of: (row) => [row.licence] },
  ];
  const SPANS = [
    { key: "channels", title: "Channels", of: (row) => row.channels },
    { key: "rate", title: "Sampling rate", hint: "Hz", of: (row) => row.rates },
    { key: "subjects", title: "Subjects", of: (row) => [row.subjects] },
  ];
  const SORTS = {
    name: ["name", (a, b) => byText(a.title, b.title)],
    dataset: ["dataset id", (a, b) => byText(a.dataset, b.dataset)],
    subjects: ["most subjects", (a, b) => b.subjects - a.subjects],
    recordings: ["most recordings", (a, b) => b.converted - a.converted],
    rows: ["most rows", (a, b) => b.rows - a.rows],
    channels: ["most channels", (a, b) => Math.max(0, ...b.channels) - Math.max(0, ...a.channels)],
    bytes: ["largest", (a, b) => b.bytes - a.bytes],
  };
  const DEFAULT_SORT = "name";
  // Each order is made once; equal ones stand in the order of the catalogue.
  const orders = {};
  const ordered = (sort) => (orders[sort] ??= [...rows].sort(SORTS[sort][1]));

  // What is asked for, here and in the address of the page

  const state = { q: "", sort: DEFAULT_SORT };
  function clear() {
    state.q = "";
    for (const { key } of CHOICES) state[key] = new Set();
    for (const { key } of SPANS) state[key] = ["", ""];
  }

  function toHash() {
    const asked = new URLSearchParams();
    if (state.q.trim()) asked.set("q", state.q.trim());
    for (const { key } of CHOICES) for (const value of state[key]) asked.append(key, value);
    for (const { key } of SPANS) if (state[key].some(Boolean)) asked.set(key, state[key].join("-"));
    if (state.sort !== DEFAULT_SORT) asked.set("sort", state.sort);
    return asked.toString();
  }

  function fromHash() {
    const asked = new URLSearchParams(location.hash.slice(1));
    clear();
    state.q = asked.get("q") || "";
    state.sort = Object.hasOwn(SORTS, asked.get("sort") || "") ? asked.get("sort") : DEFAULT_SORT;
    for (const { key } of CHOICES) state[key] = new Set(asked.getAll(key));
    for (const { key } of SPANS) {
      const found = /^(\d*\.?\d*)-(\d*\.?\d*)$/.exec(asked.get(key) || "");
      if (found) state[key] = [found[1], found[2]];
    }
  }

  let waiting = 0;
  function share() {
    clearTimeout(waiting);
    const hash = toHash();
    if (hash !== location.hash.slice(1)) history.replaceState(null, "", hash ? `#${hash}` : "#");
  }
  // Browsers refuse to change the address with every key.
  function shareSoon() {
    clearTimeout(waiting);
    waiting = setTimeout(share, 250);
  }

  // Which datasets have it

  function tests() {
    const words = plain(state.q).split(/\s+/).filter(Boolean);
    const found = { q: (row) => words.every((word) => row.text.includes(word)) };
    for (const { key, of, every } of CHOICES) {
      const chosen = [...state[key]];
      if (!chosen.length) continue;
      found[key] = every
        ? (row) => chosen.every((value) => of(row).includes(value))
        : (row) => of(row).some((value) => state[key].has(value));
    }
    for (const { key, of } of SPANS) {
      const [low, high] = state[key];
      if (!low && !high) continue;
      const least = low ? Number(low) : -Infinity, most = high ? Number(high) : Infinity;
      found[key] = (row) => of(row).some((value) => value >= least && value <= most);
    }
    return found;
  }

  function matching(found, except = "") {
    const asked = Object.entries(found).filter(([key]) => key !== except).map(([, test]) => test);
    return (row) => asked.every((test) => test(row));
  }

  // Filters

  function tally(some, of) {
    const counts = new Map();
    for (const row of some) for (const value of of(row)) counts.set(value, (counts.get(value) || 0) + 1);
    return counts;
  }

  function choiceFilter(choice) {
    const total = tally(rows, choice.of);
    // Tags that datasets state come first; what they imply is found by typing.
    const stated = choice.first ? tally(rows, choice.first) : total;
    const rank = (value) => stated.get(value) || 0;
    const values = [...total.keys()].sort((a, b) => rank(b) - rank(a) || byText(a, b));
    const lines = new Map();
    const list = make("ul"), rest = make("p", { className: "rest" });
    const find = make("input", {
      type: "search", className: "find", placeholder: `Find among ${values.length}`, autocomplete: "off",
      "aria-label": `Find a value of the filter ${choice.title}`,
    });
    find.hidden = values.length <= CHOICES_SHOWN;
    find.addEventListener("input", () => draw());
    find.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && find.value) { find.value = ""; event.stopPropagation(); draw(); }
      if (event.key === "Enter") {
        event.preventDefault();
        list.querySelector("input")?.focus();
      }
    });
    const hint = choice.hint ? [" ", make("small", {}, `(${choice.hint})`)] : [];
    const box = make("fieldset", { hidden: !values.length },
      make("legend", {}, choice.title, ...hint), find, list, rest);

    function line(value) {
      if (lines.has(value)) return lines.get(value);
      const input = make("input", { type: "checkbox" }), output = make("output");
      input.addEventListener("change", () => {
        if (input.checked) state[choice.key].add(value); else state[choice.key].delete(value);
        update();
      });
      const made = make("li", {}, make("label", {}, input, make("span", { dir: "auto" }, value), output));
      lines.set(value, made);
      return made;
    }

    let counts = total;
    function draw() {
      const wanted = plain(find.value), chosen = state[choice.key];
      const fitting = values.filter((value) => !wanted || plain(value).includes(wanted));
      const shown = fitting.slice(0, CHOICES_SHOWN);
      const besides = [...chosen].filter((value) => !shown.includes(value));
      const items = [...besides, ...shown].map(line);
      if (items.length !== list.children.length || items.some((item, n) => item !== list.children[n])) {
        const focused = document.activeElement;
        list.replaceChildren(...items);
        if (list.contains(focused)) focused.focus();
      }
      for (const value of [...besides, ...shown]) {
        const [input, , output] = line(value).firstChild.children;
        input.checked = chosen.has(value);
        output.value = (counts.get(value) || 0).toLocaleString("en");
      }
      const more = fitting.length - shown.length;
      rest.textContent = more > 0 ? `and ${more.toLocaleString("en")} more` : fitting.length ? "" : "none";
    }
    function refresh(found) {
      counts = tally(rows.filter(matching(found, choice.every ? "" : choice.key)), choice.of);
      draw();
    }
    return { box, refresh };
  }

  function spanFilter(span) {
    const values = rows.flatMap(span.of);
    const ends = values.length
      ? [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))] : [0, 0];
    const inputs = ["at least", "at most"].map((name, end) => {
      const input = make("input", {
        type: "number", min: 0, step: "any", placeholder: String(ends[end]), inputMode: "decimal",
        "aria-label": `${span.title}, ${name}`,
      });
      input.addEventListener("input", () => {
        state[span.key][end] = input.value;
        update();
      });
      return input;
    });
    const hint = span.hint ? [" ", make("small", {}, `(${span.hint})`)] : [];
    const box = make("fieldset", { hidden: !values.length }, make("legend", {}, span.title, ...hint),
      make("div", { className: "span" }, inputs[0], "to", inputs[1]));
    function refresh() {
      inputs.forEach((input, end) => {
        if (input !== document.activeElement) input.value = state[span.key][end];
      });
    }
    return { box, refresh };
  }

  const filters = [
    choiceFilter(CHOICES[0]), choiceFilter(CHOICES[1]), choiceFilter(CHOICES[2]),
    ...SPANS.map(spanFilter), choiceFilter(CHOICES[3]),
  ];

  function drawChosen() {
    const chips = [];
    const add = (text, drop) => {
      const chip = make("button", { type: "button", "aria-label": `Remove the filter ${text}` }, text);
      chip.addEventListener("click", () => {
        drop();
        update();
        (byId("chosen").querySelector("button") || byId("search")).focus();
      });
      chips.push(make("li", {}, chip));
    };
    for (const { key, title } of CHOICES) {
      for (const value of state[key]) add(`${title}: ${value}`, () => state[key].delete(value));
    }
    for (const { key, title } of SPANS) {
      const [low, high] = state[key];
      const text = low && high ? `${low} to ${high}` : low ? `at least ${low}` : `at most ${high}`;
      if (low || high) add(`${title}: ${text}`, () => { state[key] = ["", ""]; });
    }
    byId("filters").firstElementChild.textContent = chips.length ? `Filters (${chips.length})` : "Filters";
    if (chips.length > 1) {
      const all = make("button", { type: "button", className: "plain" }, "Clear all");
      all.dataset.clear = "";
      chips.push(make("li", {}, all));
    }
    byId("chosen").replaceChildren(...chips);
  }

  // Where the store is, for the lines that one copies

  const folder = location.pathname.replace(/[^/]*$/, "");
  const AMAZON = /^(?:(.+?)\.)?s3[a-z0-9.-]*\.amazonaws\.com(?:\.cn)?$/;
  const decoded = (path) => { try { return decodeURIComponent(path); } catch { return path; } };
  function setAddress(address, endpoint = "") {
    byId("store").value = address;
    byId("endpoint").value = endpoint;
    byId("service").hidden = !address.startsWith("s3:");
  }
  function guessAddress() {
    const path = decoded(folder).replace(/^\/+|\/+$/g, "");
    if (location.protocol === "file:") {
      setAddress(/^[A-Za-z]:/.test(path) ? path : `/${path}`);
      return;
    }
    const amazon = AMAZON.exec(location.hostname);
    if (amazon) setAddress(`s3://${[amazon[1], path].filter(Boolean).join("/")}`);
    else setAddress("");
    if (amazon || !path) return;
    // Every S3 service answers with this header; of other servers bidsmill cannot read.
    fetch(location.href, { method: "HEAD" }).then((answer) => {
      if (answer.headers.has("x-amz-request-id")) setAddress(`s3://${path}`, location.origin);
    }, () => {});
  }

  const quoted = {
    python: (text) => JSON.stringify(text),
    matlab: (text) => `'${text.replace(/[\r\n]+/g, " ").replaceAll("'", "''")}'`,
    shell: (text) => /^[\w@.:/+-]+$/.test(text) ? text : `'${text.replace(/[\r\n]+/g, " ").replaceAll("'", "'\\''")}'`,
    sql: (text) => `'${text.replaceAll("'", "''")}'`,
  };
  const LANGUAGES = [
    ["Python", (row, store, endpoint) => {
      const place = quoted.python(store) + (endpoint ? `, endpoint=${quoted.python(endpoint)}` : "");
      const picks = conditions(row).map(([key, value]) => `${key}=${quoted.python(value)}`);
      return `import bidsmill\n\nstore = bidsmill.open(${place})\n` +
        `train = store[${quoted.python(row.dataset)}].select(${picks.join(", ")})\n` +
        (row.labels.length ? `X, y = train.arrays(target=${quoted.python(row.labels[0])})` : "X = train.arrays()");
    }],
    ["MATLAB", (row, store, endpoint) => {
      const named = conditions(row).map(([key, value]) => [key[0].toUpperCase() + key.slice(1), value]);
      if (row.labels.length) named.push(["Target", row.labels[0]]);
      const words = [store, row.dataset, ...named.flat()].map(quoted.matlab).join(", ");
      const pulled = ["bidsmill", "pull", store, row.dataset, ...(endpoint ? ["--endpoint", endpoint] : [])];
      const pull = store.startsWith("s3:") ? `% in a terminal first: ${pulled.map(quoted.shell).join(" ")}\n` : "";
      return `${pull}ds = bidsmill.Datastore(${words});\ndata = read(ds);`;
    }],
    ["DuckDB", (row, store) => {
      const base = location.protocol === "file:" ? `${store.replace(/\/+$/, "")}/` : location.origin + folder;
      const path = location.protocol === "file:" ? row.samples : link(row.samples).slice(2);
      return "-- the rows and their labels; file and row say where each signal is\n" +
        "SELECT split, count(*) AS n, count(DISTINCT subject) AS subjects\n" +
        `FROM read_parquet(${quoted.sql(base + path)})\nGROUP BY ALL ORDER BY ALL;`;
    }],
  ];
  function conditions(row) {
    const found = [];
    if (row.split && row.split !== "refused" && row.split !== "none") found.push(["split", "train"]);
    if (row.largest_layout) found.push(["where", `layout == '${row.largest_layout}'`]);
    return found;
  }
  const lines = (language, row) =>
    LANGUAGES[language][1](row, byId("store").value.trim() || "ADDRESS OF THE STORE",
      byId("service").hidden ? "" : byId("endpoint").value.trim());

  async function copied(text) {
    if (navigator.clipboard && window.isSecureContext) {
      try {
        await navigator.clipboard.writeText(text);
        return true;
      } catch { /* not allowed here: the old way */ }
    }
    const focused = document.activeElement;
    const area = make("textarea", { value: text, readOnly: true, className: "hidden" });
    document.body.append(area);
    area.select();
    let done = false;
    try { done = document.execCommand("copy"); } catch { /* not allowed either */ }
    area.remove();
    focused?.focus({ preventScroll: true });
    return done;
  }

  // Cards

  function size(bytes) {
    const units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let unit = 0;
    while (bytes >= 999.5 && unit < units.length - 1) { bytes /= 1000; unit += 1; }
    return `${unit && bytes < 9.95 ? bytes.toFixed(1) : bytes.toFixed(0)} ${units[unit]}`;
  }
  const extent = (values) => {
    const texts = values.map((value) => value.toLocaleString("en", { maximumFractionDigits: 3 }));
    return texts.length > 2 ? `${texts[0]} to ${texts[texts.length - 1]}` : texts.join(", ");
  };
  // Relative, and never an address of another kind, whatever a catalogue says.
  const link = (path) => `./${path.split("/").map(encodeURIComponent).join("/")}`;
  const few = (values, most) => values.length <= most ? values.join(", ")
    : `${values.slice(0, most).join(", ")} and ${values.length - most} more`;

  function factsOf(row) {
    const number = (n) => n.toLocaleString("en");
    const facts = [
      [number(row.subjects), row.subjects === 1 ? "subject" : "subjects"],
      [number(row.converted), row.converted === 1 ? "recording" : "recordings"],
      [number(row.rows), row.rows === 1 ? "row" : "rows"],
      [extent(row.channels), row.channel_types ? `channels: ${row.channel_types}` : "channels"],
      [row.rates.length ? `${extent(row.rates)} Hz` : "", "sampling rate"],
      [size(row.bytes), "size"],
    ];
    return make("ul", { className: "facts" }, ...facts.filter(([value]) => value)
      .map(([value, name]) => make("li", {}, make("b", {}, value), make("span", {}, name))));
  }

  function detailsOf(row) {
    const details = [];
    if (row.tasks.length) details.push(["Tasks", few(row.tasks, 8)]);
    if (row.labels.length) details.push(["Labels", few(row.labels, 8)]);
    if (row.tags.length) details.push(["HED tags", few(row.tags, 12)]);
    if (row.split === "refused") details.push(["Split", make("span", { className: "warn" }, "refused")]);
    else if (row.split && row.split !== "none") details.push(["Split", `by ${row.split}`]);
    const free = row.license_class === "no_derivatives" ? " (no derivatives)" : "";
    details.push(["Licence", row.licence + free]);
    const doi = /\b(10\.\d{4,9}\/[^\s"<>]+)/.exec(row.doi);
    if (doi) {
      const href = `https://doi.org/${doi[1].split("/").map(encodeURIComponent).join("/")}`;
      details.push(["DOI", make("a", { href, rel: "noreferrer" }, doi[1])]);
    }
    if (row.quarantined) details.push(["Left out", counted(row.quarantined, "recording")]);
    return make("dl", {}, ...details.map(([name, value]) => make("div", {},
      make("dt", {}, name), make("dd", { dir: "auto" }, value))));
  }

  function actionsOf(row) {
    const code = make("code"), shown = make("pre", { hidden: true, tabIndex: 0 }, code);
    const said = make("span", { className: "copied" });
    const buttons = LANGUAGES.map(([name], language) => {
      const button = make("button", {
        type: "button", "aria-expanded": "false",
        "aria-label": `Copy the ${name} lines that load ${row.dataset}`,
      }, name);
      button.addEventListener("click", async () => {
        const text = lines(language, row);
        code.textContent = text;
        shown.hidden = false;
        shown.setAttribute("aria-label", `${name} lines`);
        for (const other of buttons) other.setAttribute("aria-expanded", String(other === button));
        const done = await copied(text);
        said.classList.toggle("failed", !done);
        said.textContent = done ? "Copied" : "Select the lines and copy them";
        byId("said").textContent = done ? `Copied the ${name} lines that load ${row.dataset}`
          : `Not copied: the lines stand below ${row.title}`;
        if (!done) getSelection().selectAllChildren(code);
        setTimeout(() => { if (done) said.textContent = ""; }, 4000);
      });
      return button;
    });
    const acts = make("div", { className: "acts" });
    if (row.report) {
      acts.append(make("a", { className: "open", href: link(row.report) }, "Open the report"));
    }
    acts.append(make("span", { className: "label" }, "Copy lines for"), ...buttons, said);
    const both = make("div", {}, acts, shown);
    both.addEventListener("keydown", (event) => {
      const open = buttons.find((button) => button.getAttribute("aria-expanded") === "true");
      if (event.key !== "Escape" || !open) return;
      event.stopPropagation();
      shown.hidden = true;
      open.setAttribute("aria-expanded", "false");
      open.focus();
    });
    return both;
  }

  function card(row) {
    if (row.card) return row.card;
    const title = row.report ? make("a", { href: link(row.report) }, row.title) : row.title;
    const heading = make("h2", { dir: "auto" }, title);
    const kinds = row.datatypes.map((kind) => {
      const mark = make("span", { className: "kind" }, kind);
      if (/^[a-z]+$/.test(kind)) mark.classList.add(kind);
      return mark;
    });
    const id = make("code", { dir: "auto", title: `version ${row.version}` },
      row.snapshot ? `${row.dataset} @ ${row.snapshot}` : row.dataset);
    row.card = make("li", {}, make("article", { className: "card", "aria-label": row.title },
      make("div", { className: "top" }, ...kinds, id), heading,
      ...(row.cite.trim() ? [make("p", { className: "cite", dir: "auto" }, row.cite)] : []),
      factsOf(row), detailsOf(row), actionsOf(row)));
    return row.card;
  }

  let found = [], limit = AT_ONCE;
  function drawCards() {
    const focused = document.activeElement;
    byId("results").replaceChildren(...found.slice(0, limit).map(card));
    if (focused !== document.activeElement && byId("results").contains(focused)) focused.focus();
    const left = found.length - limit;
    byId("more").hidden = left <= 0;
    byId("more").textContent = `Show ${Math.min(AT_ONCE, left)} more of ${left.toLocaleString("en")}`;
  }

  function update({ keep = false } = {}) {
    const asked = tests();
    found = ordered(state.sort).filter(matching(asked));
    if (!keep) limit = AT_ONCE;
    drawCards();
    for (const filter of filters) filter.refresh(asked);
    drawChosen();
    const all = found.length === rows.length;
    byId("count").textContent = all ? counted(rows.length, "dataset")
      : `${found.length.toLocaleString("en")} of ${counted(rows.length, "dataset")}`;
    byId("none").hidden = found.length > 0 || !rows.length;
    shareSoon();
  }

  function show() {
    byId("search").value = state.q;
    byId("sort").value = state.sort;
    update();
  }

  // Beginning

  function totals() {
    const sum = (column) => rows.reduce((total, row) => total + row[column], 0);
    const parts = [
      [rows.length.toLocaleString("en"), rows.length === 1 ? "dataset" : "datasets"],
      [sum("converted").toLocaleString("en"), "recordings"],
      [sum("rows").toLocaleString("en"), "rows"],
      [size(sum("bytes")), ""],
    ];
    byId("totals").append(...parts.map(([value, name]) => make("li", {}, make("b", {}, value), ` ${name}`)));
  }

  function listen() {
    const search = byId("search");
    search.addEventListener("input", () => { state.q = search.value; update(); });
    search.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { event.preventDefault(); state.q = ""; show(); }
      if (event.key === "Enter") {
        event.preventDefault();
        byId("results").querySelector("h2 a, button")?.focus();
      }
    });
    byId("sort").addEventListener("change", () => { state.sort = byId("sort").value; update(); });
    byId("facets").addEventListener("submit", (event) => event.preventDefault());
    byId("more").addEventListener("click", () => {
      const first = limit;
      limit += AT_ONCE;
      drawCards();
      card(found[first]).querySelector("h2 a, button")?.focus();
    });
    byId("store").addEventListener("input", () => {
      byId("service").hidden = !byId("store").value.startsWith("s3:");
    });
    document.addEventListener("click", (event) => {
      if (!(event.target instanceof HTMLElement) || event.target.dataset.clear === undefined) return;
      clear();
      show();
      search.focus();
    });
    document.addEventListener("keydown", (event) => {
      const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
      if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        search.focus();
        search.select();
      }
      if (event.key === "Escape" && !typing) search.focus();
    });
    // Whoever follows a link finds the search again when coming back.
    document.addEventListener("click", share, true);
    addEventListener("hashchange", () => {
      if (location.hash.slice(1) !== toHash() && location.hash !== "#results") { fromHash(); show(); }
    });
    addEventListener("beforeprint", () => { limit = Infinity; drawCards(); });
    addEventListener("afterprint", () => update());
    const wide = matchMedia("(min-width: 901px)");
    const unfold = () => { byId("filters").open = wide.matches; };
    wide.addEventListener("change", unfold);
    unfold();
  }

  byId("sort").append(...Object.entries(SORTS).map(([value, [text]]) => make("option", { value }, text)));
  byId("facets").append(...filters.map((filter) => filter.box));
  totals();
  guessAddress();
  listen();
  fromHash();
  show();
})();
