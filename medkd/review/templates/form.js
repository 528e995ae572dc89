"use strict";
// The sign-off: what was answered, drawn and rated becomes a `feedback_form/1`, sent where the page is served and saved as a file where it is not.
// Of the viewer it asks whether maps are shown (`medkd.state`, after each `medkd:drawn`), and when the own read is locked (`medkd:locked`).
(() => {
  const form = document.getElementById("feedback");
  if (!form) return;
  const at = (id) => document.getElementById(id);
  const given = form.dataset;
  const opened = performance.now();
  const now = () => (performance.now() - opened) / 1000;
  const time = { overlay: 0, since: null, read: Number(given.seconds) || 0 };
  const MOST_RUNS = 200000;
  let formId = given.form || random();
  let sending = false;

  function random() {
    return [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");
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
    const drawn = medkd.drawnMasks();
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
  document.addEventListener("medkd:drawn", () => {
    const overlay = medkd.state.locked && medkd.state.heat;
    if (overlay && time.since === null) time.since = now();
    if (!overlay && time.since !== null) { time.overlay += now() - time.since; time.since = null; }
  });
  document.addEventListener("medkd:marked", touched);
  document.addEventListener("medkd:locked", () => { if (!given.served) time.read = now(); });
  // A picture that cannot be decoded may hide what should be judged: the viewer says so, and nothing is signed on such a page.
  new MutationObserver(stopBroken).observe(document.body, { attributes: true, attributeFilter: ["data-broken"] });
  stopBroken();
  touched();
})();
