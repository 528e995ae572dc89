"use strict";
// The place that is looked at is the one that is asked about.
(() => {
  const form = document.getElementById("ask-form");
  if (!form) return;
  const follow = () => ["slice", "row", "column"].forEach((name, axis) => {
    const input = form.elements[name];
    if (document.activeElement !== input) input.value = Math.round(medkd.state.point[axis]) + 1;
  });
  document.addEventListener("medkd:drawn", follow);
  follow();
})();
