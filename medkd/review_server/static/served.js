"use strict";
// A served page: pictures come from addresses, in full resolution and when they are looked at; neighbours are fetched ahead.
(() => {
  const { data, state } = medkd;
  const { base } = data.served;
  const MOST = 400;
  const AHEAD = 4;
  const kept = new Map();

  // A picture that was fetched is shown from memory: the server lets no browser keep it longer than the page is open.
  function fetched(address) {
    const known = kept.get(address);
    if (known !== undefined) return known;
    kept.set(address, "");
    fetch(address).then((answer) => { if (!answer.ok) throw new Error(answer.status); return answer.blob(); }).then((blob) => {
      kept.set(address, URL.createObjectURL(blob));
      if (kept.size > MOST) { const [[first, source]] = kept; kept.delete(first); if (source) setTimeout(() => URL.revokeObjectURL(source), 5000); }
    }).catch(() => kept.delete(address));
    return "";
  }

  const sliceAt = (plane, place) => `${base}/slice/${plane}/${place}?levels=1${state.image ? `&image=${state.image}` : ""}`;

  medkd.pictureOf = (plane, index) => {
    const { places } = data.views[plane];
    for (let by = 1; by <= AHEAD; by += 1) for (const next of [index + by, index - by]) if (next in places) ahead.push(sliceAt(plane, places[next]));
    const address = sliceAt(plane, places[index]);
    return { source: kept.get(address) || address, box: [0, 0, 1, 1] };
  };

  medkd.heatOf = (role, plane, index) => {
    const maps = (data.heat[state.lesion] || {})[state.explainer];
    const place = data.views[plane].places[index];
    if (!maps || !maps.roles.includes(role) || (maps.held[plane] && !maps.held[plane].includes(place))) return null;
    const address = `${base}/heat/${state.lesion}/${encodeURIComponent(state.explainer)}/${role}/${plane}/${place}`;
    return kept.get(address) || address;
  };

  // One after another: a reader who turns pages quickly has those that are looked at first.
  const ahead = [];
  let waiting = null;
  document.addEventListener("medkd:drawn", () => {
    const wanted = ahead.splice(0).filter((address) => !kept.has(address));
    clearTimeout(waiting);
    waiting = setTimeout(() => wanted.slice(0, 2 * AHEAD).forEach(fetched), 120);
  });

  const form = document.getElementById("own-read-form");
  if (form) form.addEventListener("submit", () => { form.elements.seconds.value = (performance.now() / 1000).toFixed(1); setTimeout(() => { document.getElementById("lock").disabled = true; }); });

  document.querySelectorAll("input[name=language]").forEach((input) => input.addEventListener("change", () => { fetch(`/language/${input.value}?next=/health`); }));
})();
