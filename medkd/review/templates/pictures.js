"use strict";
// What a page holds, and where a voxel lies in each plane. Other scripts find all of it in `medkd`.
const medkd = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const [acquired] = Object.keys(data.views).filter((name) => data.views[name].axis === 0);
  const state = {
    language: "en", plane: acquired, locked: false, heat: false, lesion: 0, explainer: "",
    // Begin in the middle: the key slice of a finding would give the model's answer away before the own read.
    point: data.shape.map((size) => Math.floor(size / 2)),
    image: 0,
    window: { low: data.windows[0].low, high: data.windows[0].high },
    spot: null, cross: false, ruler: null, measuring: false,
  };

  // What the page holds of the image that is looked at: slices, levels, windows. All images lie on the same voxels.
  const images = [data, ...data.further];
  const image = () => images[state.image];

  // The one place where pictures come from: a page that is served replaces it by one that gives addresses.
  function pictureOf(plane, index) {
    const place = data.views[plane].places[index];
    const fine = (image().fine[plane] || {})[place];
    return { source: fine || image().pictures[plane][index], box: fine ? [0, 0, 1, 1] : data.views[plane].box };
  }

  // A map of the chosen finding: its picture, "" where it is zero, null where the page does not hold it.
  function heatOf(role, plane, index) {
    const maps = (data.heat[state.lesion] || {})[state.explainer];
    if (!maps || !(role in maps.planes)) return null;
    const place = data.views[plane].places[index];
    if (!(maps.held[plane] || []).includes(place)) return null;
    return (maps.planes[role][plane] || {})[place] || "";
  }

  function indexOf(plane, voxel) {
    const { axis, places } = data.views[plane];
    let best = 0;
    places.forEach((place, index) => { if (Math.abs(place - voxel[axis]) < Math.abs(places[best] - voxel[axis])) best = index; });
    return best;
  }

  // Pixels of a plane as it is drawn, (0, 0) being the corner of the first, from a voxel's centre, and back.
  function pixelOf(plane, voxel) {
    const view = data.views[plane];
    const [rows, columns] = view.size;
    const [row, column] = [voxel[view.down] + 0.5, voxel[view.right] + 0.5];
    return [view.flip_right ? columns - column : column, view.flip_down ? rows - row : row];
  }

  function voxelAt(plane, [x, y]) {
    const view = data.views[plane];
    const [rows, columns] = view.size;
    const voxel = [...state.point];
    voxel[view.right] = (view.flip_right ? columns - x : x) - 0.5;
    voxel[view.down] = (view.flip_down ? rows - y : y) - 0.5;
    return voxel;
  }

  function clamped(voxel) {
    return voxel.map((place, axis) => Math.max(0, Math.min(data.shape[axis] - 1, Math.round(place))));
  }

  // By the whole affine: slices of a tilted gantry are sheared, and so are the planes across them. Null where nothing is known in mm.
  function millimetres(from, to) {
    const step = to.map((place, axis) => place - from[axis]);
    if (data.affine) return Math.hypot(...data.affine.map((row) => row.reduce((sum, value, axis) => sum + value * step[axis], 0)));
    return data.spacing ? Math.hypot(step[1] * data.spacing[0], step[2] * data.spacing[1]) : null;
  }

  // The grey of each of the 256 levels through a window, as shares of white.
  function table({ low, high }) {
    const found = [];
    const { levels } = image();
    for (let level = 0, part = 0; level < 256; level += 1) {
      while (part < levels.length - 2 && level > levels[part + 1][0]) part += 1;
      const [[from, value], [to, next]] = [levels[part], levels[part + 1]];
      const share = (value + ((level - from) / (to - from)) * (next - value) - low) / (high - low);
      found.push(Math.round(Math.max(0, Math.min(1, share)) * 255));
    }
    return found;
  }

  function say(key, values = {}) {
    return data.texts[state.language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  }

  return { data, state, acquired, images, image, pictureOf, heatOf, indexOf, pixelOf, voxelAt, clamped, millimetres, table, say };
})();
