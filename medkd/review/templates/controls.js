"use strict";
// Pointer and keys on the panes.
(() => {
  const { data, state } = medkd;
  const at = (id) => document.getElementById(id);
  const DRAG = 3;

  function pixelUnder(pane, event) {
    const box = pane.querySelector(".stack").getBoundingClientRect();
    const [rows, columns] = data.views[medkd.planeOf(pane)].size;
    return [((event.clientX - box.left) / box.width) * columns, ((event.clientY - box.top) / box.height) * rows];
  }

  function click(pane, event) {
    const plane = medkd.planeOf(pane);
    const voxel = medkd.voxelAt(plane, pixelUnder(pane, event));
    if (state.measuring) { medkd.addEnd(plane, voxel); return; }
    state.cross = true;
    medkd.goTo(voxel);
  }

  // A drag to the right widens the window, a drag up raises it; a finger scrolls the page instead.
  function press(pane, event) {
    if (event.button !== 0) return;
    const [x, y] = [event.clientX, event.clientY];
    const { low, high } = state.window;
    const stack = pane.querySelector(".stack");
    let dragged = false;
    const move = (moved) => {
      const [right, down] = [moved.clientX - x, moved.clientY - y];
      dragged = dragged || Math.hypot(right, down) > DRAG;
      if (!dragged || event.pointerType === "touch" || state.measuring) return;
      const width = (high - low) * Math.exp(right / 200);
      const level = (low + high) / 2 - (down / 200) * (high - low);
      medkd.setWindow(level - width / 2, level + width / 2);
    };
    const end = (ended) => {
      for (const [name, listener] of [["pointermove", move], ["pointerup", end], ["pointercancel", end]]) stack.removeEventListener(name, listener);
      if (ended.type === "pointerup" && !dragged) click(pane, ended);
    };
    stack.setPointerCapture(event.pointerId);
    for (const [name, listener] of [["pointermove", move], ["pointerup", end], ["pointercancel", end]]) stack.addEventListener(name, listener);
  }

  for (const pane of medkd.panes.filter((one) => one.dataset.role !== "prior")) {
    const stack = pane.querySelector(".stack");
    stack.addEventListener("pointerdown", (event) => press(pane, event));
    stack.addEventListener("dragstart", (event) => event.preventDefault());
    // At the first and the last slice the wheel moves the page again.
    stack.addEventListener("wheel", (event) => { if (medkd.step(medkd.planeOf(pane), Math.sign(event.deltaY))) event.preventDefault(); }, { passive: false });
  }
  document.querySelectorAll(".pane img").forEach((image) => image.addEventListener("error", medkd.broken));

  // Pictures that nobody has turned to yet are decoded while nothing else is to be done: a broken one is named before anybody signs.
  function check(sources) {
    const next = sources.pop();
    if (next === undefined) { document.body.dataset.checked = "true"; return; }
    const image = new Image();
    image.src = next;
    image.decode().catch(medkd.broken).finally(() => (window.requestIdleCallback || setTimeout)(() => check(sources)));
  }

  const MOVES = { ArrowLeft: ["right", -1], ArrowRight: ["right", 1] };

  function movePoint(direction, by) {
    const view = data.views[state.plane];
    const flipped = direction === "right" ? view.flip_right : view.flip_down;
    const voxel = [...state.point];
    voxel[view[direction]] += flipped ? -by : by;
    state.cross = true;
    medkd.goTo(voxel);
  }

  function key(event) {
    const name = event.key;
    const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10 };
    if (event.shiftKey && (name === "ArrowUp" || name === "ArrowDown")) movePoint("down", steps[name]);
    else if (name in steps) medkd.step(state.plane, steps[name]);
    else if (name in MOVES) movePoint(...MOVES[name]);
    else if (name === "Enter" && state.measuring && event.target.tagName !== "BUTTON") medkd.addEnd(state.plane, [...state.point]);
    else if (name === "?") at("help").open = !at("help").open;
    else if (/^[1-5]$/.test(name)) medkd.preset(Number(name) - 1);
    else return false;
    return true;
  }

  const LETTERS = {
    a: () => medkd.show("axial"),
    c: () => medkd.show("coronal"),
    s: () => medkd.show("sagittal"),
    r: () => medkd.measure(!state.measuring),
    i: () => { if (medkd.images.length > 1) medkd.showImage((state.image + 1) % medkd.images.length); },
  };

  // What takes keys of its own: texts, lists, choices.
  function taken(target) {
    return ["SELECT", "TEXTAREA", "SUMMARY"].includes(target.tagName) || (target.tagName === "INPUT" && !["range", "checkbox"].includes(target.type));
  }

  Object.assign(medkd, { taken });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || taken(event.target)) return;
    const letter = LETTERS[event.key.toLowerCase()];
    if (letter) letter();
    else if (key(event)) event.preventDefault();
  });
  at("slice").addEventListener("input", (event) => {
    const { axis, places } = data.views[state.plane];
    state.point[axis] = places[Number(event.target.value)];
    medkd.draw();
  });
  at("heat").addEventListener("change", (event) => medkd.heat(event.target.checked));
  at("preset").addEventListener("change", (event) => medkd.preset(event.target.selectedIndex));
  at("image").addEventListener("change", (event) => medkd.showImage(event.target.selectedIndex));
  at("ruler").addEventListener("click", () => medkd.measure(!state.measuring));
  at("all-planes").addEventListener("change", (event) => medkd.showAll(event.target.checked));
  document.querySelectorAll("button[data-show-plane]").forEach((button) => button.addEventListener("click", () => medkd.show(button.dataset.showPlane)));
  document.addEventListener("medkd:ready", () => check(medkd.images.flatMap((one) => Object.values(one.pictures).flat()).filter((one) => one.startsWith("data:"))));
})();
