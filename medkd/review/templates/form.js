"use strict";
// The sign-off: what was answered, drawn and rated becomes a `feedback_form/1`, sent where the page is served and saved as a file where it is not.
// Of the viewer it asks what is shown (`medkd.state`, after each `medkd:drawn`), and when the own read is locked (`medkd:locked`).
(() => {
  const form = document.getElementById("feedback");
  if (!form) return;
  const at = (id) => document.getElementById(id);
  const given = form.dataset;
  const [slices, rows, columns] = given.shape.split(",").map(Number);
  const opened = performance.now();
  const now = () => (performance.now() - opened) / 1000;
  const time = { overlay: 0, since: null, read: Number(given.seconds) || 0 };
  const view = { acquired: true, slice: 0 };
  const MOST_RUNS = 200000;
  let formId = given.form || random();
  let sending = false;

  function random() {
    return [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");
  }

  // ---- what is drawn: for each mask its slices, for each slice a byte per voxel
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
    touched();
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

  // ---- what is asked
  const chosen = (name) => { const found = form.querySelector(`input[name="${name}"]:checked, input[type=hidden][name="${name}"]`); return found ? found.value : null; };

  function labelOf(element) {
    const copied = element.cloneNode(true);
    copied.querySelectorAll("button").forEach((button) => button.remove());
    return [...copied.childNodes];
  }

  function show(id, labels) {
    const problem = at(id);
    problem.hidden = labels !== true && labels.length === 0;
    if (labels !== true) problem.querySelector(".which")?.replaceChildren(...labels.flatMap((nodes, index) => (index ? ["; ", ...nodes] : nodes)));
    return !problem.hidden;
  }

  function lacking() {
    const missing = [];
    form.querySelectorAll("fieldset.asked").forEach((field) => {
      const none = !field.querySelector("input:checked");
      field.classList.toggle("lacking", none);
      if (!none) return;
      const about = field.closest(".verdict");
      missing.push([...(about ? [...labelOf(about.querySelector("h4")), ": "] : []), ...labelOf(field.querySelector("legend"))]);
    });
    return missing;
  }

  // A number of characters as the contract counts them: code points, not halves of them.
  const written = () => [...at("comment").value.replace(/\r\n/g, "\n").trim()].length;

  function verdicts(drawn) {
    return [...form.querySelectorAll(".verdict")].map((one) => {
      const finding = one.dataset.finding;
      const own = ["allowed", "forbidden"].filter((meaning) => drawn.has(`${finding}:${meaning}`));
      return {
        finding,
        prediction: chosen(`prediction.${finding}`),
        explanation: chosen(`explanation.${finding}`),
        reasons: [...one.querySelectorAll("input[type=checkbox]:checked")].map((box) => box.value),
        masks: own.map((meaning) => ({ meaning, voxels: drawn.get(`${finding}:${meaning}`), source: "drawn" })),
      };
    });
  }

  function filled() {
    const drawn = drawnMasks();
    const likert = {};
    form.querySelectorAll("fieldset.likert").forEach((field) => { const item = field.dataset.asked.slice(7); likert[item] = Number(chosen(`likert.${item}`)); });
    const read = document.querySelector("input[name=read]:checked");
    return {
      schema_version: "feedback_form/1",
      form: formId,
      report: given.report,
      study_key: given.study,
      decision: chosen("decision"),
      verdicts: verdicts(drawn),
      missed: [...drawn.keys()].filter((name) => name.startsWith("missed:")).map((name) => drawn.get(name)),
      likert,
      comment: at("comment").value.replace(/\r\n/g, "\n").trim(),
      seconds_on_page: Math.round((now() + (given.served ? time.read : 0)) * 10) / 10,
      seconds_with_overlay: Math.round((time.overlay + (time.since === null ? 0 : now() - time.since)) * 10) / 10,
      language: document.documentElement.lang.startsWith("zh") ? "zh" : "en",
      page_version: given.version,
      supersedes: given.supersedes || null,
      own_read: { answer: read ? read.value : "", seconds: Math.round(time.read * 10) / 10 },
    };
  }

  function correct(payload) {
    const title = (name) => labelOf(at(`verdict-${name}`));
    const without = payload.verdicts.filter((one) => one.explanation === "corrected" && !one.masks.length).map((one) => title(one.finding));
    const stray = payload.verdicts.filter((one) => one.explanation !== "corrected" && one.masks.length).map((one) => title(one.finding));
    const many = [...payload.verdicts.flatMap((one) => one.masks.map((mask) => mask.voxels)), ...payload.missed].some((one) => one.runs.length > MOST_RUNS);
    const over = written() - 2000;
    at("runs-problem").hidden = !many;
    const wrong = [show("missing", lacking()), show("no-mask", without), show("stray-mask", stray), show("too-long", over > 0 ? [[`(+${over})`]] : [])];
    show("refused", []);
    at("unreached").hidden = true;
    return !many && !wrong.includes(true);
  }

  function save(payload) {
    const name = `feedback-${payload.study_key}-${payload.form.slice(0, 8)}.json`;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(payload)], { type: "application/json" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    done(name);
  }

  function done(name) {
    const saved = document.querySelector("#saved .done");
    saved.hidden = false;
    saved.querySelector(".file").textContent = name;
    form.dataset.saved = "true";
  }

  async function send(payload) {
    sending = true;
    at("save").disabled = true;
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRF-Token": given.csrf },
        body: JSON.stringify(payload),
      });
      const said = await answer.json();
      if (answer.ok) { done(said.entry.slice(0, 12)); setTimeout(() => location.reload(), 600); return; }
      show("refused", [[said.message]]);
    } catch (error) {
      at("unreached").hidden = false;
    }
    sending = false;
    at("save").disabled = broken();
  }

  // What is changed after it was saved is another form: the same one twice would be kept once, as it first was.
  function touched() {
    at("comment-count").querySelector(".count").textContent = written();
    if (given.served || !form.dataset.saved) return;
    delete form.dataset.saved;
    formId = random();
    document.querySelector("#saved .done").hidden = true;
  }

  const broken = () => document.body.dataset.broken !== undefined;

  function stopBroken() {
    at("sign-broken").hidden = !broken();
    at("save").disabled = broken() || sending;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (sending || broken()) return;
    const payload = filled();
    if (!correct(payload)) { at("problems").scrollIntoView({ block: "center" }); return; }
    if (given.served) send(payload); else save(payload);
  });
  form.addEventListener("input", touched);
  at("rest-unsure")?.addEventListener("click", () => {
    form.querySelectorAll('fieldset[data-asked="prediction"]').forEach((field) => { if (!field.querySelector("input:checked")) field.querySelector('input[value="unsure"]').checked = true; });
    touched();
  });
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
    const overlay = state.locked && state.heat;
    if (overlay && time.since === null) time.since = now();
    if (!overlay && time.since !== null) { time.overlay += now() - time.since; time.since = null; }
    paint();
  });
  document.addEventListener("medkd:locked", () => { if (!given.served) time.read = now(); });
  // A picture that cannot be decoded may hide what should be judged: the viewer says so, and nothing is signed on such a page.
  new MutationObserver(stopBroken).observe(document.body, { attributes: true, attributeFilter: ["data-broken"] });
  attachCanvas();
  stopBroken();
  touched();
})();
