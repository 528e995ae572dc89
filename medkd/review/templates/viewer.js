"use strict";
// The panes: slices, outlines, maps, window, ruler.
(() => {
  const { data, state } = medkd;
  const at = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";
  const panes = [...document.querySelectorAll(".pane")];
  const OUTLINES = { difference: ["student", "teacher"], student: ["student"], teacher: ["teacher"] };
  const planeOf = (pane) => pane.dataset.plane || state.plane;

  function line(svg, name, path) {
    const element = document.createElementNS(SVG, "path");
    element.setAttribute("class", name);
    element.setAttribute("d", path);
    svg.append(element);
  }

  function place(image, source, box) {
    image.hidden = !source;
    if (!source) { image.removeAttribute("src"); return; }
    if (image.getAttribute("src") !== source) image.src = source;
    ["left", "top", "width", "height"].forEach((side, index) => { image.style[side] = `${100 * box[index]}%`; });
  }

  // The prior slice that lies nearest to the current one by the two headers, as it was acquired.
  function drawPrior(pane) {
    const { prior } = data;
    const slice = prior.beside[Math.round(state.point[0])];
    const stack = pane.querySelector(".stack");
    stack.style.aspectRatio = `${prior.aspect[0]} / ${prior.aspect[1]}`;
    place(pane.querySelector(".base"), slice < 0 ? "" : prior.pictures[slice], prior.box);
    const mark = pane.querySelector(".failed");
    mark.textContent = slice < 0 ? medkd.say("prior.outside") : "";
    mark.hidden = slice >= 0;
    for (const [edge, side] of Object.entries(prior.marks)) pane.querySelector(`.mark.${edge}`).textContent = side;
    const svg = pane.querySelector("svg");
    svg.setAttribute("viewBox", `0 0 ${prior.size[1]} ${prior.size[0]}`);
    svg.replaceChildren();
    for (const name of state.locked ? ["reference", "teacher", "student"] : []) {
      const path = (prior.outlines[name] || {})[slice];
      if (path) line(svg, name, path);
    }
  }

  function drawPane(pane) {
    if (pane.dataset.role === "prior") { drawPrior(pane); return; }
    const [plane, role] = [planeOf(pane), pane.dataset.role];
    const view = data.views[plane];
    const index = medkd.indexOf(plane, state.point);
    const stack = pane.querySelector(".stack");
    stack.style.aspectRatio = `${view.aspect[0]} / ${view.aspect[1]}`;
    stack.classList.toggle("upright", view.aspect[1] > 1.6 * view.aspect[0]);
    const { source, box } = medkd.pictureOf(plane, index);
    place(pane.querySelector(".base"), source, box);
    const wanted = state.locked && state.heat && role !== "plain";
    const heat = wanted ? medkd.heatOf(role === "planes" ? "student" : role, plane, index) : "";
    place(pane.querySelector(".heat"), heat, view.heat_box);
    const maps = (data.heat[state.lesion] || {})[state.explainer];
    const mark = pane.querySelector(".failed");
    mark.textContent = wanted && maps ? (heat === null ? medkd.say("images.not_held") : heat && maps.mark[state.language]) : "";
    mark.hidden = mark.textContent === "";
    for (const [edge, side] of Object.entries(view.marks)) pane.querySelector(`.mark.${edge}`).textContent = side;
    drawLines(pane, plane, role, view.places[index]);
  }

  function drawLines(pane, plane, role, slice) {
    const [rows, columns] = data.views[plane].size;
    const svg = pane.querySelector("svg");
    svg.setAttribute("viewBox", `0 0 ${columns} ${rows}`);
    svg.replaceChildren();
    if (state.locked) {
      for (const name of OUTLINES[role] || ["reference", "teacher", "student"]) {
        const path = ((data.outlines[name] || {})[plane] || {})[slice];
        if (path) line(svg, name, path);
      }
      if (state.spot && medkd.indexOf(plane, state.spot) === medkd.indexOf(plane, state.point)) {
        const [x, y] = medkd.pixelOf(plane, state.spot);
        const [right, down] = [0.03 * columns, 0.03 * columns * (data.views[plane].aspect[0] / columns) / (data.views[plane].aspect[1] / rows)];
        line(svg, "spot", `M${x - right} ${y}a${right} ${down} 0 1 0 ${2 * right} 0a${right} ${down} 0 1 0 ${-2 * right} 0`);
      }
    }
    if (state.cross || pane.dataset.plane) {
      const [x, y] = medkd.pixelOf(plane, state.point);
      line(svg, "cross", `M${x} 0V${y - rows / 16}M${x} ${y + rows / 16}V${rows}M0 ${y}H${x - columns / 16}M${x + columns / 16} ${y}H${columns}`);
    }
    drawRuler(pane, svg, plane, slice);
  }

  function drawRuler(pane, svg, plane, slice) {
    const label = pane.querySelector(".ruler-label");
    const ruler = state.ruler && state.ruler.plane === plane && state.ruler.slice === slice ? state.ruler : null;
    label.hidden = !ruler || ruler.ends.length < 2;
    if (!ruler) return;
    const ends = ruler.ends.map((voxel) => medkd.pixelOf(plane, voxel));
    ends.forEach(([x, y]) => line(svg, "ruler end", `M${x} ${y}h0`));
    if (ends.length < 2) return;
    line(svg, "ruler", `M${ends[0].join(" ")}L${ends[1].join(" ")}`);
    label.textContent = lengthOf(ruler.ends);
    label.style.left = `${(100 * ends[1][0]) / data.views[plane].size[1]}%`;
    label.style.top = `${(100 * ends[1][1]) / data.views[plane].size[0]}%`;
  }

  function lengthOf([from, to]) {
    const mm = medkd.millimetres(from, to);
    const pixels = Math.hypot(...to.map((value, axis) => value - from[axis]));
    return mm === null ? medkd.say("ruler.pixels", { length: pixels.toFixed(1) }) : medkd.say("ruler.mm", { length: mm.toFixed(1) });
  }

  function draw() {
    const view = data.views[state.plane];
    const index = medkd.indexOf(state.plane, state.point);
    at("slice").max = view.places.length - 1;
    at("slice").value = index;
    const words = { slice: view.places[index] + 1, count: data.shape[view.axis] };
    at("where").textContent = medkd.say("images.where", words)
      + (view.positions.length ? medkd.say("images.position", { axis: view.along, position: view.positions[index] }) : "");
    at("slice").setAttribute("aria-valuetext", at("where").textContent);
    document.querySelectorAll("button[data-show-plane]").forEach((button) => { button.setAttribute("aria-pressed", button.dataset.showPlane === state.plane); });
    document.querySelector(".panes").classList.toggle("reformatted", state.plane !== medkd.acquired);
    panes.filter((pane) => pane.offsetParent !== null).forEach(drawPane);
    const maps = (data.heat[state.lesion] || {})[state.explainer];
    at("scale").hidden = !(state.heat && maps);
    if (maps) { at("low").textContent = `−${maps.limit}`; at("high").textContent = maps.limit; }
    document.dispatchEvent(new Event("medkd:drawn"));
  }

  function step(plane, by) {
    const { axis, places } = data.views[plane];
    const index = medkd.indexOf(plane, state.point);
    const next = Math.max(0, Math.min(places.length - 1, index + by));
    if (next !== index) { state.point[axis] = places[next]; draw(); }
    return next !== index;
  }

  function show(plane) { if (plane in data.views) { state.plane = plane; draw(); } }

  function showAll(on) {
    at("all-planes").checked = on;
    document.querySelector(".panes").classList.toggle("planes", on);
    draw();
  }

  function goTo(voxel) { state.point = medkd.clamped(voxel); draw(); }

  function heat(on) { state.heat = on; at("heat").checked = on; draw(); }

  function setWindow(low, high, chosen = -1) {
    state.window = { low, high };
    const greys = medkd.table(state.window);
    const values = greys.map((grey) => (grey / 255).toFixed(6)).join(" ");
    document.querySelectorAll("#window feFuncR, #window feFuncG, #window feFuncB").forEach((one) => one.setAttribute("tableValues", values));
    // Levels that are greys already are shown as they lie in the page.
    document.querySelector(".panes").classList.toggle("windowed", greys.some((grey, level) => grey !== level));
    at("preset").selectedIndex = chosen;
    tellWindow();
  }

  function tellWindow() {
    const { low, high } = state.window;
    const digits = high - low > 20 ? 0 : 2;
    at("window-now").textContent = medkd.say("images.window_now", { low: low.toFixed(digits), high: high.toFixed(digits) });
  }

  function preset(index) {
    const found = medkd.image().windows[index];
    if (found) setWindow(found.low, found.high, index);
  }

  // Another image of the study, in the same place; its values have windows of their own.
  function showImage(number) {
    state.image = number;
    at("image").selectedIndex = number;
    document.querySelector(".panes").classList.toggle("another-image", number > 0);
    at("preset").replaceChildren(...medkd.image().windows.map(({ name }, index) => {
      const option = new Option(name[state.language], index + 1);
      Object.assign(option.dataset, name);
      return option;
    }));
    preset(0);
    draw();
  }

  function measure(on) {
    state.measuring = on;
    if (on) state.ruler = null;
    at("ruler").setAttribute("aria-pressed", on);
    document.querySelector(".panes").classList.toggle("measuring", on);
    at("measured").textContent = on ? medkd.say("ruler.first") : "";
    draw();
  }

  function addEnd(plane, voxel) {
    const slice = data.views[plane].places[medkd.indexOf(plane, state.point)];
    if (!state.ruler || state.ruler.ends.length > 1 || state.ruler.plane !== plane || state.ruler.slice !== slice) state.ruler = { plane, slice, ends: [] };
    state.ruler.ends.push(voxel);
    at("measured").textContent = state.ruler.ends.length < 2 ? medkd.say("ruler.second") : lengthOf(state.ruler.ends);
    draw();
  }

  function broken() {
    document.body.dataset.broken = "true";
    at("broken").hidden = false;
    at("broken").textContent = medkd.say("images.broken");
  }

  Object.assign(medkd, { draw, step, show, showAll, goTo, heat, setWindow, tellWindow, preset, showImage, measure, addEnd, broken, planeOf, panes });
})();
