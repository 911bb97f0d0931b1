// The page: ask, read the answer, open its places; documents beside it; everything from the keyboard.

import { ApiError, events, getJson, onKeyNeeded } from "./api.js";
import { makeCard, spoken } from "./answer.js";
import { Documents } from "./documents.js";
import { Viewer } from "./viewer.js";

const TURNS = 8; // questions that a follow-up may go back to
const KEPT = 30; // questions in the history of this browser
const byId = (id) => document.getElementById(id);
const [question, submit, answers, notice] = ["question", "submit", "answers", "notice"].map(byId);
const index = () => byId("index").value || null;

let facts = null;
let asking = null;
let turns = []; // of this conversation, oldest first

const viewer = new Viewer(byId("viewer"), index);
const documents = new Documents(byId("documents"), index, { open: (citation) => viewer.open(citation, document.activeElement), changed: () => learn() });

onKeyNeeded(
  () =>
    new Promise((resolve) => {
      const dialog = byId("key-dialog");
      dialog.addEventListener("close", () => resolve(byId("key").value), { once: true });
      dialog.showModal();
    }),
);

function say(error) {
  notice.hidden = !error;
  notice.textContent = error ? [error.message, error.hint].filter(Boolean).join(" — ") : "";
}

// The indexes and their sizes. A page without documents opens the place to drop them.
async function learn(first = false) {
  try {
    facts = await getJson("/v1/indexes");
  } catch (error) {
    say(error);
    return;
  }
  say(null);
  const choice = byId("index");
  const chosen = choice.value || localStorage.getItem("index") || "";
  choice.replaceChildren(...facts.indexes.map((one) => new Option(`${one.name} (${one.documents.toLocaleString("en")})`, one.name)));
  choice.value = facts.indexes.some((one) => one.name === chosen) ? chosen : (facts.indexes.find((one) => one.default) ?? facts.indexes[0])?.name;
  byId("index-choice").hidden = facts.indexes.length < 2;
  byId("baseline-option").hidden = !facts.baseline;
  byId("writer-option").hidden = !facts.writer;
  byId("options").hidden = !facts.baseline && !facts.writer;
  if (facts.writer) byId("writer-label").textContent = `Let ${facts.writer.model} write the answer: the question and its evidence go to ${facts.writer.address}`;
  if (first && !facts.indexes.some((one) => one.documents)) await documents.show(facts);
}

// Ask the reader, or the writer, and then the baseline reader where that is wanted: one after the other, so that neither
// takes the other's time.
async function ask(text) {
  const beside = facts?.baseline && byId("baseline").checked ? [facts.reader, facts.baseline] : null;
  const written = Boolean(facts?.writer) && byId("writer").checked;
  const made = makeCard(text, beside);
  answers.prepend(made.card);
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  submit.textContent = "Stop";
  const open = openFrom(made.card);
  const body = { question: text, history: turns, index: index(), stream: true, explain: true };
  try {
    const answer = await follow({ ...body, writer: written && !beside }, made.panes[0], written && !beside, open, signal);
    made.asked(answer.question);
    byId("status").textContent = spoken(answer);
    turns = [...turns, { question: answer.question, answer: answer.answer ?? "" }].slice(-TURNS);
    byId("fresh").hidden = false;
    if (beside) remember(text, answer, { names: beside, answer: await follow({ ...body, reader: "baseline" }, made.panes[1], false, open, signal) });
    else remember(text, answer);
  } catch {
    // the pane says it
  } finally {
    made.done();
    if (asking?.signal === signal) {
      asking = null;
      submit.textContent = "Ask";
    }
  }
}

// Follow an answer on its way into a pane. Throws where there is none; the pane says why.
async function follow(body, pane, written, open, signal) {
  try {
    for await (const [name, data] of events("/v1/ask", body, signal)) {
      if (name === "accepted") pane.waiting(data.waiting);
      else if (name === "stage") pane.stage(data.stage, data.seconds, written);
      else if (name === "text") pane.text(data.text);
      else if (name === "error") throw new ApiError(data.error.message, data.error.hint, 0);
      else if (name === "answer") {
        pane.finish(data, open);
        return data;
      }
    }
    throw new ApiError("the server ended the answer before its end", "ask again", 0);
  } catch (error) {
    pane.fail(error.name === "AbortError" ? { message: "stopped" } : error);
    throw error;
  }
}

function openFrom(card) {
  return (citation) => viewer.open(citation, card.contains(document.activeElement) ? document.activeElement : question);
}

// --- history: questions and answers of this browser, which the server does not keep

function remembered() {
  try {
    return JSON.parse(localStorage.getItem("history") ?? "[]");
  } catch {
    return [];
  }
}

function remember(text, answer, beside = null) {
  const baseline = beside && { ...beside, answer: { ...beside.answer, packing: null } };
  const kept = [{ text, index: index(), answer: { ...answer, packing: null }, baseline }, ...remembered()].slice(0, KEPT);
  try {
    localStorage.setItem("history", JSON.stringify(kept));
  } catch {
    localStorage.removeItem("history"); // full: the page works without
  }
  byId("history-tools").hidden = false;
}

function recall() {
  const kept = remembered().filter((one) => !one.index || one.index === index());
  for (const { text, answer, baseline } of kept) {
    const made = makeCard(text, baseline?.names);
    made.asked(answer.question);
    made.panes[0].finish(answer, openFrom(made.card));
    if (baseline) made.panes[1].finish(baseline.answer, openFrom(made.card));
    made.done();
    answers.append(made.card);
  }
  byId("history-tools").hidden = !kept.length;
}

// --- what people do

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  if (asking) {
    asking.abort();
    return;
  }
  const text = question.value.trim();
  if (!text) return;
  question.value = "";
  grow();
  ask(text);
});

function grow() {
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight + 2}px`;
}

question.addEventListener("input", grow);
question.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    if (!asking) byId("ask").requestSubmit();
  } else if (event.key === "ArrowUp" && !question.value) {
    question.value = remembered()[0]?.text ?? "";
    grow();
  }
});

document.addEventListener("keydown", (event) => {
  const writing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "");
  if (event.key === "Escape" && !byId("key-dialog").open) {
    if (!viewer.close()) documents.close();
  } else if (event.key === "/" && !writing) {
    event.preventDefault();
    question.focus();
  }
});

byId("documents-button").addEventListener("click", () => {
  if (documents.close() || !facts) return;
  documents.show(facts);
  byId("documents").focus(); // the keyboard goes on in what was opened
});

byId("forget").addEventListener("click", () => {
  localStorage.removeItem("history");
  answers.replaceChildren();
  byId("history-tools").hidden = true;
  question.focus();
});

byId("fresh").addEventListener("click", () => {
  turns = [];
  byId("fresh").hidden = true;
  question.focus();
});

byId("index").addEventListener("change", () => {
  turns = [];
  localStorage.setItem("index", index());
  viewer.close();
  answers.replaceChildren();
  recall();
  if (!byId("documents").hidden) documents.show(facts);
});

byId("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  localStorage.setItem("theme", dark ? "light" : "dark");
  document.documentElement.dataset.theme = dark ? "light" : "dark";
});

for (const kind of ["dragover", "drop"]) {
  document.addEventListener(kind, (event) => {
    if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
    event.preventDefault();
    document.body.classList.toggle("dropping", kind === "dragover");
    if (kind === "drop") {
      const files = [...event.dataTransfer.files];
      if (facts) documents.show(facts).then(() => documents.add(files));
    }
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});

const theme = localStorage.getItem("theme");
if (theme) document.documentElement.dataset.theme = theme;
await learn(true);
recall();
question.focus();
