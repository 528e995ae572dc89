"use strict";
// The own read, languages, findings and where to look.
(() => {
  const { data, state } = medkd;
  const at = (id) => document.getElementById(id);

  // Without scripts the style alone changes the language of the page; what scripts write, options and descriptions of pictures follow here.
  function speak(language) {
    state.language = language;
    document.documentElement.lang = { en: "en", zh: "zh-Hans" }[language];
    document.querySelectorAll("option[data-en]").forEach((option) => { option.textContent = option.dataset[language]; });
    document.querySelectorAll("img[data-en]").forEach((image) => { image.alt = image.dataset[language]; });
    medkd.tellWindow();
    medkd.draw();
  }

  function choose(index) {
    state.lesion = index;
    at("lesion").value = index;
    const names = data.explainers[index] || [];
    const select = at("explainer");
    const kept = select.value;
    select.replaceChildren(...names.map((name) => new Option(name)));
    if (names.includes(kept)) select.value = kept;
    state.explainer = select.value;
  }

  function lesion(index) {
    if (!data.centres.length) return;
    choose((index + data.centres.length) % data.centres.length);
    state.spot = null;
    medkd.goTo(data.centres[state.lesion]);
  }

  function lock() {
    const read = document.querySelector("input[name=read]:checked");
    if (!read || state.locked) return;
    if (data.served && !data.served.locked) return; // the form is sent, and the page that comes back holds what was found
    state.locked = true;
    document.querySelectorAll("input[name=read]").forEach((input) => { input.disabled = true; });
    at("lock").disabled = true;
    const copied = [...read.parentElement.childNodes].filter((node) => node !== read).map((node) => node.cloneNode(true));
    at("locked").querySelector(".answer").replaceChildren(...copied);
    at("locked").querySelector(".before").hidden = false;
    document.querySelectorAll(".ai").forEach((element) => { element.hidden = false; });
    document.querySelector(".panes").classList.remove("alone");
    document.body.dataset.locked = "true";
    medkd.draw();
    lesion(0);
    at("summary").focus({ preventScroll: true });
    at("summary").scrollIntoView();
    document.dispatchEvent(new CustomEvent("medkd:locked", { detail: { answer: read.value } }));
  }

  function jump(button) {
    if (button.dataset.lesion !== undefined) choose(Number(button.dataset.lesion));
    const slice = Number(button.dataset.slice);
    state.spot = button.dataset.spot ? [slice, ...button.dataset.spot.split(",").map(Number)] : null;
    const centre = button.dataset.lesion !== undefined ? data.centres[state.lesion] : state.point;
    if (!document.querySelector(".panes").classList.contains("planes") && button.dataset.lesion === undefined) state.plane = medkd.acquired;
    medkd.goTo(state.spot || [slice, centre[1], centre[2]]);
    at("images").scrollIntoView();
  }

  document.querySelectorAll("input[name=read]").forEach((input) => input.addEventListener("change", () => { at("lock").disabled = false; }));
  at("lock").addEventListener("click", lock);
  at("lesion").addEventListener("change", (event) => lesion(Number(event.target.value)));
  at("explainer").addEventListener("change", (event) => { state.explainer = event.target.value; medkd.draw(); });
  document.querySelectorAll("input[name=language]").forEach((input) => input.addEventListener("change", () => speak(input.value)));
  document.querySelectorAll("button.go").forEach((button) => button.addEventListener("click", () => jump(button)));
  document.addEventListener("keydown", (event) => {
    if (!state.locked || event.ctrlKey || event.metaKey || event.altKey || medkd.taken(event.target)) return;
    const key = event.key.toLowerCase();
    if (key === "h") medkd.heat(!state.heat);
    if (key === "n") lesion(state.lesion + 1);
    if (key === "p") lesion(state.lesion - 1);
  });

  document.querySelector(".panes").classList.add("alone");
  choose(0);
  medkd.preset(0);
  if (location.hash === "#zh") at("language-zh").checked = true;
  speak(document.querySelector("input[name=language]:checked").value);
  if (data.served && data.served.locked) lock();
  document.body.dataset.ready = "true";
  performance.mark("ready");
  document.dispatchEvent(new Event("medkd:ready"));
})();
