"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";
  const [rows, columns] = data.size;
  const last = data.base.length - 1;
  // Begin in the middle: the key slice of a finding would give the model's answer away before the own read.
  const state = { language: "en", slice: Math.floor(data.base.length / 2), locked: false, heat: false, lesion: 0, spot: null };
  const panes = [...document.querySelectorAll(".pane")];

  for (const pane of panes) {
    pane.querySelector(".stack").style.aspectRatio = `${data.aspect[0]} / ${data.aspect[1]}`;
    const svg = pane.querySelector("svg");
    svg.setAttribute("viewBox", `0 0 ${columns} ${rows}`);
    svg.setAttribute("preserveAspectRatio", "none");
  }

  function say(key, values) {
    return data.texts[state.language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  }

  // Without scripts the style alone changes the language of the page; what scripts write, options and descriptions of pictures follow here.
  function speak(language) {
    state.language = language;
    document.documentElement.lang = { en: "en", zh: "zh-Hans" }[language];
    document.querySelectorAll("option[data-en]").forEach((option) => { option.textContent = option.dataset[language]; });
    document.querySelectorAll("img[data-en]").forEach((image) => { image.alt = image.dataset[language]; });
    draw();
  }

  function outline(svg, name, path) {
    const element = document.createElementNS(SVG, "path");
    element.setAttribute("class", name);
    element.setAttribute("d", path);
    svg.append(element);
  }

  function circle(svg, [row, column]) {
    const element = document.createElementNS(SVG, "path");
    const [x, y, r] = [column + 0.5, row + 0.5, 3];
    element.setAttribute("class", "spot");
    element.setAttribute("d", `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`);
    svg.append(element);
  }

  function draw() {
    const maps = (data.heat[state.lesion] || {})[at("explainer").value];
    at("slice").value = state.slice;
    at("where").textContent = say("images.where", { slice: state.slice + 1, count: last + 1 })
      + (data.positions.length ? say("images.position", { position: data.positions[state.slice] }) : "");
    for (const pane of panes) {
      const role = pane.dataset.role;
      pane.querySelector(".base").src = data.base[state.slice];
      const over = pane.querySelector(".heat");
      const picture = state.locked && state.heat && maps && role !== "plain" ? maps.planes[role][state.slice] : undefined;
      over.hidden = picture === undefined;
      if (picture !== undefined) over.src = picture; else over.removeAttribute("src");
      const failed = pane.querySelector(".failed");
      failed.textContent = picture !== undefined ? maps.failed[state.language] : "";
      failed.hidden = failed.textContent === "";
      const svg = pane.querySelector("svg");
      svg.replaceChildren();
      if (!state.locked) continue;
      const shown = role === "plain" ? ["reference", "teacher", "student"] : role === "difference" ? ["student", "teacher"] : [role];
      for (const name of shown) {
        const path = (data.outlines[name] || [])[state.slice];
        if (path) outline(svg, name, path);
      }
      if (state.spot && state.spot.slice === state.slice) circle(svg, state.spot.place);
    }
    at("scale").hidden = !(state.heat && maps);
    if (maps) { at("low").textContent = `−${maps.limit}`; at("high").textContent = maps.limit; }
  }

  function go(slice) { state.slice = Math.max(0, Math.min(last, slice)); draw(); }

  function choose(index) {
    state.lesion = index;
    at("lesion").value = index;
    const names = data.explainers[index] || [];
    const select = at("explainer");
    const kept = select.value;
    select.replaceChildren(...names.map((name) => new Option(name)));
    if (names.includes(kept)) select.value = kept;
  }

  function lesion(index) {
    const keys = [...document.querySelectorAll("#findings button.go[data-lesion]:not([data-spot])")];
    if (!keys.length) return;
    choose((index + keys.length) % keys.length);
    state.spot = null;
    go(Number(keys[state.lesion].dataset.slice));
  }

  function lock() {
    const read = document.querySelector("input[name=read]:checked");
    if (!read || state.locked) return;
    state.locked = true;
    document.querySelectorAll("input[name=read]").forEach((input) => { input.disabled = true; });
    at("lock").disabled = true;
    const copied = [...read.parentElement.childNodes].filter((node) => node !== read).map((node) => node.cloneNode(true));
    at("locked").querySelector(".answer").replaceChildren(...copied);
    at("locked").querySelector(".before").hidden = false;
    document.querySelectorAll(".ai").forEach((element) => { element.hidden = false; });
    document.querySelector(".panes").classList.remove("alone");
    document.body.dataset.locked = "true";
    draw();
    lesion(0);
    at("summary").focus({ preventScroll: true });
    at("summary").scrollIntoView();
  }

  function heat(on) { state.heat = on; at("heat").checked = on; draw(); }

  document.querySelectorAll("input[name=read]").forEach((input) => input.addEventListener("change", () => { at("lock").disabled = false; }));
  at("lock").addEventListener("click", lock);
  at("slice").addEventListener("input", (event) => go(Number(event.target.value)));
  at("heat").addEventListener("change", (event) => heat(event.target.checked));
  at("lesion").addEventListener("change", (event) => lesion(Number(event.target.value)));
  at("explainer").addEventListener("change", draw);
  document.querySelectorAll("input[name=language]").forEach((input) => input.addEventListener("change", () => speak(input.value)));
  document.querySelectorAll("button.go").forEach((button) => button.addEventListener("click", () => {
    if (button.dataset.lesion !== undefined) choose(Number(button.dataset.lesion));
    const slice = Number(button.dataset.slice);
    state.spot = button.dataset.spot ? { slice, place: button.dataset.spot.split(",").map(Number) } : null;
    go(slice);
    at("images").scrollIntoView();
  }));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || ["SELECT", "BUTTON"].includes(event.target.tagName) || event.target.name === "language") return;
    const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10 };
    if (event.key in steps) { event.preventDefault(); go(state.slice + steps[event.key]); return; }
    if (!state.locked) return;
    const key = event.key.toLowerCase();
    if (key === "h") heat(!state.heat);
    if (key === "n") lesion(state.lesion + 1);
    if (key === "p") lesion(state.lesion - 1);
  });

  document.querySelector(".panes").classList.add("alone");
  choose(0);
  if (location.hash === "#zh") at("language-zh").checked = true;
  speak(document.querySelector("input[name=language]:checked").value);
  document.body.dataset.ready = "true";
})();
