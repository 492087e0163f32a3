"use strict";
(() => {
  const root = document.documentElement;
  const $ = (id) => document.getElementById(id);
  const phone = matchMedia("(max-width: 640px)");

  // Light or dark: the system's choice until the reader makes one.
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const paint = () => {
    const dark = chosen === null ? system.matches : chosen;
    root.dataset.theme = dark ? "dark" : "light";
    $("theme").textContent = dark ? "Light" : "Dark";
  };
  system.addEventListener("change", paint);
  $("theme").addEventListener("click", () => { chosen = root.dataset.theme !== "dark"; paint(); });
  paint();
  root.classList.add("js");

  const sections = [...document.querySelectorAll("main > section")];
  const records = [...document.querySelectorAll("article")].map((el, at) => ({
    el, at,
    section: el.parentElement,
    level: Number(el.dataset.l),
    time: el.dataset.t === undefined ? null : Number(el.dataset.t),
    kept: el.querySelector("mark.p") !== null,
    stamp: el.querySelector("time"),
    text: null,
  }));
  const marks = [...document.querySelectorAll("mark")];
  const byRank = [];
  for (const mark of marks) {
    const rank = Number(mark.dataset.n);
    byRank[rank - 1] = mark;
    if (rank <= 10 && !mark.classList.contains("h0")) mark.classList.add("top");
  }

  // --- the strip: what lies where in time -------------------------------------------------------------------
  const dated = records.filter((r) => r.time !== null);
  const byTime = dated.length > 0 && dated[0].time < dated[dated.length - 1].time;
  if (byTime) { for (const r of records) { if (r.time === null) r.time = dated[0].time; } }
  const low = byTime ? dated[0].time : 0;
  const high = byTime ? dated[dated.length - 1].time : Math.max(records.length - 1, 1);
  const BINS = 120;
  const where = (r) => Math.min(BINS - 1, Math.floor(((byTime ? r.time : r.at) - low) / (high - low) * BINS));
  const bins = Array.from({ length: BINS }, () => ({ count: 0, level: 0, kept: false, first: null }));
  for (const r of records) {
    r.bin = where(r);
    const bin = bins[r.bin];
    bin.count += 1;
    bin.level = Math.max(bin.level, r.level);
    bin.kept = bin.kept || r.kept;
    if (bin.first === null) bin.first = r;
  }
  const dayOf = (edge) => {
    if (!byTime) return "record " + Math.min(records.length, Math.round(low + (high - low) * edge / BINS) + 1);
    const day = new Date((low + (high - low) * edge / BINS) * 1000);
    return day.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
  };
  const svg = $("strip");
  const HEIGHT = 40;
  svg.setAttribute("viewBox", `0 0 ${BINS} ${HEIGHT}`);
  const rect = (name, x, y, width, height) => {
    const el = document.createElementNS(svg.namespaceURI, "rect");
    el.setAttribute("class", name);
    for (const [key, value] of Object.entries({ x, y, width, height })) el.setAttribute(key, value);
    svg.append(el);
    return el;
  };
  const most = Math.max(1, ...bins.map((bin) => bin.count));
  rect("base", 0, HEIGHT - 6, BINS, .8);
  bins.forEach((bin, i) => {
    if (!bin.count) return;
    const tall = 4 + (HEIGHT - 12) * Math.sqrt(bin.count / most);
    rect("f" + bin.level, i + .1, HEIGHT - 6 - tall, .8, tall);
    if (bin.kept) rect("tick", i + .1, HEIGHT - 4, .8, 3);
  });
  const before = rect("out", 0, 0, 0, HEIGHT);
  const after = rect("out", BINS, 0, 0, HEIGHT);
  const view = rect("view", 0, 0, 1.5, HEIGHT);
  $("first").textContent = dayOf(0);
  $("last").textContent = dayOf(BINS);

  // --- filters ------------------------------------------------------------------------------------------------
  const from = $("from"), to = $("to"), search = $("search");
  for (const [slider, value] of [[from, 0], [to, BINS]]) {
    Object.assign(slider, { min: 0, max: BINS, step: 1 });
    slider.value = value;
  }
  const pressed = (id) => $(id).getAttribute("aria-pressed") === "true";
  const textOf = (r) => (r.text ??= r.el.lastElementChild.textContent.toLowerCase());
  let needle = "";

  const apply = () => {
    const a = Number(from.value), b = Number(to.value);
    needle = search.value.trim().toLowerCase();
    const onlyMarked = pressed("marked"), onlyKept = pressed("kept");
    let shown = 0, month = null, day = null;
    for (const r of records) {
      const visible = r.bin >= a && r.bin < b && (!onlyMarked || r.level >= 2 || r.kept) && (!onlyKept || r.kept)
        && (!needle || textOf(r).includes(needle));
      r.el.hidden = !visible;
      if (!visible) continue;
      shown += 1;
      if (r.section !== month) { month = r.section; day = null; }
      if (r.stamp) {
        r.stamp.classList.toggle("again", r.stamp.textContent === day);
        day = r.stamp.textContent;
      }
    }
    for (const section of sections) section.hidden = !section.querySelector("article:not([hidden])");
    before.setAttribute("width", a);
    after.setAttribute("x", b);
    after.setAttribute("width", BINS - b);
    from.setAttribute("aria-valuetext", dayOf(a));
    to.setAttribute("aria-valuetext", dayOf(b));
    $("span").textContent = a === 0 && b === BINS ? "" : `${dayOf(a)} to ${dayOf(b)}`;
    $("count").textContent = shown === records.length
      ? `${shown.toLocaleString("en")} records`
      : `${shown.toLocaleString("en")} of ${records.length.toLocaleString("en")} records`;
    $("nothing").hidden = shown > 0;
    highlight();
    close();
    follow();
  };

  // Found text is highlighted without touching the page's own elements.
  const highlight = () => {
    if (!window.CSS || !CSS.highlights) return;
    CSS.highlights.delete("found");
    if (!needle) return;
    const found = new Highlight();
    for (const r of records) {
      if (r.el.hidden) continue;
      const walk = document.createTreeWalker(r.el.lastElementChild, NodeFilter.SHOW_TEXT);
      for (let node = walk.nextNode(); node; node = walk.nextNode()) {
        const text = node.data.toLowerCase();
        if (text.length !== node.data.length) continue;
        for (let at = text.indexOf(needle); at >= 0 && found.size < 5000; at = text.indexOf(needle, at + needle.length)) {
          const range = new Range();
          range.setStart(node, at);
          range.setEnd(node, at + needle.length);
          found.add(range);
        }
      }
    }
    CSS.highlights.set("found", found);
  };

  from.addEventListener("input", () => { from.value = Math.min(Number(from.value), Number(to.value) - 1); apply(); });
  to.addEventListener("input", () => { to.value = Math.max(Number(to.value), Number(from.value) + 1); apply(); });
  let waiting = 0;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(apply, 120); });
  for (const id of ["marked", "kept"]) {
    $(id).addEventListener("click", () => { $(id).setAttribute("aria-pressed", String(!pressed(id))); apply(); });
  }
  const reset = () => {
    from.value = 0; to.value = BINS; search.value = "";
    for (const id of ["marked", "kept"]) $(id).setAttribute("aria-pressed", "false");
    apply();
  };
  $("reset").addEventListener("click", reset);
  $("kept").hidden = !records.some((r) => r.kept);

  // --- going places -------------------------------------------------------------------------------------------
  const bring = (el) => {
    // Rows that were never drawn have a guessed height, so the first landing can be off: go on until it stays.
    let last = null, left = 12;
    const step = () => {
      el.scrollIntoView({ block: "center", behavior: "instant" });
      const { top } = el.getBoundingClientRect();
      if (top === last || left === 0) { if (current === el) open(el); return; }
      last = top;
      left -= 1;
      requestAnimationFrame(step);
    };
    step();
  };
  const visit = (mark) => {
    if (!mark) return;
    if (mark.closest("article").hidden) reset();
    focus(mark);
    bring(mark);
  };
  svg.addEventListener("click", (event) => {
    const box = svg.getBoundingClientRect();
    const wanted = (event.clientX - box.left) / box.width * BINS;
    let best = null;
    for (const r of records) {
      if (!r.el.hidden && (!best || Math.abs(r.bin + .5 - wanted) < Math.abs(best.bin + .5 - wanted))) best = r;
    }
    if (best) { best.el.scrollIntoView({ block: "start", behavior: "instant" }); follow(); }
  });
  $("topmarks").addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    event.preventDefault();
    visit(document.querySelector(link.getAttribute("href")));
  });
  const byOffset = (step) => {
    const rank = current ? Number(current.dataset.n) - 1 + step : 0;
    for (let i = rank; i >= 0 && i < byRank.length; i += step || 1) {
      if (!byRank[i].closest("article").hidden) { visit(byRank[i]); return; }
    }
  };
  $("higher").addEventListener("click", () => byOffset(-1));
  $("lower").addEventListener("click", () => byOffset(current ? 1 : 0));

  // Where the reader is, on the strip.
  let ticking = false;
  const follow = () => {
    ticking = false;
    const top = document.querySelector(".tools").getBoundingClientRect().bottom;
    let lowest = 0, highest = records.length - 1;
    const open = records.filter((r) => !r.el.hidden);
    if (!open.length) { view.setAttribute("width", 0); return; }
    lowest = 0; highest = open.length - 1;
    while (lowest < highest) {
      const middle = (lowest + highest) >> 1;
      if (open[middle].el.getBoundingClientRect().bottom < top) lowest = middle + 1; else highest = middle;
    }
    view.setAttribute("x", Math.min(BINS - 1.5, open[lowest].bin));
    view.setAttribute("width", 1.5);
  };
  addEventListener("scroll", () => {
    if (!ticking) { ticking = true; requestAnimationFrame(follow); }
    if (current && !pinned) close();
  }, { passive: true });

  // --- the card -----------------------------------------------------------------------------------------------
  const card = $("card");
  const tops = ["", "top 20 %", "top 10 %", "top 5 %", "top 2 %", "top 1 %"];
  let current = null, pinned = false;
  const make = (name, text, className) => {
    const el = document.createElement(name);
    if (text !== undefined) el.textContent = text;
    if (className) el.className = className;
    return el;
  };
  const open = (mark) => {
    const record = mark.closest("article").dataset;
    const level = Number(/\bh(\d)/.exec(mark.className)[1]);
    const place = make("p", undefined, "place");
    place.append(make("b", mark.dataset.n), make("span", `of ${Number(document.body.dataset.segments).toLocaleString("en")}`, "dim"));
    if (level) place.append(make("span", tops[level], `chip h${level}`));
    const list = make("dl");
    const rows = [["Score", mark.dataset.v], ["Date", record.when], ["Kind", record.kind], ["Label", record.label],
      ["Record", record.id], ["Heads", document.body.dataset.heads], ["Profile", mark.classList.contains("p") ? "yes, in it" : ""]];
    for (const [name, value] of rows) {
      if (value) list.append(make("dt", name), make("dd", value));
    }
    card.replaceChildren(place, list);
    card.hidden = false;
    if (current && current !== mark) { current.classList.remove("on"); current.removeAttribute("aria-describedby"); }
    current = mark;
    mark.classList.add("on");
    mark.setAttribute("aria-describedby", "card");
    $("rank").textContent = mark.dataset.n;
    if (phone.matches) return;
    const lines = mark.getClientRects();
    const box = lines[lines.length - 1] ?? mark.getBoundingClientRect();
    const size = card.getBoundingClientRect();
    const below = box.bottom + 10 + size.height < innerHeight;
    card.style.left = Math.max(12, Math.min(innerWidth - size.width - 12, box.left)) + "px";
    card.style.top = Math.max(12, below ? box.bottom + 10 : lines[0].top - size.height - 10) + "px";
  };
  const close = () => {
    card.hidden = true;
    pinned = false;
    if (current) { current.classList.remove("on"); current.removeAttribute("aria-describedby"); }
    current = null;
  };
  const focus = (mark) => {
    for (const other of document.querySelectorAll('mark[tabindex="0"]')) other.tabIndex = -1;
    mark.tabIndex = 0;
    mark.focus({ preventScroll: true });
    open(mark);
    pinned = true;
  };
  const main = $("history");
  main.addEventListener("pointerover", (event) => {
    const mark = event.target.closest("mark");
    if (mark && event.pointerType === "mouse" && !pinned) open(mark);
  });
  main.addEventListener("pointerout", (event) => { if (!pinned && event.target.closest("mark")) close(); });
  main.addEventListener("focusin", (event) => {
    const mark = event.target.closest("mark");
    if (mark && mark !== current) { open(mark); pinned = true; }
  });
  main.addEventListener("click", (event) => { const mark = event.target.closest("mark"); if (mark) focus(mark); });
  document.addEventListener("click", (event) => {
    if (pinned && !event.target.closest("mark, .stepper, #topmarks")) close();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { close(); return; }
    if (event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "n") byOffset(current ? 1 : 0);
    else if (event.key === "p") byOffset(-1);
    else if (event.target.matches("mark") && /^Arrow(Left|Right|Up|Down)$/.test(event.key)) {
      event.preventDefault();
      const step = /Right|Down/.test(event.key) ? 1 : -1;
      let i = marks.indexOf(event.target) + step;
      while (marks[i] && marks[i].closest("article").hidden) i += step;
      if (marks[i]) { focus(marks[i]); marks[i].scrollIntoView({ block: "nearest", behavior: "instant" }); open(marks[i]); }
    }
  });
  if (marks.length) byRank[0].tabIndex = 0;

  if (phone.matches) $("topmarks").open = false;
  apply();
  if (location.hash.startsWith("#s")) visit(document.getElementById(location.hash.slice(1)));
  else if (marks.length && !byRank[0].classList.contains("h0")) bring(byRank[0]);
  addEventListener("hashchange", () => { if (location.hash.startsWith("#s")) visit(document.getElementById(location.hash.slice(1))); });
  root.dataset.ready = "1";
})();
