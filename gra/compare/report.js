// Show all samples, only the kept ones, or only the rejected ones.
"use strict";
const buttons = document.querySelectorAll(".filter button");
for (const button of buttons) {
  button.addEventListener("click", () => {
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    for (const sample of document.querySelectorAll("details.sample")) {
      sample.hidden = button.dataset.show !== "all" && sample.dataset.fate !== button.dataset.show;
    }
  });
}
