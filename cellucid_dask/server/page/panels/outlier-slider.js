// The slider that hides the cells of each category that are farthest from its mean.

import { createElement } from "../dom.js";

/**
 * @param {number} quantile
 * @param {(quantile: number) => void} onQuantileChange 1 for no filter
 */
export function createOutlierSlider(quantile, onQuantileChange) {
  const output = createElement("output");
  const input = Object.assign(createElement("input"), {
    type: "range", id: "outliers", min: 0.02, max: 1, step: 0.01, value: quantile,
  });
  const updateOutput = () => {
    const value = Number(input.value);
    const percent = Math.round(100 - 100 * value);
    output.value = value < 1 ? `${percent}% hidden` : "off";
    input.setAttribute("aria-valuetext", value < 1 ? `farthest ${percent}% hidden` : "off");
  };
  input.addEventListener("input", () => {
    updateOutput();
    onQuantileChange(Number(input.value));
  });
  updateOutput();
  const label = createElement("label", "", "Outliers ", output);
  label.htmlFor = "outliers";
  label.title =
    "Hides the cells of each category that are farthest from its mean in latent space";
  return createElement("div", "control outlier-filter", label, input);
}
