// A question with what came of it: the answer in its own form, citations to open, and what was read.

import { count, element, fileName, percent, place, seconds, slice } from "./dom.js";

const STAGES = { retrieve: "searching", pack: "packing", read: "reading", write: "writing" };

// A card with the question, and a pane for its answer; with `names` of two readers a pane for each, side by side. It is
// busy until `done`.
export function makeCard(question, names = null) {
  const panes = names ? names.map((name) => makePane(name)) : [makePane()];
  const body = element("div", { class: names ? "body pair" : "body" }, panes.map((pane) => pane.place));
  const head = element("h2", {}, question);
  const card = element("article", { class: "card", "aria-busy": "true" }, head, body);
  return {
    card,
    panes,
    asked(whole) {
      if (whole !== question.trim().replace(/\s+/g, " ")) head.append(element("span", { class: "whole" }, `asked as: ${whole}`));
    },
    done() {
      card.removeAttribute("aria-busy");
    },
  };
}

// A place for an answer, which shows stages until `finish` or `fail` fills it; under a reader's name, the time it took.
function makePane(name = null) {
  const state = element("p", { class: "stages quiet" }, "waiting");
  const draft = element("p", { class: "draft quiet" });
  const body = element("div", {}, state, draft);
  const head = name ? element("h3", {}, name) : null;
  return {
    place: element("section", name ? { "aria-label": name } : {}, head, body),
    waiting(ahead) {
      state.textContent = ahead ? `waiting for ${count(ahead, "question")} before it` : STAGES.retrieve;
    },
    stage(stage, spent, written) {
      const following = { retrieve: "pack", pack: "read", read: written ? "write" : null }[stage];
      state.textContent = `${STAGES[stage]} took ${seconds(spent)}${following ? `; ${STAGES[following]} …` : ""}`;
    },
    text(part) {
      state.textContent = "writing … (not checked yet)";
      draft.textContent += part;
    },
    finish(answer, open) {
      head?.append(element("span", { class: "quiet" }, ` read in ${seconds(answer.timings.read)}`));
      body.replaceChildren(...parts(answer, open));
    },
    fail(error) {
      body.replaceChildren(
        element("p", { class: "failure" }, error.message),
        error.hint ? element("p", { class: "quiet" }, error.hint) : "",
      );
    },
  };
}

// What a screen reader says once the answer is there.
export function spoken(answer) {
  if (answer.answer === null) return withheld(answer);
  if (answer.sentences.length) return `${answer.answer} ${supported(answer)}.`;
  return `${answer.answer}. ${percent(answer.confidence)} confident. ${count(answer.citations.length, "citation")}.`;
}

function parts(answer, open) {
  const given = answer.answer !== null;
  const said = given ? found(answer) : notFound(answer, open);
  const cited = given ? [citations(answer, open)] : [];
  return [...said, ...cited, ...others(answer), strip(answer, open), times(answer)];
}

function supported(answer) {
  const good = answer.sentences.filter((sentence) => sentence.supported).length;
  return `${good} of ${count(answer.sentences.length, "sentence")} supported by the evidence`;
}

function found(answer) {
  if (answer.sentences.length) return written(answer);
  const yesNo = /^(yes|no)$/i.test(answer.answer);
  const text = answer.items.length
    ? element("ul", { class: "said items" }, answer.items.map((item) => element("li", {}, item)))
    : element("p", { class: yesNo ? `said verdict ${answer.answer.toLowerCase()}` : "said" }, yesNo ? capital(answer.answer) : answer.answer);
  return [text, confidence(answer.confidence, "confident")];
}

// The sentences of a writer with the numbers of their evidence; those that nothing supports say why.
function written(answer) {
  const sentences = answer.sentences.map((sentence) => {
    const marks = element("span", { class: "marks" }, sentence.citations.map((number) => ` [${number}]`).join(""));
    if (sentence.supported) return element("span", {}, sentence.text, marks, " ");
    const problem = element("span", { class: "state" }, ` not supported: ${sentence.problem} `);
    return element("span", {}, element("span", { class: "unsupported" }, sentence.text), marks, problem);
  });
  return [element("p", { class: "said written" }, sentences), element("p", { class: "confidence quiet" }, bar(answer.confidence), ` ${supported(answer)}`)];
}

// That nothing was found is said only where this is likelier than the closest candidate, and than not.
function withheld(answer) {
  const doubtful = answer.closest && answer.confidence < Math.max(answer.closest.probability, 0.5);
  return doubtful ? "Not certain enough to answer." : "Not found in what was read.";
}

function notFound(answer, open) {
  const said = [element("p", { class: "said withheld" }, withheld(answer))];
  if ("write" in answer.timings) said.push(element("p", { class: "quiet" }, "The writer found no answer in the evidence."));
  if (answer.closest) {
    const chance = percent(answer.closest.probability);
    said.push(
      element(
        "div",
        { class: "closest" },
        element("p", {}, "Closest: ", element("strong", {}, answer.closest.text), ` — ${chance} likely to be the answer`),
        answer.closest.citation ? element("ol", { class: "citations" }, citation(answer.closest.citation, open)) : "",
      ),
    );
  }
  return said;
}

