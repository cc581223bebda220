// Saves a session as a file, and opens one that the user chooses or drops on the page.

import { changeView } from "../actions.js";
import { listRows } from "../ask/groups.js";
import { createSession, openSession } from "../ask/session.js";
import { CellIds } from "../data/cell-ids.js";
import { fingerprintOfCells, hashAllIds } from "../data/fingerprint.js";
import { createSources, loadSources } from "../data/sources.js";
import { $, createButton, createElement, saveFile } from "../dom.js";
import { keepRows } from "../link/kept-rows.js";
import { checkView } from "../loading/check-view.js";
import { createReader } from "../loading/readers.js";
import { showCellStatus, showNotice } from "../messages.js";
import { loaded, problems, view } from "../state.js";

const MAX_BYTES = 500e6; // of a session; larger files are something else

/** Adds the buttons, and listens to files that are dropped on the page. */
export function addSessionFiles() {
  const input = Object.assign(createElement("input"), { type: "file", accept: ".json", hidden: true });
  input.addEventListener("change", () => {
    if (input.files[0]) open(input.files[0]);
    input.value = "";
  });
  $("groups").append(createElement("div", "button-row", input,
    createButton("small-button", "Save filters, groups and the view as a file", save, "Save session"),
    createButton("small-button", "Open a session; you can also drop its file on the page",
      () => input.click(), "Open session")));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) open(file);
  });
}

/**
 * @param {import("../data/dataset.js").Dataset} dataset
 * @returns {import("../ask/session.js").Categories}
 */
const categoriesOf = ({ categorical }) => new Map([...categorical].map(([key, field]) => {
  const [, names, , missingCode] = field;
  return [`obs:${key}`, { names, missingCode }];
}));

/** A reader that no later change of the view aborts. */
const createFreeReader = () => createReader(loaded.entry, new AbortController().signal);

async function save() {
  const { dataset } = loaded;
  if (!dataset) return;
  try {
    const reader = createFreeReader();
    await loadSources(reader, view.groups.map(({ cells }) => cells));
    const hash = await fingerprintOfCells(dataset, reader);
    const idsHash = await hashAllIds(dataset, reader);
    const described = { id: dataset.identity.id, hash, idsHash, columns: categoriesOf(dataset) };
    const session = createSession(view, described, createSources());
    const text = JSON.stringify(session, null, 1);
    saveFile(new Blob([text], { type: "application/json" }), `${dataset.identity.id}-session.json`);
  } catch (error) {
    showNotice(`The session could not be saved: ${error.message}`);
  }
  showCellStatus();
}

/** @param {File} file */
async function open(file) {
  const { dataset } = loaded;
  if (!dataset) return;
  try {
    if (file.size > MAX_BYTES) throw new Error("This file is too large for a session.");
    const text = await file.text();
    const reader = createFreeReader();
    const hash = await fingerprintOfCells(dataset, reader);
    const { nCells, identity: { id } } = dataset;
    const wanted = await openSession(text, {
      nCells, hash, id, columns: categoriesOf(dataset), hasIds: new CellIds(dataset).areKnown,
      hashAllIds: () => hashAllIds(dataset, reader),
    }, problems);
    if (loaded.dataset !== dataset) return;
    keepRows(wanted.groups.flatMap(({ cells }) => listRows(cells)), hash);
    checkView(wanted, hash);
    changeView({ ...wanted, dataset: view.dataset, theme: view.theme });
  } catch (error) {
    showNotice(`${file.name}: ${error.message}`);
  }
  showCellStatus(); // in place of the progress of what was read
}
