// Which cells are visible, and which are selected.

import { countOnes, createFilterMask, createLassoMask } from "../ask/masks.js";
import { isVisible, loaded, view } from "../state.js";
import { createSources } from "./sources.js";

/** Finds the cells that pass the filters, and the selected ones of them; all they need is loaded. */
export function updateMasks() {
  const sources = createSources();
  loaded.visible = createFilterMask(view.filters, sources);
  loaded.nVisible = loaded.visible ? countOnes(loaded.visible) : sources.nCells;
  loaded.selectionMask = view.lasso.length ? createLassoMask(view.lasso, sources) : null;
  loaded.nSelected = loaded.selectionMask?.reduce((n, is, i) => n + (isVisible(i) ? is : 0), 0) ?? 0;
}