function confidence(value, word) {
  return element("p", { class: "confidence quiet" }, bar(value), ` ${percent(value)} ${word}`);
}

function bar(value) {
  const filled = element("span", { style: { width: `${Math.max(2, 100 * value)}%` } });
  return element("span", { class: "bar", "aria-hidden": "true" }, filled);
}

function citations(answer, open) {
  if (!answer.citations.length) return "";
  if (!answer.sentences.length) return element("ol", { class: "citations" }, answer.citations.map((one) => citation(one, open)));
  const cited = [...new Set(answer.sentences.flatMap((sentence) => sentence.citations))].sort((a, b) => a - b);
  return element("ol", { class: "citations" }, cited.map((number) => citation(answer.citations[number - 1], open, number)));
}

// The quote with the answer marked in it; the whole is a button that opens the place.
function citation(one, open, number = null) {
  const characters = Array.from(one.quote);
  const marked = one.answer_start !== null
    ? [
        slice(characters, 0, one.answer_start),
        element("mark", {}, slice(characters, one.answer_start, one.answer_end)),
        slice(characters, one.answer_end, characters.length),
      ]
    : [one.quote];
  const states = { changed: "the file has changed since", missing: "the file is gone" };
  const state = states[one.file_state];
  return element(
    "li",
    {},
    element(
      "button",
      { type: "button", class: "citation", onclick: () => open(one) },
      number ? element("span", { class: "number" }, `[${number}] `) : "",
      element("span", { class: "source" }, fileName(one.document), element("span", { class: "quiet" }, `, ${place(one)}`)),
      one.column ? element("span", { class: "quiet" }, ` · ${[one.row, one.column].filter(Boolean).join(" · ")}`) : "",
      state ? element("span", { class: "state" }, ` ${state}`) : "",
      element("q", {}, marked),
    ),
  );
}

function others(answer) {
  const alternatives = answer.alternatives.filter((other) => other.score >= 0.02).slice(0, 4);
  if (!alternatives.length) return [];
  const list = alternatives.map((other) => element("li", {}, other.text, element("span", { class: "quiet" }, ` ${percent(other.score)}`)));
  return [element("details", {}, element("summary", {}, "Other answers it considered"), element("ul", {}, list))];
}

// The context as it was read: a stripe for each passage in its slot, as dark as its part in the answer.
function strip(answer, open) {
  const packed = (answer.packing?.entries ?? []).filter((entry) => entry.slot !== null).sort((a, b) => a.slot - b.slot);
  if (!packed.length) return "";
  const most = Math.max(...packed.map((entry) => entry.share ?? 0)) || 1;
  const label = element("p", { class: "quiet stripe-label" }, `${count(packed.length, "passage")} read. Point at a stripe.`);
  const describe = (entry) => {
    label.textContent = `${fileName(entry.document)}, place ${entry.slot + 1} of ${packed.length}, ${count(entry.tokens, "token")}, ${percent(entry.share ?? 0)} of what speaks for an answer`;
  };
  const stripes = packed.map((entry) =>
    element("button", {
      type: "button",
      class: "stripe",
      tabindex: "-1",
      "aria-label": `passage ${entry.slot + 1}: ${fileName(entry.document)}, ${percent(entry.share ?? 0)}`,
      style: { "flex-grow": String(entry.tokens), "--weight": String(Math.sqrt((entry.share ?? 0) / most)) },
      onmouseenter: () => describe(entry),
      onfocus: () => describe(entry),
      onclick: () => open({ document_id: entry.document_id, document: entry.document, start: entry.start, end: entry.end, page: null, line_start: 0, line_end: 0, answer_start: null }),
    }),
  );
  const bar = element("div", { class: "strip", role: "toolbar", "aria-label": "Passages in the order they were read", onkeydown: move }, stripes);
  stripes[0].tabIndex = 0;
  return element("details", { class: "read" }, element("summary", {}, "What was read"), bar, label);
}

// Arrow keys move between the stripes: one stop for Tab.
function move(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const stripes = [...event.currentTarget.children];
  const at = stripes.indexOf(document.activeElement);
  const next = stripes[Math.min(stripes.length - 1, Math.max(0, at + step))];
  stripes[at]?.setAttribute("tabindex", "-1");
  next.tabIndex = 0;
  next.focus();
  event.preventDefault();
}

function times(answer) {
  const spent = ["retrieve", "pack", "read", "write", "check"].filter((stage) => stage in answer.timings).map((stage) => `${stage} ${seconds(answer.timings[stage])}`);
  const tokens = answer.packing ? `; ${answer.packing.used_tokens.toLocaleString("en")} of ${answer.packing.context_tokens.toLocaleString("en")} tokens` : "";
  return element("p", { class: "times quiet" }, spent.join(", ") + tokens);
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1).toLowerCase();
}
