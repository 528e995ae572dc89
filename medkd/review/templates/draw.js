"use strict";
// Masks drawn on the acquired plane by brush, eraser and polygon; `medkd.drawnMasks()` gives them as the runs of a `VoxelMask`, `medkd:marked` says that they changed.
(() => {
  const form = document.getElementById("feedback");
  if (!form) return;
  const at = (id) => document.getElementById(id);
  const [slices, rows, columns] = form.dataset.shape.split(",").map(Number);
  const view = { acquired: true, slice: 0 };
  // For each mask its slices, for each slice a byte per voxel.
  const masks = new Map();
  const undone = [];
  const canvas = document.createElement("canvas");
  const points = [];
  let stroke = null;

  const current = () => at("draw-for").value;
  const tool = () => at("tool").value;

  function layer(name, slice, make) {
    if (!masks.has(name)) { if (!make) return undefined; masks.set(name, new Map()); }
    const found = masks.get(name);
    if (!found.has(slice) && make) found.set(slice, new Uint8Array(rows * columns));
    return found.get(slice);
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * columns, (event.clientY - box.top) / box.height * rows];
  }

  function remember() {
    const values = layer(current(), view.slice);
    undone.push([current(), view.slice, values ? values.slice() : null]);
    if (undone.length > 30) undone.shift();
  }

  function dab([x, y], value) {
    const values = layer(current(), view.slice, true);
    const radius = Number(at("brush-size").value) / 2;
    for (let row = Math.max(0, Math.floor(y - radius)); row <= Math.min(rows - 1, Math.ceil(y + radius)); row += 1) {
      for (let column = Math.max(0, Math.floor(x - radius)); column <= Math.min(columns - 1, Math.ceil(x + radius)); column += 1) {
        if (Math.hypot(column + 0.5 - x, row + 0.5 - y) <= Math.max(radius, 0.71)) values[row * columns + column] = value;
      }
    }
  }

  function line(from, to, value) {
    const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1])));
    for (let step = 0; step <= steps; step += 1) dab([from[0] + (to[0] - from[0]) * step / steps, from[1] + (to[1] - from[1]) * step / steps], value);
  }

  // Voxels whose centre lies within the polygon, by the even-odd rule.
  function fill(corners) {
    const values = layer(current(), view.slice, true);
    for (let row = 0; row < rows; row += 1) {
      const y = row + 0.5;
      const crossings = [];
      corners.forEach(([x1, y1], index) => {
        const [x2, y2] = corners[(index + 1) % corners.length];
        if ((y1 <= y) !== (y2 <= y)) crossings.push(x1 + (y - y1) / (y2 - y1) * (x2 - x1));
      });
      crossings.sort((one, other) => one - other);
      for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
        for (let column = Math.max(0, Math.ceil(crossings[pair] - 0.5)); column <= Math.min(columns - 1, crossings[pair + 1] - 0.5); column += 1) values[row * columns + column] = 1;
      }
    }
  }

  function closePolygon() {
    if (points.length >= 3) { remember(); fill(points); changed(); }
    points.length = 0;
    paint();
  }

  function paint() {
    const context = canvas.getContext("2d");
    const seen = view.acquired;
    canvas.hidden = !seen;
    if (canvas.width !== columns || canvas.height !== rows) { canvas.width = columns; canvas.height = rows; }
    context.clearRect(0, 0, columns, rows);
    if (!seen) return;
    const picture = context.createImageData(columns, rows);
    masks.forEach((found, name) => {
      const values = found.get(view.slice);
      if (!values) return;
      const colour = name.endsWith(":allowed") ? [123, 216, 143] : name.endsWith(":forbidden") ? [255, 107, 107] : [200, 150, 255];
      const strength = name === current() ? 150 : 70;
      values.forEach((value, index) => { if (value) picture.data.set([...colour, strength], index * 4); });
    });
    context.putImageData(picture, 0, 0);
    if (points.length) {
      context.strokeStyle = "#fff";
      context.lineWidth = Math.max(1, columns / 400);
      context.beginPath();
      points.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.stroke();
      context.fillStyle = "#fff";
      context.fillRect(points[0][0] - 1, points[0][1] - 1, 2, 2);
    }
  }

  function changed() {
    at("drawn").textContent = [...masks.values()].reduce((all, found) => all + [...found.values()].reduce((sum, values) => sum + values.reduce((a, b) => a + b, 0), 0), 0);
    document.dispatchEvent(new Event("medkd:marked"));
  }

  function runsOf(found) {
    const runs = [];
    let end = -1;
    [...found.keys()].sort((one, other) => one - other).forEach((slice) => {
      const values = found.get(slice);
      const before = slice * rows * columns;
      for (let index = 0; index < values.length; index += 1) {
        if (!values[index]) continue;
        if (before + index === end) runs[runs.length - 1][1] += 1; else runs.push([before + index, 1]);
        end = before + index + 1;
      }
    });
    return runs;
  }

  function drawnMasks() {
    const made = new Map();
    masks.forEach((found, name) => {
      const runs = runsOf(found);
      if (runs.length) made.set(name, { shape: [slices, rows, columns], runs });
    });
    return made;
  }

  function tools() {
    canvas.classList.toggle("active", tool() !== "none");
    at("close-polygon").hidden = tool() !== "polygon";
    points.length = 0;
    paint();
  }

  function attachCanvas() {
    const stack = document.querySelector('.pane[data-role="plain"] .stack');
    if (!stack) return;
    canvas.className = "drawing";
    canvas.setAttribute("aria-hidden", "true");
    stack.append(canvas);
    canvas.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      event.stopPropagation();
      if (tool() === "polygon") { points.push(place(event)); paint(); return; }
      remember();
      canvas.setPointerCapture(event.pointerId);
      stroke = place(event);
      dab(stroke, tool() === "brush" ? 1 : 0);
      paint();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!stroke) return;
      event.stopPropagation();
      const here = place(event);
      line(stroke, here, tool() === "brush" ? 1 : 0);
      stroke = here;
      paint();
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { if (stroke) { stroke = null; changed(); } });
    canvas.addEventListener("dblclick", (event) => { event.preventDefault(); if (tool() === "polygon") closePolygon(); });
  }

  at("tool").addEventListener("change", tools);
  at("draw-for").addEventListener("change", () => { points.length = 0; paint(); });
  at("close-polygon").addEventListener("click", closePolygon);
  at("undo").addEventListener("click", () => {
    if (points.length) { points.pop(); paint(); return; }
    const last = undone.pop();
    if (!last) return;
    const [name, slice, values] = last;
    if (values) masks.get(name).set(slice, values); else masks.get(name)?.delete(slice);
    changed();
    paint();
  });
  at("clear-slice").addEventListener("click", () => { remember(); masks.get(current())?.delete(view.slice); changed(); paint(); });
  at("more-missed").addEventListener("click", () => {
    const select = at("draw-for");
    const number = [...select.options].filter((one) => one.value.startsWith("missed:")).length + 1;
    const first = [...select.options].find((one) => one.value === "missed:1");
    const added = first.cloneNode(true);
    for (const name of ["en", "zh"]) added.dataset[name] = first.dataset[name].replace("1", number);
    added.value = `missed:${number}`;
    added.textContent = added.dataset[document.documentElement.lang.startsWith("zh") ? "zh" : "en"];
    select.append(added);
    select.value = added.value;
    paint();
  });
  document.addEventListener("medkd:drawn", () => {
    const { state, data } = medkd;
    const plane = medkd.planeOf(document.querySelector('.pane[data-role="plain"]'));
    const acquired = data.views[plane].axis === 0;
    const slice = data.views[plane].places[medkd.indexOf(plane, state.point)];
    if (acquired !== view.acquired || slice !== view.slice) points.length = 0;
    Object.assign(view, { acquired, slice });
    paint();
  });
  medkd.drawnMasks = drawnMasks;
  attachCanvas();
})();
